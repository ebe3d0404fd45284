//! Statistics of all deliveries and endpoints.

use chrono::{DateTime, Utc};
use diesel::{dsl::count_star, prelude::*};
use diesel_async::RunQueryDsl;

use crate::{
    schema::{webhook_deliveries as deliveries, webhook_endpoints as endpoints},
    webhooks::endpoint::model::Status,
};
use mainstay_kernel::{database::Connection, error::Result};

/// Counts the deliveries that were created since a time, by state (as the number in its column).
pub async fn by_state(mut connection: &Connection, since: DateTime<Utc>) -> Result<Vec<(i16, i64)>> {
    let query = deliveries::table.filter(deliveries::created_at.ge(since)).group_by(deliveries::state);
    Ok(query.select((deliveries::state, count_star())).load(&mut connection).await?)
}

/// Returns the number of endpoints that are disabled.
pub async fn disabled_endpoints(mut connection: &Connection) -> Result<i64> {
    let disabled = endpoints::table.filter(endpoints::status.ne(Status::Enabled.number()));
    Ok(disabled.select(count_star()).first(&mut connection).await?)
}
