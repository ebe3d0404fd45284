//! Checks the ledger against itself and against the gateway's books.

pub mod recent;
pub mod sums;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::payments::{
    gateway::{Gateway, Movement, SKEW},
    ledger::{
        model::{Kind, LedgerTransaction},
        store,
    },
};
use mainstay_kernel::{
    app::App,
    database::Connection,
    error::{Error, Result},
    id,
    money::Money,
};

pub(crate) use store::{amount, book_invoices, sums::begin_again};

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The number of movements in the ledger.
    pub booked: usize,
    /// The number of movements in the gateway's books.
    pub moved: usize,
    /// The number of movements at the gateway whose outcome is not known here yet; their jobs will settle them.
    pub unsettled: usize,
    /// The discrepancies, one sentence each.
    pub faults: Vec<String>,
}

/// The maximum number of the gateway's movements that a partial check holds in memory.
const MAX_MOVED: usize = 100_000;

/// Checks the whole ledger. Both sides are held in memory, at a few hundred bytes per movement.
///
/// # Errors
/// `UNAVAILABLE` if Postgres or the gateway is unreachable.
pub async fn check(app: &App) -> Result<Report> {
    compare(app, None).await
}

/// Compares the ledger with the gateway's books, in full or since a time. Movements made meanwhile are not reported:
/// the gateway is queried after the ledger was read, and any movement that only the gateway has is looked up in the
/// ledger again.
async fn compare(app: &App, since: Option<DateTime<Utc>>) -> Result<Report> {
    let from = since.map_or(Uuid::nil(), id::lower_bound);
    let own = app.database.autocommit(async move |connection| store::faults(connection, from).await).await?;
    let faults = own.into_iter().map(|fault| sentence(&fault)).collect();
    let ours = effective_transactions(app, from).await?;
    let mut report = Report { booked: ours.len(), faults, ..Report::default() };
    // A movement since then was booked even later.
    let mut theirs = gateway_movements(app, since.map(|since| since + SKEW)).await?;
    leave_out_refunded_duplicates(&mut theirs, &ours);
    report.moved = theirs.len();
    report.faults.extend(repeated_movements(&theirs));
    let listed = since.map(|since| id::lower_bound(since + SKEW * 2));
    for (id, booked) in &ours {
        match theirs.get(id) {
            None if listed.is_some_and(|from| !was_requested(booked, from)) => {}
            None => {
                let ours = describe_transaction(booked);
                report.faults.push(format!("{id} is booked as {ours}, and the gateway knows nothing of it."));
            }
            Some(movement) if !agree(booked, movement) => {
                let theirs = describe(movement.kind, movement.amount, movement.subject);
                report.faults.push(format!(
                    "{id} is booked as {}, and is {theirs} at the gateway.",
                    describe_transaction(booked)
                ));
            }
            Some(_) => {}
        }
    }
    let missing: Vec<_> = theirs.values().filter(|movement| !ours.contains_key(&movement.gateway_id)).collect();
    if !missing.is_empty() {
        let now = app.clock.now();
        // A refund of a charge that is not settled is pending with it.
        let charge_of = |movement: &Movement| movement.charge_id.as_ref().and_then(|id| theirs.get(id));
        let subjects: Vec<_> = missing
            .iter()
            .flat_map(|movement| [Some(*movement), charge_of(movement)])
            .flatten()
            .filter_map(|movement| movement.subject)
            .collect();
        let pending =
            app.database.autocommit(async |connection| store::list_pending(connection, &subjects, now).await).await?;
        let pending: HashMap<_, _> = pending.into_iter().map(|row| (row.id, row.gateway_id)).collect();
        let ours = effective_transactions(app, from).await?;
        for movement in missing {
            let is_pending = |movement: &Movement| {
                let pending = movement.subject.and_then(|subject| pending.get(&subject));
                let named = movement.subscription_id.as_ref();
                pending.is_some_and(|id| id.as_ref().is_none_or(|id| named.is_none_or(|named| named == id)))
            };
            if [Some(movement), charge_of(movement)].into_iter().flatten().any(is_pending) {
                report.unsettled += 1;
            } else if !ours.contains_key(&movement.gateway_id) {
                let theirs = describe(movement.kind, movement.amount, movement.subject);
                let of = movement.subscription_id.as_ref().map(|id| format!(" (of {id})")).unwrap_or_default();
                report
                    .faults
                    .push(format!("{}{of} is {theirs} at the gateway, and is not booked.", movement.gateway_id));
            }
        }
    }
    report.faults.sort();
    Ok(report)
}

fn sentence(fault: &str) -> String {
    let (first, rest) = fault.split_at_checked(1).unwrap_or_default();
    format!("{}{rest}.", first.to_uppercase())
}

/// Returns whether a movement was requested here, under the id `from` or a later one, so that the movement is not older
/// either. Other movements are booked when the gateway lists them, at any age.
fn was_requested(booked: &LedgerTransaction, from: Uuid) -> bool {
    matches!(booked.kind, Kind::Charge | Kind::Refund) && booked.subject.is_some_and(|subject| subject >= from)
}

