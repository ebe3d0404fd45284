//! Handlers of jobs and of the module's own events.

use futures_util::future::BoxFuture;
use mainstay_kernel::{app::App, error::Result, events::Event, queue::Handler};
use tokio_util::sync::CancellationToken;

use crate::content::{
    id::PostId,
    job::PublishPost,
    post::{ops, published::PublishedPosts},
};

/// Notifies every server that a post has changed. The server that changed it has already done so, unless it failed
/// right after the commit.
pub(super) fn invalidate<'a>(app: &'a App, event: &'a Event) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let id = PostId(event.resource);
        let stale = app.database.autocommit(async move |connection| ops::stale_entries(connection, id).await).await?;
        app.part::<PublishedPosts>().invalidate(&stale).await
    })
}

impl Handler for PublishPost {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        let now = app.clock.now();
        if let Some(stale) = ops::publish_due(&app.database, self.post, now).await? {
            app.part::<PublishedPosts>().invalidate_now(&stale).await;
        }
        Ok(())
    }
}
