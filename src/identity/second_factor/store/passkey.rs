//! Passkeys in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    identity::second_factor::{
        id::PasskeyId,
        model::{Credential, Passkey},
    },
    schema::passkeys,
};
use mainstay_kernel::{
    database::{Connection, already_exists, convert},
    error::Result,
    id::UserId,
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = passkeys)]
struct Row {
    id: PasskeyId,
    user_id: UserId,
    name: String,
    credential_id: Vec<u8>,
    public_key: Vec<u8>,
    algorithm: i32,
    counter: i64,
    transports: Vec<String>,
    is_synced: bool,
    created_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
}

impl From<Row> for Passkey {
    fn from(row: Row) -> Self {
        let credential = Credential {
            id: row.credential_id,
            public_key: row.public_key,
            algorithm: row.algorithm,
            // The table admits no other numbers.
            counter: u32::try_from(row.counter).unwrap_or(u32::MAX),
            transports: row.transports,
            is_synced: row.is_synced,
        };
        let Row { id, user_id: user, name, created_at, used_at, .. } = row;
        Self { id, user, name, credential, created_at, used_at }
    }
}

/// Stores a new passkey.
///
/// # Errors
/// `ALREADY_EXISTS` if a user has the credential.
pub async fn insert(connection: &mut Connection, passkey: &Passkey) -> Result<()> {
    let Credential { id, public_key, algorithm, counter, transports, is_synced } = &passkey.credential;
    let row = (
        passkeys::id.eq(passkey.id),
        passkeys::user_id.eq(passkey.user),
        passkeys::name.eq(&passkey.name),
        passkeys::credential_id.eq(id),
        passkeys::public_key.eq(public_key),
        passkeys::algorithm.eq(algorithm),
        passkeys::counter.eq(i64::from(*counter)),
        passkeys::transports.eq(transports),
        passkeys::is_synced.eq(is_synced),
        passkeys::created_at.eq(passkey.created_at),
        passkeys::used_at.eq(passkey.used_at),
    );
    let inserted = diesel::insert_into(passkeys::table).values(row).execute(connection).await;
    inserted.map(drop).map_err(already_exists("passkeys_credential_id_key", "The passkey was added before."))
}

/// Returns the passkey with the id that its authenticator gave it.
pub async fn by_credential(connection: &mut Connection, credential: &[u8]) -> Result<Option<Passkey>> {
    let query = passkeys::table.filter(passkeys::credential_id.eq(credential.to_vec())).select(Row::as_select());
    convert::optional::<Row, _>(query.first(connection).await)
}

/// Returns the passkeys of a user, oldest first.
pub async fn list(connection: &Connection, user: UserId) -> Result<Vec<Passkey>> {
    let query = passkeys::table.filter(passkeys::user_id.eq(user)).order((passkeys::created_at, passkeys::id));
    convert::all::<Row, _>(query.select(Row::as_select()).load(&mut &*connection).await)
}

/// Returns the number of passkeys of a user.
pub async fn count(connection: &Connection, user: UserId) -> Result<usize> {
    let count: i64 = passkeys::table.filter(passkeys::user_id.eq(user)).count().get_result(&mut &*connection).await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Renames a passkey of a user. Returns `None` if the user has no such passkey.
pub async fn rename(connection: &mut Connection, user: UserId, id: PasskeyId, name: &str) -> Result<Option<Passkey>> {
    let target = passkeys::table.find(id).filter(passkeys::user_id.eq(user));
    let update = diesel::update(target).set(passkeys::name.eq(name)).returning(Row::as_returning());
    convert::optional::<Row, _>(update.get_result(connection).await)
}

/// Stores a use of a passkey. Returns `false` if its counter did not increase, also if a concurrent use was faster: the private
/// key then exists twice, unless the authenticator does not count at all.
pub async fn accept(connection: &mut Connection, id: PasskeyId, counter: u32, now: DateTime<Utc>) -> Result<bool> {
    let counter = i64::from(counter);
    let increases = passkeys::counter.lt(counter).or(passkeys::counter.eq(0).and(passkeys::counter.eq(counter)));
    let target = passkeys::table.find(id).filter(increases);
    let values = (passkeys::counter.eq(counter), passkeys::used_at.eq(now));
    Ok(diesel::update(target).set(values).execute(connection).await? == 1)
}

/// Removes a passkey of a user. Returns `false` if the user has no such passkey.
pub async fn delete(connection: &mut Connection, user: UserId, id: PasskeyId) -> Result<bool> {
    let target = passkeys::table.find(id).filter(passkeys::user_id.eq(user));
    Ok(diesel::delete(target).execute(connection).await? == 1)
}

/// Removes the passkeys that a user has added since a time. Returns their number.
pub async fn delete_since(connection: &mut Connection, user: UserId, since: DateTime<Utc>) -> Result<usize> {
    let target = passkeys::table.filter(passkeys::user_id.eq(user)).filter(passkeys::created_at.ge(since));
    Ok(diesel::delete(target).execute(connection).await?)
}

/// Removes the passkeys of a user.
pub async fn delete_of_user(connection: &mut Connection, user: UserId) -> Result<()> {
    diesel::delete(passkeys::table.filter(passkeys::user_id.eq(user))).execute(connection).await?;
    Ok(())
}
