//! The records of the built-in sandbox gateway.

pub mod subscription;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::schema::sandbox_movements as movements;
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
};

/// A movement that the sandbox made under an idempotency key.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = movements, treat_none_as_default_value = false)]
pub struct Row {
    /// The idempotency key.
    pub key: String,
    /// The number of its [`Kind`](crate::payments::ledger::model::Kind): a charge, a refund or an invoice.
    pub kind: i16,
    /// The payment, the refund or the subscription.
    pub subject_id: Uuid,
    /// The sandbox's id of the movement.
    pub gateway_id: String,
    /// The currency (ISO 4217).
    pub currency: String,
    /// The amount, in the smallest unit.
    pub amount_minor: i64,
    /// The reason for a refusal, for a movement that moved no money.
    pub refusal_code: Option<String>,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
    /// The sandbox's id of the refunded charge, for a refund.
    pub charge_id: Option<String>,
}

/// The page size of [`list_movements`].
pub const PAGE_SIZE: usize = 500;

/// Stores a movement under its key, or returns the stored one; the flag says whether the movement is new.
pub async fn insert_or_get(connection: &mut Connection, row: Row) -> Result<(Row, bool)> {
    let inserted = diesel::insert_into(movements::table).values(&row).on_conflict(movements::key).do_nothing();
    if inserted.prepared().execute(connection).await? == 1 {
        return Ok((row, true));
    }
    Ok((movements::table.find(&row.key).select(Row::as_select()).first(connection).await?, false))
}

/// Returns the sandbox's id of the movement for a subject; `None` if no money moved.
pub async fn find(connection: &mut Connection, kind: i16, subject: Uuid) -> Result<Option<String>> {
    let query = movements::table.filter(movements::subject_id.eq(subject)).filter(movements::kind.eq(kind));
    let query = query.filter(movements::refusal_code.is_null()).select(movements::gateway_id);
    Ok(query.first(connection).await.optional()?)
}

/// Returns the next [`PAGE_SIZE`] movements of money after the id `after`, of all times or since a time.
pub async fn list_movements(
    connection: &mut Connection,
    since: Option<DateTime<Utc>>,
    after: Option<String>,
) -> Result<Vec<Row>> {
    let query = movements::table.filter(movements::refusal_code.is_null());
    let query = query.filter(movements::created_at.ge(since.unwrap_or_default()));
    let query = query.filter(movements::gateway_id.gt(after.unwrap_or_default()));
    let query = query.order(movements::gateway_id).limit(PAGE_SIZE as i64).select(Row::as_select());
    Ok(query.load(connection).await?)
}
