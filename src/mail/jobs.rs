//! Job handlers and scheduled tasks.

use chrono::TimeDelta;
use mainstay_kernel::{
    app::App,
    error::Result,
    queue::Handler,
    schedule::{BATCH, in_batches},
};
use tokio_util::sync::CancellationToken;

use crate::mail::{
    job::{SendBulkMail, SendMail},
    ops, store,
};

/// After this long no event causes the same mail again.
const RETENTION: TimeDelta = TimeDelta::days(30);

impl Handler for SendMail {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        ops::deliver(app, self.mail).await
    }

    async fn give_up(self, app: &App) -> Result<()> {
        ops::give_up(app, self.mail).await
    }
}

impl Handler for SendBulkMail {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        ops::deliver(app, self.mail).await
    }

    async fn give_up(self, app: &App) -> Result<()> {
        ops::give_up(app, self.mail).await
    }
}

pub(super) async fn forget_mails(app: App) -> Result<usize> {
    let before = app.clock.now() - RETENTION;
    in_batches(&app, |connection| Box::pin(store::delete_expired(connection, before, BATCH))).await
}
