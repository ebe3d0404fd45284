//! Mail: what is sent, and how it is delivered.
//!
//! A mail is a row and a job, inserted in the transaction of its cause ([`send`]): no mail is sent unless its cause
//! commits, no cause commits without its mail, and each cause has one mail. The row stores only the subject; address
//! and text are composed when the mail is sent and are never stored, so there are no secrets in it. An attempt takes a
//! lease on the row, so that no two attempts run at once, and sends the mail outside any transaction.
//!
//! ```text
//!   leased, committed ──▶ sent to a provider ──▶ outcome committed
//!         │                      │                       ▲
//!         └── the process dies   └──▶ unavailable: rest ─┘
//! ```
//!
//! If the process dies between the provider's acceptance and its own commit, the mail is sent twice, because SMTP has
//! no idempotency key. Both copies carry the same `Message-ID`, by which mail clients can recognize the duplicate.

mod compose;
mod limit;

use crate::mail::config::MailConfig;
use crate::mail::transport::Transport;
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng as _;
use std::sync::Arc;

use crate::{
    mail::{
        id::MailId,
        job::SendMail,
        model::{Mail, State, Subject, longest_wait},
        store,
        transport::{Failure, Letter, Outgoing},
    },
    orders::{events::OrderCreated, id::OrderId},
    payments::{events::PaymentSucceeded, id::PaymentId},
};
use mainstay_kernel::{
    app::App,
    database::Connection,
    error::{Error, Result},
    events::{Event, EventKind as _},
    fault, queue as jobs,
};

/// The part of a lease that is reserved for committing the outcome.
const COMMIT_TIME: TimeDelta = TimeDelta::seconds(5);

/// Sends a mail, within the caller's transaction, unless there is already one about its subject.
///
/// # Errors
/// Any database error.
pub async fn send(connection: &mut Connection, subject: Subject, now: DateTime<Utc>) -> Result<()> {
    let mail = Mail::about(subject, now);
    if store::insert(connection, &mail).await? {
        jobs::enqueue(connection, &SendMail { mail: mail.id }).await?;
    }
    Ok(())
}

/// Sends the mails that events call for, in the transaction that publishes them. Whether there is a recipient is found
/// out when a mail is sent, so publishing reads nothing.
///
/// # Errors
/// Any database error.
pub async fn send_about(connection: &mut Connection, events: &[Event], now: DateTime<Utc>) -> Result<()> {
    for subject in events.iter().filter_map(subject_of) {
        send(connection, subject, now).await?;
    }
    Ok(())
}

fn subject_of(event: &Event) -> Option<Subject> {
    match &*event.kind {
        OrderCreated::NAME => Some(Subject::OrderConfirmation(OrderId(event.resource))),
        PaymentSucceeded::NAME => Some(Subject::PaymentReceipt(PaymentId(event.resource))),
        _ => None,
    }
}

