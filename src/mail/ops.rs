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
//!         └── the process dies   └──▶ unavailable: wait ─┘
//! ```
//!
//! If the process dies between the provider's acceptance and its own commit, the mail is sent twice, because SMTP has
//! no idempotency key. Both copies carry the same `Message-ID`, by which mail clients can recognize the duplicate.

mod compose;
mod limit;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    database::Connection,
    error::{Error, Result},
    events::{Event, EventKind as _},
    fault, queue,
};
use rand::Rng as _;

use crate::{
    mail::{
        config::MailConfig,
        id::MailId,
        job::{SendBulkMail, SendMail},
        links::Links,
        model::{Kind, Mail, State, Subject, max_retry_delay},
        store,
        suppression::ops as suppression,
        templates::Templates,
        transport::{Failure, Outgoing, Transport},
    },
    orders::{events::OrderCreated, id::OrderId},
    payments::{
        events::{PaymentSucceeded, RefundSucceeded},
        id::{PaymentId, RefundId},
    },
    support::{events::TicketCreated, id::TicketId},
};
use compose::Draft;

/// The part of a lease that is reserved for committing the outcome.
const COMMIT_TIME: TimeDelta = TimeDelta::seconds(5);

/// Sends a mail, within the caller's transaction, unless there is already one about its subject.
///
/// # Errors
/// Any database error.
pub async fn send(connection: &mut Connection, subject: Subject, now: DateTime<Utc>) -> Result<()> {
    send_all(connection, &[subject], now).await
}

/// Sends the mails that events call for, in the transaction that publishes them. Whether there is a recipient is found
/// out when a mail is sent, so publishing reads nothing.
///
/// # Errors
/// Any database error.
pub async fn send_about(connection: &Connection, events: &[Event], now: DateTime<Utc>) -> Result<()> {
    send_all(connection, &events.iter().filter_map(subject_of).collect::<Vec<_>>(), now).await
}

fn subject_of(event: &Event) -> Option<Subject> {
    match &*event.kind {
        OrderCreated::NAME => Some(Subject::OrderConfirmation(OrderId(event.resource))),
        PaymentSucceeded::NAME => Some(Subject::PaymentReceipt(PaymentId(event.resource))),
        RefundSucceeded::NAME => Some(Subject::Refund(RefundId(event.resource))),
        TicketCreated::NAME => Some(Subject::TicketReceived(TicketId(event.resource))),
        _ => None,
    }
}

/// Stores mails with their jobs, in two statements for each lane.
async fn send_all(connection: &Connection, subjects: &[Subject], now: DateTime<Utc>) -> Result<()> {
    let mails = subjects.iter().map(|subject| Mail::about(*subject, now));
    let (urgent, bulk): (Vec<_>, Vec<_>) = mails.partition(|mail| mail.subject.kind().is_urgent());
    if !urgent.is_empty() {
        let stored = store::insert(connection, &urgent).await?;
        let jobs: Vec<_> = stored.into_iter().map(|mail| SendMail { mail }).collect();
        queue::enqueue_all(connection, &jobs).await?;
    }
    if !bulk.is_empty() {
        let stored = store::insert(connection, &bulk).await?;
        let jobs: Vec<_> = stored.into_iter().map(|mail| SendBulkMail { mail }).collect();
        queue::enqueue_all(connection, &jobs).await?;
    }
    Ok(())
}

/// Queues the job of a mail.
async fn enqueue_at(connection: &Connection, mail: &Mail, at: DateTime<Utc>) -> Result<()> {
    match mail.subject.kind().is_urgent() {
        true => queue::enqueue_at(connection, &SendMail { mail: mail.id }, at).await,
        false => queue::enqueue_at(connection, &SendBulkMail { mail: mail.id }, at).await,
    }
}

