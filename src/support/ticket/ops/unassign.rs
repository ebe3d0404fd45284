//! The return of tickets to the queue when their assignees leave the staff.

use mainstay_kernel::{
    app::App, audit::Record, caller::Permit, database::Connection, error::Result, events::EventKind as _, fault,
    unit_of_work::Work,
};

use super::transition;
use crate::support::{
    events::TicketAssigned,
    ticket::{model::ActivityKind, store},
};

/// The tickets that one transaction unassigns. The limit keeps lock times short.
const BATCH: i64 = 100;
/// The most transactions of one run, which ends well within the time limit of a task.
const MAX_BATCHES: usize = 50;

/// Unassigns the tickets in progress whose assignees are deactivated or have no role of the staff any more, and returns their
/// number. It reads the present state of the users, so that it also finds a ticket that was assigned or reopened while its
/// assignee left. Each batch commits by itself: a run after a crash finds the rest.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable; the earlier batches stay unassigned.
pub(crate) async fn return_to_queue(app: &App) -> Result<usize> {
    let mut returned = 0;
    for _ in 0..MAX_BATCHES {
        let batch = app.database.transaction(async |work: &mut Work| unassign_some(work).await).await?;
        if batch == 0 {
            break;
        }
        returned += batch;
        fault::point("tickets.returned")?;
    }
    Ok(returned)
}

async fn unassign_some(work: &mut Work) -> Result<usize> {
    let lock = async |connection: &Connection| store::lock_abandoned(connection, BATCH).await;
    let tickets = work.read(lock).await?;
    let (count, kinds) = (tickets.len(), (ActivityKind::Unassigned, TicketAssigned::NAME));
    for before in tickets {
        let ticket = transition(work, None::<Permit>, before.clone(), kinds, |state| state.assign(None))?;
        work.audit(Record::updated(&before, &ticket));
    }
    Ok(count)
}
