//! The audit log: the acts of people, services and jobs on resources, with the changed fields.
//!
//! An entry is a row that commits with its change: [`Work`](crate::unit_of_work::Work) queues one INSERT for all entries of
//! a unit of work, which travels with the COMMIT. A call of a method that writes has an entry without any code of its
//! module: its resource is that of the response, or the one that the request names ([`Record::of_call`]). What a resource was
//! before is known to the operation that locks it, which says so with [`Work::before`](crate::unit_of_work::Work::before).
//! Jobs, and operations without a [`Call`](crate::grpc::Call), add a [`Record`] with
//! [`Work::audit`](crate::unit_of_work::Work::audit).
//!
//! Fields are compared as the contract shows them. Its options say what is stored how: a secret (`debug_redact`) never,
//! a personal value (`is_personal`) apart from the entry and behind a salted digest, so that it can be erased while the
//! entry remains verifiable.

mod entry;
mod image;
mod record;
mod refusals;
mod store;

use std::sync::Arc;

use crate::{
    context,
    database::{Connection, after_commit},
    error::Result,
    events::Listeners,
};

pub(crate) use entry::Entry;
pub use entry::Outcome;
pub use image::Audited;
pub(crate) use image::Image;
pub use record::Record;
pub use refusals::Refusals;
pub(crate) use store::insert;

/// Makes the entries of records, at the time `now`. Outside of an application, as in tests of the database, there are
/// none.
/// Errors: `INTERNAL_ERROR` for a message that is not of the contract.
pub(crate) fn entries(records: Vec<Record>, now: chrono::DateTime<chrono::Utc>) -> Result<Vec<Entry>> {
    let listeners: Option<Arc<Listeners>> = if records.is_empty() { None } else { after_commit::listeners() };
    let Some(listeners) = listeners else { return Ok(Vec::new()) };
    let (privacy, origin, request) = (&listeners.policies.privacy, context::origin(), context::request_id());
    let entries = records.into_iter().map(|record| record.entry(privacy, &origin, request.as_deref(), now));
    entries.filter_map(Result::transpose).collect()
}

/// Adds an entry by itself, for an act that changes nothing in Postgres, such as a refused sign-in.
pub async fn record(connection: &Connection, record: Record, now: chrono::DateTime<chrono::Utc>) -> Result<()> {
    let entries = entries(vec![record], now)?;
    if entries.is_empty() { Ok(()) } else { insert(connection, &entries).await }
}
