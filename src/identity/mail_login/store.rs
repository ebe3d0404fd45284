//! Sign-ins by mail in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    identity::{
        mail_login::{
            id::MailLoginId,
            model::{MAX_WRONG_CODES, MailLogin, Sent},
        },
        user::model::EmailAddress,
    },
    schema::mail_logins,
};
use mainstay_kernel::{
    database::{Connection, convert, integrity::corrupt},
    error::{Error, Result},
    id::UserId,
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = mail_logins)]
struct Row {
    id: MailLoginId,
    email: String,
    user_id: Option<UserId>,
    session_epoch: Option<i32>,
    token_hash: Option<Vec<u8>>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<Row> for MailLogin {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let sent = match (row.user_id, row.session_epoch, row.token_hash) {
            (Some(user), Some(epoch), Some(hash)) => {
                let token_hash = hash.try_into().map_err(|_| corrupt("mail_logins", id, "token_hash"))?;
                Some(Sent { user, epoch, token_hash })
            }
            _ => None,
        };
        let email = EmailAddress::find(&row.email).map_err(|_| corrupt("mail_logins", id, "email"))?;
        Ok(Self { id, email, sent, expires_at: row.expires_at })
    }
}

/// Stores a new sign-in. Others of the address go on, so that a stranger who asks ends none of its owner.
pub async fn insert(connection: &mut Connection, login: &MailLogin, binding_hash: [u8; 32]) -> Result<()> {
    let row = (
        mail_logins::id.eq(login.id),
        mail_logins::email.eq(login.email.as_str()),
        mail_logins::binding_hash.eq(binding_hash.to_vec()),
        mail_logins::expires_at.eq(login.expires_at),
    );
    diesel::insert_into(mail_logins::table).values(row).execute(connection).await?;
    Ok(())
}

/// Returns one sign-in that waits.
pub async fn find(connection: &mut Connection, id: MailLoginId, now: DateTime<Utc>) -> Result<Option<MailLogin>> {
    let waiting = mail_logins::table.filter(mail_logins::id.eq(id)).filter(mail_logins::expires_at.gt(now));
    convert::optional::<Row, _>(waiting.select(Row::as_select()).first(connection).await)
}

/// Stores to whom the mail is sent. A repeated attempt to send it changes nothing.
pub async fn set_sent(connection: &mut Connection, id: MailLoginId, sent: &Sent) -> Result<()> {
    let target = mail_logins::table.filter(mail_logins::id.eq(id)).filter(mail_logins::user_id.is_null());
    let values = (
        mail_logins::user_id.eq(sent.user),
        mail_logins::session_epoch.eq(sent.epoch),
        mail_logins::token_hash.eq(sent.token_hash.to_vec()),
    );
    diesel::update(target).set(values).execute(connection).await?;
    Ok(())
}

/// Returns the address of a browser's sign-in that waits.
pub async fn address(
    connection: &mut Connection,
    binding_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<EmailAddress>> {
    let waiting = mail_logins::table.filter(mail_logins::binding_hash.eq(binding_hash.to_vec()));
    let waiting = waiting.filter(mail_logins::expires_at.gt(now)).select((mail_logins::id, mail_logins::email));
    let row: Option<(MailLoginId, String)> = waiting.first(connection).await.optional()?;
    row.map(|(id, email)| EmailAddress::find(&email).map_err(|_| corrupt("mail_logins", id, "email"))).transpose()
}

/// Returns a browser's sign-in that waits and has not had too many wrong codes, locked until the transaction ends. Of two
/// answers at once, the later one finds what the earlier one has left.
pub async fn lock(
    connection: &mut Connection,
    binding_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<MailLogin>> {
    let waiting = mail_logins::table.filter(mail_logins::binding_hash.eq(binding_hash.to_vec()));
    let waiting = waiting.filter(mail_logins::expires_at.gt(now));
    let waiting = waiting.filter(mail_logins::wrong_codes.lt(MAX_WRONG_CODES));
    convert::optional::<Row, _>(waiting.select(Row::as_select()).for_update().first(connection).await)
}

/// Counts a wrong code of a locked sign-in.
pub async fn count_wrong_code(connection: &mut Connection, id: MailLoginId) -> Result<()> {
    let update = diesel::update(mail_logins::table.filter(mail_logins::id.eq(id)));
    update.set(mail_logins::wrong_codes.eq(mail_logins::wrong_codes + 1_i16)).execute(connection).await?;
    Ok(())
}

/// Removes a sign-in that was answered.
pub async fn delete(connection: &mut Connection, id: MailLoginId) -> Result<()> {
    diesel::delete(mail_logins::table.filter(mail_logins::id.eq(id))).execute(connection).await?;
    Ok(())
}

/// Removes at most `limit` sign-ins that expired before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = mail_logins::table.filter(mail_logins::expires_at.lt(before));
    let ids: Vec<MailLoginId> = expired.select(mail_logins::id).limit(limit).load(connection).await?;
    Ok(diesel::delete(mail_logins::table.filter(mail_logins::id.eq_any(ids))).execute(connection).await?)
}
