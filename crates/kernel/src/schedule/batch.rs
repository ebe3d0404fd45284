//! Statements that touch many rows, in batches.

use futures_util::future::BoxFuture;

use crate::{app::App, database::Connection, error::Result};

/// Rows removed by one statement, so that none holds its locks for long.
pub const BATCH: i64 = 1000;

/// Removes rows in batches until one is incomplete; `remove` removes at most [`BATCH`] and returns how many. Returns the
/// number of all. The future is boxed, because rustc can't prove yet that one of an `AsyncFn` is `Send` here.
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
