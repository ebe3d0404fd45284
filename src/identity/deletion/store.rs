//! Deletions in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, SmallInt, Timestamptz, Uuid as SqlUuid},
    upsert::excluded,
};
use diesel_async::RunQueryDsl;

use crate::{
    identity::{
        deletion::{
            id::{DeletionId, DeletionNoticeId},
            model::{Action, Deletion, ErasedRows, Filter, Notice, State, Subject},
        },
        user::model::Language,
    },
    proto::identity::v1::Reason as IdentityReason,
    schema::{deletion_notices, deletions, erased_rows, members},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, convert, integrity::corrupt, seek::listed, statement::Prepare as _, violated_unique},
    error::{Error, Reason, Result},
    id::{AccountId, UserId},
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = deletions, treat_none_as_null = true)]
struct Row {
    id: DeletionId,
    user_id: Option<UserId>,
    account_id: Option<AccountId>,
    with_deletion_id: Option<DeletionId>,
    requested_by: UserId,
    state: i16,
    erase_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<&Deletion> for Row {
    fn from(deletion: &Deletion) -> Self {
        Self {
            id: deletion.id,
            user_id: deletion.subject.user(),
            account_id: deletion.subject.account(),
            with_deletion_id: deletion.with,
            requested_by: deletion.requested_by,
            state: deletion.state.number(),
            erase_at: deletion.erase_at,
            created_at: deletion.created_at,
            finished_at: deletion.finished_at,
        }
    }
}

impl TryFrom<Row> for Deletion {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let subject = row.user_id.map(Subject::User).or(row.account_id.map(Subject::Account));
        Ok(Self {
            id: row.id,
            subject: subject.ok_or_else(|| corrupt("deletions", row.id, "user_id"))?,
            with: row.with_deletion_id,
            requested_by: row.requested_by,
            state: State::from_number(row.state.into()).ok_or_else(|| corrupt("deletions", row.id, "state"))?,
            erase_at: row.erase_at,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

type Boxed<'q> = deletions::BoxedQuery<'q, diesel::pg::Pg>;

/// Selects the deletions that a caller reaches: a user reaches the own ones and those of accounts that the user owns.
fn visible<'q>(visibility: Visibility) -> Boxed<'q> {
    let query = deletions::table.into_boxed();
    match visibility {
        Visibility::All => query,
        Visibility::Account(account) => query.filter(deletions::account_id.eq(account)),
        Visibility::Principal(user) => {
            let owned = members::table.filter(members::user_id.eq(UserId(user))).filter(members::role.eq(1));
            let owned = owned.select(members::account_id.nullable());
            query.filter(deletions::user_id.eq(UserId(user)).or(deletions::account_id.eq_any(owned)))
        }
    }
}

fn matching<'q>(visibility: Visibility, filter: &Filter) -> Boxed<'q> {
    let mut query = visible(visibility);
    if let Some(state) = filter.state {
        query = query.filter(deletions::state.eq(state.number()));
    }
    match filter.subject {
        None => query,
        Some(Subject::User(user)) => query.filter(deletions::user_id.eq(user)),
        Some(Subject::Account(account)) => query.filter(deletions::account_id.eq(account)),
    }
}

/// Stores a new deletion.
///
/// # Errors
/// `DELETION_SCHEDULED` if another one is open or done.
pub async fn insert(connection: &Connection, deletion: &Deletion) -> Result<()> {
    match diesel::insert_into(deletions::table).values(Row::from(deletion)).execute(&mut &*connection).await {
        Err(error) if violated_unique(&error).is_some() => {
            Err(Error::from(IdentityReason::DeletionScheduled).caused_by(error))
        }
        inserted => inserted.map(drop).map_err(Error::from),
    }
}

/// Stores the next state of a locked deletion.
pub async fn update(connection: &Connection, deletion: &Deletion) -> Result<()> {
    let target = deletions::table.filter(deletions::id.eq(deletion.id));
    diesel::update(target).set(Row::from(deletion)).exactly(1, "update deletions").execute(&mut &*connection).await?;
    Ok(())
}

/// Returns one deletion that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: DeletionId) -> Result<Deletion> {
    let query = visible(visibility).filter(deletions::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "deletion")
}

/// Returns one deletion, locked against changes until the transaction ends. The caller has locked its subject.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: DeletionId) -> Result<Deletion> {
    let query = deletions::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "deletion")
}

/// Returns the deletions of accounts that were scheduled with a deletion, in the order of the accounts.
pub async fn scheduled_with(connection: &Connection, id: DeletionId) -> Result<Vec<Deletion>> {
    let query = deletions::table.filter(deletions::with_deletion_id.eq(id)).order(deletions::account_id);
    convert::all::<Row, _>(query.select(Row::as_select()).load(&mut &*connection).await)
}

/// Returns the accounts whose erasure has begun, which has ended their memberships, and of whose deletion only these users were
/// told, or that are erased with one of them.
pub async fn being_erased_of(connection: &Connection, users: &[UserId]) -> Result<Vec<AccountId>> {
    const SQL: &str = "SELECT account_id FROM deletions AS own WHERE state = $1 AND account_id IS NOT NULL AND ( \
        (SELECT bool_and(user_id = ANY ($2)) FROM deletion_notices WHERE deletion_id = own.id) \
        OR with_deletion_id IN (SELECT id FROM deletions WHERE user_id = ANY ($2)))";
    let query =
        diesel::sql_query(SQL).bind::<SmallInt, _>(State::Erasing.number()).bind::<Array<SqlUuid>, _>(users.to_vec());
    Ok(query.columns::<SqlUuid>().load(&mut &*connection).await?)
}

/// Returns at most `limit` deletions that are open although their time was over at `before`, the earliest first.
pub async fn late(connection: &Connection, before: DateTime<Utc>, limit: i64) -> Result<Vec<DeletionId>> {
    let open = deletions::state.le(State::Erasing.number());
    let query = deletions::table.filter(open).filter(deletions::erase_at.lt(before)).order(deletions::erase_at);
    Ok(query.limit(limit).select(deletions::id).load(&mut &*connection).await?)
}

/// Returns a page of deletions, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    page: Page,
) -> Result<Listed<Deletion>> {
    listed!(connection, matching(visibility, filter), deletions::created_at, page, Row => Deletion)
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = deletion_notices)]
struct NoticeRow {
    id: DeletionNoticeId,
    deletion_id: DeletionId,
    user_id: UserId,
    email: String,
    language: String,
}

