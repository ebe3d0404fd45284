//! Posts: who may change which, and what is published when.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    caller::{Permit, Visibility},
    contract::policy::Role,
    database::{Connection, Database, pipeline::pipeline, time},
    error::{Error, Reason, Result},
    events::{Event, EventKind as _},
    fault,
    id::{AccountId, UserId},
    page::{Start, Total},
    queue,
    unit_of_work::Work,
    version::ExpectedVersions,
};

use crate::{
    content::{
        events::{PostCreated, PostDeleted, PostPublished, PostScheduled, PostUnpublished, PostUpdated},
        id::PostId,
        job::PublishPost,
        post::{
            markdown,
            model::{self, Draft, Filter, List, Name, Patch, Post, State},
            store,
        },
    },
    files::{
        file::{
            model::{Parent, Purpose, image_at},
            ops as files,
        },
        id::FileId,
    },
};

/// Creates a draft.
///
/// # Errors
/// `VALIDATION_FAILED` if the author is missing or can't be one, `PERMISSION_DENIED` if the caller may not write for
/// the author, `ALREADY_EXISTS` if another post has the slug, and those of [`files::attach`].
pub async fn create(work: &mut Work, draft: Draft) -> Result<Post> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let (author, account) = author(connection, &permit, draft.author).await?;
    let id = PostId::generate(now);
    let slugs = match draft.slug {
        Some(slug) => vec![slug],
        None => model::slugs(&draft.content.title, id).into(),
    };
    for slug in slugs {
        let post = Post {
            id,
            account,
            author,
            slug,
            content: draft.content.clone(),
            state: State::Draft,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        if store::insert(connection, &post).await? {
            let images = images(&post);
            check_image_count(&images, "body")?;
            files::attach(connection, &permit, parent(&post), &images, Purpose::Image, "body").await?;
            work.publish(event(PostCreated::NAME, &post));
            return Ok(post);
        }
    }
    Err(store::slug_taken())
}

/// Returns the author of a new post, and the author's account.
async fn author(connection: &mut Connection, permit: &Permit, named: Option<UserId>) -> Result<(UserId, AccountId)> {
    let own = permit.user().map(|(user, ..)| user);
    let author = named.or(own).ok_or_else(|| Error::field("authorId", "is required"))?;
    if !manages_posts_of(permit, author) {
        return Err(Error::with_message(Reason::PermissionDenied, "Only admins may write for another author."));
    }
    match store::author(connection, author).await? {
        Some((account, role)) if [Role::Agent as i16, Role::Admin as i16].contains(&role) => Ok((author, account)),
        _ => Err(Error::field("authorId", "must be an agent or an admin")),
    }
}

/// The most images of one post.
const MAX_IMAGES: usize = 50;

/// Returns the uploaded images that a post shows.
fn images(post: &Post) -> Vec<FileId> {
    let ids: BTreeSet<_> = markdown::addresses(&post.content.body).filter_map(|address| image_at(&address)).collect();
    ids.into_iter().collect()
}

fn check_image_count(images: &[FileId], field: &str) -> Result<()> {
    if images.len() <= MAX_IMAGES {
        return Ok(());
    }
    Err(Error::field(field, format!("must have at most {MAX_IMAGES} images")))
}

/// What makes the images of a post visible.
fn parent(post: &Post) -> Parent {
    Parent { id: post.id.0, account: None, is_public: post.state.is_published() }
}

fn event(kind: &'static str, post: &Post) -> Event {
    Event::of_kind(kind, post.account, post.id.0, post.version)
}

/// Whether the caller manages the posts of an author: the author does, and whoever reaches those of every author.
fn manages_posts_of(permit: &Permit, author: UserId) -> bool {
    match permit.visibility() {
        Visibility::All => true,
        Visibility::Principal(own) => own == author.0,
        Visibility::Account(_) => false,
    }
}

/// Returns a post: a published one to anyone, any other to those who manage it. Its text is empty unless it is asked
/// for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, viewer: Permit, name: Name, text: bool) -> Result<Post> {
    let post = store::find(connection, &name, text).await?;
    let visible = |post: &Post| post.state.is_published() || manages_posts_of(&viewer, post.author);
    post.filter(visible).ok_or_else(|| Error::not_found("post"))
}

/// Returns a post if it is published, and the revision as of which that is so.
pub async fn get_published(connection: &mut Connection, name: &Name) -> Result<(i64, Option<Post>)> {
    let revision = store::revision(connection).await?;
    let post = store::find(connection, name, true).await?.filter(|post| post.state.is_published());
    Ok((revision, post))
}

