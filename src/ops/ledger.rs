//! Holds the books against themselves and against the gateway's.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use futures_util::FutureExt as _;
use uuid::Uuid;

use crate::{
    app::App,
    domain::money::Money,
    error::{Error, Result},
    gateway::{Kind, Movement},
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
            None => report.faults.push(format!("{id} is booked as {booked}, and the gateway knows nothing of it")),
            Some(moved) if !booked.is(moved) => {
                report.faults.push(format!("{id} is booked as {booked}, and the gateway has {moved:?}"));
            }
            Some(_) => {}
        }
    }
    let missing: Vec<_> = theirs.values().filter(|moved| !ours.contains_key(&moved.gateway_id)).collect();
    if !missing.is_empty() {
        let pending: HashSet<_> =
            app.database.read(|connection| store::pending(connection).boxed()).await?.into_iter().collect();
        let ours = booked(app).await?;
        for moved in missing {
            // A refund of a charge that is not settled waits with it.
            let charge = moved.charge_id.as_ref().and_then(|id| theirs.get(id));
            let mut subjects = [Some(moved), charge].into_iter().flatten().filter_map(|movement| movement.subject);
            if subjects.any(|subject| pending.contains(&subject)) {
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

/// A movement of money, as our books have it.
struct Booked {
    kind: Kind,
    subject: Option<Uuid>,
    amount: Money,
}

impl Booked {
    /// Whether the gateway has the same. What was made at the gateway itself may be named there or not.
    fn is(&self, moved: &Movement) -> bool {
        let same_subject = self.subject.is_none() || self.subject == moved.subject;
        same_subject && (self.kind, self.amount) == (moved.kind, moved.amount)
    }
}

impl fmt::Display for Booked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject.map_or_else(|| "nobody here".to_owned(), |id| id.to_string());
        write!(f, "{:?} of {:?} for {subject}", self.kind, self.amount)
    }
}

/// Our books, by the gateway's ids.
async fn booked(app: &App) -> Result<HashMap<String, Booked>> {
    let gateway = app.gateway.name();
    let rows = app.database.read(move |connection| store::booked(connection, gateway).boxed()).await?;
    let booked = |row: store::Booked| {
        let kind = Kind::from_number(row.kind.into())
            .ok_or_else(|| Error::internal(anyhow::anyhow!("ledger_transactions: the kind {}", row.kind)))?;
        let amount = store::amount(&row)?;
        Ok((row.gateway_id, Booked { kind, subject: row.subject, amount }))
    };
    rows.into_iter().map(booked).collect()
}
