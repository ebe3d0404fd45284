//! The changes of tickets, for those who watch.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use crate::support::{
    id::{CommentId, TicketId},
    ticket::{
        model::{ActivityKind, Ticket},
        store,
    },
};
use mainstay_kernel::{
    caller::{Caller, Visibility},
    changes::{self, Change},
    database::{Connection, pipeline::pipeline},
    error::Result,
    id::AccountId,
};

/// The name of the changes.
pub const TOPIC: &str = "support.ticket";

fn change(ticket: &Ticket) -> Change {
    Change {
        topic: TOPIC.into(),
        resource: ticket.id.0,
        account: ticket.account,
        principal: ticket.requester.map(|requester| requester.0),
        version: ticket.version,
        is_deleted: false,
    }
}

/// Notes that tickets were created or changed.
pub(super) async fn note<'t>(connection: &Connection, tickets: impl IntoIterator<Item = &'t Ticket>) -> Result<()> {
    let changes: Vec<_> = tickets.into_iter().map(change).collect();
    changes::note(connection, &changes).await
}

/// Records what happened to a comment of a ticket, for its history and for those who watch it.
pub(crate) async fn record_comment(
    connection: &Connection,
    caller: &Caller,
    ticket: &Ticket,
    kind: ActivityKind,
    comment: CommentId,
    now: DateTime<Utc>,
) -> Result<()> {
    let detail = comment.to_string();
    pipeline!(store::record(connection, caller, [ticket.id], kind, &detail, now), note(connection, [ticket]))?;
    Ok(())
}

/// Notes that a ticket was deleted.
pub(super) async fn note_deleted(connection: &Connection, ticket: &Ticket) -> Result<()> {
    changes::note(connection, &[Change { is_deleted: true, ..change(ticket) }]).await
}

/// Notes that tickets were imported, which have no requester.
pub(crate) async fn note_imported(
    connection: &Connection,
    account: AccountId,
    tickets: impl Iterator<Item = TicketId>,
) -> Result<()> {
    let imported = |id: TicketId| Change {
        topic: TOPIC.into(),
        resource: id.0,
        account,
        principal: None,
        version: 1,
        is_deleted: false,
    };
    let changes: Vec<_> = tickets.map(imported).collect();
    changes::note(connection, &changes).await
}

/// Returns tickets that were changed, for all who watch; what each of them reaches is decided by the changes.
pub fn load_changed(connection: &mut Connection, ids: Vec<uuid::Uuid>) -> BoxFuture<'_, Result<Vec<Ticket>>> {
    Box::pin(async move {
        let ids: Vec<_> = ids.into_iter().map(TicketId).collect();
        store::get_batch(connection, Visibility::All, &ids, true).await
    })
}
