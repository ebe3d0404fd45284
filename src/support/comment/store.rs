//! Comments and activities, in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{self, Array, BigInt, Bool, SmallInt},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::files::id::FileId;
use crate::support::id::{ActivityId, CommentId, TicketId};
use crate::{
    schema::{activities, comments},
    support::{
        comment::model::{Activity, Audience, Comment},
        ticket::model::ActivityKind,
    },
};
use mainstay_kernel::{
    database::{
        Connection,
        condition::Condition,
        convert,
        integrity::corrupt,
        optional_column::{Optional, optional},
        seek::seek,
        statement::Prepare as _,
    },
    error::{Error, Result},
    id::lower_bound_after,
    page::{Page, Total},
};

#[derive(Queryable, QueryableByName, Insertable)]
#[diesel(table_name = comments, treat_none_as_default_value = false)]
struct CommentRow {
    id: CommentId,
    ticket_id: TicketId,
    author_id: Option<Uuid>,
    author_role: i16,
    body: String,
    attachment_ids: Vec<FileId>,
    created_at: DateTime<Utc>,
    edited_at: Option<DateTime<Utc>>,
    is_internal: bool,
}

impl From<CommentRow> for Comment {
    fn from(row: CommentRow) -> Self {
        Self {
            id: row.id,
            ticket: row.ticket_id,
            author: row.author_id,
            author_role: row.author_role,
            body: row.body,
            attachments: row.attachment_ids,
            created_at: row.created_at,
            edited_at: row.edited_at,
            is_internal: row.is_internal,
        }
    }
}

/// Stores a comment. The caller holds the ticket locked, so that it can't be removed meanwhile.
pub async fn insert(connection: &Connection, comment: &Comment) -> Result<()> {
    let row = CommentRow {
        id: comment.id,
        ticket_id: comment.ticket,
        author_id: comment.author,
        author_role: comment.author_role,
        body: comment.body.clone(),
        attachment_ids: comment.attachments.clone(),
        created_at: comment.created_at,
        edited_at: comment.edited_at,
        is_internal: comment.is_internal,
    };
    diesel::insert_into(comments::table).values(&row).execute(&mut &*connection).await?;
    Ok(())
}

/// The columns of a [`CommentRow`].
type Columns = (
    comments::id,
    comments::ticket_id,
    comments::author_id,
    comments::author_role,
    Optional<comments::body>,
    comments::attachment_ids,
    comments::created_at,
    comments::edited_at,
    comments::is_internal,
);

fn columns(texts: bool) -> Columns {
    use comments::{attachment_ids, author_id, author_role, body, created_at, edited_at, id, is_internal, ticket_id};
    (id, ticket_id, author_id, author_role, optional(body, texts), attachment_ids, created_at, edited_at, is_internal)
}

/// The condition of the comments that an audience sees. Every query of comments has it.
fn shown(audience: Audience) -> Condition {
    Condition::plain(if audience.sees_notes() { "true" } else { "NOT comments.is_internal" })
}

/// Returns one comment of a ticket, with an empty text unless that is asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(
    connection: &Connection,
    audience: Audience,
    ticket: TicketId,
    id: CommentId,
    texts: bool,
) -> Result<Comment> {
    let query =
        comments::table.filter(comments::id.eq(id)).filter(comments::ticket_id.eq(ticket)).filter(shown(audience));
    convert::found::<CommentRow, _>(query.select(columns(texts)).first(&mut &*connection).await, "comment")
}

/// Returns a page of comments of a ticket, oldest first, with empty texts unless these are asked for.
pub async fn list(
    mut connection: &Connection,
    audience: Audience,
    ticket: TicketId,
    page: Page,
    texts: bool,
) -> Result<Vec<Comment>> {
    let query = comments::table.filter(comments::ticket_id.eq(ticket)).filter(shown(audience));
    let query = query.order((comments::created_at, comments::id));
    let query = query.select(columns(texts)).into_boxed();
    let query = seek(query, page, "(comments.created_at, comments.id)", false);
    convert::all::<CommentRow, _>(query.load(&mut connection).await)
}

/// Returns at most `limit` comments of each of these tickets, oldest first.
pub async fn first(
    connection: &Connection,
    audience: Audience,
    tickets: &[TicketId],
    limit: i64,
) -> Result<Vec<Comment>> {
    const SQL: &str = "SELECT found.* FROM unnest($1) AS wanted (id) CROSS JOIN LATERAL ( \
                         SELECT id, ticket_id, author_id, author_role, body, attachment_ids, created_at, edited_at, \
                             is_internal \
                         FROM comments WHERE ticket_id = wanted.id AND (NOT is_internal OR $3) \
                         ORDER BY created_at, comments.id LIMIT $2) AS found \
                       ORDER BY found.created_at, found.id";
    let query = diesel::sql_query(SQL).bind::<Array<sql_types::Uuid>, _>(tickets).bind::<BigInt, _>(limit);
    let query = query.bind::<Bool, _>(audience.sees_notes());
    convert::all::<CommentRow, _>(query.prepared().load(&mut &*connection).await)
}

