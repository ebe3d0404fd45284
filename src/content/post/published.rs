//! What anyone may read, from the cache.

use std::time::Duration;

use mainstay_kernel::{
    app::App,
    cache::{Cache, LoadedValue, Region},
    database::Connection,
    error::{Error, Result},
    grpc::page::Pager,
    page::Total,
};

use crate::{
    content::{
        id::PostId,
        post::{
            convert,
            model::{Filter, List, Name, Post},
            ops::{self, StaleEntries},
        },
    },
    proto::content::v1 as pb,
};

/// How old a post may be that a reader is given, whatever is lost between the servers.
const POST_TTL: Duration = Duration::from_secs(300);
/// How old a list may be, and the feed.
const LIST_TTL: Duration = Duration::from_secs(60);
/// The tag of every list: each change may concern any of them.
const LISTS: &str = "all";

/// The published posts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PublishedPosts {
    cache: Cache,
    posts: Region<pb::Post>,
    /// The id of the post that has or had a slug. Only a hint: it is the post that says which slug it has.
    slugs: Region<String>,
    lists: Region<pb::ListPostsResponse>,
    feed: Region<String>,
}

impl PublishedPosts {
    pub fn new(cache: &Cache) -> Self {
        Self {
            posts: cache.region("content.posts", POST_TTL),
            slugs: cache.region("content.slugs", POST_TTL),
            lists: cache.region("content.lists", LIST_TTL),
            feed: cache.region("content.feed", LIST_TTL),
            cache: cache.clone(),
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
        let (key, app) = (id.to_string(), app.clone());
        let load = move || read(app.clone(), Name::Id(id), convert::post);
        self.posts.get(&key, &key, load).await
    }

    async fn by_slug(&self, app: &App, slug: String) -> Result<Option<pb::Post>> {
        let (owner, name) = (app.clone(), Name::Slug(slug.clone()));
        let load = move || read(owner.clone(), name.clone(), |post| post.id.to_string());
        let Some(id) = self.slugs.get(&slug, &slug, load).await? else { return Ok(None) };
        match self.by_id(app, PostId::parse(&id)?).await? {
            Some(post) if post.slug.as_deref() == Some(&slug) => Ok(Some(post)),
            // The slug is an earlier one, or the notice of a change was lost.
            _ => Ok(read(app.clone(), Name::Slug(slug), convert::post).await?.value),
        }
    }

    /// Returns a page of published posts.
    ///
    /// # Errors
    /// Any database error.
    pub async fn list(&self, app: &App, filter: Filter, pager: Pager) -> Result<pb::ListPostsResponse> {
        // Only what most people read: strangers could fill the cache with the rest. For the same reason an empty list
        // counts as no value, since anyone can think of a tag.
        if !filter.query.is_empty() || !pager.is_default() {
            return Ok(page(app, filter, pager).await?.1);
        }
        let author = filter.author.map(|author| author.to_string()).unwrap_or_default();
        let key = format!("{author} {}", filter.tag);
        let owned = app.clone();
        let load = move || {
            let (app, filter) = (owned.clone(), filter.clone());
            async move {
                let (version, page) = page(&app, filter, pager).await?;
                Ok(LoadedValue { value: Some(page).filter(|page| !page.data.is_empty()), version })
            }
        };
        let list = self.lists.get(&key, LISTS, load).await?;
        Ok(list.unwrap_or_else(|| response(app, pager, Vec::new(), Some(Total::exact(0)))))
    }

    /// Returns the feed, as `render` makes it of the newest `count` posts.
    ///
    /// # Errors
    /// Any database error.
    pub async fn feed(&self, app: &App, count: i64, render: fn(&App, Vec<Post>) -> String) -> Result<String> {
        let app = app.clone();
        let load = move || newest(app.clone(), count, render);
        Ok(self.feed.get(LISTS, LISTS, load).await?.unwrap_or_default())
    }

    /// Declares entries of the cache outdated. Called after the commit of the change.
    ///
    /// # Errors
    /// `UNAVAILABLE` if other servers could not be told.
    pub async fn invalidate(&self, stale: &StaleEntries) -> Result<()> {
        let mut tags = vec![self.posts.tag(&stale.id.to_string()), self.lists.tag(LISTS), self.feed.tag(LISTS)];
        tags.extend(stale.slugs.iter().map(|slug| self.slugs.tag(slug)));
        self.cache.invalidate(&tags, stale.revision).await
    }
}

impl PublishedPosts {
    /// As [`PublishedPosts::invalidate`], for a change that is about to be reported: a failure must not turn it into an error,
    /// and the job that handles its event tries again.
    pub async fn invalidate_now(&self, stale: &StaleEntries) {
        if let Err(error) = self.invalidate(stale).await {
            tracing::debug!(post = %stale.id, error = error.detail(), "other servers were not told of a change");
        }
    }
}

async fn read<V>(app: App, name: Name, render: fn(Post) -> V) -> Result<LoadedValue<V>> {
    let read = async move |connection: &mut Connection| ops::get_published(connection, &name).await;
    let (version, post) = app.database.autocommit(read).await?;
    Ok(LoadedValue { value: post.map(render), version })
}

async fn page(app: &App, filter: Filter, pager: Pager) -> Result<(i64, pb::ListPostsResponse)> {
    let list = List::Published(filter);
    let read =
        async move |connection: &mut Connection| ops::published_page(connection, &list, pager.start, pager.size).await;
    let (version, (posts, total)) = app.database.autocommit(read).await?;
    Ok((version, response(app, pager, posts, total)))
}

fn response(app: &App, pager: Pager, mut posts: Vec<Post>, total: Option<Total>) -> pb::ListPostsResponse {
    let meta = Some(pager.meta(&app.page_tokens, &mut posts, total, Post::key));
    pb::ListPostsResponse { data: posts.into_iter().map(convert::post_without_text).collect(), meta }
}

async fn newest(app: App, count: i64, render: fn(&App, Vec<Post>) -> String) -> Result<LoadedValue<String>> {
    let read = async move |connection: &mut Connection| ops::newest(connection, count).await;
    let (version, posts) = app.database.autocommit(read).await?;
    Ok(LoadedValue { value: Some(render(&app, posts)), version })
}
