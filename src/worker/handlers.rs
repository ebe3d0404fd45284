//! The implementations of the jobs: each calls one operation.

use tokio_util::sync::CancellationToken;

use super::Handler;
use crate::{
    app::App,
    error::{Reason, Result},
    jobs::{
        DeliverWebhook, FindRefunds, ForgetDeliveries, ImportTickets, ProcessInboundEvent, SendMail, Settle,
        SyncRefunds, SyncSubscription,
    },
    ops::{import, inbound_event, mail, refund::sync, settle, subscription, webhook::delivery},
};

impl Handler for ImportTickets {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        match import::run(app, self, stop).await {
            Ok(outcome) => {
                tracing::info!(operation = %self.operation, ?outcome, "an import attempt ended");
                Ok(())
            }
            // Another worker took over because this one seemed dead, or the operation was cancelled.
            Err(error) if error.reason() == Reason::Conflict => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn give_up(self, app: &App) -> Result<()> {
        import::abandon(app, self.operation).await
    }
}

impl Handler for Settle {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        settle::finish(app, self).await
    }
}

impl Handler for SyncRefunds {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        sync::sync(app, self).await
    }

    async fn give_up(self, _: &App) -> Result<()> {
        sync::given_up(self.payment);
        Ok(())
    }
}

impl Handler for FindRefunds {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        sync::find_missed(app, self, stop).await
    }
}

impl Handler for SyncSubscription {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        subscription::sync(app, self.subscription).await
    }
}

impl Handler for ProcessInboundEvent {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        let state = inbound_event::process(app, self.event).await?;
        tracing::info!(event = %self.event, ?state, "an inbound event was processed");
        Ok(())
    }

    async fn give_up(self, app: &App) -> Result<()> {
        inbound_event::give_up(app, self.event).await
    }
}

impl Handler for DeliverWebhook {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        delivery::deliver_due(app, self, stop).await
    }

    async fn give_up(self, app: &App) -> Result<()> {
        delivery::give_up(app, self.delivery).await
    }
}

impl Handler for ForgetDeliveries {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        delivery::forget(app, self, stop).await
    }
}

impl Handler for SendMail {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        mail::deliver(app, self.mail).await
    }

    async fn give_up(self, app: &App) -> Result<()> {
        mail::give_up(app, self.mail).await
    }
}
