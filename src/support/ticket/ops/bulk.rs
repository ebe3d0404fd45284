//! Bulk changes of tickets, and their undo. The request's transaction selects tickets; a worker changes them in batches.

mod run;

use chrono::{DateTime, Utc};

use crate::{
    operations::{
        id::OperationId,
        model::{ACROSS_ACCOUNTS, Operation},
        ops::{self as operation, Kinds, OperationKind as _},
    },
    proto::support::v1::Reason as SupportReason,
    support::{
        id::TicketId,
        ticket::{
            job::{ChangeTickets, DeleteTickets, Requester, UndoBulkChange},
            model::bulk::{BulkChange, Effect, MAX_TICKETS, Preview, Selection, UNDO_WINDOW},
            store::{self as tickets, bulk as store},
        },
    },
};
use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::{Error, Result},
    unit_of_work::Work,
};

use super::check_assignee;

/// The number of tickets per transaction. Larger batches save round trips; smaller ones hold row locks for less time.
const BATCH: usize = 200;

/// The scope of the deletion of a ticket, which a bulk deletion requires, too.
const DELETE_SCOPE: &str = "support.tickets.delete";

/// Stores the selected tickets and the operation that changes them.
///
/// # Errors
/// `VALIDATION_FAILED` if the filter matches too many tickets, or if the assignee is not an active agent or admin;
/// `PERMISSION_DENIED` if the caller may not delete tickets.
pub async fn begin(work: &mut Work, selection: Selection, change: BulkChange) -> Result<Operation> {
    let permit = work.permit()?;
    let read = async |connection: &Connection| select(connection, &permit, selection, &change).await;
    let ids = work.read(read).await?;
    let requester = requester(&permit);
    let began = match change {
        BulkChange::Delete => operation::begin(work, ACROSS_ACCOUNTS, DeleteTickets { requester }).await?,
        change => operation::begin(work, ACROSS_ACCOUNTS, ChangeTickets { change, requester }).await?,
    };
    store::insert_selected(work.connection().await?, began.id, &ids).await?;
    Ok(began)
}

fn requester(permit: &Permit) -> Requester {
    Requester { role: permit.caller().role() as i16, application: permit.caller().application() }
}

/// Checks the change, and returns the ids of the selected tickets. An id that the request names may have no ticket.
async fn select(
    connection: &Connection,
    permit: &Permit,
    selection: Selection,
    change: &BulkChange,
) -> Result<Vec<TicketId>> {
    match change {
        BulkChange::Delete => permit.check_scope(DELETE_SCOPE)?,
        BulkChange::Assign { assignee } => check_assignee(connection, *assignee).await?,
        BulkChange::Update(_) | BulkChange::Resolve => {}
    }
    match selection {
        Selection::Ids(ids) => Ok(ids),
        Selection::Filter(filter) => {
            let ids = store::matching(connection, permit.visibility(), &filter).await?;
            if ids.len() > MAX_TICKETS {
                return Err(Error::field("filter", format!("must match at most {MAX_TICKETS} tickets")));
            }
            Ok(ids)
        }
    }
}

/// Returns what a change would do now, and stores nothing.
///
/// # Errors
/// The errors of [`begin`].
pub async fn preview(
    connection: &Connection,
    permit: Permit,
    selection: Selection,
    change: BulkChange,
    now: DateTime<Utc>,
) -> Result<Preview> {
    let ids = select(connection, &permit, selection, &change).await?;
    let mut preview = Preview::default();
    for batch in ids.chunks(BATCH) {
        let found = tickets::get_batch(connection, permit.visibility(), batch, false).await?;
        for id in batch {
            let effect: Result<Effect> = match found.iter().find(|ticket| ticket.id == *id) {
                Some(ticket) => change.apply(ticket, now),
                None => Err(Error::not_found("ticket")),
            };
            preview.add(*id, &effect);
        }
    }
    Ok(preview)
}

/// Begins the operation that restores what a bulk change replaced.
///
/// # Errors
/// `NOT_FOUND`; `BULK_CHANGE_FINAL` if the change has not ended, ended more than 24 hours ago, or left no ticket to restore.
pub async fn undo(work: &mut Work, kinds: &Kinds, change: OperationId) -> Result<Operation> {
    let (permit, now) = (work.permit()?, work.now());
    let undone = operation::get(work.connection().await?, &permit, kinds, change).await?;
    if ![ChangeTickets::NAME, DeleteTickets::NAME].contains(&&*undone.kind) {
        return Err(Error::not_found("operation"));
    }
    if undone.state.finished_at().is_none_or(|at| now - at > UNDO_WINDOW) {
        return Err(SupportReason::BulkChangeFinal.into());
    }
    let began =
        operation::begin(work, ACROSS_ACCOUNTS, UndoBulkChange { change, requester: requester(&permit) }).await?;
    match store::reserve(work.connection().await?, change, began.id).await? {
        // The error rolls back the new operation.
        0 => Err(SupportReason::BulkChangeFinal.into()),
        _ => Ok(began),
    }
}
