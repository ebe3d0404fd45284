//! Published posts, from the cache.

use std::time::Duration;

use mainstay_kernel::{
    app::App,
    cache::{Cache, Region},
    database::Connection,
    error::{Error, Result},
    grpc::page::Pager,
};

use crate::{
    content::{
        id::PostId,
        post::{
            convert,
            model::{Filter, List, Name, Post},
            ops,
        },
    },
    proto::content::v1 as pb,
};

/// The longest time for which a replaced post is served.
const POST_TTL: Duration = Duration::from_secs(300);
/// The longest time for which an outdated list or feed is served.
const LIST_TTL: Duration = Duration::from_secs(60);
/// The key of the feed.
const FEED: &str = "all";

/// The published posts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PublishedPosts {
    posts: Region<pb::Post>,
    /// The id of the post that has or had a slug, as a hint: the post has its current slug.
    slugs: Region<String>,
    lists: Region<pb::ListPostsResponse>,
    feed: Region<String>,
}

impl PublishedPosts {
    pub fn new(cache: &Cache) -> Self {
        Self {
            posts: cache.region("content.posts", POST_TTL).follow(ops::CHANGES),
            slugs: cache.region("content.slugs", POST_TTL).follow(ops::CHANGES),
            lists: cache.region("content.lists", LIST_TTL).follow(ops::CHANGES),
            feed: cache.region("content.feed", LIST_TTL).follow(ops::CHANGES),
        }
    }

    /// Returns a published post.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn get(&self, app: &App, name: Name) -> Result<pb::Post> {
        let post = match name {
            Name::Id(id) => self.by_id(app, id).await?,
            Name::Slug(slug) => self.by_slug(app, slug).await?,
        };
        post.ok_or_else(|| Error::not_found("post"))
    }

    async fn by_id(&self, app: &App, id: PostId) -> Result<Option<pb::Post>> {
        let app = app.clone();
        self.posts.get_resource(id.0, move || read(app.clone(), Name::Id(id), convert::post)).await
    }

    async fn by_slug(&self, app: &App, slug: String) -> Result<Option<pb::Post>> {
        let (owner, name) = (app.clone(), Name::Slug(slug.clone()));
        let load = move || read(owner.clone(), name.clone(), |post| post.id.to_string());
        let Some(id) = self.slugs.get(&slug, load).await? else { return Ok(None) };
        match self.by_id(app, PostId::parse(&id)?).await? {
            Some(post) if post.slug.as_deref() == Some(&slug) => Ok(Some(post)),
            // The slug is an earlier one, or moved to another post between the two reads.
            _ => read(app.clone(), Name::Slug(slug), convert::post).await,
        }
    }

    /// Returns a page of published posts.
    pub async fn list(&self, app: &App, filter: Filter, pager: Pager) -> Result<pb::ListPostsResponse> {
        // Only the most frequent requests are cached, because anonymous callers could fill the cache with the others.
        if !filter.query.is_empty() || !pager.is_default() {
            return page(app, filter, pager).await;
        }
        let author = filter.author.map(|author| author.to_string()).unwrap_or_default();
        let key = format!("{author} {}", filter.tag);
        let owned = app.clone();
        let load = move || {
            let (app, filter) = (owned.clone(), filter.clone());
            async move { page(&app, filter, pager).await.map(Some) }
        };
        Ok(self.lists.get(&key, load).await?.unwrap_or_default())
    }

    /// Returns the feed of the newest `count` posts, as rendered by `render`.
    pub async fn feed(&self, app: &App, count: i64, render: fn(&App, Vec<Post>) -> String) -> Result<String> {
        let app = app.clone();
        let load = move || newest(app.clone(), count, render);
        Ok(self.feed.get(FEED, load).await?.unwrap_or_default())
    }
}

async fn read<V>(app: App, name: Name, render: fn(Post) -> V) -> Result<Option<V>> {
    let read = async move |connection: &mut Connection| ops::get_published(connection, &name).await;
    Ok(app.database.autocommit(read).await?.map(render))
}

async fn page(app: &App, filter: Filter, pager: Pager) -> Result<pb::ListPostsResponse> {
    let list = List::Published(filter);
    let read = async move |connection: &mut Connection| ops::list(connection, &list, pager.page).await;
    let (mut posts, total) = app.database.autocommit(read).await?;
    let meta = Some(pager.meta(&app.page_tokens, &mut posts, total, Post::key));
    Ok(pb::ListPostsResponse { data: posts.into_iter().map(convert::post_without_text).collect(), meta })
}

async fn newest(app: App, count: i64, render: fn(&App, Vec<Post>) -> String) -> Result<Option<String>> {
    let posts = app.database.autocommit(async move |connection| ops::newest(connection, count).await).await?;
    Ok(Some(render(&app, posts)))
}
