//! Posts in SQL.

use chrono::{DateTime, Utc};
use diesel::{dsl::Select, prelude::*};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection,
        condition::Condition,
        count,
        integrity::{corrupt, one_row},
        optional_column::optional,
        seek::seek,
        statement::Prepare as _,
        violated_unique,
    },
    error::{Error, Reason, Result},
    id::{AccountId, UserId},
    page::{Page, Total},
};

use crate::{
    content::{
        id::PostId,
        post::model::{Content, List, Name, Post, State, Status},
    },
    identity::user::model::Language,
    schema::{earlier_post_slugs, posts, users},
};

/// A row without its text, which lists omit.
#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = posts, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: PostId,
    account_id: AccountId,
    author_id: UserId,
    slug: String,
    title: String,
    summary: String,
    language: String,
    tags: Vec<String>,
    status: i16,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    published_at: Option<DateTime<Utc>>,
}

impl From<&Post> for Row {
    fn from(post: &Post) -> Self {
        let Post { content, state, slug, .. } = post.clone();
        Self {
            id: post.id,
            account_id: post.account,
            author_id: post.author,
            slug,
            title: content.title,
            summary: content.summary,
            language: content.language.into(),
            tags: content.tags,
            status: state.status().number(),
            version: post.version,
            created_at: post.created_at,
            updated_at: post.updated_at,
            published_at: state.published_at(),
        }
    }
}

