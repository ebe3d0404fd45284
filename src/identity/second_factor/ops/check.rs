//! The check of a code or a passkey: at sign-in, and when a user authenticates again.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use super::{ceremony, devices, factors};
use crate::{
    identity::{
        auth::{
            networks::KnownNetworks,
            ops::{self as auth, Proved},
        },
        config::IdentityConfig,
        credential::model::DeviceId,
        mails::RecoveryCodeUsed,
        second_factor::{
            model::{Challenge, Code, Purpose, RememberedDevice, Stored, step_of},
            ops::open,
            relying_party::Assertion,
            store,
        },
        session::{
            model::{Device, Method, Proof},
            ops as session,
        },
        sign_in::{model::Outcome, ops as sign_in},
        tokens::Pair,
        user::{model::User, store as users},
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    config::Quota,
    error::{Error, Reason, Result},
    id,
    rate_limit::AttemptLimit,
    secret::random,
    unit_of_work::Work,
};

/// The wrong codes per challenge, and per user in a day. A code is right with a probability of three in a million, so the
/// latter bounds the success of a thief of the password to one in ten thousand a day.
const PER_CHALLENGE: Quota = Quota { requests: 5, window: Duration::from_secs(300) };
const PER_DAY: Quota = Quota { requests: 30, window: Duration::from_secs(86_400) };
/// The wrong codes per user in a day, whatever the password: a thief of the mailbox resets the password and begins anew.
const PER_USER_AND_DAY: Quota = Quota { requests: 60, window: Duration::from_secs(86_400) };

/// The answer to the challenge of a second factor.
pub enum Answer {
    /// A code.
    Code(Code),
    /// The proof by a passkey.
    Passkey(Assertion),
}

/// The proof that the caller is the user of the session.
pub enum Evidence {
    /// The password and, with a second factor, a code.
    Password(SecretString, Option<Code>),
    /// The proof by a passkey, and the token of its ceremony.
    Passkey(Assertion, String),
}

impl Answer {
    /// Returns the proof of a sign-in that began with a method. A passkey proves two factors, whatever came before.
    fn proof(&self, at: DateTime<Utc>, first: Method) -> Proof {
        match self {
            Self::Code(_) => Proof { at, method: first, has_second_factor: true },
            Self::Passkey(_) => Proof::passkey(at),
        }
    }
}

fn is_wrong(error: &Error) -> bool {
    error.reason() == IdentityReason::WrongCode || error.reason() == IdentityReason::InvalidPasskey
}

/// Completes a sign-in, with the challenge that the first factor has earned and an answer. Returns the session's tokens and the
/// device's token. With `remember`, the next sign-ins of the device need no second factor, unless the user must prove it each
/// time, or the answer is a recovery code, which stands for a factor that is lost.
///
/// # Errors
/// `INVALID_TOKEN` for a challenge that is not valid, or not any more; `WRONG_CODE`, `INVALID_PASSKEY`,
/// `PASSKEYS_UNAVAILABLE`, `RATE_LIMIT_EXCEEDED`; `NOT_FOUND` if the user is not a member of the account of the challenge;
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn verify(
    app: &App,
    token: &str,
    answer: &Answer,
    remember: bool,
    device: Device,
    from: IpAddr,
) -> Result<(Pair, SecretString)> {
    let challenge = Challenge::read(&app.secret, token, app.clock.now()).ok_or(Reason::InvalidToken)?;
    let id = challenge.user;
    let row = app.database.autocommit(async move |connection| users::with_hash(connection, id).await).await?;
    let is_valid =
        |user: &User| user.is_active() && user.epoch.number == challenge.epoch && user.second_factor_at.is_some();
    let user = row.map(|(user, _)| user).filter(is_valid).ok_or(Reason::InvalidToken)?;
    if matches!(answer, Answer::Passkey(_)) && !ceremony::use_up(app, &challenge.id).await? {
        return Err(Reason::InvalidToken.into());
    }
    let of_challenge = AttemptLimit::new("second-factor-challenge", &challenge.id, PER_CHALLENGE);
    if let Err(error) = check(app, &user, answer, &challenge.id, Some(of_challenge)).await {
        if is_wrong(&error) {
            sign_in::count(app, Outcome::Refused).await;
            auth::refused(app, &user.email, Some(&user), from).await?;
        }
        return Err(error);
    }
    let is_known = app.part::<KnownNetworks>().contains(&user.email, from).await;
    let proof = answer.proof(app.clock.now(), challenge.method);
    let life = match answer {
        Answer::Code(Code::Totp(_)) | Answer::Passkey(_) if remember => devices::life(app, &user).await?,
        _ => None,
    };
    // A copy of the token from before is not remembered.
    let device_id = if life.is_some() { random() } else { challenge.device };
    let (device_of, provider) = (Some(device_id), challenge.provider);
    let proved = Proved { user: user.clone(), is_known, device: device_of, proof, remembered: None, provider };
    let signed_in = auth::complete(app, proved, device.clone(), challenge.account, from).await?;
    if let Some(life) = life
        && let Err(error) = remember_device(app, user, device, [device_id, challenge.device], life).await
    {
        // The code is used up, so a failure must not lose the session. The next sign-in asks again.
        tracing::warn!(error = error.detail(), "a device was not remembered");
    }
    Ok(signed_in)
}

/// Remembers the device of a sign-in, by the new id in its token and the earlier one.
async fn remember_device(
    app: &App,
    user: User,
    device: Device,
    [id, earlier]: [DeviceId; 2],
    life: TimeDelta,
) -> Result<()> {
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let remembered = RememberedDevice::new(&user, device, work.now(), life);
        if devices::remember(work, &user, &remembered, id, earlier).await? {
            let record = factors::record(user.id, "device remembered").by(user.id, false);
            work.audit(record.with("device", remembered.id.to_string()));
        }
        Ok(())
    });
    transaction.await
}

