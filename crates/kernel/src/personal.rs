//! Personal data: the columns that lead to a person or an account, as the modules declare them beside their tables, and the
//! erasure and the export of the rows.
//!
//! ```ignore
//! Module::new("fleet", DESCRIPTORS).personal([
//!     Personal::of_account("fleet.leases", "account_id").erased(),
//!     Personal::of_user("fleet.trips", "driver_id").anonymized("note = ''", "note <> ''"),
//!     Personal::of_user("fleet.trips", "checked_by").kept("The id leads to the anonymized user."),
//! ])
//! ```
//!
//! The erasure is idempotent: a row that was erased or anonymized does not match again. It runs in bounded statements, and a
//! repetition after a crash finds the rest.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl as _;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::{
    database::{Connection, statement::Prepare as _},
    error::Result,
};

/// The reason to keep a column with the id of a user.
pub const ANONYMOUS: &str = "The id leads to the anonymized user.";
/// The reason to keep the books.
pub const BOOKS: &str = "Commercial and tax law require the books.";

/// The rows that one statement erases. The limit keeps lock times short.
pub const BATCH: i64 = 500;

/// Erases at most [`BATCH`] rows of a user or an account in the caller's transaction, and returns their number; 0 means that
/// none is left.
pub type Erase = for<'c> fn(&'c mut Connection, Uuid, DateTime<Utc>) -> BoxFuture<'c, Result<usize>>;

/// Whose rows a declaration is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The rows of a person.
    User,
    /// The rows of an account.
    Account,
}

/// What an erasure does with the rows.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Removes them.
    Erase,
    /// Removes them with a function of the module, which also maintains what depends on them.
    EraseBy(Erase),
    /// Replaces their personal values.
    Anonymize {
        /// The assignments of an UPDATE.
        set: &'static str,
        /// The condition of rows that still have personal values.
        pending: &'static str,
    },
    /// Keeps them, for a reason.
    Keep(&'static str),
}

/// A column that leads to a user or an account.
#[derive(Debug, Clone, Copy)]
pub struct Personal {
    /// Whose rows they are.
    pub owner: Owner,
    /// The table, with its schema unless that is `public`.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// What an erasure does with the rows.
    pub action: Action,
    condition: Option<&'static str>,
    export: Option<&'static str>,
    blocks: Option<&'static str>,
    is_exported: bool,
    is_last: bool,
}

impl Personal {
    const fn new(owner: Owner, table: &'static str, column: &'static str) -> Self {
        let action = Action::Keep("");
        let (condition, export, blocks) = (None, None, None);
        Self { owner, table, column, action, condition, export, blocks, is_exported: true, is_last: false }
    }

    /// Declares the rows of a user.
    pub const fn of_user(table: &'static str, column: &'static str) -> Self {
        Self::new(Owner::User, table, column)
    }

    /// Declares the rows of an account.
    pub const fn of_account(table: &'static str, column: &'static str) -> Self {
        Self::new(Owner::Account, table, column)
    }

    /// Says which rows they are, by a SQL condition in which `$1` is the id, in place of the equality with the column.
    #[must_use]
    pub const fn matching(self, condition: &'static str) -> Self {
        Self { condition: Some(condition), ..self }
    }

    /// An erasure removes the rows.
    #[must_use]
    pub const fn erased(self) -> Self {
        Self { action: Action::Erase, ..self }
    }

    /// An erasure removes the rows with a function.
    #[must_use]
    pub const fn erased_by(self, erase: Erase) -> Self {
        Self { action: Action::EraseBy(erase), ..self }
    }

    /// An erasure replaces the personal values of the rows by the assignments `set`. `pending` is the condition of rows that
    /// still have them; it must not hold afterwards.
    #[must_use]
    pub const fn anonymized(self, set: &'static str, pending: &'static str) -> Self {
        Self { action: Action::Anonymize { set, pending }, ..self }
    }

    /// An erasure keeps the rows: the law requires them, they expire soon, or the column leads to nothing personal any more.
    #[must_use]
    pub const fn kept(self, reason: &'static str) -> Self {
        Self { action: Action::Keep(reason), ..self }
    }

    /// The owner can't be deleted while a row also matches this SQL condition, such as a subscription that is paid.
    #[must_use]
    pub const fn blocking_while(self, condition: &'static str) -> Self {
        Self { blocks: Some(condition), ..self }
    }

    /// The export has only the rows that also match this SQL condition.
    #[must_use]
    pub const fn exported_if(self, condition: &'static str) -> Self {
        Self { export: Some(condition), ..self }
    }

    /// The export leaves the rows out: they say nothing about the person or the account.
    #[must_use]
    pub const fn not_exported(self) -> Self {
        Self { is_exported: false, ..self }
    }

