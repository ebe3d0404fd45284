//! Revenue, from the sums of the ledger.

use chrono::{DateTime, Utc};

use crate::{
    dashboard::revenue::model::{Periods, Query, Revenue},
    payments::ledger::ops::sums,
};
use mainstay_kernel::{caller::Permit, database::Connection, error::Result};

/// Returns revenue. `now` must be taken before anything is read.
///
/// # Errors
/// `VALIDATION_FAILED`, see [`Periods::of`].
pub async fn get(connection: &Connection, _: Permit, query: Query, now: DateTime<Utc>) -> Result<Revenue> {
    let periods = Periods::of(&query, now)?;
    let sums = sums::sums(connection, periods.bounds()).await?;
    Ok(Revenue { as_of: now, currencies: periods.arrange(&sums), periods })
}
