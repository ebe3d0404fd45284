//! Second factors: [apps](enroll) and [passkeys] are added by their users, [checked](check) at sign-in unless the
//! [device](devices) is remembered, and [removed](reset).

mod ceremony;
mod check;
pub mod devices;
mod enroll;
mod factors;
mod login;
mod passkeys;
pub mod removal;
mod reset;

use secrecy::ExposeSecret as _;

use crate::identity::{
    second_factor::{
        model::{self, SecondFactor},
        store,
    },
    session::ops as session,
    user::store as users,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    id::UserId,
    schedule::BATCH,
    secret::SecretKey,
};

pub use ceremony::{Begun, ChallengeOptions, begin_reauthentication, challenge_options};
pub use check::{Answer, Evidence, reauthenticate, verify};
pub use devices::{forget_device, list_devices};
pub use enroll::{confirm, enroll, regenerate, remove};
pub use login::{begin_login, login};
pub use passkeys::{confirm_passkey, enroll_passkey, list_passkeys, remove_passkey, rename_passkey};
pub use reset::{perform_due_resets, request_reset, reset};

/// Returns the second factors of the calling user.
///
/// # Errors
/// `NOT_FOUND` if the user was removed.
pub async fn get(connection: &Connection, permit: &Permit) -> Result<SecondFactor> {
    let (id, ..) = session::caller(permit)?;
    let (user, stored, passkeys) = pipeline!(
        users::get(connection, permit.visibility(), id),
        store::find(connection, id),
        store::passkey::count(connection, id)
    )?;
    Ok(SecondFactor::of(user.second_factor_at, stored.as_ref(), passkeys))
}

/// Opens the secret of a user.
fn open(secret: &SecretKey, user: UserId, sealed: &[u8]) -> Result<Vec<u8>> {
    let opened = secret.unseal(&model::label(user), sealed).ok_or_else(|| {
        let message = format!("the second factor of {user} is sealed under another SECRET_KEY");
        Error::internal(anyhow::anyhow!(message))
    })?;
    Ok(opened.expose_secret().clone())
}

/// Seals all secrets again, with the present `SECRET_KEY`, so that an earlier one can be dropped. Returns how many.
///
/// # Errors
/// `INTERNAL_ERROR` if one is sealed under a key that is not given; `UNAVAILABLE` if Postgres is unreachable.
pub async fn reseal(app: &App) -> Result<usize> {
    let (mut count, mut last) = (0, UserId(uuid::Uuid::nil()));
    loop {
        let batch = app.database.autocommit(async move |connection| store::secrets(connection, last, BATCH).await);
        let batch = batch.await?;
        let Some((user, _)) = batch.last() else { return Ok(count) };
        last = *user;
        for (user, old) in batch {
            let new = app.secret.seal(&model::label(user), &open(&app.secret, user, &old)?)?;
            app.database.autocommit(async move |connection| store::reseal(connection, user, old, new).await).await?;
            count += 1;
        }
    }
}
