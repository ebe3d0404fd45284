//! SQL of the table `audit_entries`.

use diesel::sql_types::{Array, Binary, Nullable, SmallInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::Entry;
use crate::{
    database::{Connection, statement::Statement},
    error::Result,
};

/// Inserts entries by one statement. Its text does not depend on their number, so that it is prepared once per connection.
pub(crate) async fn insert(connection: &Connection, entries: &[Entry]) -> Result<()> {
    const SQL: &str = "INSERT INTO audit_entries (id, method, outcome, actor_kind, actor_id, account_id, resource_kind, \
        resource_id, request_id, changes, salt, personal, personal_digest) \
        SELECT id, method, outcome, actor_kind, actor_id, account_id, resource_kind, resource_id, request_id, \
            changes::json, salt, personal::json, personal_digest \
        FROM unnest(?::uuid[], ?::text[], ?::smallint[], ?::smallint[], ?::uuid[], ?::uuid[], ?::text[], ?::uuid[], \
            ?::text[], ?::text[], ?::bytea[], ?::text[], ?::bytea[]) \
            AS entry (id, method, outcome, actor_kind, actor_id, account_id, resource_kind, resource_id, request_id, \
                changes, salt, personal, personal_digest)";
    fn column<'c, T>(entries: &'c [Entry], value: impl Fn(&'c Entry) -> T) -> Vec<T> {
        entries.iter().map(value).collect()
    }
    let statement = Statement::new(SQL)
        .bind::<Array<SqlUuid>, _>(column(entries, |entry| entry.id))
        .bind::<Array<Text>, _>(column(entries, |entry| &*entry.method))
        .bind::<Array<SmallInt>, _>(column(entries, |entry| entry.outcome))
        .bind::<Array<SmallInt>, _>(column(entries, |entry| entry.actor_kind))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(entries, |entry| entry.actor_id))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(entries, |entry| entry.account_id))
        .bind::<Array<Text>, _>(column(entries, |entry| &*entry.resource_kind))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(entries, |entry| entry.resource_id))
        .bind::<Array<Nullable<Text>>, _>(column(entries, |entry| entry.request_id.as_deref()))
        .bind::<Array<Text>, _>(column(entries, |entry| &*entry.changes))
        .bind::<Array<Nullable<Binary>>, _>(column(entries, |entry| {
            entry.personal.as_ref().map(|personal| personal.salt.as_slice())
        }))
        .bind::<Array<Nullable<Text>>, _>(column(entries, |entry| {
            entry.personal.as_ref().map(|personal| &*personal.text)
        }))
        .bind::<Array<Nullable<Binary>>, _>(column(entries, |entry| {
            entry.personal.as_ref().map(|personal| personal.digest.as_slice())
        }));
    statement.execute(&mut &*connection).await?;
    Ok(())
}
