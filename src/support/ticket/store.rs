//! Tickets in SQL.

pub mod bulk;
mod erase;
mod labels;
mod open;
pub mod stats;
mod total;
mod unassign;

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::Eq,
    prelude::*,
    sql_types::{Array, Uuid},
};
use diesel_async::RunQueryDsl;

use crate::files::id::FileId;
use crate::identity::user::model::Language;
use crate::support::id::{ActivityId, TicketId};
use crate::{
    schema::{activities, tickets, users},
    support::ticket::model::{ActivityKind, Content, Filter, Kind, Order, Priority, State, Status, Ticket},
};
use mainstay_kernel::{
    caller::{Caller, Visibility},
    contract::policy::Role,
    database::{
        Connection,
        condition::Condition,
        count,
        integrity::{corrupt, rows_touched},
        optional_column::optional,
        seek::{self, seek},
        statement::Prepare as _,
        visibility::visible,
    },
    error::{Error, Result},
    id::{AccountId, UserId},
    page::Page,
};

pub use erase::{erase, erase_activities, erase_some};
pub use labels::{queues, tags};
pub use open::{lock_and_count_open, lock_and_count_open_of_keys};
pub use total::{fold_counts, total};
pub use unassign::lock_abandoned;

/// A row without its text, which is read only for callers that request it.
#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = tickets, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: TicketId,
    account_id: AccountId,
    requester_id: Option<UserId>,
    subject: String,
    kind: i16,
    status: i16,
    priority: i16,
    queue: String,
    language: String,
    tags: Vec<String>,
    attachment_ids: Vec<FileId>,
    assignee_id: Option<UserId>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    merged_into_id: Option<TicketId>,
}

impl From<&Ticket> for Row {
    fn from(ticket: &Ticket) -> Self {
        let Ticket { content, state, .. } = ticket.clone();
        Self {
            id: ticket.id,
            account_id: ticket.account,
            requester_id: ticket.requester,
            subject: content.subject,
            kind: content.kind.number(),
            status: state.status().number(),
            priority: content.priority.number(),
            queue: content.queue,
            language: content.language.into(),
            tags: content.tags,
            attachment_ids: content.attachments,
            assignee_id: state.assignee(),
            version: ticket.version,
            created_at: ticket.created_at,
            updated_at: ticket.updated_at,
            resolved_at: state.resolved_at(),
            merged_into_id: ticket.merged_into,
        }
    }
}

impl TryFrom<(Row, String)> for Ticket {
    type Error = Error;

