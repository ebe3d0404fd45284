//! Merges tickets.

use super::{Target, record, save, watch};
use crate::support::{
    events::TicketMerged,
    id::TicketId,
    ticket::{
        model::{ActivityKind, Ticket},
        store,
    },
};
use mainstay_kernel::{
    database::Connection, error::Result, events::EventKind as _, unit_of_work::Work, version::ExpectedVersions,
};

/// Merges a ticket into another one, which stays as it is; both histories record it. A repetition changes nothing.
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
    work.record_changes(vec![watch::change(&target)]);
    Ok(merged)
}
