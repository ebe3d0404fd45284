//! Imported users, and the kinds of their password hashes.

use chrono::DateTime;
use diesel::{
    QueryDsl as _,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl;

use crate::{
    identity::{
        auth::password::PREFIX,
        user::model::{HashKinds, ImportedUser},
    },
    schema::users,
};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
    id::UserId,
};

use super::NewRow;

/// The number of kinds of hashes that are told apart.
const MAX_KINDS: usize = 16;

/// Stores new users, and returns those of them whose addresses no user had.
pub async fn insert_missing<'i>(
    connection: &Connection,
    imported: impl Iterator<Item = &'i ImportedUser>,
) -> Result<Vec<UserId>> {
    let row = |ImportedUser { user, is_confirmed, password_hash, has_password }: &'i ImportedUser| {
        // At no known time: an address that was confirmed long ago joins no account by its mail domain.
        let confirmed_at = is_confirmed.then_some(DateTime::UNIX_EPOCH);
        NewRow { has_password: *has_password, ..NewRow::new(user, password_hash, confirmed_at) }
    };
    let rows: Vec<_> = imported.map(row).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let insert = diesel::insert_into(users::table).values(rows).on_conflict(users::email).do_nothing();
    Ok(insert.returning(users::id).get_results(&mut &*connection).await?)
}

/// Counts the users by the kinds of their password hashes.
pub async fn hash_kinds(connection: &mut Connection) -> Result<HashKinds> {
    // The literal is that of the index.
    let others = format!(
        "SELECT substring(password_hash FROM '^\\$[a-z0-9-]+(?:\\$v=[0-9]+)?\\$[a-z0-9=,]+') AS kind, count(*) AS users \
         FROM users WHERE password_hash NOT LIKE '{PREFIX}%' GROUP BY 1 ORDER BY 2 DESC, 1"
    );
    let others = diesel::sql_query(others).columns::<(Nullable<Text>, BigInt)>();
    let others: Vec<(Option<String>, i64)> = others.load(connection).await?;
    if others.is_empty() {
        return Ok(HashKinds::default());
    }
    // Exactly: an estimate below the number of the others would leave no address to the current kind.
    let all: i64 = users::table.count().get_result(connection).await?;
    let current = (all - others.iter().map(|(_, users)| users).sum::<i64>()).max(0);
    let others = others.into_iter().take(MAX_KINDS).filter_map(|(kind, users)| Some((kind?, users)));
    Ok(HashKinds { current, others: others.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_has_the_hashes_of_other_kinds() {
        let migration = include_str!("../../../../migrations/2026-11-27-000862_index_other_hashes/up.sql");
        assert!(migration.contains(&format!("WHERE password_hash NOT LIKE '{PREFIX}%'")));
    }
}
