//! The sums of the ledger.

use chrono::{DateTime, Utc};
use mainstay_kernel::{app::App, database::Connection, error::Result, unit_of_work::Work};

use crate::payments::ledger::{model::sums::Sum, store::sums as store};

/// The maximum number of movements added in one transaction.
const BATCH: i64 = 10_000;
/// The maximum number of transactions of one run.
const MAX_BATCHES: usize = 50;

/// Returns the sums of the periods between consecutive bounds, each on a quarter of an hour, by currency and period.
/// The sums include every committed movement.
pub async fn sums(connection: &Connection, bounds: &[DateTime<Utc>]) -> Result<Vec<Sum>> {
    store::sums(connection, bounds).await
}

/// Adds new bookings to the sums; returns the number of movements added.
pub async fn add(app: &App) -> Result<usize> {
    let mut total = 0;
    for _ in 0..MAX_BATCHES {
        let count = app.database.autocommit(async |connection| store::add(connection, BATCH).await).await?;
        total += count;
        if i64::try_from(count).unwrap_or(BATCH) < BATCH {
            break;
        }
    }
    Ok(total)
}

/// The result of rebuilding the sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildReport {
    /// The number of sums.
    pub sums: usize,
    /// Stored sums that differed from the ledger, one sentence each.
    pub faults: Vec<String>,
}

/// Compares the sums with the ledger, rebuilds them, and compares them again. Reads and bookings continue meanwhile.
///
/// # Errors
/// Any error of Postgres, and `INTERNAL_ERROR` if the new sums differ too; nothing has changed then.
pub async fn rebuild(app: &App) -> Result<RebuildReport> {
    app.database
        .transaction(async |work: &mut Work| {
            let connection = work.connection().await?;
            store::begin_again(connection).await?;
            let before = store::differences(connection).await?;
            let sums = store::replace(connection).await?;
            if let Some(difference) = store::differences(connection).await?.first() {
                return Err(mainstay_kernel::error::Error::internal(anyhow::anyhow!(
                    "the new sums differ: {}",
                    difference
                )));
            }
            let faults = before;
            Ok(RebuildReport { sums, faults })
        })
        .await
}