    /// An erasure comes to these rows after all others, whose conditions may need them.
    #[must_use]
    pub const fn last(self) -> Self {
        Self { is_last: true, ..self }
    }

    /// Returns whether an export has the rows.
    pub fn is_exported(&self) -> bool {
        self.is_exported
    }

    fn covers(&self) -> impl Iterator<Item = &'static str> {
        let assigned = match self.action {
            Action::Anonymize { set, .. } => set,
            _ => "",
        };
        let assigned =
            assigned.split(',').filter_map(|assignment| assignment.split_once('=')).map(|(name, _)| name.trim());
        std::iter::once(self.column).chain(assigned)
    }

    fn condition(&self) -> String {
        self.condition.map_or_else(|| format!("{} = $1", self.column), |condition| format!("({condition})"))
    }

    /// Erases at most [`BATCH`] rows in the caller's transaction, and returns their number; 0 means that none is left. Rows
    /// that are kept count as none.
    pub async fn erase(&self, connection: &mut Connection, id: Uuid, now: DateTime<Utc>) -> Result<usize> {
        let (table, condition) = (self.table, self.condition());
        // The condition is repeated, because the physical address of a row is unique in one partition only.
        let (change, condition) = match self.action {
            Action::Keep(_) => return Ok(0),
            Action::EraseBy(erase) => return erase(connection, id, now).await,
            Action::Erase => (format!("DELETE FROM {table}"), condition),
            Action::Anonymize { set, pending } => {
                (format!("UPDATE {table} SET {set}"), format!("{condition} AND ({pending})"))
            }
        };
        let batch = format!("SELECT ctid FROM {table} WHERE {condition} LIMIT {BATCH}");
        let sql = format!("{change} WHERE ctid = ANY (ARRAY({batch})) AND {condition}");
        Ok(diesel::sql_query(sql).bind::<SqlUuid, _>(id).execute(connection).await?)
    }

    /// Returns whether a row prevents the deletion of the owner.
    pub async fn is_blocking(&self, connection: &mut Connection, id: Uuid) -> Result<bool> {
        let Some(blocks) = self.blocks else { return Ok(false) };
        let (table, condition) = (self.table, self.condition());
        let sql = format!(
            "SELECT count(*) AS count FROM (SELECT FROM {table} WHERE {condition} AND ({blocks}) LIMIT 1) AS row"
        );
        let query = diesel::sql_query(sql).bind::<SqlUuid, _>(id).columns::<BigInt>();
        Ok(query.get_result::<i64>(connection).await? > 0)
    }

    /// Counts the rows.
    pub async fn count(&self, connection: &mut Connection, id: Uuid) -> Result<i64> {
        let sql = format!("SELECT count(*) AS count FROM {} WHERE {}", self.table, self.condition());
        Ok(diesel::sql_query(sql).bind::<SqlUuid, _>(id).columns::<BigInt>().get_result(connection).await?)
    }
}

/// Columns that no export has: secrets, their hashes, and binary columns, which are such or contents of files.
const SECRET: &str = "(secret|token|hash|salt|password|private|epoch|words|search)";

/// Opens a cursor over the rows of a table that an export has, of all its declarations for an owner. It reads a snapshot, and
/// ends with the caller's transaction.
pub async fn open_rows(connection: &mut Connection, declarations: &[Personal], id: Uuid) -> Result<()> {
    let condition = |declaration: &Personal| match declaration.export {
        Some(only) => format!("{} AND ({only})", declaration.condition()),
        None => declaration.condition(),
    };
    let condition = declarations.iter().map(condition).collect::<Vec<_>>().join(" OR ");
    let Some(first) = declarations.first() else { return Ok(()) };
    let columns: Vec<String> = diesel::sql_query(format!(
        "SELECT 't.' || quote_ident(attname::text) AS line FROM pg_attribute \
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped \
         AND atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype) AND attname !~ '{SECRET}' ORDER BY attnum"
    ))
    .bind::<Text, _>(first.table)
    .columns::<Text>()
    .load(connection)
    .await?;
    let columns = columns.join(", ");
    // A parameter can't be in a statement that declares a cursor. A UUID needs no quotation.
    let condition = condition.replace("$1", &format!("'{id}'::uuid"));
    // A function with the columns as arguments would have at most 100 of them, so 50 columns.
    let sql = format!(
        "DECLARE exported NO SCROLL CURSOR FOR \
         SELECT row_to_json(exported.*)::text AS line FROM (SELECT {columns} FROM {} AS t WHERE {condition}) AS exported",
        first.table
    );
    diesel::sql_query(sql).execute(connection).await?;
    Ok(())
}

/// Reads the next rows of the cursor, each as a JSON object without a line break; none after the last one.
pub async fn next_rows(connection: &mut Connection) -> Result<Vec<String>> {
    Ok(diesel::sql_query(format!("FETCH {BATCH} FROM exported")).columns::<Text>().load(connection).await?)
}

