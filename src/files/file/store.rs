//! Files and references to them, in SQL.

mod objects;
mod usage;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{exists, not},
    prelude::*,
    sql_types::Bool,
};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    caller::Visibility,
    contract::policy::Role,
    database::{
        Connection,
        condition::Condition,
        convert,
        integrity::{corrupt, one_row},
        seek::listed,
        statement::{MAX_PREPARED_ROWS, Prepare as _},
        violated_foreign_key,
    },
    error::{Error, Result},
    id::AccountId,
    page::{Listed, Page},
};
use uuid::Uuid;

use crate::{
    files::{
        file::model::{File, Filter, Parent, Purpose, State, Status},
        id::FileId,
    },
    schema::{file_links, files, members, users},
};

pub use objects::{abandon, claim_deletable, end_upload, forget, hold_space, keep, register, release};
pub use usage::{erase_usage, give_back, reserve};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = files, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: FileId,
    account_id: AccountId,
    owner_id: Uuid,
    purpose: i16,
    status: i16,
    name: String,
    content_type: String,
    size_bytes: i64,
    sha256: Option<Vec<u8>>,
    object_key: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

impl From<&File> for Row {
    fn from(file: &File) -> Self {
        let (object_key, expires_at) = match &file.state {
            State::Pending { expires } => (None, Some(*expires)),
            State::Ready { key, unused_until } => (Some(key.clone()), *unused_until),
        };
        Self {
            id: file.id,
            account_id: file.account,
            owner_id: file.owner,
            purpose: file.purpose.number(),
            status: file.status().number(),
            name: file.name.clone(),
            content_type: file.content_type.clone(),
            size_bytes: file.size_bytes,
            sha256: file.sha256.map(|hash| hash.to_vec()),
            object_key,
            version: file.version,
            created_at: file.created_at,
            updated_at: file.updated_at,
            expires_at,
        }
    }
}

