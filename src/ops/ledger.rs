//! Holds the books against themselves and against the gateway's.

use std::collections::{HashMap, HashSet};

use futures_util::FutureExt as _;

use crate::{
    app::App,
    error::{Error, Result},
    gateway::{Key, Kind, Movement},
    store::ledger as store,
};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Movements in our books.
    pub booked: usize,
    /// Movements in the gateway's.
    pub moved: usize,
    /// Movements at the gateway whose outcome we don't know yet; the jobs will.
    pub unsettled: usize,
    /// What does not agree, a line each.
    pub faults: Vec<String>,
}

/// Checks the books. Both sides are held in memory, some hundred bytes a movement. What moves meanwhile is no fault: the
/// gateway is asked after ours were read, and what it has more than we is looked for again in ours.
///
/// # Errors
/// `UNAVAILABLE` while Postgres or the gateway is away.
pub async fn check(app: &App) -> Result<Report> {
    let faults = app.database.read(|connection| store::faults(connection).boxed()).await?;
    let ours = booked(app).await?;
    let mut report = Report { booked: ours.len(), faults, ..Report::default() };
    let mut theirs = HashMap::new();
    let mut next = None;
    loop {
        let part = app.gateway.statement(next.as_deref()).await.map_err(Error::unavailable)?;
        for movement in part.movements {
            report.moved += 1;
            if let Some(earlier) = theirs.insert(movement.key(), movement.clone()) {
                report.faults.push(format!(
                    "the gateway moved money twice for {}: {} and {}",
                    movement.subject, earlier.gateway_id, movement.gateway_id
                ));
            }
        }
        next = part.next;
        if next.is_none() {
            break;
        }
    }
    for (key, booked) in &ours {
        match theirs.get(key) {
            None => report.faults.push(format!("{} is booked and the gateway knows nothing of it", booked.subject)),
            Some(moved) if moved != booked => {
                report
                    .faults
                    .push(format!("{} is booked as {booked:?}, and the gateway has {moved:?}", booked.subject));
            }
            Some(_) => {}
        }
    }
    let missing: Vec<_> = theirs.iter().filter(|(key, _)| !ours.contains_key(key)).collect();
    if !missing.is_empty() {
        let pending: HashSet<_> =
            app.database.read(|connection| store::pending(connection).boxed()).await?.into_iter().collect();
        let ours = booked(app).await?;
        for (key, moved) in missing {
            if pending.contains(&moved.subject) {
                report.unsettled += 1;
            } else if !ours.contains_key(key) {
                report.faults.push(format!("the gateway moved {moved:?}, which is not booked"));
            }
        }
    }
    report.faults.sort();
    Ok(report)
}

type Books = HashMap<Key, Movement>;

async fn booked(app: &App) -> Result<Books> {
    let gateway = app.gateway.name();
    let rows = app.database.read(move |connection| store::booked(connection, gateway).boxed()).await?;
    let mut books = Books::new();
    for row in rows {
        let kind = Kind::from_number(row.kind.into())
            .ok_or_else(|| Error::internal(anyhow::anyhow!("ledger_transactions: the kind {}", row.kind)))?;
        let amount = store::amount(&row)?;
        let movement = Movement { kind, subject: row.subject, gateway_id: row.gateway_id, amount };
        books.insert(movement.key(), movement);
    }
    Ok(books)
}