/// Closes the cursor.
pub async fn close_rows(connection: &mut Connection) -> Result<()> {
    diesel::sql_query("CLOSE exported").execute(connection).await?;
    Ok(())
}

/// The declarations of all modules.
#[derive(Debug, Default)]
pub struct PersonalTables(Vec<Personal>);

const KERNEL: [Personal; 6] = [
    Personal::of_user("changes", "principal_id").kept("It is removed after an hour.").not_exported(),
    Personal::of_account("changes", "account_id").kept("It is removed after an hour.").not_exported(),
    Personal::of_user("audit_entries", "actor_id")
        .matching("actor_id = $1 OR resource_id = $1")
        .exported_if("actor_id = $1 AND (resource_id = $1 OR salt IS NULL)")
        .anonymized("salt = NULL, personal = NULL", "salt IS NOT NULL"),
    // The address, the program and the reason of the staff, of services and of the system are theirs.
    Personal::of_account("audit_entries", "account_id")
        .exported_if("actor_kind NOT IN (3, 4, 5)")
        .anonymized("salt = NULL, personal = NULL", "salt IS NOT NULL"),
    Personal::of_user("audit_entries", "resource_id")
        .kept("The entry of an act remains without personal values.")
        .not_exported(),
    Personal::of_account("audit_entries", "resource_id")
        .kept("The entry of an act remains without personal values.")
        .not_exported(),
];

impl PersonalTables {
    /// Collects declarations, in the order in which an erasure comes to them.
    pub(crate) fn new(modules: impl IntoIterator<Item = Personal>) -> Self {
        let mut all: Vec<_> = modules.into_iter().chain(KERNEL).collect();
        all.sort_by_key(|declaration| declaration.is_last);
        Self(all)
    }

    /// Returns all declarations.
    pub fn all(&self) -> &[Personal] {
        &self.0
    }

    /// Returns the declarations about the rows of an owner, in the order of an erasure.
    pub fn of(&self, owner: Owner) -> impl Iterator<Item = &Personal> {
        self.0.iter().filter(move |declaration| declaration.owner == owner)
    }

    /// Returns the columns of the database that lead to a person or an account, by a foreign key or by their names, and that no
    /// declaration covers. The tests of a program expect none.
    pub async fn undeclared(&self, connection: &mut Connection) -> Result<Vec<String>> {
        const SQL: &str = "SELECT attrelid::regclass::text || '.' || attname AS line FROM pg_attribute \
            JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace \
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND attnum > 0 AND NOT attisdropped \
            AND nspname <> 'information_schema' AND nspname !~ '^pg_' AND atttypid <> 'bool'::regtype \
            AND (attname ~ '(^|_)(user|account|author|assignee|requester|owner|actor|principal|customer|person)_id$|_by$\
                |(^|_)(email|address|phone)$' \
              OR EXISTS (SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype = 'f' AND attnum = ANY (conkey) \
                AND confrelid IN ('public.users'::regclass, 'public.accounts'::regclass))) ORDER BY 1";
        let columns: Vec<String> = diesel::sql_query(SQL).columns::<Text>().load(connection).await?;
        let is_declared = |column: &String| {
            self.0
                .iter()
                .any(|declaration| declaration.covers().any(|name| format!("{}.{name}", declaration.table) == *column))
        };
        Ok(columns.into_iter().filter(|column| !is_declared(column)).collect())
    }

    /// Returns the declarations whose rows an export of an owner has, by their table.
    pub fn exported(&self, owner: Owner) -> Vec<Vec<Personal>> {
        let mut tables: Vec<Vec<Personal>> = Vec::new();
        for declaration in self.of(owner).filter(|declaration| declaration.is_exported) {
            match tables.iter_mut().find(|table| table[0].table == declaration.table) {
                Some(table) => table.push(*declaration),
                None => tables.push(vec![*declaration]),
            }
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_the_owner_come_last_and_a_table_is_exported_once() {
        let tables = PersonalTables::new([
            Personal::of_user("users", "id").anonymized("name = ''", "name <> ''").last(),
            Personal::of_user("notes", "author_id").erased(),
            Personal::of_user("notes", "reader_id").kept("shared"),
            Personal::of_account("notes", "account_id").erased(),
        ]);
        let names: Vec<_> = tables.of(Owner::User).map(|declaration| declaration.table).collect();
        assert_eq!((names.as_slice().first(), names.as_slice().last()), (Some(&"notes"), Some(&"users")));
        let exported = tables.exported(Owner::User);
        assert_eq!(exported.iter().filter(|table| table[0].table == "notes").map(Vec::len).collect::<Vec<_>>(), [2]);
        assert!(exported.iter().all(|table| table[0].table != "changes"));
    }
}