/// The result of trying to lease a mail.
enum Lease {
    /// The caller holds the lease.
    Acquired(Mail, Letter),
    /// Another worker holds the lease. The job runs again when the lease ends, in case that worker dies.
    Held,
    /// The mail failed: it expired, or it has no recipient.
    Expired(Mail, &'static str),
    /// The mail was sent or has failed.
    Settled,
}

/// Attempts a mail once, unless another worker is sending it or it is settled.
///
/// # Errors
/// `NOT_FOUND`, or any database error. A rejected mail is recorded, and is not an error.
pub async fn deliver(app: &App, id: MailId) -> Result<()> {
    let (mail, letter) = match begin(app, id).await? {
        Lease::Acquired(mail, letter) => (mail, letter),
        Lease::Expired(mail, became) => {
            count(&mail, became);
            return Ok(());
        }
        Lease::Held | Lease::Settled => return Ok(()),
    };
    // Only before the first attempt: the one mail that an address gets may need several.
    let counted = if mail.attempts == 1 { limit::count(app, mail.subject, &letter).await } else { Ok(()) };
    let outcome = match counted {
        Ok(()) => {
            let outgoing = Outgoing { id, kind: mail.subject.name(), date: mail.created_at, letter };
            app.part::<Arc<dyn Transport>>().send(&outgoing).await
        }
        Err(failure) => Err(failure),
    };
    fault::point("mail.handed_over")?;
    record(app, mail, outcome).await
}

async fn begin(app: &App, id: MailId) -> Result<Lease> {
    let now = app.clock.now();
    // An attempt may call two providers, each for up to the timeout.
    let most = TimeDelta::from_std(app.config.section::<MailConfig>().timeout * 2).unwrap_or(TimeDelta::MAX);
    let turn = app.database.transaction(async move |connection| {
        let mail = store::lock(connection, id).await?;
        if mail.state != State::Pending {
            return Ok(Lease::Settled);
        }
        if let Some(until) = mail.held_until.filter(|until| *until > now) {
            jobs::enqueue_at(connection, &SendMail { mail: id }, until).await?;
            return Ok(Lease::Held);
        }
        let turn = if mail.expires_at <= now {
            let why = mail.failure.clone().unwrap_or_else(|| "nobody tried".to_owned());
            Lease::Expired(mail.failed(why, now), "expired")
        } else {
            match compose::letter(connection, &mail, now).await? {
                Some(letter) => Lease::Acquired(mail.begun(now + most + COMMIT_TIME), letter),
                None => Lease::Expired(mail.failed("there is no recipient".to_owned(), now), "to_nobody"),
            }
        };
        if let Lease::Acquired(mail, _) | Lease::Expired(mail, _) = &turn {
            store::update(connection, mail).await?;
        }
        Ok::<_, Error>(turn)
    });
    turn.await
}

/// Records the outcome of an attempt. A failure is ignored if another attempt has begun meanwhile; a success
/// counts while the mail is pending.
async fn record(app: &App, tried: Mail, outcome: Result<(), Failure>) -> Result<()> {
    let now = app.clock.now();
    let wait = longest_wait(tried.attempts, app.config.section::<MailConfig>().retry_wait);
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let wait = wait.mul_f64(rand::rng().random_range(0.5..1.0));
    let next = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
    let recorded = app.database.transaction(async move |connection| {
        let mail = store::lock(connection, tried.id).await?;
        let is_mine = mail.attempts == tried.attempts;
        let (mail, became) = match outcome {
            _ if mail.state != State::Pending => return Ok(None),
            Ok(()) => (mail.sent(now), "sent"),
            Err(_) if !is_mine => return Ok(None),
            Err(Failure::Unavailable(why)) if next < mail.expires_at => {
                jobs::enqueue_at(connection, &SendMail { mail: mail.id }, next).await?;
                (mail.at_rest(why), "tried")
            }
            Err(Failure::Unavailable(why)) => (mail.failed(why, now), "expired"),
            Err(Failure::Rejected(why)) => (mail.failed(why, now), "rejected"),
            Err(Failure::Withheld(why)) => (mail.failed(why, now), "withheld"),
        };
        store::update(connection, &mail).await?;
        Ok::<_, Error>(Some((mail, became)))
    });
    if let Some((mail, became)) = recorded.await? {
        count(&mail, became);
    }
    Ok(())
}

/// Marks a mail as failed because its job will not run again.
///
/// # Errors
/// Any database error.
pub async fn give_up(app: &App, id: MailId) -> Result<()> {
    let now = app.clock.now();
    let given_up = app.database.transaction(async move |connection| {
        let mail = store::lock(connection, id).await?;
        if mail.state != State::Pending {
            return Ok(None);
        }
        let why = mail.failure.clone().unwrap_or_else(|| "its job failed".to_owned());
        let mail = mail.failed(why, now);
        store::update(connection, &mail).await?;
        Ok::<_, Error>(Some(mail))
    });
    if let Some(mail) = given_up.await? {
        count(&mail, "given_up");
    }
    Ok(())
}

/// Logs and counts the outcome of a mail, without its content or recipient.
fn count(mail: &Mail, became: &'static str) {
    let (id, kind, attempts, why) = (mail.id, mail.subject.name(), mail.attempts, mail.failure.as_deref());
    metrics::counter!("mainstay_mails_total", "kind" => kind, "outcome" => counted_as(became)).increment(1);
    match became {
        "sent" => tracing::info!(mail = %id, kind, attempts, "a mail was sent"),
        "tried" => tracing::warn!(mail = %id, kind, attempts, why, "a mail was not accepted and will be retried"),
        // This is normal: any reset requested for an unknown address ends here.
        "to_nobody" => tracing::debug!(mail = %id, kind, "a mail has no recipient"),
        // So is this: nobody can be kept from asking.
        "withheld" => tracing::debug!(mail = %id, kind, why, "a mail was not sent"),
        _ => tracing::error!(mail = %id, kind, attempts, outcome = became, why, "a mail will not be sent"),
    }
}

/// Returns the outcome in the metrics. It is the same for what was sent and for what has no recipient or one too many
/// mails: whoever reads the metrics must not learn which addresses have a user. The table `mails` tells.
fn counted_as(became: &'static str) -> &'static str {
    if matches!(became, "to_nobody" | "withheld") { "sent" } else { became }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_do_not_tell_whether_a_mail_had_a_recipient() {
        assert_eq!(["sent", "to_nobody", "withheld"].map(counted_as), ["sent"; 3]);
        assert_eq!(["rejected", "expired", "given_up"].map(counted_as), ["rejected", "expired", "given_up"]);
    }
}
