//! Sessions in SQL. [`model`](crate::identity::session::model) decides the effect of a refresh; [`replace`] stores it if the
//! session is still the one that the decision was based on.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::exists,
    prelude::*,
    sql_types::{BigInt, Nullable, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;

use crate::{
    identity::{
        account_provider::id::AccountProviderId,
        member::id::MemberId,
        oauth_client::id::OauthClientId,
        role::{limits::SessionLimits, store as roles},
        session::model::{Device, Grant, MAX_PER_CLIENT, MAX_PER_USER, Method, Session, SessionAccount},
    },
    schema::{members, sessions, users},
};
use mainstay_kernel::{
    database::{Connection, convert, integrity::corrupt, statement::Prepare as _, violated_foreign_key},
    error::{Error, Reason, Result},
    id::{AccountId, SessionId, UserId},
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct Row {
    id: SessionId,
    user_id: UserId,
    epoch: i32,
    generation: i64,
    account_id: Option<AccountId>,
    member_id: Option<MemberId>,
    authenticated_at: DateTime<Utc>,
    method: i16,
    has_second_factor: bool,
    user_agent: String,
    ip_address: String,
    created_at: DateTime<Utc>,
    refreshed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    ended: bool,
    version: i64,
    provider_id: Option<AccountProviderId>,
    client_id: Option<OauthClientId>,
    client_scopes: Option<Vec<String>>,
    longest_pause_seconds: i32,
    proved_at: Option<DateTime<Utc>>,
}

/// A session as read, with its version.
#[derive(Debug, Clone)]
pub struct StoredSession {
    pub session: Session,
    version: i64,
}

impl TryFrom<Row> for StoredSession {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let own = row.account_id.zip(row.member_id);
        let session = Session {
            id,
            user: row.user_id,
            epoch: row.epoch,
            generation: u32::try_from(row.generation).map_err(|_| corrupt("sessions", id, "generation"))?,
            account: own.map(|(account, member)| SessionAccount { account, member }),
            provider: row.provider_id,
            authenticated_at: row.authenticated_at,
            method: Method::from_number(row.method.into()).ok_or_else(|| corrupt("sessions", id, "method"))?,
            has_second_factor: row.has_second_factor,
            device: Device { user_agent: row.user_agent, address: row.ip_address },
            grant: row.client_id.zip(row.client_scopes).map(|(client, scopes)| Grant { client, scopes }),
            created_at: row.created_at,
            refreshed_at: row.refreshed_at,
            proved_at: row.proved_at.unwrap_or(row.authenticated_at.max(row.created_at)),
            longest_pause_seconds: row.longest_pause_seconds,
            expires_at: row.expires_at,
            ended: row.ended,
        };
        Ok(Self { session, version: row.version })
    }
}

/// Returns the columns that a refresh, a switch of the account or a repeated authentication changes.
macro_rules! changing {
    ($session:expr) => {
        (
            sessions::epoch.eq($session.epoch),
            sessions::generation.eq(i64::from($session.generation)),
            sessions::account_id.eq($session.account.map(|own| own.account)),
            sessions::member_id.eq($session.account.map(|own| own.member)),
            sessions::authenticated_at.eq($session.authenticated_at),
            sessions::method.eq($session.method.number()),
            sessions::has_second_factor.eq($session.has_second_factor),
            sessions::refreshed_at.eq($session.refreshed_at),
            sessions::longest_pause_seconds.eq($session.longest_pause_seconds),
            sessions::proved_at.eq(Some($session.proved_at)),
            sessions::expires_at.eq($session.expires_at),
            sessions::ended.eq($session.ended),
            sessions::client_scopes.eq($session.grant.as_ref().map(|grant| &grant.scopes)),
        )
    };
}

/// Stores a new session. Beyond [`MAX_PER_USER`], removes one that has ended or else the one refreshed the longest ago.
///
/// # Errors
/// `SESSION_REVOKED` if the provider of the session was deleted meanwhile.
pub async fn insert(connection: &mut Connection, session: &Session) -> Result<()> {
    const OVER: &str = "DELETE FROM sessions WHERE id = ANY (ARRAY(SELECT id FROM sessions WHERE user_id = $1 \
                        ORDER BY ended, refreshed_at DESC, id DESC OFFSET $2))";
    let row = (
        sessions::id.eq(session.id),
        sessions::user_id.eq(session.user),
        changing!(session),
        sessions::user_agent.eq(&session.device.user_agent),
        sessions::ip_address.eq(&session.device.address),
        sessions::created_at.eq(session.created_at),
        sessions::version.eq(1_i64),
        sessions::provider_id.eq(session.provider),
        sessions::client_id.eq(session.client()),
    );
    match diesel::insert_into(sessions::table).values(row).execute(connection).await {
        // The provider was deleted meanwhile, which has ended its sessions.
        Err(error) if violated_foreign_key(&error) == Some("sessions_provider_id_fkey") => {
            return Err(Error::new(Reason::SessionRevoked).caused_by(error));
        }
        inserted => inserted.map(drop)?,
    }
    let over = diesel::sql_query(OVER).bind::<SqlUuid, _>(session.user).bind::<BigInt, _>(MAX_PER_USER);
    over.prepared().execute(connection).await?;
    Ok(())
}

/// Makes room for one more session of an application with a user within [`MAX_PER_CLIENT`]. An application that signs the user in
/// again and again thus displaces none of the user's other sessions.
pub async fn make_room(connection: &mut Connection, user: UserId, client: OauthClientId) -> Result<()> {
    const SQL: &str = "DELETE FROM sessions WHERE id = ANY (ARRAY(SELECT id FROM sessions WHERE user_id = $1 AND client_id = $2 \
                       ORDER BY ended, refreshed_at DESC, id DESC OFFSET $3))";
    let over = diesel::sql_query(SQL).bind::<SqlUuid, _>(user).bind::<SqlUuid, _>(client);
    over.bind::<BigInt, _>(MAX_PER_CLIENT - 1).prepared().execute(connection).await?;
    Ok(())
}

/// Returns whether any session exists.
pub async fn any(connection: &mut Connection) -> Result<bool> {
    Ok(diesel::select(exists(sessions::table.select(sessions::id))).get_result(connection).await?)
}

/// Returns one session.
pub async fn find(connection: &mut Connection, user: UserId, id: SessionId) -> Result<Option<StoredSession>> {
    let query = sessions::table.find(id).filter(sessions::user_id.eq(user)).select(Row::as_select());
    convert::optional::<Row, _>(query.first(connection).await)
}

/// Returns all sessions of a user with the limits of their memberships, ended ones included, in no particular order.
pub async fn list(connection: &mut Connection, user: UserId) -> Result<Vec<(Session, SessionLimits)>> {
    type Columns = (Row, (Option<i32>, Option<i32>));
    let query = sessions::table.inner_join(users::table.on(users::id.eq(sessions::user_id)));
    let query = query.left_join(members::table.on(members::id.nullable().eq(sessions::member_id)));
    let query = query.filter(sessions::user_id.eq(user)).select((Row::as_select(), roles::session_limits()));
    let rows: Vec<Columns> = query.prepared().load(connection).await?;
    let entry = |(row, (idle_seconds, max_age_seconds))| {
        Ok((StoredSession::try_from(row)?.session, SessionLimits { idle_seconds, max_age_seconds }))
    };
    rows.into_iter().map(entry).collect()
}

/// Replaces `entry` with `next`, by compare-and-swap. Returns `false` if the stored session is no longer `entry`; the caller
/// must read it again.
pub async fn replace(connection: &mut Connection, entry: &StoredSession, next: &Session) -> Result<bool> {
    let target = sessions::table.find(entry.session.id).filter(sessions::version.eq(entry.version));
    let values = (changing!(next), sessions::version.eq(entry.version + 1));
    Ok(diesel::update(target).set(values).execute(connection).await? == 1)
}

/// Ends a session of a user. Returns `false` if there is none; a session that has ended stays ended.
pub async fn end(connection: &mut Connection, user: UserId, id: SessionId) -> Result<bool> {
    let target = sessions::table.find(id).filter(sessions::user_id.eq(user));
    let values = (sessions::ended.eq(true), sessions::version.eq(sessions::version + 1));
    Ok(diesel::update(target).set(values).prepared().execute(connection).await? == 1)
}

/// Ends the sessions of a membership.
pub async fn end_of_member(connection: &mut Connection, user: UserId, member: MemberId) -> Result<()> {
    let target = sessions::table.filter(sessions::user_id.eq(user)).filter(sessions::member_id.eq(member));
    let target = target.filter(sessions::ended.eq(false));
    let values = (sessions::ended.eq(true), sessions::version.eq(sessions::version + 1));
    diesel::update(target).set(values).prepared().execute(connection).await?;
    Ok(())
}

/// Ends the sessions of an application: of one user, or of all.
pub async fn end_of_client(connection: &Connection, client: OauthClientId, user: Option<UserId>) -> Result<()> {
    // Other instances poll by the clock of Postgres.
    const SQL: &str = "WITH ended AS (UPDATE sessions SET ended = true, version = version + 1 \
                           WHERE client_id = $1 AND ($2 IS NULL OR user_id = $2) AND NOT ended RETURNING id) \
                       INSERT INTO revocations (subject, revoked_at) SELECT id, clock_timestamp() FROM ended \
                       ON CONFLICT (subject) DO UPDATE SET epoch = NULL, kept_session_id = NULL, \
                           revoked_at = excluded.revoked_at";
    let statement = diesel::sql_query(SQL).bind::<SqlUuid, _>(client).bind::<Nullable<SqlUuid>, _>(user);
    statement.execute(&mut &*connection).await?;
    Ok(())
}

/// Removes the sessions of a user that the user's epoch does not admit.
pub async fn delete_outdated(connection: &mut Connection, user: UserId) -> Result<()> {
    const SQL: &str = "DELETE FROM sessions USING users WHERE users.id = $1 AND sessions.user_id = users.id \
                       AND sessions.epoch <> users.session_epoch AND sessions.id IS DISTINCT FROM users.kept_session_id";
    diesel::sql_query(SQL).bind::<SqlUuid, _>(user).prepared().execute(connection).await?;
    Ok(())
}

/// Removes at most `limit` sessions that expired before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = sessions::table.filter(sessions::expires_at.lt(before));
    let ids: Vec<SessionId> = expired.select(sessions::id).limit(limit).load(connection).await?;
    // A concurrent refresh extends no session that has expired.
    Ok(diesel::delete(sessions::table.filter(sessions::id.eq_any(ids))).execute(connection).await?)
}
