//! Statistics of all orders.

use chrono::{DateTime, Utc};
use diesel::{dsl::count_star, prelude::*};
use diesel_async::RunQueryDsl;

use crate::schema::orders;
use mainstay_kernel::{database::Connection, error::Result};

/// Counts the orders that were created since a time, by status (as the number in its column).
pub async fn by_status(mut connection: &Connection, since: DateTime<Utc>) -> Result<Vec<(i16, i64)>> {
    let query = orders::table.filter(orders::created_at.ge(since)).group_by(orders::status).order(orders::status);
    Ok(query.select((orders::status, count_star())).load(&mut connection).await?)
}
