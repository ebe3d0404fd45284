//! What has to be done now and then, by any instance: folding counters, sweeping what expired.

use std::time::Duration;

use chrono::TimeDelta;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    error::Result,
    store::{idempotency, login_limit},
};

const FOLD_EVERY: Duration = Duration::from_secs(5);
/// In folds: once a minute.
const SWEEP_EVERY: u32 = 12;

/// Runs until `stop`. What fails is tried again the next time.
pub(super) async fn run(app: App, stop: CancellationToken) {
    for round in 0u32.. {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FOLD_EVERY) => {}
        }
        if let Err(error) = fold(&app).await {
            tracing::warn!(cause = ?error.source(), "ticket counters could not be folded");
        }
        if round % SWEEP_EVERY == 0
            && let Err(error) = sweep(&app).await
        {
            tracing::warn!(cause = ?error.source(), "expired rows could not be swept");
        }
    }
}

async fn fold(app: &App) -> Result<()> {
    app.database
        .read(|connection| {
            async move { Ok(diesel::sql_query("SELECT fold_ticket_counts()").execute(connection).await?) }.boxed()
        })
        .await
        .map(drop)
}

async fn sweep(app: &App) -> Result<()> {
    let now = app.clock.now();
    app.database
        .read(move |connection| {
            async move {
                idempotency::sweep(connection, now - TimeDelta::hours(24), now - TimeDelta::days(30)).await?;
                login_limit::sweep(connection).await?;
                let expired = "DELETE FROM password_resets WHERE expires_at < now() - interval '1 day'";
                Ok(connection.batch_execute(expired).await?)
            }
            .boxed()
        })
        .await
}
