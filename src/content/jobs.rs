//! Handlers of jobs and of the module's own events.

use futures_util::future::BoxFuture;
use mainstay_kernel::{app::App, error::Result, events::Event, queue::Handler};
use tokio_util::sync::CancellationToken;

use crate::content::{
    cdn::Cdn,
    id::PostId,
    job::PublishPost,
    post::{ops, published::PublishedPosts},
};

/// Tells every server that a post has changed, and then the network that caches responses. The server that changed it has
/// told the servers already, unless it failed right after the commit.
pub(super) fn invalidate<'a>(app: &'a App, event: &'a Event) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let id = PostId(event.resource);
        let stale = app.database.autocommit(async move |connection| ops::stale_entries(connection, id).await).await?;
        app.part::<PublishedPosts>().invalidate(&stale).await?;
        let cdn = app.part::<Cdn>();
        if !cdn.is_configured() {
            return Ok(());
        }
        // A slug that the post has now may have led to other posts, whose responses say so.
        let slugs = stale.slugs;
        let earlier =
            app.database.autocommit(async move |connection| ops::earlier_owners(connection, slugs).await).await?;
        cdn.purge(&[vec![id], earlier].concat()).await
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
