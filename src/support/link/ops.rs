//! Links between tickets of an account: staff makes them, and each caller who reaches the tickets reads them.

use crate::support::{
    id::{TicketId, TicketLinkId},
    link::{
        model::{Link, LinkKind},
        store,
    },
    ticket::{
        model::{ActivityKind, Ticket},
        ops as tickets, store as ticket,
    },
};
use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::{Error, Result},
    page::{Listed, Page},
    unit_of_work::Work,
};

/// Links a ticket to another one.
///
/// # Errors
/// `NOT_FOUND`, `VALIDATION_FAILED` for the ticket itself or one of another account, `ALREADY_EXISTS`.
pub async fn create(work: &mut Work, ids: [TicketId; 2], kind: LinkKind) -> Result<Link> {
    let (permit, now) = (work.permit()?, work.now());
    let pair = lock(work, ids).await?;
    let [ticket, other] = &pair;
    if ticket.id == other.id {
        return Err(Error::field("otherId", "must be another ticket"));
    }
    if ticket.account != other.account {
        return Err(Error::field("otherId", "must be a ticket of the same account"));
    }
    let author = permit.caller().principal();
    let id = TicketLinkId::generate(now);
    let link = Link { id, ticket: ticket.id, other: other.id, kind, author, created_at: now };
    work.write(async |connection: &Connection| store::insert(connection, link).await).await?;
    record(work, &permit, &pair, ActivityKind::Linked);
    Ok(link)
}

/// Locks both tickets until the transaction ends.
async fn lock(work: &mut Work, ids: [TicketId; 2]) -> Result<[Ticket; 2]> {
    let visibility = work.permit()?.visibility();
    work.read(async |connection: &Connection| ticket::lock_pair(connection, visibility, ids).await).await
}

/// Queues what happened to a link, for the histories and the watches of both tickets.
fn record(work: &mut Work, permit: &Permit, [ticket, other]: &[Ticket; 2], kind: ActivityKind) {
    tickets::record(work, permit.clone(), vec![ticket.id], kind, other.id.to_string());
    tickets::record(work, permit.clone(), vec![other.id], kind, ticket.id.to_string());
    work.record_changes(vec![tickets::change(ticket), tickets::change(other)]);
}

/// Returns a link of a ticket.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: &Permit, ticket: TicketId, id: TicketLinkId) -> Result<Link> {
    ticket::get(connection, permit.visibility(), ticket, false).await?;
    store::get(connection, ticket, id).await
}

/// Returns a page of the links of a ticket plus one more if another page follows, and the total unless paging by key.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn list(connection: &Connection, permit: Permit, ticket: TicketId, page: Page) -> Result<Listed<Link>> {
    ticket::get(connection, permit.visibility(), ticket, false).await?;
    let total = page.total(store::total(connection, ticket)).await?;
    Ok((store::list(connection, ticket, page.and_next()).await?, total))
}

/// Removes a link of a ticket.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn delete(work: &mut Work, ticket: TicketId, id: TicketLinkId) -> Result<()> {
    let permit = work.permit()?;
    let link = work.read(async |connection: &Connection| get(connection, &permit, ticket, id).await).await?;
    work.before(&link);
    let pair = lock(work, [link.ticket, link.other]).await?;
    work.write(async |connection: &Connection| store::delete(connection, id).await).await?;
    record(work, &permit, &pair, ActivityKind::Unlinked);
    Ok(())
}
