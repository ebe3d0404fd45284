//! Remembered devices in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use sha2::{Digest as _, Sha256};

use crate::{
    identity::{
        credential::model::DeviceId,
        second_factor::{
            id::RememberedDeviceId,
            model::{MAX_DEVICES, RememberedDevice},
        },
        session::model::Device,
        user::model::User,
    },
    schema::remembered_devices,
};
use mainstay_kernel::{
    database::{Connection, convert},
    error::Result,
    id::UserId,
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = remembered_devices)]
struct Row {
    id: RememberedDeviceId,
    user_id: UserId,
    session_epoch: i32,
    user_agent: String,
    ip_address: String,
    created_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
}

impl From<Row> for RememberedDevice {
    fn from(row: Row) -> Self {
        let Row { id, user_id: user, session_epoch: epoch, user_agent, ip_address: address, .. } = row;
        let Row { created_at, used_at, expires_at, .. } = row;
        Self { id, user, epoch, device: Device { user_agent, address }, created_at, used_at, expires_at }
    }
}

/// Hashes the id in a device token. A slow hash would add nothing to 128 random bits.
fn hash(id: &DeviceId) -> Vec<u8> {
    Sha256::digest(id).to_vec()
}

/// Stores a device by the id in its token, in place of the one with an earlier id. Beyond [`MAX_DEVICES`] of the user, removes
/// the oldest one.
pub async fn insert(
    connection: &mut Connection,
    remembered: &RememberedDevice,
    id: &DeviceId,
    earlier: &DeviceId,
) -> Result<()> {
    const OVER: &str = "DELETE FROM remembered_devices WHERE id = ANY (ARRAY(SELECT id FROM remembered_devices \
                        WHERE user_id = $1 ORDER BY created_at DESC, id DESC OFFSET $2))";
    let of_user = remembered_devices::table.filter(remembered_devices::user_id.eq(remembered.user));
    let replaced = of_user.filter(remembered_devices::device_hash.eq(hash(earlier)));
    diesel::delete(replaced).execute(connection).await?;
    let row = (
        remembered_devices::id.eq(remembered.id),
        remembered_devices::user_id.eq(remembered.user),
        remembered_devices::device_hash.eq(hash(id)),
        remembered_devices::session_epoch.eq(remembered.epoch),
        remembered_devices::user_agent.eq(&remembered.device.user_agent),
        remembered_devices::ip_address.eq(&remembered.device.address),
        remembered_devices::created_at.eq(remembered.created_at),
        remembered_devices::used_at.eq(remembered.used_at),
        remembered_devices::expires_at.eq(remembered.expires_at),
    );
    diesel::insert_into(remembered_devices::table).values(row).execute(connection).await?;
    let over = diesel::sql_query(OVER).bind::<SqlUuid, _>(remembered.user).bind::<BigInt, _>(MAX_DEVICES);
    over.execute(connection).await?;
    Ok(())
}

/// Stores a use of the device of a user, by the id in its token. Returns `None` unless it is remembered, after `since`.
pub async fn accept(
    connection: &mut Connection,
    user: &User,
    id: &DeviceId,
    now: DateTime<Utc>,
    since: DateTime<Utc>,
) -> Result<Option<RememberedDeviceId>> {
    let target = remembered_devices::table.filter(remembered_devices::device_hash.eq(hash(id)));
    let target = target.filter(remembered_devices::user_id.eq(user.id));
    let target = target.filter(remembered_devices::session_epoch.eq(user.epoch.number));
    let target = target.filter(remembered_devices::expires_at.gt(now)).filter(remembered_devices::created_at.gt(since));
    let update = diesel::update(target).set(remembered_devices::used_at.eq(now));
    Ok(update.returning(remembered_devices::id).get_result(connection).await.optional()?)
}

/// Returns the remembered devices of a user, newest first.
pub async fn list(connection: &mut Connection, user: &User, now: DateTime<Utc>) -> Result<Vec<RememberedDevice>> {
    let query = remembered_devices::table.filter(remembered_devices::user_id.eq(user.id));
    let query = query.filter(remembered_devices::session_epoch.eq(user.epoch.number));
    let query = query.filter(remembered_devices::expires_at.gt(now));
    let query = query.order((remembered_devices::created_at.desc(), remembered_devices::id.desc()));
    convert::all::<Row, _>(query.select(Row::as_select()).load(connection).await)
}

/// Forgets a device of a user. Returns `false` if the user has no such device.
pub async fn delete(connection: &mut Connection, user: UserId, id: RememberedDeviceId) -> Result<bool> {
    let target = remembered_devices::table.find(id).filter(remembered_devices::user_id.eq(user));
    Ok(diesel::delete(target).execute(connection).await? == 1)
}

/// Forgets the devices of a user.
pub async fn delete_of_user(connection: &mut Connection, user: UserId) -> Result<()> {
    let target = remembered_devices::table.filter(remembered_devices::user_id.eq(user));
    diesel::delete(target).execute(connection).await?;
    Ok(())
}

/// Removes at most `limit` devices that have expired; returns how many.
pub async fn delete_expired(connection: &mut Connection, now: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = remembered_devices::table.filter(remembered_devices::expires_at.le(now));
    let ids: Vec<RememberedDeviceId> = expired.select(remembered_devices::id).limit(limit).load(connection).await?;
    let target = remembered_devices::table.filter(remembered_devices::id.eq_any(ids));
    Ok(diesel::delete(target).execute(connection).await?)
}