/// Counts the comments of a ticket.
pub async fn total(mut connection: &Connection, audience: Audience, ticket: TicketId) -> Result<Total> {
    let rows = comments::table.filter(comments::ticket_id.eq(ticket)).filter(shown(audience));
    Ok(Total::exact(rows.count().get_result(&mut connection).await?))
}

/// Stores an edited comment. The caller holds the ticket locked.
pub async fn update(connection: &Connection, comment: &Comment) -> Result<()> {
    let values = (
        comments::body.eq(&comment.body),
        comments::attachment_ids.eq(&comment.attachments),
        comments::edited_at.eq(comment.edited_at),
    );
    let update = diesel::update(comments::table.find(comment.id)).set(values);
    update.exactly(1, "update comments").execute(&mut &*connection).await?;
    Ok(())
}

/// Removes a comment. The caller holds the ticket locked.
pub async fn delete(connection: &Connection, id: CommentId) -> Result<()> {
    diesel::delete(comments::table.find(id)).exactly(1, "delete comments").execute(&mut &*connection).await?;
    Ok(())
}

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = activities)]
struct ActivityRow {
    id: ActivityId,
    ticket_id: TicketId,
    actor_id: Option<Uuid>,
    actor_role: i16,
    kind: i16,
    detail: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<ActivityRow> for Activity {
    type Error = Error;

    fn try_from(row: ActivityRow) -> Result<Self> {
        let ActivityRow { id, ticket_id, actor_id, actor_role, kind, detail, created_at } = row;
        let kind = ActivityKind::from_number(kind.into());
        let kind = kind.ok_or_else(|| corrupt("activities", id, "kind"))?;
        Ok(Self { id, ticket: ticket_id, actor: actor_id, actor_role, kind, detail, created_at })
    }
}

// Activities are partitioned by month. Those of a ticket were made after it, so months before it are not read.

/// Returns a page of activities of a ticket, oldest first.
pub async fn activities(
    mut connection: &Connection,
    audience: Audience,
    ticket: TicketId,
    page: Page,
) -> Result<Vec<Activity>> {
    let query = activities::table.filter(activities::ticket_id.eq(ticket)).filter(made_after(ticket));
    let query = query.filter(activities::kind.ne_all(hidden_kinds(audience)));
    let query = query.order((activities::created_at, activities::id));
    let query = query.select(ActivityRow::as_select()).into_boxed();
    let query = seek(query, page, "(activities.created_at, activities.id)", false);
    query.load(&mut connection).await?.into_iter().map(Activity::try_from).collect()
}

/// Returns at most `limit` activities of each of these tickets, oldest first.
pub async fn first_activities(
    connection: &Connection,
    audience: Audience,
    tickets: &[TicketId],
    limit: i64,
) -> Result<Vec<Activity>> {
    const SQL: &str = "SELECT found.* FROM unnest($1) AS wanted (id) CROSS JOIN LATERAL ( \
                         SELECT id, ticket_id, actor_id, actor_role, kind, detail, created_at \
                         FROM activities WHERE ticket_id = wanted.id AND activities.id >= $3 AND kind <> ALL($4) \
                         ORDER BY created_at, activities.id LIMIT $2) AS found \
                       ORDER BY found.created_at, found.id";
    let oldest = tickets.iter().map(|ticket| lower_bound_after(ticket.0)).min().unwrap_or_default();
    let query = diesel::sql_query(SQL).bind::<Array<sql_types::Uuid>, _>(tickets).bind::<BigInt, _>(limit);
    let query = query.bind::<sql_types::Uuid, _>(oldest).bind::<Array<SmallInt>, _>(hidden_kinds(audience));
    convert::all::<ActivityRow, _>(query.prepared().load(&mut &*connection).await)
}

/// Counts the activities of a ticket.
pub async fn total_activities(mut connection: &Connection, audience: Audience, ticket: TicketId) -> Result<Total> {
    let rows = activities::table.filter(activities::ticket_id.eq(ticket)).filter(made_after(ticket));
    let rows = rows.filter(activities::kind.ne_all(hidden_kinds(audience)));
    Ok(Total::exact(rows.count().get_result(&mut connection).await?))
}

/// Returns the numbers of the kinds that an audience does not see.
fn hidden_kinds(audience: Audience) -> Vec<i16> {
    let kinds = ActivityKind::INTERNAL.into_iter().filter(|_| !audience.sees_notes());
    kinds.map(ActivityKind::number).collect()
}

/// The condition of the activities that can be a ticket's.
fn made_after(ticket: TicketId) -> diesel::dsl::GtEq<activities::id, ActivityId> {
    activities::id.ge(ActivityId(lower_bound_after(ticket.0)))
}
