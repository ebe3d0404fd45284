//! Counts and reads the attempts to sign in, by hour.

use chrono::{DateTime, Utc};
use mainstay_kernel::{app::App, database::Connection, error::Result};

use crate::identity::sign_in::{
    model::{Hour, Outcome},
    store,
};

/// Counts an attempt, outside of any transaction. The caller waits for the statement; a failure is only logged.
pub(crate) async fn count(app: &App, outcome: Outcome) {
    let now = app.clock.now();
    let result = app.database.autocommit(async |connection| store::count(connection, outcome, now).await).await;
    if let Err(error) = result {
        tracing::warn!(error = error.detail(), "a sign-in was not counted");
    }
}

/// Returns the hours that began since a time and had attempts, oldest first.
pub async fn hours(connection: &Connection, since: DateTime<Utc>) -> Result<Vec<Hour>> {
    store::hours(connection, since).await
}
