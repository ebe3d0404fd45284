//! Job handlers and scheduled tasks.

use mainstay_kernel::{app::App, error::Result, queue::Handler};
use tokio_util::sync::CancellationToken;

use crate::{
    payments::settlement::ops as settlement,
    subscriptions::{
        job::{SettleSubscription, SyncSubscription},
        model::Subscription,
        ops,
    },
};

impl Handler for SettleSubscription {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        settlement::finish::<Subscription>(app, self.0.0).await
    }

    /// Failures of the gateway use up no attempts, so another cause is persistent: an alert notifies the operators.
    async fn give_up(self, app: &App) -> Result<()> {
        settlement::try_later::<Subscription>(app, self.0.0).await
    }
}

impl Handler for SyncSubscription {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        ops::sync(app, self, ops::Entry::Added).await
    }
}