/// Whether a mail can be attempted.
enum Turn {
    /// The caller has the lease.
    Attempt(Mail, Draft),
    /// Another worker has the lease. The job runs again when the lease ends, in case that worker dies.
    Busy,
    /// The mail failed: it expired, or it has no recipient, or one that is sent no mail.
    Failed(Mail, &'static str),
    /// The mail was sent or has failed.
    Finished,
}

/// Attempts a mail once, unless another worker is sending it or it is finished.
///
/// # Errors
/// `NOT_FOUND`, or any database error. A rejected mail is recorded, and is not an error.
pub async fn deliver(app: &App, id: MailId) -> Result<()> {
    let (mail, draft) = match begin(app, id).await? {
        Turn::Attempt(mail, draft) => (mail, draft),
        Turn::Failed(mail, outcome) => {
            count(&mail, outcome);
            return Ok(());
        }
        Turn::Busy | Turn::Finished => return Ok(()),
    };
    let (kind, to) = (mail.subject.kind(), draft.to.clone());
    // Once, because the one mail that an address gets may need several attempts.
    let (counted_at, outcome) = match limit::admit(app, &mail, &to).await {
        Ok(counted_at) => {
            let draft = compose::complete(app, mail.subject, draft).await;
            let links = Links(&app.config.section::<MailConfig>().brand);
            let unsubscribe = draft.notified.map(|user| links.unsubscribe(&suppression::unsubscribe_token(app, user)));
            let letter = app.part::<Templates>().write(&draft.content, &draft.language, unsubscribe)?;
            let outgoing = Outgoing { id, kind, date: mail.created_at, to: draft.to, letter };
            (Some(counted_at), app.part::<Arc<dyn Transport>>().send(&outgoing).await)
        }
        Err(failure) => (None, Err(failure)),
    };
    fault::point("mail.handed_over")?;
    let outcome = record(app, mail, outcome).await?;
    if let (Some("rejected"), Some(at)) = (outcome, counted_at) {
        limit::take_back(app, kind, &to, at).await;
    }
    Ok(())
}

async fn begin(app: &App, id: MailId) -> Result<Turn> {
    let (now, config) = (app.clock.now(), app.config.section::<MailConfig>());
    // An attempt may call two providers, each for up to the timeout.
    let longest = TimeDelta::from_std(config.timeout * 2).unwrap_or(TimeDelta::MAX);
    let links = Links(&config.brand);
    let turn = app.database.transaction(async move |connection| {
        let mail = match store::lock(connection, id).await? {
            mail if mail.state == State::GivenUp => mail.redrive(now),
            mail => mail,
        };
        if mail.state != State::Pending {
            return Ok(Turn::Finished);
        }
        if let Some(until) = mail.leased_until.filter(|until| *until > now) {
            enqueue_at(connection, &mail, until).await?;
            return Ok(Turn::Busy);
        }
        let turn = if mail.expires_at <= now {
            let why = mail.failure.clone().unwrap_or_else(|| "nobody tried".to_owned());
            Turn::Failed(mail.mark_failed(why, now), "expired")
        } else {
            match compose::draft(connection, &app.secret, &mail, links, now).await? {
                Some(draft) => {
                    let is_notification = mail.subject.kind().is_notification();
                    match suppression::reason(connection, &draft.to, is_notification).await? {
                        Some(reason) => Turn::Failed(mail.mark_failed(reason.failure().to_owned(), now), "suppressed"),
                        None => Turn::Attempt(mail.with_attempt(now + longest + COMMIT_TIME), draft),
                    }
                }
                None => Turn::Failed(mail.mark_failed("there is no recipient".to_owned(), now), "to_nobody"),
            }
        };
        if let Turn::Attempt(mail, _) | Turn::Failed(mail, _) = &turn {
            store::update(connection, mail).await?;
        }
        Ok::<_, Error>(turn)
    });
    turn.await
}

/// Records the outcome of an attempt, and returns what became of the mail by it. A failure is ignored if another
/// attempt has begun meanwhile; a success counts while the mail is pending.
async fn record(app: &App, tried: Mail, outcome: Result<(), Failure>) -> Result<Option<&'static str>> {
    let now = app.clock.now();
    let wait = max_retry_delay(tried.attempts, app.config.section::<MailConfig>().retry_wait);
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let wait = wait.mul_f64(rand::rng().random_range(0.5..1.0));
    let next = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
    let recorded = app.database.transaction(async move |connection| {
        let mail = store::lock(connection, tried.id).await?;
        let is_mine = mail.attempts == tried.attempts;
        let (mail, became) = match outcome {
            _ if mail.state != State::Pending => return Ok(None),
            Ok(()) => (mail.mark_sent(now), "sent"),
            Err(_) if !is_mine => return Ok(None),
            Err(Failure::Unavailable(why)) if next < mail.expires_at => {
                enqueue_at(connection, &mail, next).await?;
                (mail.with_failure(why), "tried")
            }
            Err(Failure::Unavailable(why)) => (mail.mark_failed(why, now), "expired"),
            Err(Failure::Rejected(why)) => (mail.mark_rejected(why, now), "rejected"),
            Err(Failure::Withheld(why)) => (mail.mark_failed(why, now), "withheld"),
        };
        store::update(connection, &mail).await?;
        Ok::<_, Error>(Some((mail, became)))
    });
    Ok(recorded.await?.map(|(mail, became)| {
        count(&mail, became);
        became
    }))
}

