//! Batched deletion of many rows.

use futures_util::future::BoxFuture;

use crate::{app::App, database::Connection, error::Result};

/// The rows that one statement removes. The limit keeps lock times short.
pub const BATCH: i64 = 1000;

/// Removes rows in batches until a batch is incomplete, and returns the total. `remove` removes at most [`BATCH`] rows
/// and returns their number. The future is boxed, because rustc can't yet prove that the future of an `AsyncFn` is
/// `Send` here.
///
/// # Errors
/// Any error of `remove`; the earlier batches stay removed.
pub async fn in_batches(
    app: &App,
    remove: impl for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<usize>> + Send + Sync,
) -> Result<usize> {
    let mut total = 0;
    loop {
        let batch = app.database.autocommit(async |connection| remove(connection).await).await?;
        total += batch;
        if batch < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            return Ok(total);
        }
    }
}
