//! Sign-in with a passkey alone.

use std::net::IpAddr;

use secrecy::SecretString;

use super::ceremony::{self, Begun};
use crate::{
    identity::{
        auth::{
            limits,
            networks::KnownNetworks,
            ops::{self as auth, Proved},
        },
        second_factor::{
            model::{Ceremony, Purpose},
            relying_party::{Assertion, RelyingParty},
        },
        session::model::{Device, Proof},
        sign_in::{model::Outcome, ops as sign_in},
        tokens::Pair,
        user::model::User,
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{app::App, error::Result, id::AccountId};

/// Begins a sign-in. The options name no user: the authenticator offers the passkeys that it has.
///
/// # Errors
/// `PASSKEYS_UNAVAILABLE`.
pub fn begin_login(app: &App) -> Result<Begun> {
    let ceremony = Ceremony::begin(Purpose::Login);
    let options = app.part::<RelyingParty>().request_options(&[], ceremony.challenge())?;
    Ok(Begun::new(app, ceremony, options))
}

/// Signs in the user of a passkey, which counts as two factors. Returns the session's tokens and the device's token.
///
/// # Errors
/// `INVALID_TOKEN` for a ceremony that is not valid, or not any more; `INVALID_PASSKEY`, `PASSKEYS_UNAVAILABLE`,
/// `USER_DEACTIVATED`, `RATE_LIMIT_EXCEEDED`; `NOT_FOUND` if the user is not a member of the named account; `UNAVAILABLE` if
/// Postgres is unreachable.
pub async fn login(
    app: &App,
    token: &str,
    proof: &Assertion,
    device: Device,
    device_token: Option<SecretString>,
    account: Option<AccountId>,
    from: IpAddr,
) -> Result<(Pair, SecretString)> {
    let attempt = limits::passkey_sign_in(app, from).await?;
    let proved = prove(app, token, proof).await;
    // As for passwords: counted in advance, and refunded unless the proof was wrong.
    if !matches!(&proved, Err(error) if error.reason() == IdentityReason::InvalidPasskey) {
        app.limiter.take_back(attempt).await;
    }
    let user = match proved {
        Ok(user) => user,
        Err(error) => {
            sign_in::count(app, Outcome::Refused).await;
            return Err(error);
        }
    };
    if !user.is_active() {
        sign_in::count(app, Outcome::Refused).await;
        auth::refused(app, &user.email, Some(&user), from).await?;
        return Err(IdentityReason::UserDeactivated.into());
    }
    let is_known = app.part::<KnownNetworks>().contains(&user.email, from).await;
    // The browser keeps the token with which its device may be remembered.
    let known = auth::known_device(app, &user.email, device_token.as_ref());
    let proof = Proof::passkey(app.clock.now());
    let proved = Proved { user, is_known, device: known, proof, remembered: None, provider: None };
    auth::complete(app, proved, device, account, from).await
}

async fn prove(app: &App, token: &str, proof: &Assertion) -> Result<User> {
    let ceremony = ceremony::take(app, token, Purpose::Login).await?;
    let user = ceremony::prove(app, None, proof, ceremony.challenge()).await?;
    user.ok_or_else(|| IdentityReason::InvalidPasskey.into())
}
