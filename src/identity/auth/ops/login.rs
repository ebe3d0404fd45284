//! Sign-in.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta};
use secrecy::{ExposeSecret as _, SecretString};

use super::{audited, new_place};
use crate::{
    identity::{
        account_provider::id::AccountProviderId,
        auth::{limits, networks::KnownNetworks, password::Password},
        config::IdentityConfig,
        credential::model::{self as token, DeviceId},
        passwords::{Passwords, Verdict},
        second_factor::{id::RememberedDeviceId, model::Challenge, ops::devices},
        session::{
            model::{Device, Proof},
            ops as session,
        },
        sign_in::{model::Outcome, ops as sign_in},
        tokens::Pair,
        user::{
            model::{EmailAddress, User},
            store,
        },
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{app::App, error::Result, id::AccountId, secret::random};

/// The credentials and the origin of a sign-in.
#[derive(Debug)]
pub struct Attempt {
    pub email: EmailAddress,
    pub password: SecretString,
    pub device: Device,
    /// The token that the device has from an earlier sign-in, if any.
    pub device_token: Option<SecretString>,
    pub from: IpAddr,
    /// The account of the session; see [`session::begin`].
    pub account: Option<AccountId>,
}

/// The outcome of a sign-in that has proved who the user is.
#[derive(Debug)]
pub enum SignedIn {
    /// The session's tokens and the device's token.
    Tokens(Pair, SecretString),
    /// The user has a second factor: the token of its challenge, and how long it is valid.
    Challenge(SecretString, TimeDelta),
}

/// What a sign-in has proved.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) user: User,
    /// Whether the account has signed in from the network before; `None` while Redis is unavailable.
    pub(crate) is_known: Option<bool>,
    /// The id in the token that the device has, if any.
    pub(crate) device: Option<DeviceId>,
    pub(crate) proof: Proof,
    /// The remembered device in place of a second factor.
    pub(crate) remembered: Option<RememberedDeviceId>,
    /// The provider of the account of the session, if the sign-in began with it.
    pub(crate) provider: Option<AccountProviderId>,
}

/// Verifies the password and, unless the user has a second factor, begins a session. An unknown user costs the same as a
/// known one: the same statement and the same hash.
///
/// # Errors
/// `INVALID_CREDENTIALS`, `RATE_LIMIT_EXCEEDED`, `OVERLOADED`; `USER_DEACTIVATED`, and `NOT_FOUND` if the user is not a member
/// of the named account, which only the right password reveals;
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn login(app: &App, attempt: Attempt) -> Result<SignedIn> {
    let Attempt { email, password, device, device_token, from, account } = attempt;
    let known = known_device(app, &email, device_token.as_ref());
    let (user, is_known) = authenticate(app, &email, password, from, known).await?;
    let proof = Proof::password(app.clock.now());
    let proved = Proved { user, is_known, device: known, proof, remembered: None, provider: None };
    finish(app, proved, device, account, from).await
}

/// Returns the id in the token of a device on which an address has signed in.
pub(crate) fn known_device(app: &App, email: &EmailAddress, token: Option<&SecretString>) -> Option<DeviceId> {
    token::read_device(&app.secret, email.as_str(), token?.expose_secret(), app.clock.now())
}

/// Begins the session of a user who has proved who they are, by a password, a mail or a provider. For a user with a second
/// factor whose device is not remembered, returns a challenge instead.
///
/// # Errors
/// As [`complete`].
pub(crate) async fn finish(
    app: &App,
    mut proved: Proved,
    device: Device,
    account: Option<AccountId>,
    from: IpAddr,
) -> Result<SignedIn> {
    if proved.user.second_factor_at.is_some() {
        if let Some(known) = proved.device {
            proved.remembered = devices::recognize(app, &proved.user, known).await?;
        }
        if proved.remembered.is_none() {
            let (user, epoch, method) = (proved.user.id, proved.user.epoch.number, proved.proof.method);
            let device = proved.device.unwrap_or_else(random);
            let provider = proved.provider;
            let challenge = Challenge { user, epoch, id: random(), device, account, provider, method };
            let (token, life) = challenge.write(&app.secret, app.clock.now());
            return Ok(SignedIn::Challenge(token, life));
        }
        // The user has not proved the second factor now, which a recent authentication takes.
        proved.proof.at = DateTime::UNIX_EPOCH;
    }
    let (pair, device_token) = complete(app, proved, device, account, from).await?;
    Ok(SignedIn::Tokens(pair, device_token))
}

/// Begins a session, and notifies the user if the network is unknown. Returns the session's tokens and the device's token.
///
/// # Errors
/// `NOT_FOUND` if the user is not a member of the named account; `PROVIDER_REQUIRED` if the account requires its provider;
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn complete(
    app: &App,
    Proved { user, is_known, device: known, proof, remembered, provider }: Proved,
    device: Device,
    account: Option<AccountId>,
    from: IpAddr,
) -> Result<(Pair, SecretString)> {
    let pair = session::begin(app, &user, device, account, provider, proof).await?;
    sign_in::count(app, Outcome::Accepted).await;
    audited::signed_in(app, &user, &pair, is_known == Some(true), remembered).await?;
    // Without Redis, every sign-in would cause a mail.
    if is_known == Some(false) {
        new_place::tell(app, &user, pair.session).await?;
    }
    app.part::<KnownNetworks>().remember(&user.email, from).await;
    let expires_at = app.clock.now() + app.config.section::<IdentityConfig>().device_ttl();
    let device_id = known.unwrap_or_else(random);
    let device_token = token::write_device(&app.secret, user.email.as_str(), device_id, expires_at);
    Ok((pair, device_token))
}

/// Verifies the password of an active user, within the limits on guesses. Returns the user, and whether the account has
/// signed in from the network before, if that can be read.
///
/// # Errors
/// `INVALID_CREDENTIALS`, `RATE_LIMIT_EXCEEDED`, `OVERLOADED`, `USER_DEACTIVATED`; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn authenticate(
    app: &App,
    email: &EmailAddress,
    password: SecretString,
    from: IpAddr,
    device: Option<DeviceId>,
) -> Result<(User, Option<bool>)> {
    let (attempt, is_known) = limits::sign_in(app, email, from, device).await?;
    let verified = verify(app, email, password).await;
    // Only a wrong password counts against the limit. The attempt is counted in advance and refunded here, because
    // otherwise any number of concurrent attempts would pass.
    if !matches!(verified, Ok(None)) {
        app.limiter.take_back(attempt).await;
    }
    let Some(user) = verified? else {
        sign_in::count(app, Outcome::Refused).await;
        audited::refused(app, email, None, from).await?;
        return Err(IdentityReason::InvalidCredentials.into());
    };
    if !user.is_active() {
        sign_in::count(app, Outcome::Refused).await;
        audited::refused(app, email, Some(&user), from).await?;
        return Err(IdentityReason::UserDeactivated.into());
    }
    Ok((user, is_known))
}

/// Returns the user with an address, if the password is right.
async fn verify(app: &App, email: &EmailAddress, password: SecretString) -> Result<Option<User>> {
    let row = app.database.autocommit(async move |connection| store::by_email(connection, email).await).await?;
    let (user, hash) = row.unzip();
    let verdict = app.part::<Passwords>().verify(Password::attempt(password), email, hash.clone()).await?;
    Ok(match (verdict, user) {
        (Verdict::Right, Some(user)) => Some(user),
        (Verdict::RightOnceMore(strong), Some(user)) => {
            strengthen(app, &user, hash.unwrap_or_default(), strong).await;
            Some(user)
        }
        (Verdict::Wrong, _) | (_, None) => None,
    })
}

/// Stores a stronger password hash. The old hash remains valid, so a failure is only logged; the next sign-in retries.
async fn strengthen(app: &App, user: &User, weak: String, strong: String) {
    let id = user.id;
    let strengthened =
        app.database.autocommit(async move |connection| store::strengthen(connection, id, &weak, &strong).await);
    if let Err(error) = strengthened.await {
        tracing::warn!(user = %id, error = error.detail(), "a password hash could not be replaced by a stronger one");
    }
}
