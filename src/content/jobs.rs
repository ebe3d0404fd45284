//! Handlers of jobs.

use mainstay_kernel::{app::App, error::Result, queue::Handler};
use tokio_util::sync::CancellationToken;

use crate::content::{job::PublishPost, post::ops};

impl Handler for PublishPost {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        ops::publish_due(&app.database, self.post, app.clock.now()).await
    }
}