/// Returns the newest published posts without their texts, and the revision as of which they are.
pub async fn newest(connection: &mut Connection, count: i64) -> Result<(i64, Vec<Post>)> {
    let revision = store::revision(connection).await?;
    let list = List::Published(Filter::default());
    Ok((revision, store::list(connection, &list, Start::Offset(0), count).await?))
}

/// Returns the posts that were published under these slugs earlier.
///
/// # Errors
/// Any database error.
pub async fn earlier_owners(connection: &mut Connection, slugs: Vec<String>) -> Result<Vec<PostId>> {
    store::earlier_owners(connection, slugs).await
}

/// Returns the cached entries that a change of a post has invalidated, as of now.
pub async fn stale_entries(connection: &mut Connection, id: PostId) -> Result<StaleEntries> {
    let revision = store::revision(connection).await?;
    let slugs = store::find(connection, &Name::Id(id), false).await?.map(|post| post.slug).into_iter().collect();
    Ok(StaleEntries { id, slugs, revision })
}

/// Returns a page of published posts, as [`list`] does, and the revision as of which it is.
pub async fn published_page(
    connection: &mut Connection,
    list: &List,
    start: Start,
    limit: i64,
) -> Result<(i64, (Vec<Post>, Option<Total>))> {
    let revision = store::revision(connection).await?;
    Ok((revision, self::list(connection, list, start, limit).await?))
}

/// Returns a page of posts without their texts, plus one more if another page follows, and the total unless paging by
/// key.
pub async fn list(
    connection: &mut Connection,
    list: &List,
    start: Start,
    limit: i64,
) -> Result<(Vec<Post>, Option<Total>)> {
    let total = start.total(store::total(connection, list)).await?;
    Ok((store::list(connection, list, start, limit + 1).await?, total))
}

/// The post to change, and the conditions of the change.
#[derive(Debug, Clone)]
pub struct Target {
    pub id: PostId,
    /// The versions that the caller accepts.
    pub expected: Option<ExpectedVersions>,
}

impl Target {
    /// Locks the post until the transaction ends.
    async fn lock(&self, work: &mut Work) -> Result<Post> {
        let permit = work.permit()?;
        let manages = |post: &Post| manages_posts_of(&permit, post.author);
        let post = work.read(async |connection: &Connection| store::lock(connection, self.id).await).await?;
        let post = post.filter(|post| post.state.is_published() || manages(post));
        let post = post.ok_or_else(|| Error::not_found("post"))?;
        if !manages(&post) {
            return Err(Error::with_message(Reason::PermissionDenied, "Only its author may change this post."));
        }
        ExpectedVersions::check(self.expected.as_ref(), post.version)?;
        Ok(post)
    }
}

/// A changed post, and what readers may still have of it.
#[derive(Debug)]
pub struct PostChange {
    pub post: Post,
    pub stale: Option<StaleEntries>,
}

/// Cached entries that the change invalidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleEntries {
    pub id: PostId,
    /// The slugs before and after the change.
    pub slugs: Vec<String>,
    /// The revision of the change: entries read before it are stale.
    pub revision: i64,
}

/// Stores the next version of a post with its event.
async fn commit(work: &mut Work, before: &Post, post: Post, kind: &'static str) -> Result<PostChange> {
    work.publish(event(kind, &post));
    // In one round trip, the post first: its slug may be another one's, and that is then the error.
    work.write(async |connection: &Connection| {
        store::update(connection, &post).await?;
        fault::point("post.between_writes")
    })
    .await?;
    let has_left_slug = post.slug != before.slug || !post.state.is_published();
    if before.state.is_published() && has_left_slug {
        let (id, slug) = (post.id, before.slug.clone());
        work.queue(move |connection| Box::pin(async move { store::remember_slug(connection, id, &slug).await }));
    }
    let connection = work.connection().await?;
    if post.state.is_published() != before.state.is_published() && !images(&post).is_empty() {
        files::set_public(connection, post.id.0, post.state.is_published()).await?;
    }
    // Not with the others: the counter is held until the transaction ends.
    let stale = bump_revision(connection, before, Some(&post)).await?;
    Ok(PostChange { post, stale })
}

/// Increments the revision if the change is visible to readers; returns what to invalidate.
async fn bump_revision(
    connection: &mut Connection,
    before: &Post,
    after: Option<&Post>,
) -> Result<Option<StaleEntries>> {
    if ![Some(before), after].into_iter().flatten().any(|post| post.state.is_published()) {
        return Ok(None);
    }
    let mut slugs = vec![before.slug.clone()];
    slugs.extend(after.map(|post| post.slug.clone()).filter(|slug| *slug != before.slug));
    Ok(Some(StaleEntries { id: before.id, slugs, revision: store::next_revision(connection).await? }))
}

