//! Posts: access, changes, and publication.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    audit::Record,
    caller::{Permit, Visibility},
    changes::{self, Change},
    contract::policy::Role,
    database::{Connection, Database, pipeline::pipeline, time},
    error::{Error, Reason, Result},
    events::{Event, EventKind as _},
    fault,
    id::{AccountId, UserId},
    page::{Listed, Page},
    personal, queue,
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
    identity::member::ops as member,
};

/// Creates a draft.
///
/// # Errors
/// `VALIDATION_FAILED` if the author is missing or can't be an author, `PERMISSION_DENIED` if the caller may not write
/// for the author, `ALREADY_EXISTS` if another post has the slug, and the errors of [`files::attach`].
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

/// Returns the author of a new post, and the author's account: that of the session for the caller, and the first one for
/// another author.
async fn author(connection: &mut Connection, permit: &Permit, named: Option<UserId>) -> Result<(UserId, AccountId)> {
    let own = permit.user().map(|(user, ..)| user);
    let author = named.or(own).ok_or_else(|| Error::field("authorId", "is required"))?;
    if !manages_posts_of(permit, author) {
        return Err(Error::with_message(Reason::PermissionDenied, "Only admins may write for another author."));
    }
    let role = store::role_of(connection, author).await?;
    if !role.is_some_and(|role| [Role::Agent as i16, Role::Admin as i16].contains(&role)) {
        return Err(Error::field("authorId", "must be an agent or an admin"));
    }
    let of_session = permit.user().filter(|(user, ..)| *user == author).and_then(|(_, account, _)| account);
    let account = match of_session {
        Some(account) => Some(account),
        None => member::first_account(connection, author).await?,
    };
    Ok((author, account.ok_or_else(|| Error::field("authorId", "must be a member of an account"))?))
}

/// The maximum number of images of one post.
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

/// Returns the parent of the images of a post, which makes them visible.
fn parent(post: &Post) -> Parent {
    Parent { id: post.id.0, account: None, is_public: post.state.is_published(), is_internal: false }
}

fn event(kind: &'static str, post: &Post) -> Event {
    Event::of_kind(kind, post.account, post.id.0, post.version)
}

/// Returns whether the caller manages the posts of an author: the author, and callers that reach the posts of all authors.
fn manages_posts_of(permit: &Permit, author: UserId) -> bool {
    match permit.visibility() {
        Visibility::All => true,
        Visibility::Principal(own) => own == author.0,
        Visibility::Account(_) => false,
    }
}

/// Returns a post if it is published or the viewer manages it. Its text is empty unless it is requested.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, viewer: Permit, name: Name, text: bool) -> Result<Post> {
    let post = store::find(connection, &name, text).await?;
    let visible = |post: &Post| post.state.is_published() || manages_posts_of(&viewer, post.author);
    post.filter(visible).ok_or_else(|| Error::not_found("post"))
}

/// Returns a post if it is published.
pub async fn get_published(connection: &mut Connection, name: &Name) -> Result<Option<Post>> {
    Ok(store::find(connection, name, true).await?.filter(|post| post.state.is_published()))
}

/// Returns the newest published posts without their texts.
pub async fn newest(connection: &mut Connection, count: i64) -> Result<Vec<Post>> {
    store::list(connection, &List::Published(Filter::default()), Page::first(count)).await
}

/// Returns the posts that were published earlier under the slug that a post has now.
pub async fn earlier_owners(connection: &mut Connection, id: PostId) -> Result<Vec<PostId>> {
    let slug = store::find(connection, &Name::Id(id), false).await?.map(|post| post.slug);
    store::earlier_owners(connection, slug.into_iter().collect()).await
}