impl TryFrom<NoticeRow> for Notice {
    type Error = Error;

    fn try_from(row: NoticeRow) -> Result<Self> {
        let NoticeRow { id, deletion_id, user_id, email, language } = row;
        let language = Language::parse(&language).map_err(|_| corrupt("deletion_notices", id, "language"))?;
        Ok(Self { id, deletion: deletion_id, user: user_id, email, language })
    }
}

/// Stores the notice to a person.
pub async fn insert_notice(connection: &Connection, notice: &Notice) -> Result<()> {
    let row = NoticeRow {
        id: notice.id,
        deletion_id: notice.deletion,
        user_id: notice.user,
        email: notice.email.clone(),
        language: notice.language.as_str().to_owned(),
    };
    diesel::insert_into(deletion_notices::table).values(row).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns the notices of a deletion.
pub async fn notices(connection: &Connection, deletion: DeletionId) -> Result<Vec<Notice>> {
    let query = deletion_notices::table.filter(deletion_notices::deletion_id.eq(deletion));
    convert::all::<NoticeRow, _>(query.select(NoticeRow::as_select()).load(&mut &*connection).await)
}

/// Returns a notice; `None` if it was removed.
pub async fn notice(connection: &Connection, id: DeletionNoticeId) -> Result<Option<Notice>> {
    let query = deletion_notices::table.find(id).select(NoticeRow::as_select());
    convert::optional::<NoticeRow, _>(query.first(&mut &*connection).await)
}

/// Stores the hash of the token that is sent with a notice.
pub async fn set_token(connection: &Connection, id: DeletionNoticeId, token_hash: [u8; 32]) -> Result<()> {
    let set = deletion_notices::token_hash.eq(token_hash.to_vec());
    diesel::update(deletion_notices::table.find(id)).set(set).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns the notice that a token was sent with.
///
/// # Errors
/// `INVALID_TOKEN`.
pub async fn by_token(connection: &Connection, token_hash: [u8; 32]) -> Result<Notice> {
    let query = deletion_notices::table.filter(deletion_notices::token_hash.eq(token_hash.to_vec()));
    let row: Option<NoticeRow> = query.select(NoticeRow::as_select()).first(&mut &*connection).await.optional()?;
    row.ok_or(Reason::InvalidToken)?.try_into()
}

/// Removes at most `limit` notices of deletions that ended before `before`; returns how many.
pub async fn delete_notices(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM deletion_notices WHERE id = ANY (ARRAY( \
                         SELECT deletion_notices.id FROM deletion_notices \
                         JOIN deletions ON deletions.id = deletion_id WHERE finished_at < $1 LIMIT $2))";
    let statement = diesel::sql_query(SQL).bind::<Timestamptz, _>(before).bind::<BigInt, _>(limit);
    Ok(statement.execute(connection).await?)
}

/// Adds rows to the report of an erasure.
pub async fn add_rows(connection: &Connection, deletion: DeletionId, rows: &ErasedRows) -> Result<()> {
    use erased_rows::dsl;
    let row = (
        dsl::deletion_id.eq(deletion),
        dsl::table_name.eq(&rows.table),
        dsl::action.eq(rows.action.number()),
        dsl::rows.eq(rows.rows),
        dsl::reason.eq(&rows.reason),
    );
    let key = (dsl::deletion_id, dsl::table_name, dsl::action, dsl::reason);
    let insert = diesel::insert_into(erased_rows::table).values(row).on_conflict(key);
    insert.do_update().set(dsl::rows.eq(dsl::rows + excluded(dsl::rows))).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns the report of an erasure, by table.
pub async fn rows(connection: &Connection, deletion: DeletionId) -> Result<Vec<ErasedRows>> {
    use erased_rows::dsl;
    let query =
        erased_rows::table.filter(dsl::deletion_id.eq(deletion)).order((dsl::table_name, dsl::action, dsl::reason));
    let rows: Vec<(String, i16, i64, String)> =
        query.select((dsl::table_name, dsl::action, dsl::rows, dsl::reason)).load(&mut &*connection).await?;
    let read = |(table, action, rows, reason): (String, i16, i64, String)| {
        let action = Action::from_number(action.into()).ok_or_else(|| corrupt("erased_rows", deletion, "action"))?;
        Ok(ErasedRows { table, action, rows, reason })
    };
    rows.into_iter().map(read).collect()
}
