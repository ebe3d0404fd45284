//! Content: posts in Markdown, which are public once they are published, and their feed.

pub mod cdn;
pub mod config;
pub mod events;
mod examples;
mod feed;
pub mod id;
mod job;
mod jobs;
pub mod post;

use mainstay_kernel::{
    config::Retention,
    module::Module,
    personal::{ANONYMOUS, Personal},
};

use self::{
    cdn::Cdn,
    config::ContentConfig,
    events::{PostDeleted, PostPublished, PostUnpublished, PostUpdated},
    job::PublishPost,
    post::{published::PublishedPosts, service::Posts},
};
use crate::proto::{DESCRIPTOR_SET, content::v1::post_service_server::PostServiceServer};

pub(crate) fn module() -> Module {
    Module::new("content", DESCRIPTOR_SET)
        .personal([
            Personal::of_account("posts", "account_id")
                .erased_by(|connection, account, now| Box::pin(post::ops::erase_some(connection, account, now))),
            Personal::of_user("posts", "author_id").kept(ANONYMOUS),
        ])
        .retention([Retention::without_age(&["posts", "earlier_post_slugs"], "until the post is deleted")])
        .needs(&["identity", "files"])
        .config::<ContentConfig>()
        .production(config::PRODUCTION)
        .service(|app| PostServiceServer::new(Posts { app: app.clone() }))
        .part(|app| Ok(PublishedPosts::new(&app.cache)))
        .part(|app| Cdn::open(&app.config, &app.alerts))
        .alerts([(cdn::PROVIDER, "auth")])
        .pages(feed::pages())
        .queue::<PublishPost>()
        .on::<PostUpdated>(jobs::purge)
        .on::<PostPublished>(jobs::purge)
        .on::<PostUnpublished>(jobs::purge)
        .on::<PostDeleted>(jobs::purge)
        .examples(examples::by_name)
}
