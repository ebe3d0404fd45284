//! Changes of e-mail addresses in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    identity::{
        email_change::{
            id::EmailChangeId,
            model::{Confirmation, EmailChange},
        },
        user::model::EmailAddress,
    },
    schema::email_changes,
};
use mainstay_kernel::{
    database::{Connection, convert, integrity::corrupt, statement::Prepare as _},
    error::{Error, Result},
    id::UserId,
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = email_changes)]
struct Row {
    id: EmailChangeId,
    user_id: UserId,
    new_email: String,
    session_epoch: i32,
    old_email: Option<String>,
    confirmed_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<Row> for EmailChange {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let address = |text: &str, column| EmailAddress::find(text).map_err(|_| corrupt("email_changes", id, column));
        let confirmation = row.confirmed_at.zip(row.old_email);
        let confirmation =
            confirmation.map(|(at, old)| Ok::<_, Error>(Confirmation { at, old: address(&old, "old_email")? }));
        Ok(Self {
            id,
            user: row.user_id,
            new: address(&row.new_email, "new_email")?,
            epoch: row.session_epoch,
            confirmation: confirmation.transpose()?,
            expires_at: row.expires_at,
        })
    }
}

/// Stores a new change, without a token, in place of those of the user that wait.
pub async fn insert(connection: &mut Connection, change: &EmailChange) -> Result<()> {
    delete_waiting(connection, change.user).await?;
    let row = (
        email_changes::id.eq(change.id),
        email_changes::user_id.eq(change.user),
        email_changes::new_email.eq(change.new.as_str()),
        email_changes::session_epoch.eq(change.epoch),
        email_changes::expires_at.eq(change.expires_at),
    );
    diesel::insert_into(email_changes::table).values(row).execute(connection).await?;
    Ok(())
}

/// Returns one change that has not expired.
pub async fn find(connection: &mut Connection, id: EmailChangeId, now: DateTime<Utc>) -> Result<Option<EmailChange>> {
    let query = email_changes::table.filter(email_changes::id.eq(id)).filter(email_changes::expires_at.gt(now));
    convert::optional::<Row, _>(query.select(Row::as_select()).first(connection).await)
}

/// Returns the change that a token was sent for; `None` if the token is invalid.
pub async fn by_token(
    connection: &mut Connection,
    token_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<EmailChange>> {
    let query = email_changes::table.filter(email_changes::token_hash.eq(token_hash.to_vec()));
    let query = query.filter(email_changes::expires_at.gt(now)).select(Row::as_select());
    convert::optional::<Row, _>(query.first(connection).await)
}

/// Stores the hash of the token that is sent for a change, unless the change was confirmed since it was read.
pub async fn set_token(connection: &mut Connection, change: &EmailChange, token_hash: [u8; 32]) -> Result<()> {
    let target = email_changes::table.filter(email_changes::id.eq(change.id));
    let target = target.filter(email_changes::confirmed_at.is_null().eq(change.confirmation.is_none()));
    diesel::update(target).set(email_changes::token_hash.eq(token_hash.to_vec())).execute(connection).await?;
    Ok(())
}

/// Stores the confirmation of a change, and consumes its token.
pub async fn confirm(connection: &mut Connection, change: &EmailChange) -> Result<()> {
    let values = (
        email_changes::old_email.eq(change.confirmation.as_ref().map(|confirmation| confirmation.old.as_str())),
        email_changes::confirmed_at.eq(change.confirmation.as_ref().map(|confirmation| confirmation.at)),
        email_changes::token_hash.eq(None::<Vec<u8>>),
        email_changes::expires_at.eq(change.expires_at),
    );
    let update = diesel::update(email_changes::table.find(change.id)).set(values);
    update.exactly(1, "confirm email_changes").execute(&mut &*connection).await?;
    Ok(())
}

/// Removes the changes of a user that wait for their confirmation.
pub async fn delete_waiting(connection: &mut Connection, user: UserId) -> Result<()> {
    let waiting = email_changes::table.filter(email_changes::user_id.eq(user));
    diesel::delete(waiting.filter(email_changes::confirmed_at.is_null())).execute(connection).await?;
    Ok(())
}

/// Removes the changes of a user that were confirmed at this time or later.
pub async fn delete_since(connection: &mut Connection, user: UserId, since: DateTime<Utc>) -> Result<()> {
    let later = email_changes::table.filter(email_changes::user_id.eq(user));
    diesel::delete(later.filter(email_changes::confirmed_at.ge(since))).execute(connection).await?;
    Ok(())
}

/// Removes at most `limit` changes that expired before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = email_changes::table.filter(email_changes::expires_at.lt(before));
    let ids: Vec<EmailChangeId> = expired.select(email_changes::id).limit(limit).load(connection).await?;
    // A change that was confirmed meanwhile has more time.
    let still = email_changes::table.filter(email_changes::id.eq_any(ids)).filter(email_changes::expires_at.lt(before));
    Ok(diesel::delete(still).execute(connection).await?)
}
