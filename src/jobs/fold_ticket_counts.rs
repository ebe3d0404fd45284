//! Merges the ticket counters of single writers, so that readers have few rows to add up.

use futures_util::FutureExt as _;

use crate::{app::App, error::Result, store::sweep as store};

/// Merges once. Cheap when there is nothing to merge, and nothing at all while another process is at it.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn fold_ticket_counts(app: &App) -> Result<()> {
    counted(app).await.map(drop)
}

/// As [`fold_ticket_counts`]; returns how many there were.
pub(super) async fn counted(app: &App) -> Result<usize> {
    let folded = app.database.read(|connection| store::fold_ticket_counts(connection).boxed()).await?;
    Ok(usize::try_from(folded).unwrap_or(0))
}
