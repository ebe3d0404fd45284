//! Handlers of jobs and of the module's own events.

use futures_util::future::BoxFuture;
use mainstay_kernel::{app::App, changes, database::Connection, error::Result, events::Event, queue::Handler};
use tokio_util::sync::CancellationToken;

use crate::content::{cdn::Cdn, id::PostId, job::PublishPost, post::ops};

/// Purges a changed post from the network that caches responses, if one is configured.
pub(super) fn purge<'a>(app: &'a App, event: &'a Event) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let (id, cdn) = (PostId(event.resource), app.part::<Cdn>());
        if !cdn.is_configured() {
            return Ok(());
        }
        // Another server reads the change within this time, and until then could fill the network with the old post.
        tokio::time::sleep(changes::PERIOD * 2).await;
        // The slug of the post may have led to other posts, whose cached responses name it.
        let read = async move |connection: &mut Connection| ops::earlier_owners(connection, id).await;
        let mut posts = app.database.autocommit(read).await?;
        posts.retain(|other| *other != id);
        posts.insert(0, id);
        cdn.purge(&posts).await
    })
}

impl Handler for PublishPost {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        ops::publish_due(&app.database, self.post, app.clock.now()).await
    }
}
