//! Lists and redrives dead jobs.

use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::Result,
    queue::dead::{self, DeadJob},
    unit_of_work::Work,
};

/// The maximum number of jobs in one response.
const MAX_LISTED: i64 = 100;

/// The maximum number of jobs that one call redrives.
const MAX_REDRIVEN: i64 = 500;

/// Returns dead jobs, of one kind if given, newest first.
pub async fn list(connection: &Connection, _: Permit, kind: Option<String>) -> Result<Vec<DeadJob>> {
    dead::list(connection, kind.as_deref(), MAX_LISTED).await
}

/// Redrives dead jobs, selected by these ids or by a kind; returns how many.
pub async fn redrive(work: &mut Work, ids: Vec<i64>, kind: Option<String>) -> Result<usize> {
    work.permit()?;
    dead::redrive(work.connection().await?, &ids, kind.as_deref(), MAX_REDRIVEN).await
}
