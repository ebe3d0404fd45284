//! Requests of devices in SQL.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{Connection, integrity::corrupt},
    error::Result,
    id::{SessionId, UserId},
};

use crate::{
    identity::{
        member::id::MemberId,
        oauth::model::device::{Agreement, DeviceRequest},
        oauth_client::id::OauthClientId,
    },
    schema::oauth_devices,
};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_devices, treat_none_as_default_value = false)]
struct Row {
    client_id: OauthClientId,
    scopes: Vec<String>,
    ip_address: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    interval_seconds: i16,
    polled_at: Option<DateTime<Utc>>,
    is_allowed: Option<bool>,
    user_id: Option<UserId>,
    session_id: Option<SessionId>,
    member_id: Option<MemberId>,
    grant_id: Option<SessionId>,
}

fn seconds(interval: TimeDelta) -> i16 {
    i16::try_from(interval.num_seconds()).unwrap_or(i16::MAX)
}

fn read(row: Row) -> Result<DeviceRequest> {
    let decision = match (row.is_allowed, row.user_id, row.session_id) {
        (Some(true), Some(user), Some(session)) => {
            Some(Some(Agreement { user, session, member: row.member_id, scopes: row.scopes.clone() }))
        }
        (Some(false), ..) => Some(None),
        (None, ..) => None,
        (Some(true), ..) => return Err(corrupt("oauth_devices", row.client_id, "user_id")),
    };
    Ok(DeviceRequest {
        client: row.client_id,
        scopes: row.scopes,
        address: row.ip_address,
        created_at: row.created_at,
        expires_at: row.expires_at,
        interval: TimeDelta::seconds(row.interval_seconds.into()),
        polled_at: row.polled_at,
        decision,
        grant: row.grant_id,
    })
}

/// Stores a new request by the hash of its code and the MAC of its user code. Returns `false` if the user code is taken.
pub async fn insert(
    connection: &mut Connection,
    request: DeviceRequest,
    code_hash: [u8; 32],
    user_code: [u8; 32],
) -> Result<bool> {
    let row = Row {
        client_id: request.client,
        scopes: request.scopes,
        ip_address: request.address,
        created_at: request.created_at,
        expires_at: request.expires_at,
        interval_seconds: seconds(request.interval),
        polled_at: request.polled_at,
        is_allowed: None,
        user_id: None,
        session_id: None,
        member_id: None,
        grant_id: None,
    };
    let keys = (oauth_devices::code_hash.eq(code_hash.to_vec()), oauth_devices::user_code_mac.eq(user_code.to_vec()));
    let insert = diesel::insert_into(oauth_devices::table).values((row, keys));
    let inserted = insert.on_conflict(oauth_devices::user_code_mac).do_nothing().execute(connection).await?;
    Ok(inserted == 1)
}

/// Returns the request of a user code.
pub async fn find(connection: &mut Connection, user_code: [u8; 32]) -> Result<Option<DeviceRequest>> {
    let query = oauth_devices::table.filter(oauth_devices::user_code_mac.eq(user_code.to_vec()));
    let row: Option<Row> = query.select(Row::as_select()).first(connection).await.optional()?;
    row.map(read).transpose()
}

/// Returns the request of a device code, locked until the transaction ends.
pub async fn lock(connection: &Connection, code_hash: [u8; 32]) -> Result<Option<DeviceRequest>> {
    let query = oauth_devices::table.find(code_hash.to_vec()).select(Row::as_select()).for_update();
    let row: Option<Row> = query.first(&mut &*connection).await.optional()?;
    row.map(read).transpose()
}

/// Stores when a device asked last, and how long it waits now.
pub async fn put_poll(connection: &Connection, code_hash: [u8; 32], request: &DeviceRequest) -> Result<()> {
    let polled =
        (oauth_devices::polled_at.eq(request.polled_at), oauth_devices::interval_seconds.eq(seconds(request.interval)));
    let update = diesel::update(oauth_devices::table.find(code_hash.to_vec())).set(polled);
    update.execute(&mut &*connection).await?;
    Ok(())
}

/// Stores the decision of a person. Returns `false` if there is one, or the codes have expired.
pub async fn decide(
    connection: &Connection,
    user_code: [u8; 32],
    by: &Agreement,
    is_allowed: bool,
    now: DateTime<Utc>,
) -> Result<bool> {
    let open = oauth_devices::table.filter(oauth_devices::user_code_mac.eq(user_code.to_vec()));
    let open = open.filter(oauth_devices::is_allowed.is_null()).filter(oauth_devices::expires_at.gt(now));
    let decision = (
        oauth_devices::is_allowed.eq(is_allowed),
        oauth_devices::user_id.eq(by.user),
        oauth_devices::session_id.eq(by.session),
        oauth_devices::member_id.eq(by.member),
    );
    Ok(diesel::update(open).set(decision).execute(&mut &*connection).await? == 1)
}

/// Marks an allowed request as used by the session that the device begins. Returns `false` if it was used before.
pub async fn use_up(connection: &Connection, code_hash: [u8; 32], grant: SessionId) -> Result<bool> {
    let unused = oauth_devices::table.filter(oauth_devices::code_hash.eq(code_hash.to_vec()));
    let unused = unused.filter(oauth_devices::is_allowed.eq(true)).filter(oauth_devices::grant_id.is_null());
    Ok(diesel::update(unused).set(oauth_devices::grant_id.eq(grant)).execute(&mut &*connection).await? == 1)
}

/// Removes what a user has decided about the devices of a client.
pub async fn delete_of(connection: &Connection, user: UserId, client: OauthClientId) -> Result<()> {
    let decided = oauth_devices::table.filter(oauth_devices::user_id.eq(user));
    let decided = decided.filter(oauth_devices::client_id.eq(client));
    diesel::delete(decided).execute(&mut &*connection).await?;
    Ok(())
}

/// Removes at most `limit` requests that expired before a time; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = oauth_devices::table.filter(oauth_devices::expires_at.lt(before));
    let hashes: Vec<Vec<u8>> = expired.select(oauth_devices::code_hash).limit(limit).load(connection).await?;
    let delete = diesel::delete(oauth_devices::table.filter(oauth_devices::code_hash.eq_any(hashes)));
    Ok(delete.execute(connection).await?)
}
