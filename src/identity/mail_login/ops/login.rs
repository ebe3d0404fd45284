//! Completes sign-ins by mail.

use std::net::IpAddr;

use secrecy::SecretString;

use super::begin::admit;
use crate::{
    identity::{
        auth::{
            limits,
            networks::KnownNetworks,
            ops::{self as auth, Proved, SignedIn},
        },
        credential::model as token,
        mail_login::{model::Answer, store},
        session::model::{Device, Proof},
        sign_in::{model::Outcome, ops as sign_in},
        user::{
            model::{EmailAddress, User},
            store as users,
        },
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Error, Reason, Result},
    id::AccountId,
    rate_limit::CountedAttempt,
    unit_of_work::Work,
};

/// The result of an answer.
enum Verdict {
    /// The answer is right, and was used up.
    Right(Box<User>),
    /// The answer for this address is wrong.
    Wrong(EmailAddress),
    /// The sign-in does not wait for an answer, or not any more.
    Ended,
}

/// Answers a sign-in with what the mail contains. Returns what a sign-in by a password returns: tokens, or the challenge of a
/// second factor. An unknown address costs the same as a known one.
///
/// # Errors
/// `MAIL_SIGN_IN_DISABLED`; `INVALID_TOKEN` if the sign-in has expired, was answered, or belongs to another browser,
/// if it had too many wrong codes, or if the sessions of the user were ended since; `WRONG_CODE`, `RATE_LIMIT_EXCEEDED`,
/// `USER_DEACTIVATED`; `NOT_FOUND` if the user is not a member of the named account; `UNAVAILABLE` if Postgres is unreachable.
pub async fn login(
    app: &App,
    binding: &str,
    answer: &Answer,
    device: Device,
    device_token: Option<SecretString>,
    account: Option<AccountId>,
    from: IpAddr,
) -> Result<SignedIn> {
    admit(app)?;
    let hash = token::hash(binding);
    let attempt = match answer {
        Answer::Code(_) => Some(count(app, hash, from).await?),
        // Nobody guesses 256 bits.
        Answer::Token(_) => None,
    };
    let verdict = take(app, hash, answer).await;
    // As for passwords: counted in advance, and refunded unless the code was wrong.
    if let Some(attempt) = attempt.filter(|_| !matches!(verdict, Ok(Verdict::Wrong(_)))) {
        app.limiter.take_back(attempt).await;
    }
    let (refusal, email, user): (Error, _, _) = match verdict? {
        Verdict::Ended => return Err(Reason::InvalidToken.into()),
        Verdict::Right(user) if user.is_active() => {
            let is_known = app.part::<KnownNetworks>().contains(&user.email, from).await;
            let proof = Proof::mail(app.clock.now());
            let known = auth::known_device(app, &user.email, device_token.as_ref());
            let proved = Proved { user: *user, is_known, device: known, proof, remembered: None, provider: None };
            return auth::finish(app, proved, device, account, from).await;
        }
        Verdict::Right(user) => (IdentityReason::UserDeactivated.into(), user.email.clone(), Some(user)),
        Verdict::Wrong(email) if matches!(answer, Answer::Code(_)) => (IdentityReason::WrongCode.into(), email, None),
        Verdict::Wrong(email) => (Reason::InvalidToken.into(), email, None),
    };
    sign_in::count(app, Outcome::Refused).await;
    auth::refused(app, &email, user.as_deref(), from).await?;
    Err(refusal)
}

/// Counts a code against the limits of its address and its network.
async fn count(app: &App, binding_hash: [u8; 32], from: IpAddr) -> Result<CountedAttempt> {
    let now = app.clock.now();
    let read = async move |connection: &mut Connection| store::address(connection, binding_hash, now).await;
    let email = app.database.autocommit(read).await?.ok_or(Reason::InvalidToken)?;
    limits::mail_code(app, &email, from).await
}

/// Uses up a sign-in if the answer is right. The lock on its row admits one answer at a time.
async fn take(app: &App, binding_hash: [u8; 32], answer: &Answer) -> Result<Verdict> {
    let secret = app.secret.clone();
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let Some(login) = store::lock(connection, binding_hash, now).await? else { return Ok(Verdict::Ended) };
        let Some(sent) = login.answered(&secret, answer) else {
            if matches!(answer, Answer::Code(_)) {
                store::count_wrong_code(connection, login.id).await?;
            }
            return Ok(Verdict::Wrong(login.email));
        };
        store::delete(connection, login.id).await?;
        let user = users::get(connection, Visibility::All, sent.user).await?;
        // Deactivation ends the sessions, too, and has its own refusal.
        let is_open = !user.is_active() || sent.is_open_to(&user, &login.email);
        Ok(if is_open { Verdict::Right(Box::new(user)) } else { Verdict::Ended })
    });
    transaction.await
}
