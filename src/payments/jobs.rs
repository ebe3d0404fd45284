//! Job handlers and scheduled tasks.

use mainstay_kernel::{app::App, error::Result, queue::Handler};
use tokio_util::sync::CancellationToken;

use crate::payments::{
    ledger::ops::sums,
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

impl Handler for FindRefunds {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        sync::find_missed(app, self, stop).await
    }
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