/// Returns the gateway's movements that belong to this service, by the gateway's id: movements that name a payment,
/// refund or subscription, and refunds of such charges.
async fn gateway_movements(app: &App, since: Option<DateTime<Utc>>) -> Result<HashMap<String, Movement>> {
    let mut theirs = HashMap::new();
    let mut next = None;
    loop {
        let part = app.part::<Arc<dyn Gateway>>().statement(since, next.as_deref()).await;
        let part = part.map_err(Error::unavailable)?;
        for movement in part.movements {
            let id = movement.gateway_id.clone();
            // Charges come first in the statement.
            let is_ours = |movement: &Movement| {
                movement.subject.is_some() || movement.charge_id.as_ref().is_some_and(|id| theirs.contains_key(id))
            };
            if !is_ours(&movement) {
                continue;
            }
            theirs.insert(id, movement);
        }
        if since.is_some() && theirs.len() > MAX_MOVED {
            return Err(Error::internal(anyhow::anyhow!(
                "the gateway has more than {MAX_MOVED} movements of this time"
            )));
        }
        next = part.next;
        if next.is_none() {
            return Ok(theirs);
        }
    }
}

/// Leaves out each further charge of a booked payment that was refunded in full at the gateway, and its refunds. They
/// move nothing in sum, and are never booked.
fn leave_out_refunded_duplicates(theirs: &mut HashMap<String, Movement>, ours: &HashMap<String, LedgerTransaction>) {
    let charges = ours.values().filter(|booked| booked.kind == Kind::Charge);
    let paid: HashSet<_> = charges.filter_map(|booked| booked.subject).collect();
    let unbooked = || theirs.values().filter(|movement| !ours.contains_key(&movement.gateway_id));
    let mut rest: HashMap<_, _> = unbooked()
        .filter(|movement| movement.kind == Kind::Charge && movement.subject.is_some_and(|id| paid.contains(&id)))
        .map(|charge| (charge.gateway_id.clone(), charge.amount))
        .collect();
    for refund in unbooked().filter(|movement| movement.kind == Kind::Refund) {
        let Some(rest) = refund.charge_id.as_ref().and_then(|id| rest.get_mut(id)) else { continue };
        // A refund of another currency or of too much leaves a rest.
        *rest = rest.minus(refund.amount).unwrap_or(*rest);
    }
    rest.retain(|_, rest| rest.minor() == 0);
    let is_of = |id: Option<&String>| id.is_some_and(|id| rest.contains_key(id));
    theirs.retain(|id, movement| !is_of(Some(id)) && !is_of(movement.charge_id.as_ref()));
}

/// Returns a sentence for each further movement of a payment or a refund.
fn repeated_movements(theirs: &HashMap<String, Movement>) -> Vec<String> {
    let mut ids: HashMap<_, Vec<&str>> = HashMap::new();
    // A subscription has one invoice per period, and each may be refunded in parts.
    for movement in theirs.values().filter(|movement| matches!(movement.kind, Kind::Charge | Kind::Refund)) {
        if let Some(subject) = movement.subject {
            ids.entry((movement.kind, subject)).or_default().push(&movement.gateway_id);
        }
    }
    let mut sentences = Vec::new();
    for ((_, subject), mut ids) in ids {
        ids.sort_unstable();
        let pairs = ids.windows(2);
        sentences.extend(
            pairs.map(|ids| format!("The gateway moved money twice for {subject}: {} and {}.", ids[0], ids[1])),
        );
    }
    sentences
}

/// Returns whether both sides agree. A movement booked without a subject was made at the gateway itself, which may
/// report a subject.
fn agree(booked: &LedgerTransaction, movement: &Movement) -> bool {
    let same_subject = booked.subject.is_none() || booked.subject == movement.subject;
    same_subject && (booked.kind, booked.amount) == (movement.kind, movement.amount)
}

fn describe_transaction(booked: &LedgerTransaction) -> String {
    describe(booked.kind, booked.amount, booked.subject)
}

/// Returns `a charge of EUR 4.50 for 0197…`.
fn describe(kind: Kind, amount: Money, subject: Option<Uuid>) -> String {
    let kind = match kind {
        Kind::Charge => "a charge",
        Kind::Refund => "a refund",
        Kind::Invoice => "an invoice",
        Kind::Reversal | Kind::InvoiceReversal => "a returned refund",
        Kind::InvoiceRefund => "a refund of an invoice",
    };
    let subject = subject.map_or_else(|| "nothing here".to_owned(), |id| id.to_string());
    format!("{kind} of {amount} for {subject}")
}

/// Returns the ledger's movements that were booked under the id `from` or a later one, by the gateway's id.
async fn effective_transactions(app: &App, from: Uuid) -> Result<HashMap<String, LedgerTransaction>> {
    let gateway = app.part::<Arc<dyn Gateway>>().name();
    let read = async move |connection: &mut Connection| store::list_effective(connection, gateway, from).await;
    let booked = app.database.autocommit(read).await?;
    Ok(booked.into_iter().map(|booked| (booked.gateway_id.clone(), booked)).collect())
}