impl TryFrom<Row> for File {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let state = match (Status::from_number(row.status.into()), row.expires_at, row.object_key) {
            (Some(Status::Pending), Some(expires), None) => State::Pending { expires },
            (Some(Status::Ready), unused_until, Some(key)) => State::Ready { key, unused_until },
            _ => return Err(corrupt("files", row.id, "status")),
        };
        let sha256 = row.sha256.map(<[u8; 32]>::try_from).transpose();
        Ok(Self {
            id: row.id,
            account: row.account_id,
            owner: row.owner_id,
            name: row.name,
            content_type: row.content_type,
            size_bytes: row.size_bytes,
            sha256: sha256.map_err(|_| corrupt("files", row.id, "sha256"))?,
            purpose: Purpose::from_number(row.purpose.into()).ok_or_else(|| corrupt("files", row.id, "purpose"))?,
            state,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

type Boxed<'q> = files::BoxedQuery<'q, diesel::pg::Pg>;

/// Returns the account through whose references files are visible to a caller. The nil id belongs to no account.
fn account_of(visibility: Option<Visibility>) -> AccountId {
    match visibility {
        Some(Visibility::Account(account)) => account,
        _ => AccountId(Uuid::nil()),
    }
}

/// Holds for files that a caller of an account may see. The files of internal notes and drafts are hidden from customers, also
/// in the account that the files belong to, which customers may have joined since. Such a file is visible while another parent
/// shows it.
macro_rules! is_shown {
    ($visibility:expr) => {{
        let links = || file_links::table.filter(file_links::file_id.eq(files::id));
        let hidden = links().filter(file_links::account_id.is_null()).filter(not(file_links::is_public));
        let shown = links().filter(file_links::account_id.eq(account_of(Some($visibility))).or(file_links::is_public));
        let sees_all = !matches!($visibility, Visibility::Account(_));
        sees_all.into_sql::<Bool>().or(not(exists(hidden))).or(exists(shown))
    }};
}

/// Selects the files that are visible to a caller: files of the account, and files attached to parents that are visible
/// to the caller. Without a caller, it selects files attached to public parents.
fn reachable<'q>(visibility: Option<Visibility>) -> Boxed<'q> {
    let query = files::table.into_boxed();
    let links = file_links::table.filter(file_links::file_id.eq(files::id));
    let linked = exists(links.filter(file_links::account_id.eq(account_of(visibility)).or(file_links::is_public)));
    match visibility {
        Some(Visibility::All) => query,
        Some(own @ Visibility::Account(account)) => {
            query.filter(files::account_id.eq(account).and(is_shown!(own)).or(linked))
        }
        Some(Visibility::Principal(_)) | None => query.filter(linked),
    }
}

/// Returns a file that is visible to the caller; without a caller, a public file.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(mut connection: &Connection, visibility: Option<Visibility>, id: FileId) -> Result<File> {
    let query = reachable(visibility).filter(files::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut connection).await, "file")
}

/// Returns a file that the caller manages, locked until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`, also for a file that is visible to the caller only through its parent.
pub async fn lock(connection: &Connection, visibility: Visibility, id: FileId) -> Result<File> {
    // A boxed query has no lock clause, so visibility is checked on the row. The error is the same.
    let query = files::table.find(id).filter(is_shown!(visibility)).select(Row::as_select()).for_update();
    let row: Option<Row> = query.first(&mut &*connection).await.optional()?;
    let row = row.filter(|row| visibility.reaches(row.account_id, row.owner_id));
    row.ok_or_else(|| Error::not_found("file"))?.try_into()
}

/// Locks expired uploads and files that were unused for long enough, skipping rows that are locked. A transaction that
/// attaches a file holds its lock from before its expiry is cleared until the reference commits.
pub async fn lock_expired(connection: &mut Connection, now: DateTime<Utc>, limit: i64) -> Result<Vec<File>> {
    let expired = files::table
        .filter(files::expires_at.le(now))
        .order(files::expires_at)
        .limit(limit)
        .select(Row::as_select())
        .for_update()
        .skip_locked();
    convert::all::<Row, _>(expired.load(connection).await)
}

/// Stores a new file.
///
/// # Errors
/// `NOT_FOUND` if the account does not exist.
pub async fn insert(connection: &Connection, file: &File) -> Result<()> {
    match diesel::insert_into(files::table).values(Row::from(file)).execute(&mut &*connection).await {
        Err(error) if violated_foreign_key(&error) == Some("files_account_id_fkey") => Err(Error::not_found("account")),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// Stores the next version of a locked file.
pub async fn update(connection: &Connection, file: &File) -> Result<()> {
    let target = files::table.filter(files::id.eq(file.id)).filter(files::version.eq(file.version - 1));
    let updated = diesel::update(target).set(Row::from(file)).prepared().execute(&mut &*connection).await?;
    one_row(updated, "update", "files", file.id)
}

/// Removes a locked file.
pub async fn delete(connection: &mut Connection, id: FileId) -> Result<()> {
    one_row(diesel::delete(files::table.find(id)).execute(connection).await?, "delete", "files", id)
}

/// Returns whether a locked file has references.
pub async fn is_linked(connection: &mut Connection, id: FileId) -> Result<bool> {
    let links = file_links::table.filter(file_links::file_id.eq(id));
    Ok(diesel::select(exists(links)).get_result(connection).await?)
}

/// Selects the files of a list. Without a parent, it selects only files of accounts, so that an index returns them in
/// order.
fn matching<'q>(visibility: Visibility, filter: &Filter) -> Boxed<'q> {
    let mut query = match (filter.parent, visibility) {
        (Some(parent), Visibility::All) => {
            let links = file_links::table.filter(file_links::parent_id.eq(parent));
            files::table.filter(files::id.eq_any(links.select(file_links::file_id))).into_boxed()
        }
        (Some(parent), visibility) => {
            let links = file_links::table.filter(file_links::parent_id.eq(parent));
            let links = links.filter(file_links::account_id.eq(account_of(Some(visibility))).or(file_links::is_public));
            files::table.filter(files::id.eq_any(links.select(file_links::file_id))).into_boxed()
        }
        (None, Visibility::All) => files::table.into_boxed(),
        (None, own @ Visibility::Account(account)) => {
            files::table.filter(files::account_id.eq(account)).filter(is_shown!(own)).into_boxed()
        }
        (None, Visibility::Principal(owner)) => files::table.filter(files::owner_id.eq(owner)).into_boxed(),
    };
    query = query.filter(Condition::plain("files.status = 2"));
    match filter.account {
        Some(account) => query.filter(files::account_id.eq(account)),
        None => query,
    }
}

/// Returns a page of files that are ready, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    page: Page,
) -> Result<Listed<File>> {
    listed!(connection, matching(visibility, filter), files::created_at, page, Row => File)
}

/// Returns the files with these ids that are not hidden from the caller, locked until the transaction ends.
pub async fn lock_all(connection: &mut Connection, visibility: Visibility, ids: &[FileId]) -> Result<Vec<File>> {
    // A fixed order, so that two transactions that lock the same files can't deadlock.
    let query = files::table
        .filter(files::id.eq_any(ids))
        .filter(is_shown!(visibility))
        .order(files::id)
        .select(Row::as_select());
    let query = query.for_no_key_update();
    convert::all::<Row, _>(query.load(connection).await)
}

/// Returns the files among these that are visible to an account through their parents.
pub async fn linked_to(connection: &mut Connection, account: AccountId, ids: &[FileId]) -> Result<Vec<FileId>> {
    let links = file_links::table.filter(file_links::file_id.eq_any(ids));
    let links = links.filter(file_links::account_id.eq(account).or(file_links::is_public));
    Ok(links.select(file_links::file_id).load(connection).await?)
}

/// Returns the accounts among these that have members, none of whom is a customer.
pub async fn accounts_of_staff(connection: &mut Connection, accounts: &[AccountId]) -> Result<Vec<AccountId>> {
    let of_accounts = members::table.inner_join(users::table.on(users::id.eq(members::user_id)));
    let of_accounts = of_accounts.filter(members::account_id.eq_any(accounts.to_vec()));
    let roles = of_accounts.select((members::account_id, users::role)).distinct();
    let roles: Vec<(AccountId, i16)> = roles.load(connection).await?;
    let (customers, staff): (Vec<_>, Vec<_>) = roles.into_iter().partition(|(_, role)| *role == Role::Customer as i16);
    let has_customers = |account: &AccountId| customers.iter().any(|(other, _)| other == account);
    Ok(staff.into_iter().map(|(account, _)| account).filter(|account| !has_customers(account)).collect())
}

/// Stores references from a parent to locked files, which are then in use. Existing references are unchanged.
pub async fn link(connection: &mut Connection, parent: Parent, ids: &[FileId]) -> Result<()> {
    let row = |id: &FileId| {
        (
            file_links::file_id.eq(*id),
            file_links::parent_id.eq(parent.id),
            file_links::account_id.eq(parent.account),
            file_links::is_public.eq(parent.is_public),
        )
    };
    let rows: Vec<_> = ids.iter().map(row).collect();
    let insert = diesel::insert_into(file_links::table).values(rows).on_conflict_do_nothing();
    match ids.len() {
        ..=MAX_PREPARED_ROWS => insert.prepared().execute(connection).await?,
        _ => insert.execute(connection).await?,
    };
    let unused = files::table.filter(files::id.eq_any(ids)).filter(files::expires_at.is_not_null());
    let used = diesel::update(unused).set(files::expires_at.eq(None::<DateTime<Utc>>));
    used.prepared().execute(connection).await?;
    Ok(())
}

/// Makes the files of a parent public or private.
pub async fn set_public(connection: &mut Connection, parent: Uuid, is_public: bool) -> Result<()> {
    let links = file_links::table.filter(file_links::parent_id.eq(parent));
    diesel::update(links).set(file_links::is_public.eq(is_public)).prepared().execute(connection).await?;
    Ok(())
}

/// Removes references to locked files. Files without other references are unused, and expire.
pub async fn unlink(
    connection: &mut Connection,
    parent: Uuid,
    ids: &[FileId],
    unused_until: DateTime<Utc>,
) -> Result<()> {
    let links = file_links::table.filter(file_links::parent_id.eq(parent)).filter(file_links::file_id.eq_any(ids));
    diesel::delete(links).execute(connection).await?;
    let links = file_links::table.filter(file_links::file_id.eq(files::id));
    let unused = files::table.filter(files::id.eq_any(ids)).filter(not(exists(links)));
    diesel::update(unused).set(files::expires_at.eq(unused_until)).prepared().execute(connection).await?;
    Ok(())
}

/// Removes all references from these parents; returns the files.
pub async fn unlink_all(connection: &mut Connection, parents: &[Uuid]) -> Result<Vec<FileId>> {
    let links = file_links::table.filter(file_links::parent_id.eq_any(parents));
    Ok(diesel::delete(links).returning(file_links::file_id).get_results(connection).await?)
}

/// Removes the unreferenced files among these, and returns them.
pub async fn delete_unlinked(connection: &mut Connection, ids: &[FileId]) -> Result<Vec<File>> {
    // The files are locked first, so that the deleting statement sees the references of transactions that held the lock
    // before.
    let lock = files::table.filter(files::id.eq_any(ids)).order(files::id).select(files::id).for_update();
    let locked_ids: Vec<FileId> = lock.load(connection).await?;
    let links = file_links::table.filter(file_links::file_id.eq(files::id));
    let unlinked = files::table.filter(files::id.eq_any(locked_ids)).filter(not(exists(links)));
    convert::all::<Row, _>(diesel::delete(unlinked).returning(Row::as_returning()).get_results(connection).await)
}

/// Selects the ready files of an account or a user.
fn of_owner<'q>(owner: Uuid) -> files::BoxedQuery<'q, diesel::pg::Pg> {
    let of_either = files::account_id.eq(AccountId(owner)).or(files::owner_id.eq(owner));
    files::table.filter(of_either).filter(files::object_key.is_not_null()).into_boxed()
}

/// Counts the ready files of an account or a user.
pub async fn count_of(connection: &mut Connection, owner: Uuid) -> Result<i64> {
    Ok(of_owner(owner).count().get_result(connection).await?)
}

/// Returns the ids, sizes and keys of at most `limit` ready files of an account or a user behind an id, in the order of the ids.
pub async fn contents_of(
    connection: &mut Connection,
    owner: Uuid,
    after: FileId,
    limit: i64,
) -> Result<Vec<(FileId, i64, String)>> {
    let query = of_owner(owner).filter(files::id.gt(after)).order(files::id).limit(limit);
    Ok(query.select((files::id, files::size_bytes, files::object_key.assume_not_null())).load(connection).await?)
}

/// Removes at most `limit` files of removed accounts, and all references to them; returns the files.
pub async fn erase(connection: &mut Connection, accounts: &[AccountId], limit: i64) -> Result<Vec<File>> {
    let own = files::table.filter(files::account_id.eq_any(accounts.to_vec())).select(files::id).limit(limit);
    let ids: Vec<FileId> = own.load(connection).await?;
    diesel::delete(file_links::table.filter(file_links::file_id.eq_any(&ids))).execute(connection).await?;
    let erased = diesel::delete(files::table.filter(files::id.eq_any(&ids))).returning(Row::as_returning());
    convert::all::<Row, _>(erased.get_results(connection).await)
}
