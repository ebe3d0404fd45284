//! Ceremonies of WebAuthn: begun with options for the browser, completed once by the response of an authenticator.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;

use super::{devices, factors};
use crate::{
    identity::{
        auth::ops as auth,
        mails::PasskeyRefused,
        second_factor::{
            model::{CEREMONY_LIFE, Ceremony, Challenge, Credential, Purpose},
            relying_party::{Assertion, RelyingParty},
            store,
        },
        user::{model::User, store as users},
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    config::Quota,
    database::Connection,
    error::{Reason, Result},
    id::{self, UserId},
    rate_limit::AttemptLimit,
    unit_of_work::Work,
};

/// A ceremony that has begun.
#[derive(Debug)]
pub struct Begun {
    /// The token that completes it, for [`CEREMONY_LIFE`].
    pub token: SecretString,
    /// The options for the browser, as JSON text.
    pub options: String,
}

impl Begun {
    pub(super) fn new(app: &App, ceremony: Ceremony, options: String) -> Self {
        Self { token: ceremony.write(&app.secret, app.clock.now()), options }
    }
}

/// Returns the passkeys of a user, as authenticators know them.
pub(super) async fn credentials(app: &App, user: UserId) -> Result<Vec<Credential>> {
    let read = async move |connection: &mut Connection| store::passkey::list(connection, user).await;
    Ok(app.database.autocommit(read).await?.into_iter().map(|passkey| passkey.credential).collect())
}

/// Begins a proof by a passkey of the calling user.
///
/// # Errors
/// `NO_SECOND_FACTOR` if the user has no passkey; `PASSKEYS_UNAVAILABLE`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn begin_reauthentication(app: &App, permit: &Permit) -> Result<Begun> {
    let (user, session) = factors::caller(app, permit).await?;
    let passkeys = credentials(app, user.id).await?;
    if passkeys.is_empty() {
        return Err(IdentityReason::NoSecondFactor.into());
    }
    let ceremony = Ceremony::begin(Purpose::Reauthenticate(user.id, session));
    let options = app.part::<RelyingParty>().request_options(&passkeys, ceremony.challenge())?;
    Ok(Begun::new(app, ceremony, options))
}

/// How a user may answer the challenge of a second factor.
#[derive(Debug)]
pub struct ChallengeOptions {
    /// The options for a passkey, as JSON text; `None` for a user without passkeys, or if passkeys are unavailable.
    pub passkey: Option<String>,
    /// How long the device can be remembered with the answer; `None` if it can't.
    pub remembered_for: Option<TimeDelta>,
}

/// Returns the options of the challenge of a second factor.
///
/// # Errors
/// `INVALID_TOKEN` for a challenge that is not valid; `UNAVAILABLE` if Postgres is unreachable.
pub async fn challenge_options(app: &App, token: &str) -> Result<ChallengeOptions> {
    let challenge = Challenge::read(&app.secret, token, app.clock.now()).ok_or(Reason::InvalidToken)?;
    let (id, party) = (challenge.user, app.part::<RelyingParty>());
    let read = async move |connection: &mut Connection| users::get(connection, Visibility::All, id).await;
    let user = app.database.autocommit(read).await?;
    let remembered_for = devices::life(app, &user).await?;
    let passkeys = credentials(app, id).await?;
    let passkey = if passkeys.is_empty() || !party.is_available() {
        None
    } else {
        Some(party.request_options(&passkeys, &challenge.id)?)
    };
    Ok(ChallengeOptions { passkey, remembered_for })
}

/// Completes a ceremony, which is possible once.
///
/// # Errors
/// If the token is not of this purpose, has expired, or was used before: `INVALID_TOKEN` for a sign-in, and `INVALID_PASSKEY`
/// within a session, whose clients answer the former with another sign-in. `UNAVAILABLE` if the use can't be counted.
pub(super) async fn take(app: &App, token: &str, purpose: Purpose) -> Result<Ceremony> {
    let ceremony = Ceremony::read(&app.secret, token, purpose, app.clock.now());
    if let Some(ceremony) = ceremony
        && use_up(app, ceremony.challenge()).await?
    {
        return Ok(ceremony);
    }
    Err(match purpose {
        Purpose::Login => Reason::InvalidToken.into(),
        Purpose::Enroll(..) | Purpose::Reauthenticate(..) => IdentityReason::InvalidPasskey.into(),
    })
}

/// Consumes a challenge. Returns `false` if it was used before. The count outlives it, also without Redis.
///
/// # Errors
/// `UNAVAILABLE` if the use can't be counted.
pub(super) async fn use_up(app: &App, challenge: &[u8]) -> Result<bool> {
    let once = Quota { requests: 1, window: CEREMONY_LIFE.to_std().unwrap_or(Duration::from_secs(300)) };
    match app.limiter.attempt(&[AttemptLimit::new("passkey-challenge", challenge, once).confidential()]).await {
        Ok(_) => Ok(true),
        Err(error) if error.reason() == Reason::RateLimitExceeded => Ok(false),
        Err(error) => Err(error),
    }
}

/// Verifies the proof by a passkey, of any user or of one, and stores its use, which cancels a reset that waits. Returns the
/// user; `None` if the proof is wrong.
///
/// # Errors
/// `PASSKEYS_UNAVAILABLE`; `UNAVAILABLE` if Postgres is unreachable.
pub(super) async fn prove(app: &App, of: Option<UserId>, proof: &Assertion, challenge: &[u8]) -> Result<Option<User>> {
    let credential = proof.credential_id.as_slice();
    let read = async move |connection: &mut Connection| store::passkey::by_credential(connection, credential).await;
    let passkey = app.database.autocommit(read).await?;
    // A sign-in alone takes the word of the authenticator for the user, which must be that of the stored passkey.
    let is_of = |user| match of {
        Some(of) => of == user && proof.is_of(user) != Some(false),
        None => proof.is_of(user) == Some(true),
    };
    let Some(passkey) = passkey.filter(|passkey| is_of(passkey.user)) else { return Ok(None) };
    let counter = match app.part::<RelyingParty>().verify(&passkey.credential, proof, challenge) {
        Ok(counter) => counter,
        Err(error) if error.reason() == IdentityReason::InvalidPasskey => {
            tracing::info!(passkey = %passkey.id, error = error.detail(), "the proof by a passkey was refused");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (id, user) = (passkey.id, passkey.user);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let is_accepted = store::passkey::accept(connection, id, counter, now).await?;
        // After the lock on the passkey: a removal that commits meanwhile ends the session that begins with this user.
        let owner = users::get(connection, Visibility::All, user).await?;
        if is_accepted && owner.is_active() {
            store::cancel_reset(connection, user).await?;
        }
        if !is_accepted {
            mail::send::<PasskeyRefused>(connection, id::new(now), Some(user.0), now).await?;
            let record = auth::of_user(user).refused().with("secondFactor", "passkey counter did not increase");
            work.audit(record.with("passkey", id.to_string()));
        }
        Ok(is_accepted.then_some(owner))
    });
    let owner = transaction.await?;
    if owner.is_none() {
        tracing::warn!(passkey = %id, %user, counter, "the counter of a passkey did not increase: it may be cloned");
    }
    Ok(owner)
}
