//! The changes of tickets, for watches.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::support::{
    id::TicketId,
    ticket::{model::Ticket, store},
};
use mainstay_kernel::{
    caller::Visibility,
    changes::{self, Change},
    database::Connection,
    error::Result,
    id::AccountId,
};

/// The name of the changes.
pub const TOPIC: &str = "support.ticket";

/// Returns the change of a ticket that was created or changed.
pub(crate) fn change(ticket: &Ticket) -> Change {
    Change {
        topic: TOPIC.into(),
        resource: ticket.id.0,
        account: ticket.account,
        principal: ticket.requester.map(|requester| requester.0),
        version: ticket.version,
        is_deleted: false,
    }
}

/// Returns the change of a ticket about which only staff is notified: no customer's account has the nil id.
pub(crate) fn internal_change(ticket: &Ticket) -> Change {
    Change { account: AccountId(Uuid::nil()), principal: None, ..change(ticket) }
}

/// Records that tickets were imported, which have no requester.
pub(crate) async fn record_imported(
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
    changes::record(connection, &changes).await
}

/// Returns tickets that were changed, for all who watch; what each of them reaches is decided by the changes.
pub fn load_changed(connection: &mut Connection, ids: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Ticket>>> {
    Box::pin(async move {
        let ids: Vec<_> = ids.into_iter().map(TicketId).collect();
        store::get_batch(connection, Visibility::All, &ids, true).await
    })
}
