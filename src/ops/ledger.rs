//! Holds the books against themselves and against the gateway's.

use std::collections::HashMap;

use futures_util::FutureExt as _;

use crate::{
    app::App,
    domain::ledger::{Booked, Kind},
    error::{Error, Result},
    gateway::Movement,
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
    let theirs = moved(app, &mut report).await?;
    for (id, booked) in &ours {
        match theirs.get(id) {
            None => {
                report.faults.push(format!("{id} is booked as {}, and the gateway knows nothing of it", told(booked)));
            }
            Some(moved) if !agree(booked, moved) => {
                report.faults.push(format!("{id} is booked as {}, and the gateway has {moved:?}", told(booked)));
            }
            Some(_) => {}
        }
    }
    let missing: Vec<_> = theirs.values().filter(|moved| !ours.contains_key(&moved.gateway_id)).collect();
    if !missing.is_empty() {
        let now = app.clock.now();
        let pending = app.database.read(move |connection| store::pending(connection, now).boxed()).await?;
        let pending: HashMap<_, _> = pending.into_iter().map(|row| (row.id, row.gateway_id)).collect();
        let ours = booked(app).await?;
        for moved in missing {
            // A refund of a charge that is not settled waits with it.
            let charge = moved.charge_id.as_ref().and_then(|id| theirs.get(id));
            let is_pending = |movement: &Movement| {
                let pending = movement.subject.and_then(|subject| pending.get(&subject));
                let named = movement.subscription_id.as_ref();
                pending.is_some_and(|known| known.as_ref().is_none_or(|known| named.is_none_or(|named| named == known)))
            };
            if [Some(moved), charge].into_iter().flatten().any(is_pending) {
                report.unsettled += 1;
            } else if !ours.contains_key(&moved.gateway_id) {
                report.faults.push(format!("the gateway moved {moved:?}, which is not booked"));
            }
        }
    }
    report.faults.sort();
    Ok(report)
}

/// What the gateway moved for us, by its own ids: a movement names what it was for, or else is a refund of a charge that
/// does.
async fn moved(app: &App, report: &mut Report) -> Result<HashMap<String, Movement>> {
    let (mut theirs, mut subjects) = (HashMap::new(), HashMap::new());
    let mut next = None;
    loop {
        let part = app.gateway.statement(next.as_deref()).await.map_err(Error::unavailable)?;
        for movement in part.movements {
            let id = movement.gateway_id.clone();
            // Charges come first.
            let is_ours = |movement: &Movement| {
                movement.subject.is_some() || movement.charge_id.as_ref().is_some_and(|id| theirs.contains_key(id))
            };
            if !is_ours(&movement) {
                continue;
            }
            report.moved += 1;
            // A subscription has an invoice for each of its periods.
            let once = movement.subject.filter(|_| movement.kind != Kind::Invoice);
            let earlier = once.and_then(|subject| subjects.insert((movement.kind, subject), id.clone()));
            if let (Some(earlier), Some(subject)) = (earlier, movement.subject) {
                report.faults.push(format!("the gateway moved money twice for {subject}: {earlier} and {id}"));
            }
            theirs.insert(id, movement);
        }
        next = part.next;
        if next.is_none() {
            return Ok(theirs);
        }
    }
}

/// Whether both books have the same. What was made at the gateway itself may be named there or not.
fn agree(booked: &Booked, moved: &Movement) -> bool {
    let same_subject = booked.subject.is_none() || booked.subject == moved.subject;
    same_subject && (booked.kind, booked.amount) == (moved.kind, moved.amount)
}

fn told(booked: &Booked) -> String {
    let subject = booked.subject.map_or_else(|| "nobody here".to_owned(), |id| id.to_string());
    format!("{:?} of {:?} for {subject}", booked.kind, booked.amount)
}

/// Our books, by the gateway's ids.
async fn booked(app: &App) -> Result<HashMap<String, Booked>> {
    let gateway = app.gateway.name();
    let booked = app.database.read(move |connection| store::booked(connection, gateway).boxed()).await?;
    Ok(booked.into_iter().map(|booked| (booked.gateway_id.clone(), booked)).collect())
}
