//! Merges tickets.

use super::{Target, event, record, save, watch};
use crate::{
    identity::member::ops as member,
    support::{
        events::{TicketMerged, TicketUpdated},
        id::TicketId,
        ticket::{
            model::{ActivityKind, Ticket},
            store,
        },
    },
};
use mainstay_kernel::{
    database::Connection, error::Result, events::EventKind as _, id::UserId, unit_of_work::Work,
    version::ExpectedVersions,
};

/// Merges a ticket into another one, which stays as it is, except that it takes the requester if it has none of its account;
/// both histories record it. A repetition changes nothing.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `VALIDATION_FAILED`, `TICKET_MERGED`, `TICKET_RESOLVED`.
pub async fn merge(work: &mut Work, source: Target, target: TicketId) -> Result<Ticket> {
    let permit = work.permit()?;
    let ids = [source.id, target];
    let lock = async |connection: &Connection| store::lock_pair(connection, permit.visibility(), ids).await;
    let [ticket, target] = work.read(lock).await?;
    ExpectedVersions::check(source.expected.as_ref(), ticket.version)?;
    let Some(merged) = ticket.merge_into(&target, work.now())? else { return Ok(ticket) };
    let kinds = (ActivityKind::MergedInto, TicketMerged::NAME);
    save(work, permit.clone(), &merged, kinds, target.id.to_string());
    record(work, permit, vec![target.id], ActivityKind::Merged, merged.id.to_string());
    let target = match with_requester(work, &ticket, &target).await? {
        Some(next) => {
            let row = next.clone();
            work.queue(move |connection| Box::pin(async move { store::update(connection, &row).await }));
            work.publish(event(TicketUpdated::NAME, &next));
            next
        }
        None => target,
    };
    work.record_changes(vec![watch::change(&target)]);
    Ok(merged)
}

/// Returns the next version of the target with the requester of the merged ticket, who is sent the answers from now on.
/// `None` if a member of the account requested the target, or if no member requested the ticket.
async fn with_requester(work: &mut Work, ticket: &Ticket, target: &Ticket) -> Result<Option<Ticket>> {
    if ticket.requester.is_none() || ticket.requester == target.requester {
        return Ok(None);
    }
    let ids: Vec<_> = [ticket.requester, target.requester].into_iter().flatten().collect();
    let find = async |connection: &Connection| member::of_account(connection, target.account, &ids).await;
    let members = work.read(find).await?;
    let is_of_account = |requester: Option<UserId>| members.iter().any(|id| Some(*id) == requester);
    if is_of_account(target.requester) || !is_of_account(ticket.requester) {
        return Ok(None);
    }
    Ok(Some(Ticket { requester: ticket.requester, ..target.clone() }.next_version(work.now())))
}