/// Updates a post. A patch that changes nothing keeps the version.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `ALREADY_EXISTS` if another post has the slug, and those of
/// [`files::attach`].
pub async fn update(work: &mut Work, target: Target, patch: Patch) -> Result<PostChange> {
    let (permit, now) = (work.permit()?, work.now());
    let before = target.lock(work).await?;
    let post = patch.apply(before.clone());
    if post == before {
        return Ok(PostChange { post, stale: None });
    }
    let (old, new) = (images(&before), images(&post));
    check_image_count(&new, "post.body")?;
    let connection = work.connection().await?;
    files::replace(connection, &permit, parent(&post), (&old, &new), Purpose::Image, "post.body", now).await?;
    commit(work, &before, post.next_version(now), PostUpdated::NAME).await
}

async fn transition(
    work: &mut Work,
    target: Target,
    kind: &'static str,
    step: impl FnOnce(State) -> Result<State>,
) -> Result<PostChange> {
    let before = target.lock(work).await?;
    let post = Post { state: step(before.state)?, ..before.clone() }.next_version(work.now());
    commit(work, &before, post, kind).await
}

/// Publishes a post.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `POST_PUBLISHED` if it is already published.
pub async fn publish(work: &mut Work, target: Target) -> Result<PostChange> {
    let now = work.now();
    transition(work, target, PostPublished::NAME, |state| state.publish(now)).await
}

/// Schedules a post, or changes the time.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `POST_PUBLISHED` if it is already published,
/// `VALIDATION_FAILED` for a time that is not in the future.
pub async fn schedule(work: &mut Work, target: Target, at: DateTime<Utc>) -> Result<PostChange> {
    let now = work.now();
    let scheduled = transition(work, target, PostScheduled::NAME, |state| state.schedule(at, now)).await?;
    queue::enqueue_at(work.connection().await?, &PublishPost { post: scheduled.post.id }, at).await?;
    Ok(scheduled)
}

/// Makes a post a draft again.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `POST_NOT_PUBLISHED` if it is a draft.
pub async fn unpublish(work: &mut Work, target: Target) -> Result<PostChange> {
    transition(work, target, PostUnpublished::NAME, State::unpublish).await
}

/// Deletes a post.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`.
pub async fn delete(work: &mut Work, target: Target) -> Result<PostChange> {
    let (post, now) = (target.lock(work).await?, work.now());
    work.publish(event(PostDeleted::NAME, &post));
    work.write(async |connection: &Connection| store::delete(connection, post.id).await).await?;
    let connection = work.connection().await?;
    if !images(&post).is_empty() {
        files::detach(connection, &[post.id.0], now).await?;
    }
    let stale = bump_revision(connection, &post, None).await?;
    Ok(PostChange { post, stale })
}

/// Publishes a scheduled post if its time has come, by the clock of Postgres, which its job waited for; returns what to
/// invalidate. If the time is still to come, because the post was scheduled anew, it is tried again then.
///
/// # Errors
/// Any database error.
pub async fn publish_due(database: &Database, id: PostId, now: DateTime<Utc>) -> Result<Option<StaleEntries>> {
    database.transaction(async move |work: &mut Work| publish_if_due(work, id, now).await).await
}

async fn publish_if_due(work: &mut Work, id: PostId, now: DateTime<Utc>) -> Result<Option<StaleEntries>> {
    // In one round trip, the lock first: the time is that of the locked post.
    let lock = async |connection: &Connection| pipeline!(store::lock(connection, id), time::now(connection));
    let (Some(before), now_in_postgres) = work.read(lock).await? else { return Ok(None) };
    match before.state {
        State::Scheduled { at } if at <= now_in_postgres => {
            let post = Post { state: before.state.publish(at)?, ..before.clone() }.next_version(now);
            Ok(commit(work, &before, post, PostPublished::NAME).await?.stale)
        }
        State::Scheduled { at } => {
            queue::enqueue_at(work.connection().await?, &PublishPost { post: id }, at).await?;
            Ok(None)
        }
        State::Draft | State::Published { .. } => Ok(None),
    }
}

/// Removes the posts of accounts that are removed, with their jobs; returns their ids. What the cache still has of them is
/// outdated.
///
/// # Errors
/// Any database error.
pub(crate) async fn erase(connection: &mut Connection, accounts: &[AccountId]) -> Result<Vec<uuid::Uuid>> {
    let ids: Vec<_> = store::erase(connection, accounts).await?.into_iter().map(|id| id.0).collect();
    queue::forget::<PublishPost>(connection, &ids).await?;
    store::next_revision(connection).await?;
    Ok(ids)
}
