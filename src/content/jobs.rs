//! Handlers of the module's own events, and scheduled tasks.

use futures_util::future::BoxFuture;
use mainstay_kernel::{app::App, error::Result, events::Event};

use crate::content::{
    id::PostId,
    post::{ops, published::Published},
};

/// Tells every server that a post has changed. Whoever changed it has done so already, unless their server failed
/// between the commit and that.
pub(super) fn outdate<'a>(app: &'a App, event: &'a Event) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let id = PostId(event.resource);
        let outdated = app.database.autocommit(async move |connection| ops::outdated(connection, id).await).await?;
        app.part::<Published>().outdate(&outdated).await
    })
}

pub(super) async fn publish_posts(app: App) -> Result<usize> {
    let published = ops::publish_due(&app, app.clock.now()).await?;
    for outdated in &published {
        app.part::<Published>().outdate_now(outdated).await;
    }
    Ok(published.len())
}
