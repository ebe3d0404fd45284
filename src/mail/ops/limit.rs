//! How many mails of a kind a recipient gets, so that nobody can fill the mailbox of somebody else.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    identity::user::model::EmailAddress,
    mail::{
        model::{Kind, Mail},
        store,
        transport::Failure,
    },
};
use mainstay_kernel::{
    app::App,
    config::Quota,
    error::Reason,
    rate_limit::{AttemptLimit, CountedAttempt},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The most mails of a kind to one recipient.
fn quota(kind: Kind) -> Quota {
    let (requests, window) = match kind {
        // Nobody has confirmed the address. As long as the token is valid, there is no need for another.
        Kind::Registration => (1, 24 * HOUR),
        Kind::PasswordReset | Kind::SignIn => (5, HOUR),
        _ => (20, HOUR),
    };
    Quota { requests, window }
}

fn limit(kind: Kind, to: &str) -> AttemptLimit {
    let recipient = EmailAddress::parse(to).map_or_else(|_| to.to_owned(), String::from);
    // An address without a user gets no mail, and so is never refused any.
    AttemptLimit::new("mail", &[kind.name().as_bytes(), &[0], recipient.as_bytes()].concat(), quota(kind))
        .confidential()
}

/// Counts a mail, unless it was counted before; returns when. Only a process that dies before it has stored that may
/// count a mail twice.
///
/// # Errors
/// [`Failure::Withheld`] if its recipient has had too many; [`Failure::Unavailable`] if it can't be counted.
pub(super) async fn admit(app: &App, mail: &Mail, to: &str) -> Result<DateTime<Utc>, Failure> {
    if let Some(at) = mail.counted_at {
        return Ok(at);
    }
    let unavailable = || Failure::Unavailable("the mails of the recipient can't be counted".to_owned());
    let attempt = match app.limiter.attempt(&[limit(mail.topic.kind(), to)]).await {
        Ok(attempt) => attempt,
        Err(error) if error.reason() == Reason::RateLimitExceeded => {
            return Err(Failure::Withheld("the recipient has had too many mails of this kind".to_owned()));
        }
        Err(_) => return Err(unavailable()),
    };
    let (id, at) = (mail.id, attempt.at().unwrap_or_else(|| app.clock.now()));
    let result = app.database.autocommit(async move |connection| store::set_counted(connection, id, at).await).await;
    if result.is_err() {
        app.limiter.take_back(attempt).await;
        return Err(unavailable());
    }
    Ok(at)
}

/// Takes back that a mail was counted, because its recipient did not get it.
pub(super) async fn take_back(app: &App, kind: Kind, to: &str, at: DateTime<Utc>) {
    app.limiter.take_back(CountedAttempt::restore(limit(kind, to), at)).await;
}
