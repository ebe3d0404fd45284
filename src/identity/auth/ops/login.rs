//! Sign-in.

use std::net::IpAddr;

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};

use super::{audited, new_place};
use crate::{
    identity::{
        auth::{limits, networks::KnownNetworks, password::Password},
        credential::model::{self as token, DeviceId},
        passwords::{Passwords, Verdict},
        second_factor::model::Challenge,
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
    pub(crate) device_id: DeviceId,
    pub(crate) proof: Proof,
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
    let now = app.clock.now();
    let device_id =
        device_token.and_then(|token| token::read_device(&app.secret, email.as_str(), token.expose_secret(), now));
    let (user, is_known) = authenticate(app, &email, password, from, device_id).await?;
    let device_id = device_id.unwrap_or_else(random);
    let proof = Proof::password(app.clock.now());
    finish(app, Proved { user, is_known, device_id, proof }, device, account, from).await
}

/// Begins the session of a user who has proved who they are, by a password or a provider. For a user with a second factor,
/// returns a challenge instead.
///
/// # Errors
/// As [`complete`].
pub(crate) async fn finish(
    app: &App,
    proved: Proved,
    device: Device,
    account: Option<AccountId>,
    from: IpAddr,
) -> Result<SignedIn> {
    let Proved { user, device_id, proof, .. } = &proved;
    if user.second_factor_at.is_some() {
        let (user, epoch, method) = (user.id, user.epoch.number, proof.method);
        let challenge = Challenge { user, epoch, id: random(), device: *device_id, account, method };
        let (token, life) = challenge.write(&app.secret, app.clock.now());
        return Ok(SignedIn::Challenge(token, life));
    }
    let (pair, device_token) = complete(app, proved, device, account, from).await?;
    Ok(SignedIn::Tokens(pair, device_token))
}

/// Begins a session, and notifies the user if the network is unknown. Returns the session's tokens and the device's token.
///
/// # Errors
/// `NOT_FOUND` if the user is not a member of the named account; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn complete(
    app: &App,
    Proved { user, is_known, device_id, proof }: Proved,
    device: Device,
    account: Option<AccountId>,
    from: IpAddr,
) -> Result<(Pair, SecretString)> {
    let pair = session::begin(app, &user, device, account, proof).await?;
    sign_in::count(app, Outcome::Accepted).await;
    audited::signed_in(app, &user, &pair, is_known == Some(true)).await?;
    // Without Redis, every sign-in would cause a mail.
    if is_known == Some(false) {
        new_place::tell(app, &user, pair.session).await?;
    }
    app.part::<KnownNetworks>().remember(&user.email, from).await;
    let expires_at = app.clock.now() + session::life(app).unused;
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