/// Marks a mail as given up because its job will not run again, unless it is redriven.
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
        let mail = mail.mark_given_up(now);
        store::update(connection, &mail).await?;
        Ok::<_, Error>(Some(mail))
    });
    if let Some(mail) = given_up.await? {
        count(&mail, "given_up");
    }
    Ok(())
}

/// Returns at most `limit` mails that failed or were given up, the last one first.
///
/// # Errors
/// Any database error.
pub async fn list_failed(connection: &mut Connection, limit: i64) -> Result<Vec<Mail>> {
    store::list_failed(connection, limit).await
}

/// Has mails that failed or were given up sent after all, with all their time; returns how many there were.
///
/// # Errors
/// `NOT_FOUND`, or any database error.
pub async fn redrive(app: &App, ids: Vec<MailId>) -> Result<usize> {
    let now = app.clock.now();
    let redriven = app.database.transaction(async move |connection| {
        let mut count = 0;
        for id in ids {
            let mail = store::lock(connection, id).await?;
            if matches!(mail.state, State::Failed | State::GivenUp) {
                let mail = mail.redrive(now);
                store::update(connection, &mail).await?;
                enqueue_at(connection, &mail, now).await?;
                count += 1;
            }
        }
        Ok::<_, Error>(count)
    });
    redriven.await
}

/// Logs and counts the outcome of a mail, without its content or recipient.
fn count(mail: &Mail, became: &'static str) {
    let (id, kind, attempts, why) = (mail.id, mail.subject.kind().name(), mail.attempts, mail.failure.as_deref());
    metrics::counter!("mainstay_mails_total", "kind" => kind, "outcome" => counted_as(mail.subject.kind(), became))
        .increment(1);
    match became {
        "sent" => tracing::info!(mail = %id, kind, attempts, "a mail was sent"),
        "tried" => tracing::warn!(mail = %id, kind, attempts, why, "a mail was not accepted and will be retried"),
        // This is normal: any reset requested for an unknown address ends here. Its line is counted, as that of one that
        // was sent.
        "to_nobody" => tracing::info!(mail = %id, kind, "a mail has no recipient"),
        // So is this: nobody can be kept from asking.
        "withheld" => tracing::info!(mail = %id, kind, why, "a mail was not sent"),
        // It was said when the address was added.
        "suppressed" => tracing::info!(mail = %id, kind, why, "a mail was not sent"),
        _ => tracing::error!(mail = %id, kind, attempts, outcome = became, why, "a mail will not be sent"),
    }
}

/// Returns the outcome in the metrics. It is the same for what was sent and for what has no recipient or one too many
/// mails, and for whatever ends a mail that anybody may have sent to any address: whoever reads the metrics must not
/// learn which addresses have a user. The table `mails` tells.
fn counted_as(kind: Kind, became: &'static str) -> &'static str {
    match became {
        "to_nobody" | "withheld" => "sent",
        "suppressed" | "rejected" | "expired" | "given_up" if kind.is_for_anybody() => "sent",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_do_not_tell_whether_a_mail_had_a_recipient() {
        const ENDS: [&str; 7] = ["sent", "to_nobody", "withheld", "suppressed", "rejected", "expired", "given_up"];
        for kind in [Kind::PasswordReset, Kind::Registration] {
            assert_eq!(ENDS.map(|end| counted_as(kind, end)), ["sent"; 7], "{kind:?}");
            assert_eq!(counted_as(kind, "tried"), "tried", "no end: the provider is unavailable");
        }
        let others = ["sent", "sent", "sent", "suppressed", "rejected", "expired", "given_up"];
        assert_eq!(ENDS.map(|end| counted_as(Kind::PaymentReceipt, end)), others);
    }
}
