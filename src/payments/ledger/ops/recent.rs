//! The scheduled check: what was booked of late, in bounded memory, whatever the size of the ledger.

use std::sync::Arc;

use chrono::TimeDelta;

use super::{Report, compare};
use crate::payments::{gateway::Gateway, ledger::store};
use mainstay_kernel::{alert, app::App, error::Result};

/// How far back a check goes, so that one that failed is made up for by the next.
const PERIOD: TimeDelta = TimeDelta::days(3);
/// The bookings that a check compares, the newest ones, at a few hundred bytes each.
const MAX_BOOKED: i64 = 20_000;
/// The differences that stand in the log.
const MAX_LOGGED: usize = 20;

/// Compares what was booked in the last three days, but no more than the newest 20,000 movements, with the gateway's
/// books. A refund that was made at the gateway itself, of a charge before that time, is left to the searches for
/// refunds until it is booked.
///
/// # Errors
/// `UNAVAILABLE` if Postgres or the gateway is unreachable; `INTERNAL_ERROR` if the gateway has more than 100,000
/// movements of this time.
pub async fn check(app: &App) -> Result<Report> {
    let oldest = app.database.autocommit(async |connection| store::booked_at(connection, MAX_BOOKED).await).await?;
    let since = app.clock.now() - PERIOD;
    compare(app, Some(oldest.map_or(since, |oldest| oldest.max(since)))).await
}

/// Makes the check, and raises an alert if there are differences, which stand in the log.
///
/// # Errors
/// As [`check`].
pub async fn check_and_alert(app: &App) -> Result<()> {
    let Report { booked, moved, unsettled, faults } = check(app).await?;
    tracing::info!(booked, moved, unsettled, differences = faults.len(), "the ledger is compared with the gateway");
    for difference in faults.iter().take(MAX_LOGGED) {
        tracing::error!(difference, "the ledger and the gateway differ");
    }
    if let Some(first) = faults.first() {
        let gateway = app.part::<Arc<dyn Gateway>>().name();
        alert::raise(
            "gateway",
            "ledger_differs",
            gateway,
            &format!("{} differences; the first: {first}", faults.len()),
        );
    }
    Ok(())
}