/// Proves again who the calling user is, and returns an access token that says so.
///
/// # Errors
/// `WRONG_PASSWORD`, `WRONG_CODE`, `INVALID_PASSKEY`, `PASSKEYS_UNAVAILABLE`, `RATE_LIMIT_EXCEEDED`, `OVERLOADED`,
/// `SESSION_REVOKED`; `VALIDATION_FAILED` without the code of a user who has a second factor; `UNAVAILABLE` if Postgres is unreachable.
pub async fn reauthenticate(app: &App, permit: &Permit, evidence: Evidence, from: IpAddr) -> Result<Pair> {
    let (user, answer, challenge) = match evidence {
        Evidence::Password(password, code) => {
            let (user, _) = auth::prove_password(app, permit, password, from).await?;
            if user.second_factor_at.is_some() && code.is_none() {
                return Err(Error::field("code", "is required"));
            }
            let code = code.filter(|_| user.second_factor_at.is_some());
            (user, code.map(Answer::Code), Vec::new())
        }
        Evidence::Passkey(proof, token) => {
            let (user, session) = factors::caller(app, permit).await?;
            let ceremony = ceremony::take(app, &token, Purpose::Reauthenticate(user.id, session)).await?;
            (user, Some(Answer::Passkey(proof)), ceremony.challenge().to_vec())
        }
    };
    let mut proof = Proof::password(app.clock.now());
    if let Some(answer) = &answer {
        if let Err(error) = check(app, &user, answer, &challenge, None).await {
            if is_wrong(&error) {
                auth::refused(app, &user.email, Some(&user), from).await?;
            }
            return Err(error);
        }
        proof = answer.proof(app.clock.now(), Method::Password);
    }
    let (.., id) = session::caller(permit)?;
    let pair = session::renew(app, user.id, id, proof).await?;
    auth::record(app, auth::of_user(user.id)).await?;
    Ok(pair)
}

/// Verifies and consumes an answer of a user who has proved the first factor. Wrong answers count for the user's epoch, so that
/// a thief of the password keeps the owner out only until the password is reset.
///
/// # Errors
/// `WRONG_CODE`, `INVALID_PASSKEY`, `PASSKEYS_UNAVAILABLE`, `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if Postgres is unreachable.
async fn check(app: &App, user: &User, answer: &Answer, challenge: &[u8], also: Option<AttemptLimit>) -> Result<()> {
    let key = [user.id.0.as_bytes().as_slice(), &user.epoch.number.to_be_bytes()].concat();
    let quota = app.config.section::<IdentityConfig>().login_attempts;
    let mut limits = vec![AttemptLimit::new("second-factor", &key, quota)];
    limits.push(AttemptLimit::new("second-factor-day", &key, PER_DAY));
    limits.push(AttemptLimit::new("second-factor-user", user.id.0.as_bytes(), PER_USER_AND_DAY));
    limits.extend(also);
    let attempt = app.limiter.attempt(&limits).await?;
    let (is_right, refusal) = match answer {
        Answer::Code(Code::Totp(typed)) => (use_app(app, user, typed.clone()).await, IdentityReason::WrongCode),
        Answer::Code(Code::Recovery(hash)) => (use_recovery_code(app, user, *hash).await, IdentityReason::WrongCode),
        Answer::Passkey(proof) => {
            let proved = ceremony::prove(app, Some(user.id), proof, challenge).await;
            (proved.map(|user| user.is_some()), IdentityReason::InvalidPasskey)
        }
    };
    // As for passwords: counted in advance, and refunded unless the answer was wrong.
    if !matches!(is_right, Ok(false)) {
        app.limiter.take_back(attempt).await;
    }
    if is_right? { Ok(()) } else { Err(refusal.into()) }
}

/// Accepts a code of the authenticator app once: of two requests at once, the later finds the step taken.
async fn use_app(app: &App, user: &User, typed: String) -> Result<bool> {
    let (id, secret) = (user.id, app.secret.clone());
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let stored = store::find(connection, id).await?.filter(Stored::has_app);
        let Some(stored) = stored else { return Ok(false) };
        let opened = open(&secret, id, &stored.secret)?;
        match step_of(&opened, &typed, stored.last_step, now) {
            Some(step) => store::accept_step(connection, id, step).await,
            None => Ok(false),
        }
    });
    transaction.await
}

/// Consumes a recovery code, and tells the user.
async fn use_recovery_code(app: &App, user: &User, hash: [u8; 32]) -> Result<bool> {
    let id = user.id;
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        if !store::use_recovery_code(connection, id, &hash).await? {
            return Ok(false);
        }
        mail::send::<RecoveryCodeUsed>(connection, id::new(now), Some(id.0), now).await?;
        work.audit(auth::of_user(id).with("secondFactor", "recovery code used"));
        Ok(true)
    });
    transaction.await
}
