//! The scheduled check of recent bookings, in bounded memory for a ledger of any size.

use std::sync::Arc;

use chrono::TimeDelta;

use super::{Report, compare};
use crate::payments::{gateway::Gateway, ledger::store};
use mainstay_kernel::{app::App, error::Result};

/// How far back a check goes. The overlap lets the next check make up for one that failed.
const PERIOD: TimeDelta = TimeDelta::days(3);
/// The maximum number of bookings that a check compares, newest first, at a few hundred bytes each.
const MAX_BOOKED: i64 = 20_000;
/// The maximum number of differences that are logged.
const MAX_LOGGED: usize = 20;

/// Compares the bookings of the last three days, but at most the newest 20,000 movements, with the gateway's books. A
/// refund that was made at the gateway itself, of an earlier charge, is left to the searches for refunds until it is
/// booked.
///
/// # Errors
/// `UNAVAILABLE` if Postgres or the gateway is unreachable; `INTERNAL_ERROR` if the gateway has more than 100,000
/// movements in this period.
pub async fn check(app: &App) -> Result<Report> {
    let oldest = app.database.autocommit(async |connection| store::booked_at(connection, MAX_BOOKED).await).await?;
    let since = app.clock.now() - PERIOD;
    compare(app, Some(oldest.map_or(since, |oldest| oldest.max(since)))).await
}

/// Runs the check, logs the differences, and raises an alert if there are any.
///
/// # Errors
/// See [`check`].
pub async fn check_and_alert(app: &App) -> Result<()> {
    let Report { booked, moved, unsettled, faults } = check(app).await?;
    tracing::info!(booked, moved, unsettled, differences = faults.len(), "the ledger is compared with the gateway");
    for difference in faults.iter().take(MAX_LOGGED) {
        tracing::error!(difference, "the ledger and the gateway differ");
    }
    if let Some(first) = faults.first() {
        let gateway = app.part::<Arc<dyn Gateway>>().name();
        app.alerts.raise(
            "gateway",
            "ledger_differs",
            gateway,
            &format!("{} differences; the first: {first}", faults.len()),
        );
    }
    Ok(())
}