/// Builds a post from its row and its text.
fn post((row, body): (Row, String)) -> Result<Post> {
    let state = match (Status::from_number(row.status.into()), row.published_at) {
        (Some(Status::Draft), None) => State::Draft,
        (Some(Status::Scheduled), Some(at)) => State::Scheduled { at },
        (Some(Status::Published), Some(at)) => State::Published { at },
        _ => return Err(corrupt("posts", row.id, "status")),
    };
    Ok(Post {
        id: row.id,
        account: row.account_id,
        author: row.author_id,
        slug: row.slug,
        content: Content {
            title: row.title,
            summary: row.summary,
            body,
            // The languages of older rows were not validated.
            language: Language::parse(&row.language).unwrap_or_default(),
            tags: row.tags,
        },
        state,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

type Boxed<'q> = posts::BoxedQuery<'q, diesel::pg::Pg>;

/// Returns a post, published or not, with an empty text unless that is asked for. A slug that no post has leads to the post
/// that was published under it.
pub async fn find(connection: &mut Connection, name: &Name, text: bool) -> Result<Option<Post>> {
    let query: Boxed<'_> = posts::table.into_boxed();
    let slug = match name {
        Name::Id(id) => return first(connection, query.filter(posts::id.eq(*id)), text).await,
        Name::Slug(slug) => slug,
    };
    if let Some(post) = first(connection, query.filter(posts::slug.eq(slug)), text).await? {
        return Ok(Some(post));
    }
    let earlier = earlier_post_slugs::table.find(slug).select(earlier_post_slugs::post_id);
    let owner: Option<PostId> = earlier.first(connection).await.optional()?;
    match owner {
        Some(id) => first(connection, posts::table.filter(posts::id.eq(id)).into_boxed(), text).await,
        None => Ok(None),
    }
}

async fn first(connection: &mut Connection, query: Boxed<'_>, text: bool) -> Result<Option<Post>> {
    let query = query.select((Row::as_select(), optional(posts::body, text)));
    query.first(connection).await.optional()?.map(post).transpose()
}

/// Returns the posts that were published under these slugs last.
pub async fn earlier_owners(connection: &mut Connection, slugs: Vec<String>) -> Result<Vec<PostId>> {
    let owners = earlier_post_slugs::table.filter(earlier_post_slugs::slug.eq_any(slugs));
    Ok(owners.select(earlier_post_slugs::post_id).load(connection).await?)
}

/// Records that a post was published under a slug.
pub async fn remember_slug(connection: &Connection, id: PostId, slug: &str) -> Result<()> {
    use earlier_post_slugs as earlier;
    let row = (earlier::slug.eq(slug), earlier::post_id.eq(id));
    let insert = diesel::insert_into(earlier::table).values(row).on_conflict(earlier::slug);
    insert.do_update().set(earlier::post_id.eq(id)).prepared().execute(&mut &*connection).await?;
    Ok(())
}

/// Returns a post, locked against changes until the transaction ends.
pub async fn lock(connection: &Connection, id: PostId) -> Result<Option<Post>> {
    let query = posts::table.find(id).select((Row::as_select(), posts::body)).for_update();
    query.first(&mut &*connection).await.optional()?.map(post).transpose()
}

/// The text search vector; `table!` has no type for this column.
const WORDS: &str = "posts.words";

/// Applies every filter except the text search. The status is not a bind parameter, so that the planner can use the partial
/// indexes.
fn filtered_query<'q>(list: &List) -> Boxed<'q> {
    let query = posts::table.into_boxed();
    match list {
        List::Published(filter) => {
            let mut query = query.filter(Condition::plain("posts.status = 3"));
            if let Some(author) = filter.author {
                query = query.filter(posts::author_id.eq(author));
            }
            if !filter.tag.is_empty() {
                query = query.filter(posts::tags.contains(vec![filter.tag.clone()]));
            }
            query
        }
        List::Drafts(visibility, author) => {
            let mut query = query.filter(Condition::plain("posts.status <> 3"));
            query = match *visibility {
                Visibility::All => query,
                Visibility::Account(account) => query.filter(posts::account_id.eq(account)),
                Visibility::Principal(id) => query.filter(posts::author_id.eq(id)),
            };
            match author {
                Some(author) => query.filter(posts::author_id.eq(*author)),
                None => query,
            }
        }
    }
}

fn words(list: &List) -> Option<String> {
    match list {
        List::Published(filter) if !filter.query.is_empty() => Some(filter.query.clone()),
        List::Published(_) | List::Drafts(..) => None,
    }
}

/// Selects the ids of the matching posts, in no particular order, up to one more than [`count::BOUND`].
fn matching_ids<'q>(list: &List) -> Select<Boxed<'q>, posts::id> {
    let mut query = filtered_query(list);
    query = match (words(list), list) {
        (Some(words), _) => query.filter(Condition::matches(WORDS, words)),
        (None, List::Published(filter)) if !filter.tag.is_empty() => query,
        // An index-only scan counts them.
        (None, List::Published(_)) => query.order((posts::published_at.desc(), posts::id.desc())),
        (None, List::Drafts(..)) => query.order((posts::created_at.desc(), posts::id.desc())),
    };
    query.limit(count::BOUND + 1).select(posts::id)
}

/// Returns the number of posts of a list, counted up to [`count::BOUND`].
pub async fn total(connection: &Connection, list: &List) -> Result<Total> {
    count::bounded(connection, Box::new(matching_ids(list))).await
}

/// Returns a page of posts without their texts, newest first.
pub async fn list(mut connection: &Connection, list: &List, page: Page) -> Result<Vec<Post>> {
    let mut query = filtered_query(list);
    if let Some(words) = words(list) {
        // A few matches are found first and then sorted. Many matches are found early in the index of the order, which would
        // be read to its end for a few.
        let ids: Vec<uuid::Uuid> = matching_ids(list).load(&mut connection).await?;
        query = if ids.len() <= count::BOUND as usize {
            query.filter(Condition::among("posts.id", ids))
        } else {
            query.filter(Condition::matches_many(WORDS, words))
        };
    }
    let columns = match list {
        List::Published(_) => "(posts.published_at, posts.id)",
        List::Drafts(..) => "(posts.created_at, posts.id)",
    };
    query = seek(query, page, columns, true);
    query = match list {
        List::Published(_) => query.order((posts::published_at.desc(), posts::id.desc())),
        List::Drafts(..) => query.order((posts::created_at.desc(), posts::id.desc())),
    };
    let rows: Vec<Row> = query.select(Row::as_select()).load(&mut connection).await?;
    rows.into_iter().map(|row| post((row, String::new()))).collect()
}

/// Stores a new post, unless another post has its slug; returns whether the post was stored.
pub async fn insert(connection: &mut Connection, post: &Post) -> Result<bool> {
    let row = (Row::from(post), posts::body.eq(&post.content.body));
    let insert = diesel::insert_into(posts::table).values(row).on_conflict(posts::slug).do_nothing();
    Ok(insert.execute(connection).await? == 1)
}

/// Returns the error for a slug of another post.
pub fn slug_taken() -> Error {
    Error::with_message(Reason::AlreadyExists, "Another post has this slug.")
        .about(vec![("slug".to_owned(), "belongs to another post".to_owned())])
}

/// Stores the next version of a locked post.
///
/// # Errors
/// `ALREADY_EXISTS` if another post has its slug.
pub async fn update(connection: &Connection, post: &Post) -> Result<()> {
    let target = posts::table.filter(posts::id.eq(post.id)).filter(posts::version.eq(post.version - 1));
    let values = (Row::from(post), posts::body.eq(&post.content.body));
    match diesel::update(target).set(values).prepared().execute(&mut &*connection).await {
        Err(error) if violated_unique(&error) == Some("posts_slug_key") => Err(slug_taken().caused_by(error)),
        updated => one_row(updated?, "update", "posts", post.id),
    }
}

/// Removes a locked post.
pub async fn delete(connection: &Connection, id: PostId) -> Result<()> {
    let deleted = diesel::delete(posts::table.find(id)).execute(&mut &*connection).await?;
    one_row(deleted, "delete", "posts", id)
}

/// Returns the role of a user; `None` when there is no such user.
pub async fn role_of(connection: &mut Connection, user: UserId) -> Result<Option<i16>> {
    Ok(users::table.find(user).select(users::role).first(connection).await.optional()?)
}

/// Removes at most `limit` posts of accounts that are removed, and returns their ids, accounts and versions.
pub async fn erase(
    connection: &mut Connection,
    accounts: &[AccountId],
    limit: i64,
) -> Result<Vec<(PostId, AccountId, i64)>> {
    let own = posts::table.filter(posts::account_id.eq_any(accounts.to_vec())).select(posts::id).limit(limit);
    let ids: Vec<PostId> = own.load(connection).await?;
    let erased = diesel::delete(posts::table.filter(posts::id.eq_any(ids)));
    Ok(erased.returning((posts::id, posts::account_id, posts::version)).get_results(connection).await?)
}
