//! Remembered devices: a sign-in there needs no second factor for some time, if the user has chosen so with one.

use chrono::TimeDelta;

use crate::identity::{
    config::IdentityConfig,
    credential::model::DeviceId,
    member::store as members,
    second_factor::{id::RememberedDeviceId, model::RememberedDevice, store::device as store},
    session::ops as session,
    user::{
        model::{Role, User},
        store as users,
    },
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::{Permit, Visibility},
    database::Connection,
    error::{Error, Result},
    unit_of_work::Work,
};

/// Returns how long a device of a user is remembered. `None` if each sign-in takes the second factor: by the configuration, for
/// the staff, and for the members of an account that requires the factor.
pub async fn life(app: &App, user: &User) -> Result<Option<TimeDelta>> {
    let (id, life) = (user.id, app.config.section::<IdentityConfig>().second_factor_remembered);
    if life.is_zero() || user.role != Role::Customer {
        return Ok(None);
    }
    let read = async move |connection: &mut Connection| members::of_user(connection, id).await;
    let memberships = app.database.autocommit(read).await?;
    let is_required = memberships.iter().any(|membership| membership.policy.requires_second_factor);
    Ok(TimeDelta::from_std(life).ok().filter(|_| !is_required))
}

/// Stores a use of the device of a user who has proved a first factor. Returns `None` unless it is remembered.
pub async fn recognize(app: &App, user: &User, device: DeviceId) -> Result<Option<RememberedDeviceId>> {
    let Some(life) = life(app, user).await? else { return Ok(None) };
    let (user, now) = (user.clone(), app.clock.now());
    // A shorter period applies to devices that were remembered before.
    let accept =
        async move |connection: &mut Connection| store::accept(connection, &user, &device, now, now - life).await;
    app.database.autocommit(accept).await
}

/// Remembers a device by the new id in its token, in place of the earlier one. Returns `false` if the user was changed since the
/// proof of the second factor: a change of the factors or the password forgets all devices.
pub(super) async fn remember(
    work: &mut Work,
    user: &User,
    remembered: &RememberedDevice,
    id: DeviceId,
    earlier: DeviceId,
) -> Result<bool> {
    let connection = work.connection().await?;
    if users::lock(connection, Visibility::All, user.id).await? != *user {
        return Ok(false);
    }
    store::insert(connection, remembered, &id, &earlier).await?;
    Ok(true)
}

/// Returns the remembered devices of the calling user, newest first.
///
/// # Errors
/// `NOT_FOUND` if the user was removed; `UNAVAILABLE` if Postgres is unreachable.
pub async fn list_devices(app: &App, permit: &Permit) -> Result<Vec<RememberedDevice>> {
    let ((id, ..), now) = (session::caller(permit)?, app.clock.now());
    let read = async move |connection: &mut Connection| {
        let user = users::get(connection, Visibility::All, id).await?;
        store::list(connection, &user, now).await
    };
    app.database.autocommit(read).await
}

/// Forgets a device of the calling user.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn forget_device(work: &mut Work, id: RememberedDeviceId) -> Result<()> {
    let (user, ..) = session::caller(&work.permit()?)?;
    if !store::delete(work.connection().await?, user, id).await? {
        return Err(Error::not_found("device"));
    }
    let record = Record::about("identity.user", Some(user.0), None).with("secondFactor", "device forgotten");
    work.audit(record.with("device", id.to_string()));
    Ok(())
}
