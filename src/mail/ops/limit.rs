//! Rate limits of mail per recipient, which protect mailboxes from floods caused by third parties. Mails beyond the
//! limit of their kind are not sent. Mails beyond the short-term limit are postponed.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    identity::user::model::EmailAddress,
    mail::{kind::Kind, model::Mail, store, transport::Failure},
};
use mainstay_kernel::{
    app::App,
    config::Quota,
    error::Reason,
    rate_limit::{AttemptLimit, CountedAttempt},
};

/// The limit of mails of all kinds to one recipient within a short time. Urgent kinds are exempt, because a flood of
/// other mails would delay them; the limits of their kinds are low.
const PACE: Quota = Quota { requests: 10, window: Duration::from_secs(600) };

/// The limit of registrations, and of invitations, to all tagged addresses of one mailbox ([RFC 5233](https://www.rfc-editor.org/rfc/rfc5233):
/// `ada+shop@example.org` and `ada@example.org` share a mailbox), because an unauthenticated client, and an account, may name any number of
/// them. The address without a tag does not count, so that such a client can't keep it from registering. Mail of other
/// kinds takes an authenticated client, or a user who has confirmed the address.
const TAGGED: Quota = Quota { requests: 10, window: Duration::from_secs(24 * 3600) };

fn recipient(to: &str) -> String {
    EmailAddress::find(to).map_or_else(|_| to.to_owned(), String::from)
}

fn pace(to: &str) -> AttemptLimit {
    AttemptLimit::new("mail-pace", recipient(to).as_bytes(), PACE).confidential()
}

fn limits(kind: &Kind, to: &str) -> Vec<AttemptLimit> {
    let recipient = recipient(to);
    // An address without a user gets no mail, so none is ever withheld from it.
    let of_kind = [kind.name.as_bytes(), &[0], recipient.as_bytes()].concat();
    let mut limits = vec![AttemptLimit::new("mail", &of_kind, kind.limit).confidential()];
    let mailbox = EmailAddress::find(to).ok().and_then(|address| address.without_tag());
    if let Some(mailbox) = mailbox.filter(|_| kind.limits_tagged) {
        limits.push(AttemptLimit::new("mail-tagged", mailbox.as_bytes(), TAGGED).confidential());
    }
    limits
}

/// Counts a mail, unless it was counted before; returns the time of counting. A mail is counted twice only if the
/// process dies before it has stored that time.
///
/// # Errors
/// [`Failure::Withheld`] if the recipient exceeded the limit of the kind; [`Failure::Postponed`] if the recipient
/// exceeded the short-term limit; [`Failure::Unavailable`] if the mail can't be counted.
pub(super) async fn admit(app: &App, kind: &Kind, mail: &Mail, to: &str) -> Result<DateTime<Utc>, Failure> {
    if let Some(at) = mail.counted_at {
        return Ok(at);
    }
    let unavailable = || Failure::Unavailable("the mails of the recipient can't be counted".to_owned());
    let pace = (!kind.is_urgent).then(|| pace(to));
    let paced = match app.limiter.attempt(pace.as_slice()).await {
        Ok(paced) => paced,
        Err(error) if error.reason() == Reason::RateLimitExceeded => {
            let (why, wait) = ("the recipient has had many mails lately".to_owned(), error.wait());
            return Err(Failure::Postponed { why, wait: wait.unwrap_or(PACE.window) });
        }
        Err(_) => return Err(unavailable()),
    };
    let attempt = match app.limiter.attempt(&limits(kind, to)).await {
        Ok(attempt) => attempt,
        Err(error) if error.reason() == Reason::RateLimitExceeded => {
            app.limiter.take_back(paced).await;
            return Err(Failure::Withheld("the recipient has had too many mails of this kind".to_owned()));
        }
        Err(_) => {
            app.limiter.take_back(paced).await;
            return Err(unavailable());
        }
    };
    let (id, at) = (mail.id, attempt.at().unwrap_or_else(|| app.clock.now()));
    let result = app.database.autocommit(async move |connection| store::set_counted(connection, id, at).await).await;
    if result.is_err() {
        app.limiter.take_back(attempt).await;
        app.limiter.take_back(paced).await;
        return Err(unavailable());
    }
    Ok(at)
}

/// Refunds the count of a mail that its recipient did not get.
pub(super) async fn take_back(app: &App, kind: &Kind, to: &str, at: DateTime<Utc>) {
    for limit in limits(kind, to) {
        app.limiter.take_back(CountedAttempt::restore(limit, at)).await;
    }
}
