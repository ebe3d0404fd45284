//! The books of the built-in sandbox gateway.

pub mod subscription;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::sandbox_movements as movements};
use crate::error::Result;

/// Something the sandbox did under a key.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = movements)]
pub struct Row {
    /// The key.
    pub key: String,
    /// 1 a charge, 2 a refund, 3 an invoice.
    pub kind: i16,
    /// The payment, the refund or the subscription.
    pub subject_id: Uuid,
    /// What the sandbox knows it by.
    pub gateway_id: String,
    /// ISO 4217.
    pub currency: String,
    /// In the smallest unit.
    pub amount_minor: i64,
    /// Why no money moved.
    pub refusal_code: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// What the sandbox knows the charge by that a refund is of.
    pub charge_id: Option<String>,
}

/// Rows of one part of a statement.
pub const PART: usize = 500;

/// Stores what is done under a key, or finds what was done under it before; the flag says whether it is new.
pub async fn once(connection: &mut Connection, row: Row) -> Result<(Row, bool)> {
    let inserted = diesel::insert_into(movements::table).values(&row).on_conflict(movements::key).do_nothing();
    if inserted.execute(connection).await? == 1 {
        return Ok((row, true));
    }
    Ok((movements::table.find(&row.key).select(Row::as_select()).first(connection).await?, false))
}

/// What the sandbox knows the movement for a subject by, if money moved.
pub async fn find(connection: &mut Connection, kind: i16, subject: Uuid) -> Result<Option<String>> {
    let moved = movements::table.filter(movements::subject_id.eq(subject)).filter(movements::kind.eq(kind));
    let moved = moved.filter(movements::refusal_code.is_null()).select(movements::gateway_id);
    Ok(moved.first(connection).await.optional()?)
}

/// The refunds of a charge.
pub async fn refunds(connection: &mut Connection, charge_id: String) -> Result<Vec<Row>> {
    let query = movements::table.filter(movements::charge_id.eq(charge_id)).filter(movements::refusal_code.is_null());
    Ok(query.order(movements::gateway_id).select(Row::as_select()).load(connection).await?)
}

/// The refunds since a time.
pub async fn refunds_since(connection: &mut Connection, since: DateTime<Utc>) -> Result<Vec<Row>> {
    let query = movements::table.filter(movements::charge_id.is_not_null()).filter(movements::created_at.ge(since));
    let query = query.filter(movements::refusal_code.is_null());
    Ok(query.order(movements::gateway_id).select(Row::as_select()).load(connection).await?)
}

/// The next [`PART`] movements of money behind `after`.
pub async fn moved(connection: &mut Connection, after: Option<String>) -> Result<Vec<Row>> {
    let query = movements::table.filter(movements::refusal_code.is_null());
    let query = query.filter(movements::gateway_id.gt(after.unwrap_or_default()));
    let query = query.order(movements::gateway_id).limit(PART as i64).select(Row::as_select());
    Ok(query.load(connection).await?)
}
