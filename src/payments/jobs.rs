//! Job handlers and scheduled tasks.

use mainstay_kernel::{
    app::App,
    database::Connection,
    error::Result,
    queue::{self, Handler},
};
use tokio_util::sync::CancellationToken;

use crate::payments::{
    ledger::{
        check_job::CheckLedger,
        ops::{recent, sums},
    },
    payment::{dispute_job::FindDisputed, ops::gateway_events, refund_job::FindRefunded},
    refund::{ops::sync, search_job::FindRefunds, sync_job::SyncRefunds},
};

impl Handler for SyncRefunds {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        sync::sync(app, self).await
    }

    async fn give_up(self, _: &App) -> Result<()> {
        sync::alert_failed(self.payment);
        Ok(())
    }
}

impl Handler for FindDisputed {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        gateway_events::find_disputed(app, self).await
    }
}

impl Handler for FindRefunded {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        gateway_events::find_refunded(app, self).await
    }
}

impl Handler for FindRefunds {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        sync::find_missed(app, self, stop).await
    }
}

impl Handler for CheckLedger {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        recent::check_and_alert(app).await
    }
}

/// Begins a ledger check, unless one is still running.
pub(super) async fn check_ledger(app: App) -> Result<usize> {
    let begin = async |connection: &mut Connection| queue::enqueue_missing(connection, &[CheckLedger {}]).await;
    app.database.autocommit(begin).await
}

pub(super) async fn sum_ledger(app: App) -> Result<usize> {
    sums::add(&app).await
}

pub(super) async fn find_refunds(app: App) -> Result<usize> {
    sync::begin_search(&app, 3).await
}

/// Banks return refunds weeks after they were made.
pub(super) async fn find_returned_refunds(app: App) -> Result<usize> {
    sync::begin_search(&app, 60).await
}
