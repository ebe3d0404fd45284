//! What is sent to people, and how it gets there.
//!
//! A mail is a row and a job in the transaction of its cause ([`send`]): there is no mail without its cause, no cause
//! without its mail, and one mail about each. The row says what the mail is about; address and text are made when it is
//! sent, and kept nowhere, so there is no secret of a mail to keep. An attempt holds the row for a while, so that no two
//! are at it at once, and hands the mail over outside of any transaction.
//!
//! ```text
//!   held, committed ──▶ handed to a provider ──▶ outcome committed
//!         │                      │                      ▲
//!         └── the process dies   └──▶ not taken: rest ──┘
//! ```
//!
//! A process that dies between a provider's word and its own commit has the mail sent twice: SMTP has no key that a
//! provider would know again. Both carry one `Message-ID`, by which mailboxes can tell that they are one.

mod compose;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use rand::Rng as _;

use crate::{
    app::App,
    domain::{
        mail::{Mail, State, Subject, longest_wait},
        order::Order,
    },
    email::{Failure, Letter, Outgoing},
    error::{Error, Result},
    fault,
    id::{MailId, PaymentId},
    jobs::{self, SendMail},
    store::{Connection, mail as store},
};

/// What is left of an attempt's time for writing down what came of it.
const COMMIT_TIME: TimeDelta = TimeDelta::seconds(5);

/// Has a mail sent, within the caller's transaction, unless there is one about its subject.
///
/// # Errors
/// What Postgres answers.
pub async fn send(connection: &mut Connection, subject: Subject, now: DateTime<Utc>) -> Result<()> {
    let mail = Mail::about(subject, now);
    if store::insert(connection, &mail).await? {
        jobs::enqueue(connection, &SendMail { mail: mail.id }).await?;
    }
    Ok(())
}

/// Confirms an order that was placed, within the caller's transaction, if there is somebody to tell.
///
/// # Errors
/// What Postgres answers.
pub async fn confirm_order(connection: &mut Connection, order: &Order, now: DateTime<Utc>) -> Result<()> {
    match compose::recipient(connection, order).await? {
        Some(_) => send(connection, Subject::OrderConfirmation(order.id), now).await,
        None => Ok(()),
    }
}

/// Confirms that an order was paid, as [`confirm_order`].
///
/// # Errors
/// What Postgres answers.
pub async fn confirm_payment(
    connection: &mut Connection,
    order: &Order,
    payment: PaymentId,
    now: DateTime<Utc>,
) -> Result<()> {
    match compose::recipient(connection, order).await? {
        Some(_) => send(connection, Subject::PaymentReceipt(payment), now).await,
        None => Ok(()),
    }
}

/// Whose turn it is to send a mail.
enum Lease {
    /// The caller's.
    Acquired(Mail, Letter),
    /// Somebody else's, who may die of it: the job comes back when their time is over.
    Held,
    /// Nobody's: its time was over, or there is nobody to send it to.
    Expired(Mail, &'static str),
    /// Nobody's: it is sent, or given up.
    Settled,
}

/// Tries a mail once, unless somebody is at it or it is on its way no more.
///
/// # Errors
/// `NOT_FOUND`, and what Postgres answers. That the mail was not taken is written down and not an error.
pub async fn deliver(app: &App, id: MailId) -> Result<()> {
    let (mail, letter) = match begin(app, id).await? {
        Lease::Acquired(mail, letter) => (mail, letter),
        Lease::Expired(mail, became) => {
            count(&mail, became);
            return Ok(());
        }
        Lease::Held | Lease::Settled => return Ok(()),
    };
    let outgoing = Outgoing { id, kind: mail.subject.name(), date: mail.created_at, letter };
    let outcome = app.mail.send(&outgoing).await;
    fault::point("mail.handed_over")?;
    record(app, mail, outcome).await
}

async fn begin(app: &App, id: MailId) -> Result<Lease> {
    let now = app.clock.now();
    // Two providers may each take as long as they may.
    let most = TimeDelta::from_std(app.config.mail.timeout * 2).unwrap_or(TimeDelta::MAX);
    let turn = app.database.write(move |connection| {
        async move {
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
                    None => Lease::Expired(mail.failed("there is nobody to send it to".to_owned(), now), "to_nobody"),
                }
            };
            if let Lease::Acquired(mail, _) | Lease::Expired(mail, _) = &turn {
                store::update(connection, mail).await?;
            }
            Ok::<_, Error>(turn)
        }
        .boxed()
    });
    turn.await
}

/// Writes down what came of an attempt. What somebody else began meanwhile stands, but for a mail that is sent.
async fn record(app: &App, tried: Mail, outcome: Result<(), Failure>) -> Result<()> {
    let now = app.clock.now();
    let wait = longest_wait(tried.attempts, app.config.mail.retry_wait);
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let wait = wait.mul_f64(rand::rng().random_range(0.5..1.0));
    let next = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
    let recorded = app.database.write(move |connection| {
        async move {
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
            };
            store::update(connection, &mail).await?;
            Ok::<_, Error>(Some((mail, became)))
        }
        .boxed()
    });
    if let Some((mail, became)) = recorded.await? {
        count(&mail, became);
    }
    Ok(())
}

/// Gives a mail up whose job will not run again.
///
/// # Errors
/// What Postgres answers.
pub async fn give_up(app: &App, id: MailId) -> Result<()> {
    let now = app.clock.now();
    let given_up = app.database.write(move |connection| {
        async move {
            let mail = store::lock(connection, id).await?;
            if mail.state != State::Pending {
                return Ok(None);
            }
            let why = mail.failure.clone().unwrap_or_else(|| "its job failed".to_owned());
            let mail = mail.failed(why, now);
            store::update(connection, &mail).await?;
            Ok::<_, Error>(Some(mail))
        }
        .boxed()
    });
    if let Some(mail) = given_up.await? {
        count(&mail, "given_up");
    }
    Ok(())
}

/// Says what became of a mail: in the log and the metrics, without what it says and to whom.
fn count(mail: &Mail, became: &'static str) {
    let (id, kind, attempts, why) = (mail.id, mail.subject.name(), mail.attempts, mail.failure.as_deref());
    metrics::counter!("mainstay_mails_total", "kind" => kind, "outcome" => became).increment(1);
    match became {
        "sent" => tracing::info!(mail = %id, kind, attempts, "a mail was sent"),
        "tried" => tracing::warn!(mail = %id, kind, attempts, why, "a mail was not taken and is tried again"),
        // As it is with every reset that is asked for an address nobody has.
        "to_nobody" => tracing::debug!(mail = %id, kind, "a mail is to nobody"),
        _ => tracing::error!(mail = %id, kind, attempts, outcome = became, why, "a mail will not be sent"),
    }
}
