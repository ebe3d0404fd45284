//! Statistics of all payments.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{count_star, min},
    prelude::*,
};
use diesel_async::RunQueryDsl;

use crate::{payments::settlement::model::Status, schema::payments};
use mainstay_kernel::{database::Connection, error::Result};

/// Counts the payments that were created since a time, by status (as the number in its column).
pub async fn by_status(mut connection: &Connection, since: DateTime<Utc>) -> Result<Vec<(i16, i64)>> {
    let query = payments::table.filter(payments::created_at.ge(since)).group_by(payments::status);
    Ok(query.order(payments::status).select((payments::status, count_star())).load(&mut connection).await?)
}

/// Returns the creation time of the oldest payment with an unknown outcome.
pub async fn oldest_pending(mut connection: &Connection) -> Result<Option<DateTime<Utc>>> {
    let pending = payments::table.filter(payments::status.eq(Status::Pending.number()));
    Ok(pending.select(min(payments::created_at)).first(&mut connection).await?)
}
