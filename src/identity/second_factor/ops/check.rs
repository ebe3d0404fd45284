//! The check of a code: at sign-in, and when a user authenticates again.

use std::{net::IpAddr, time::Duration};

use secrecy::SecretString;

use crate::{
    identity::{
        auth::{
            networks::KnownNetworks,
            ops::{self as auth, Proved},
        },
        config::IdentityConfig,
        second_factor::{
            model::{Challenge, Code, step_of},
            ops::open,
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
    mail::{model::Topic, ops as mail},
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    config::Quota,
    error::{Error, Reason, Result},
    id,
    rate_limit::AttemptLimit,
    unit_of_work::Work,
};

/// The wrong codes per challenge, and per user in a day. A code is right with a probability of three in a million, so the
/// latter bounds the success of a thief of the password to one in ten thousand a day.
const PER_CHALLENGE: Quota = Quota { requests: 5, window: Duration::from_secs(300) };
const PER_DAY: Quota = Quota { requests: 30, window: Duration::from_secs(86_400) };
/// The wrong codes per user in a day, whatever the password: a thief of the mailbox resets the password and begins anew.
const PER_USER_AND_DAY: Quota = Quota { requests: 60, window: Duration::from_secs(86_400) };

/// Completes a sign-in, with the challenge that the right password has earned and a code. Returns the session's tokens and
/// the device's token.
///
/// # Errors
/// `INVALID_TOKEN` for a challenge that is not valid, or not any more; `WRONG_CODE`, `RATE_LIMIT_EXCEEDED`; `NOT_FOUND` if
/// the user is not a member of the account of the challenge; `UNAVAILABLE` if Postgres is unreachable.
pub async fn verify(app: &App, token: &str, code: &Code, device: Device, from: IpAddr) -> Result<(Pair, SecretString)> {
    let challenge = Challenge::read(&app.secret, token, app.clock.now()).ok_or(Reason::InvalidToken)?;
    let id = challenge.user;
    let row = app.database.autocommit(async move |connection| users::with_hash(connection, id).await).await?;
    let is_valid =
        |user: &User| user.is_active() && user.epoch.number == challenge.epoch && user.second_factor_at.is_some();
    let user = row.map(|(user, _)| user).filter(is_valid).ok_or(Reason::InvalidToken)?;
    let of_challenge = AttemptLimit::new("second-factor-challenge", &challenge.id, PER_CHALLENGE);
    if let Err(error) = check(app, &user, code, Some(of_challenge)).await {
        if error.reason() == IdentityReason::WrongCode {
            sign_in::count(app, Outcome::Refused).await;
            auth::refused(app, &user.email, Some(&user), from).await?;
        }
        return Err(error);
    }
    let is_known = app.part::<KnownNetworks>().contains(&user.email, from).await;
    let proof = Proof { at: app.clock.now(), method: challenge.method, has_second_factor: true };
    let proved = Proved { user, is_known, device_id: challenge.device, proof };
    auth::complete(app, proved, device, challenge.account, from).await
}

/// Proves again who the calling user is, and returns an access token that says so.
///
/// # Errors
/// `WRONG_PASSWORD`, `WRONG_CODE`, `RATE_LIMIT_EXCEEDED`, `OVERLOADED`, `SESSION_REVOKED`; `VALIDATION_FAILED` without the
/// code of a user who has a second factor; `UNAVAILABLE` if Postgres is unreachable.
pub async fn reauthenticate(
    app: &App,
    permit: &Permit,
    password: SecretString,
    code: Option<&Code>,
    from: IpAddr,
) -> Result<Pair> {
    let (user, _) = auth::prove_password(app, permit, password, from).await?;
    let has_second_factor = user.second_factor_at.is_some();
    if has_second_factor {
        let code = code.ok_or_else(|| Error::field("code", "is required"))?;
        if let Err(error) = check(app, &user, code, None).await {
            if error.reason() == IdentityReason::WrongCode {
                auth::refused(app, &user.email, Some(&user), from).await?;
            }
            return Err(error);
        }
    }
    let (.., id) = session::caller(permit)?;
    let proof = Proof { at: app.clock.now(), method: Method::Password, has_second_factor };
    let pair = session::renew(app, user.id, id, proof).await?;
    auth::record(app, auth::of_user(user.id)).await?;
    Ok(pair)
}

/// Verifies and consumes a code of a user who has proved the password. Wrong codes count for the user's epoch, so that a
/// thief of the password keeps the owner out only until the password is reset.
///
/// # Errors
/// `WRONG_CODE`, `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if Postgres is unreachable.
pub(super) async fn check(app: &App, user: &User, code: &Code, also: Option<AttemptLimit>) -> Result<()> {
    let key = [user.id.0.as_bytes().as_slice(), &user.epoch.number.to_be_bytes()].concat();
    let quota = app.config.section::<IdentityConfig>().login_attempts;
    let mut limits = vec![AttemptLimit::new("second-factor", &key, quota)];
    limits.push(AttemptLimit::new("second-factor-day", &key, PER_DAY));
    limits.push(AttemptLimit::new("second-factor-user", user.id.0.as_bytes(), PER_USER_AND_DAY));
    limits.extend(also);
    let attempt = app.limiter.attempt(&limits).await?;
    let is_right = match code {
        Code::Totp(typed) => use_app(app, user, typed.clone()).await,
        Code::Recovery(hash) => use_recovery_code(app, user, *hash).await,
    };
    // As for passwords: counted in advance, and refunded unless the code was wrong.
    if !matches!(is_right, Ok(false)) {
        app.limiter.take_back(attempt).await;
    }
    if is_right? { Ok(()) } else { Err(IdentityReason::WrongCode.into()) }
}

/// Accepts a code of the authenticator app once: of two requests at once, the later finds the step taken.
async fn use_app(app: &App, user: &User, typed: String) -> Result<bool> {
    let (id, secret) = (user.id, app.secret.clone());
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let Some(stored) = store::find(connection, id).await? else { return Ok(false) };
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
        mail::send(connection, Topic::RecoveryCodeUsed { event: id::new(now), user: id }, now).await?;
        work.audit(auth::of_user(id).with("secondFactor", "recovery code used"));
        Ok(true)
    });
    transaction.await
}