/// Returns a page of posts without their texts, plus one more if another page follows, and the total unless paging by
/// key.
pub async fn list(connection: &Connection, list: &List, page: Page) -> Result<Listed<Post>> {
    let total = page.total(store::total(connection, list)).await?;
    Ok((store::list(connection, list, page.and_next()).await?, total))
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

/// The topic of changes to published posts, which outdate cached values.
pub const CHANGES: &str = "content.post";

/// Records a change if it is visible to readers.
fn record_change(work: &mut Work, before: &Post, after: Option<&Post>) {
    if [Some(before), after].into_iter().flatten().any(|post| post.state.is_published()) {
        let version = after.map_or(before.version, |post| post.version);
        work.record_changes(vec![change(before.id, before.account, version, after.is_none())]);
    }
}

fn change(id: PostId, account: AccountId, version: i64, is_deleted: bool) -> Change {
    Change { topic: CHANGES.into(), resource: id.0, account, principal: None, version, is_deleted }
}

/// Stores the next version of a post with its event.
async fn commit(work: &mut Work, before: &Post, post: Post, kind: &'static str) -> Result<Post> {
    work.publish(event(kind, &post));
    // The update precedes the event in its round trip: if another post has the slug, that is the error.
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
    if post.state.is_published() != before.state.is_published() && !images(&post).is_empty() {
        files::set_public(work.connection().await?, post.id.0, post.state.is_published()).await?;
    }
    work.audit(Record::updated(before, &post));
    record_change(work, before, Some(&post));
    Ok(post)
}

/// Updates a post. A patch that changes nothing keeps the version.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `ALREADY_EXISTS` if another post has the slug, and the errors of
/// [`files::attach`].
pub async fn update(work: &mut Work, target: Target, patch: Patch) -> Result<Post> {
    let (permit, now) = (work.permit()?, work.now());
    let before = target.lock(work).await?;
    let post = patch.apply(before.clone());
    if post == before {
        return Ok(post);
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
) -> Result<Post> {
    let before = target.lock(work).await?;
    let post = Post { state: step(before.state)?, ..before.clone() }.next_version(work.now());
    commit(work, &before, post, kind).await
}

/// Publishes a post.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `POST_PUBLISHED` if it is already published.
pub async fn publish(work: &mut Work, target: Target) -> Result<Post> {
    let now = work.now();
    transition(work, target, PostPublished::NAME, |state| state.publish(now)).await
}

/// Schedules a post, or changes the time.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `POST_PUBLISHED` if it is already published,
/// `VALIDATION_FAILED` for a time that is not in the future.
pub async fn schedule(work: &mut Work, target: Target, at: DateTime<Utc>) -> Result<Post> {
    let now = work.now();
    let scheduled = transition(work, target, PostScheduled::NAME, |state| state.schedule(at, now)).await?;
    queue::enqueue_at(work.connection().await?, &PublishPost { post: scheduled.id }, at).await?;
    Ok(scheduled)
}

/// Makes a post a draft again.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `POST_NOT_PUBLISHED` if it is a draft.
pub async fn unpublish(work: &mut Work, target: Target) -> Result<Post> {
    transition(work, target, PostUnpublished::NAME, State::unpublish).await
}

/// Deletes a post.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`.
pub async fn delete(work: &mut Work, target: Target) -> Result<()> {
    let (post, now) = (target.lock(work).await?, work.now());
    work.before(&post);
    work.publish(event(PostDeleted::NAME, &post));
    work.write(async |connection: &Connection| store::delete(connection, post.id).await).await?;
    if !images(&post).is_empty() {
        files::detach(work.connection().await?, &[post.id.0], now).await?;
    }
    record_change(work, &post, None);
    Ok(())
}

/// Publishes a scheduled post if its time has come, by the clock of Postgres, which its job waited for. If the post was
/// rescheduled to a later time, the job runs again then.
pub async fn publish_due(database: &Database, id: PostId, now: DateTime<Utc>) -> Result<()> {
    database.transaction(async move |work: &mut Work| publish_if_due(work, id, now).await).await
}

async fn publish_if_due(work: &mut Work, id: PostId, now: DateTime<Utc>) -> Result<()> {
    // In one round trip, the lock first: the time is that of the locked post.
    let lock = async |connection: &Connection| pipeline!(store::lock(connection, id), time::now(connection));
    let (Some(before), now_in_postgres) = work.read(lock).await? else { return Ok(()) };
    match before.state {
        State::Scheduled { at } if at <= now_in_postgres => {
            let post = Post { state: before.state.publish(at)?, ..before.clone() }.next_version(now);
            commit(work, &before, post, PostPublished::NAME).await.map(drop)
        }
        State::Scheduled { at } => queue::enqueue_at(work.connection().await?, &PublishPost { post: id }, at).await,
        State::Draft | State::Published { .. } => Ok(()),
    }
}

/// Removes at most `limit` posts of accounts that are removed, with their jobs; returns their ids.
pub(crate) async fn erase(connection: &mut Connection, accounts: &[AccountId], limit: i64) -> Result<Vec<uuid::Uuid>> {
    let erased = store::erase(connection, accounts, limit).await?;
    let changes: Vec<_> = erased.iter().map(|(id, account, version)| change(*id, *account, *version, true)).collect();
    let ids: Vec<_> = erased.iter().map(|(id, ..)| id.0).collect();
    queue::forget::<PublishPost>(connection, &ids).await?;
    changes::record(connection, &changes).await?;
    Ok(ids)
}

/// Removes at most [`personal::BATCH`] posts of an account, and the references to their files; returns how many.
pub(crate) async fn erase_some(connection: &mut Connection, account: uuid::Uuid, now: DateTime<Utc>) -> Result<usize> {
    let ids = erase(connection, &[AccountId(account)], personal::BATCH).await?;
    files::detach(connection, &ids, now).await?;
    Ok(ids.len())
}