    fn try_from((row, body): (Row, String)) -> Result<Self> {
        let broken = |column| corrupt("tickets", row.id, column);
        let state = match (Status::from_number(row.status.into()), row.assignee_id, row.resolved_at) {
            (Some(Status::Open), None, None) => State::Open,
            (Some(Status::InProgress), Some(assignee), None) => State::InProgress { assignee },
            (Some(Status::Resolved), assignee, Some(at)) => State::Resolved { assignee, at },
            _ => return Err(broken("status")),
        };
        let kind = Kind::from_number(row.kind.into()).ok_or_else(|| broken("kind"))?;
        let priority = Priority::from_number(row.priority.into()).ok_or_else(|| broken("priority"))?;
        Ok(Self {
            id: row.id,
            account: row.account_id,
            requester: row.requester_id,
            content: Content {
                subject: row.subject,
                body,
                kind,
                priority,
                queue: row.queue,
                // Older ones were not checked.
                language: Language::parse(&row.language).unwrap_or_default(),
                tags: row.tags,
                attachments: row.attachment_ids,
            },
            state,
            merged_into: row.merged_into_id,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

visible!(tickets, requester_id);

/// Applies every filter but the text search.
fn filtered_query<'q>(visibility: Visibility, filter: &Filter) -> Boxed<'q> {
    let mut query = visible(visibility);
    if let Some(account) = filter.account {
        query = query.filter(tickets::account_id.eq(account));
    }
    if let Some(assignee) = filter.assignee {
        query = query.filter(tickets::assignee_id.eq(assignee));
    }
    if !filter.statuses.is_empty() {
        let statuses: Vec<i16> = filter.statuses.iter().map(|status| status.number()).collect();
        query = query.filter(tickets::status.eq_any(statuses));
    }
    if !filter.priorities.is_empty() {
        let priorities: Vec<i16> = filter.priorities.iter().map(|priority| priority.number()).collect();
        query = query.filter(tickets::priority.eq_any(priorities));
    }
    if !filter.queues.is_empty() {
        query = query.filter(tickets::queue.eq_any(filter.queues.clone()));
    }
    if !filter.tags.is_empty() {
        query = match visibility {
            Visibility::Account(_) => query.filter(Condition::contains("tags", filter.tags.clone()).within(OWN)),
            _ => query.filter(tickets::tags.contains(filter.tags.clone())),
        };
    }
    if !filter.kinds.is_empty() {
        let kinds: Vec<i16> = filter.kinds.iter().map(|kind| kind.number()).collect();
        query = query.filter(tickets::kind.eq_any(kinds));
    }
    if let Some(from) = filter.created_from {
        query = query.filter(tickets::created_at.ge(from));
    }
    if let Some(before) = filter.created_before {
        query = query.filter(tickets::created_at.lt(before));
    }
    query
}

/// The words of the subject and the body; `table!` has no type for this column.
const WORDS: &str = "tickets.words";

/// Begins the sub-select that finds the tickets of an account by their words and tags. The operators are not leakproof, so that
/// Postgres would evaluate them behind the policy of `tickets`, without the indexes; the view has the same condition.
const OWN: &str = "tickets.id IN (SELECT id FROM own_tickets WHERE ";

/// Returns one ticket that the caller reaches, with an empty text unless that is asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(mut connection: &Connection, visibility: Visibility, id: TicketId, texts: bool) -> Result<Ticket> {
    static WITH_TEXT: OnceLock<String> = OnceLock::new();
    static WITHOUT_TEXT: OnceLock<String> = OnceLock::new();
    let (query, row) = (tickets::table.find(id), Row::as_select());
    let row: QueryResult<(Row, String)> = if texts {
        query.select((row, tickets::body)).fixed(&WITH_TEXT).get_result(&mut connection).await
    } else {
        query.select((row, optional(tickets::body, false))).fixed(&WITHOUT_TEXT).get_result(&mut connection).await
    };
    reached(row.optional()?, visibility)
}

/// Checks visibility on the row, where it can't be part of the query; the caller sees no difference.
fn reached(row: Option<(Row, String)>, visibility: Visibility) -> Result<Ticket> {
    let row = row.filter(|(row, _)| visibility.reaches(row.account_id, row.requester_id.map(|requester| requester.0)));
    row.ok_or_else(|| Error::not_found("ticket"))?.try_into()
}

/// Returns the tickets with these ids that the caller reaches, in no particular order, with empty texts unless these
/// are asked for.
pub async fn get_batch(
    connection: &Connection,
    visibility: Visibility,
    ids: &[TicketId],
    texts: bool,
) -> Result<Vec<Ticket>> {
    load(connection, visible(visibility).filter(tickets::id.eq_any(ids.to_vec())), texts).await
}

async fn load(mut connection: &Connection, query: Boxed<'_>, texts: bool) -> Result<Vec<Ticket>> {
    let query = query.select((Row::as_select(), optional(tickets::body, texts)));
    let rows: Vec<(Row, String)> = query.load(&mut connection).await?;
    rows.into_iter().map(Ticket::try_from).collect()
}

/// Returns one ticket that the caller reaches, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, visibility: Visibility, id: TicketId) -> Result<Ticket> {
    let query = tickets::table.find(id).select((Row::as_select(), tickets::body)).for_update();
    reached(query.get_result(&mut &*connection).await.optional()?, visibility)
}

/// Returns two tickets that the caller reaches, locked against changes until the transaction ends. They may be the same.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock_pair(
    connection: &Connection,
    visibility: Visibility,
    [first, second]: [TicketId; 2],
) -> Result<[Ticket; 2]> {
    // In the order of their ids, so that two transactions with the same tickets never wait for each other.
    let query = tickets::table.filter(tickets::id.eq_any([first, second])).order(tickets::id);
    let query = query.select((Row::as_select(), tickets::body)).for_update();
    let rows: Vec<(Row, String)> = query.load(&mut &*connection).await?;
    let tickets: Vec<_> = rows.into_iter().map(|row| reached(Some(row), visibility)).collect::<Result<_>>()?;
    let find = |id| tickets.iter().find(|ticket| ticket.id == id).cloned().ok_or_else(|| Error::not_found("ticket"));
    Ok([find(first)?, find(second)?])
}

/// Returns a page of tickets, with empty texts unless these are asked for.
pub async fn list(
    mut connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    order: Order,
    page: Page,
    texts: bool,
) -> Result<Vec<Ticket>> {
    let mut query = filtered_query(visibility, filter);
    if !filter.query.is_empty() {
        // Few matches are found first and then sorted. Many are soon met in the index of the order; for few, that index
        // would be read to its end.
        let ids: Vec<uuid::Uuid> = total::matching_ids(visibility, filter).load(&mut connection).await?;
        query = if ids.len() <= count::BOUND as usize {
            tickets::table.filter(Condition::among("tickets.id", ids)).into_boxed()
        } else {
            query.filter(Condition::matches_many(WORDS, filter.query.clone()))
        };
    }
    let priorities = filter.priorities.iter().map(|priority| priority.number());
    if let (true, Some(lowest), Some(highest)) = (order.by_priority(), priorities.clone().min(), priorities.max()) {
        // Bounds of the scan in the order of priorities, which `eq_any` is not.
        query = query.filter(tickets::priority.between(lowest, highest));
    }
    let columns = match order {
        Order::CreateTimeDesc | Order::CreateTimeAsc => "(tickets.created_at, tickets.id)",
        Order::UpdateTimeDesc | Order::UpdateTimeAsc => "(tickets.updated_at, tickets.id)",
        Order::PriorityDesc | Order::PriorityAsc => "(tickets.priority, tickets.created_at, tickets.id)",
    };
    query = ordered(seek(query, page, columns, order.descending()), order);
    if seek::is_far(page) {
        query = ordered(tickets::table.filter(tickets::id.eq_any(query.select(tickets::id))).into_boxed(), order);
    }
    load(connection, query, texts).await
}

fn ordered(query: Boxed<'_>, order: Order) -> Boxed<'_> {
    use tickets::{created_at, id, priority, updated_at};
    match order {
        Order::CreateTimeDesc => query.order((created_at.desc(), id.desc())),
        Order::CreateTimeAsc => query.order((created_at.asc(), id.asc())),
        Order::UpdateTimeDesc => query.order((updated_at.desc(), id.desc())),
        Order::UpdateTimeAsc => query.order((updated_at.asc(), id.asc())),
        Order::PriorityDesc => query.order((priority.desc(), created_at.desc(), id.desc())),
        Order::PriorityAsc => query.order((priority.asc(), created_at.asc(), id.asc())),
    }
}

fn values(ticket: &Ticket) -> (Row, Eq<tickets::body, &String>) {
    (Row::from(ticket), tickets::body.eq(&ticket.content.body))
}

/// Stores new tickets.
///
/// # Errors
/// `NOT_FOUND` when an account does not exist.
pub async fn insert(mut connection: &Connection, new: &[Ticket]) -> Result<()> {
    let inserted = match new {
        // Prepared once per connection, unlike a statement whose text depends on the number of rows.
        [one] => {
            static TEXT: OnceLock<String> = OnceLock::new();
            diesel::insert_into(tickets::table).values(values(one)).fixed(&TEXT).execute(&mut connection).await
        }
        many => {
            let rows: Vec<_> = many.iter().map(values).collect();
            diesel::insert_into(tickets::table).values(rows).execute(&mut connection).await
        }
    };
    match inserted {
        Err(error) if mainstay_kernel::database::violated_foreign_key(&error) == Some("tickets_account_id_fkey") => {
            Err(Error::not_found("account").caused_by(error))
        }
        inserted => rows_touched(inserted?, new.len(), "insert tickets"),
    }
}

/// Stores the next version of a locked ticket.
pub async fn update(connection: &Connection, ticket: &Ticket) -> Result<()> {
    let target = tickets::table.filter(tickets::id.eq(ticket.id)).filter(tickets::version.eq(ticket.version - 1));
    diesel::update(target).set(values(ticket)).exactly(1, "update tickets").execute(&mut &*connection).await?;
    Ok(())
}

/// Removes locked tickets with their comments; returns the ids of those comments that files are attached to.
pub async fn delete(connection: &mut Connection, ids: &[TicketId]) -> Result<Vec<uuid::Uuid>> {
    const SQL: &str = "DELETE FROM tickets WHERE id = ANY($1) RETURNING ARRAY( \
                       SELECT id FROM comments WHERE ticket_id = tickets.id AND attachment_ids <> '{}') AS attached";
    let delete = diesel::sql_query(SQL).bind::<Array<Uuid>, _>(ids).columns::<Array<Uuid>>().prepared();
    let attached: Vec<Vec<uuid::Uuid>> = delete.load(connection).await?;
    rows_touched(attached.len(), ids.len(), "delete tickets")?;
    Ok(attached.into_iter().flatten().collect())
}

/// The roles of the users to whom tickets may be assigned.
const ASSIGNABLE: [i16; 2] = [Role::Agent as i16, Role::Admin as i16];

/// Returns whether tickets may be assigned to a user: an active member of the staff.
pub async fn is_assignable(connection: &Connection, user: UserId) -> Result<bool> {
    let query = users::table.find(user).select((users::role, users::deactivated_at));
    let row: Option<(i16, Option<DateTime<Utc>>)> = query.first(&mut &*connection).await.optional()?;
    Ok(row.is_some_and(|(role, deactivated_at)| ASSIGNABLE.contains(&role) && deactivated_at.is_none()))
}

/// Returns users, with their names.
pub async fn people(connection: &Connection, ids: &[UserId]) -> Result<Vec<(UserId, String)>> {
    let columns = (users::id, users::name);
    Ok(users::table.filter(users::id.eq_any(ids)).select(columns).load(&mut &*connection).await?)
}

#[derive(Insertable)]
#[diesel(table_name = activities, treat_none_as_default_value = false)]
struct ActivityRow<'a> {
    id: ActivityId,
    ticket_id: TicketId,
    actor_id: Option<uuid::Uuid>,
    actor_role: i16,
    kind: i16,
    detail: &'a str,
    created_at: DateTime<Utc>,
}

/// Records an activity for each of some tickets; without a caller, the system did it.
pub async fn record(
    mut connection: &Connection,
    caller: Option<&Caller>,
    tickets: impl IntoIterator<Item = TicketId>,
    kind: ActivityKind,
    detail: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let row = |ticket_id| ActivityRow {
        id: ActivityId::generate(now),
        ticket_id,
        actor_id: caller.map(Caller::principal),
        actor_role: caller.map_or(Role::Unspecified, Caller::role) as i16,
        kind: kind.number(),
        detail,
        created_at: now,
    };
    let rows: Vec<_> = tickets.into_iter().map(row).collect();
    let insert = diesel::insert_into(activities::table);
    let count = match rows.as_slice() {
        [one] => insert.values(one).execute(&mut connection).await?,
        many => insert.values(many).execute(&mut connection).await?,
    };
    rows_touched(count, rows.len(), "insert activities")
}
