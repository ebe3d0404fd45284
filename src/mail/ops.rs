//! Mail: its causes and its delivery.
//!
//! A mail is a row, inserted in the transaction of its cause ([`send`]), as in the transactional outbox pattern. A mail is
//! sent if and only if its cause commits, and each cause has one mail. The row stores only the topic. Address and text are
//! composed when the mail is sent and are never stored, so the row contains no secrets. Workers take due rows. An attempt
//! takes a lease on the row, so that no two attempts run at once, and sends the mail outside any transaction.
//!
//! ```text
//!   leased, committed ──▶ composed, sent to a provider ──▶ outcome committed
//!         ▲  │                        │                           ▲
//!         └──┴── the worker fails     └──▶ unavailable: wait ─────┘
//! ```
//!
//! The lease is committed before the mail is composed, so that attempts that fail or kill their worker count. After too
//! many such attempts in a row, the mail is given up. It leaves a dead job (dead-letter queue), by which an operator finds
//! the mail and retries it.
//!
//! Delivery is at-least-once: if the process dies between the provider's acceptance and the worker's commit, the mail is
//! sent twice, because SMTP has no idempotency key. Both copies carry the same `Message-ID`, by which mail clients can
//! recognize the duplicate.

mod declare;
mod limit;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    database::{Connection, pipeline::pipeline, time},
    error::{Error, Reason, Result},
    fault,
    id::AccountId,
    queue::dead,
    unit_of_work::Work,
};
use rand::Rng as _;
use uuid::Uuid;

use crate::{
    identity::member::ops as members,
    mail::{
        config::MailConfig,
        id::MailId,
        job::SendMail,
        model::{State, Topic, max_retry_delay},
        store,
        suppression::ops as suppression,
        templates::Templates,
        transport::{Failure, OutgoingMail, Transport},
    },
};
// For removed topics, and for events too old to send mail about.
pub(crate) use store::erase;

// What a module declares its kinds of mail with.
pub use crate::{
    __mail_template as template,
    mail::{
        kind::{Compose, Content, Draft, Kind, Kinds, MailKind, Template},
        links::Links,
        locale::Locale,
        model::Mail,
        text::{one_line, unlinked},
    },
};
pub use declare::SendsMail;

/// The part of a lease that is reserved for committing the outcome.
const COMMIT_TIME: TimeDelta = TimeDelta::seconds(5);

/// The wait of a mail whose kind this program does not declare. Another version of the program may send it meanwhile.
const UNKNOWN_WAIT: Duration = Duration::from_secs(60);
/// The lifetime of a redriven mail of such a kind.
const UNKNOWN_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// Returns the URL of this server as its callers see it, without a trailing slash.
pub fn public_url(app: &App) -> &str {
    &app.config.section::<MailConfig>().brand.public_url
}

/// Queues a mail within the caller's transaction, unless a mail of the kind about its cause exists. `id` is that of the
/// cause, and `parent` that of a user, or of what else the cause belongs to. The mail is removed by its age.
pub async fn send<K: MailKind>(
    connection: &Connection,
    id: Uuid,
    parent: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<()> {
    store::insert(connection, &[mail_of::<K>(id, parent, now)]).await
}

/// Queues one mail for each active member of an account, the 100 of longest standing at most: the parent is the user. A second
/// call for the same cause queues mail for new ones of these only, if the kind is a team's own.
pub async fn send_to_members<K: MailKind>(
    connection: &Connection,
    account: AccountId,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<()> {
    let users = members::active(connection, account).await?;
    let mails: Vec<_> = users.into_iter().map(|user| mail_of::<K>(id, Some(user.0), now)).collect();
    store::insert(connection, &mails).await
}

fn mail_of<K: MailKind>(id: Uuid, parent: Option<Uuid>, now: DateTime<Utc>) -> Mail {
    Mail::about(Topic { kind: K::NAME.into(), id, parent }, K::IS_URGENT, K::LIFETIME, now)
}

/// The outcome of an attempt.
enum Outcome {
    /// A provider accepted the mail.
    Sent,
    /// A provider may accept the mail later.
    Unavailable(String),
    /// The mail is to be sent after a delay.
    Postponed(String, Duration),
    /// The providers rejected it.
    Rejected(String),
    /// The mail is handed to no provider. The first field names the outcome.
    Withheld(&'static str, String),
}

impl From<Result<(), Failure>> for Outcome {
    fn from(result: Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::Sent,
            Err(Failure::Unavailable(why)) => Self::Unavailable(why),
            Err(Failure::Postponed { why, wait }) => Self::Postponed(why, wait),
            Err(Failure::Rejected(why)) => Self::Rejected(why),
            Err(Failure::Withheld(why)) => Self::Withheld("withheld", why),
        }
    }
}

/// Attempts a mail once, unless another worker is sending it or it is finished.
///
/// # Errors
/// `NOT_FOUND`, or any database error, after which the mail is due again. A rejected mail is recorded, and is not an
/// error.
pub async fn deliver(app: &App, id: MailId) -> Result<()> {
    let Some(mail) = acquire_lease(app, id).await? else { return Ok(()) };
    let Some(kind) = app.part::<Kinds>().get(&mail.topic.kind) else {
        let why = format!("no module of this program declares the kind {}", mail.topic.kind);
        return record(app, mail, Outcome::Postponed(why, UNKNOWN_WAIT)).await.map(drop);
    };
    let draft = match draft(app, kind, &mail).await? {
        Ok(draft) => draft,
        Err(withheld) => return record(app, mail, withheld).await.map(drop),
    };
    let to = draft.to.clone();
    // The mail is counted once, even if it needs several attempts.
    let (counted_at, result) = match limit::admit(app, kind, &mail, &to).await {
        Ok(counted_at) => {
            let draft = draft.complete(app, &mail).await;
            let links = Links(&app.config.section::<MailConfig>().brand);
            let notified = draft.user.filter(|_| kind.is_notification);
            let unsubscribe = notified.map(|user| links.unsubscribe(&suppression::unsubscribe_token(app, user)));
            let rendered = app.part::<Templates>().write(&*draft.content, &draft.language, unsubscribe)?;
            let outgoing = OutgoingMail { id, kind, date: mail.created_at, to: draft.to, rendered };
            (Some(counted_at), app.part::<Arc<dyn Transport>>().send(&outgoing).await)
        }
        Err(failure) => (None, Err(failure)),
    };
    fault::point("mail.handed_over")?;
    let became = record(app, mail, result.into()).await?;
    if let (Some("rejected"), Some(at)) = (became, counted_at) {
        limit::take_back(app, kind, &to, at).await;
    }
    Ok(())
}

/// Leases a mail. Returns `None` if another worker has the lease, or if the mail is finished. This call itself finishes
/// a mail that has expired or exhausted its leases.
async fn acquire_lease(app: &App, id: MailId) -> Result<Option<Mail>> {
    let (now, config) = (app.clock.now(), app.config.section::<MailConfig>());
    // An attempt may call two providers, each for up to the timeout.
    let longest = TimeDelta::from_std(config.timeout * 2).unwrap_or(TimeDelta::MAX);
    let retry_wait = config.retry_wait;
    let transaction = app.database.transaction(async move |work: &mut Work| {
        // The lease ends by the clock of Postgres, because the worker that checks it next may run on another host.
        let lock = async |connection: &Connection| pipeline!(store::lock(connection, id), time::now(connection));
        let (mail, now_in_postgres): (Mail, DateTime<Utc>) = work.read(lock).await?;
        let connection = work.connection().await?;
        if mail.state != State::Pending || mail.is_leased(now_in_postgres) {
            return Ok(None);
        }
        let (mail, outcome) = if mail.expires_at <= now {
            let why = mail.failure.clone().unwrap_or_else(|| "no attempt was made".to_owned());
            (mail.mark_failed(why, now), Some("expired"))
        } else if mail.is_hopeless() {
            let (runs, mail) = (mail.leases, mail.mark_given_up(now));
            dead::add(connection, &SendMail { mail: id }, runs, mail.failure.as_deref()).await?;
            (mail, Some("given_up"))
        } else {
            (mail.with_attempt(now_in_postgres + longest + COMMIT_TIME, retry_wait), None)
        };
        store::update(connection, &mail).await?;
        Ok(Some((mail, outcome)))
    });
    Ok(match transaction.await? {
        Some((mail, Some(outcome))) => {
            count(app, &mail, outcome);
            None
        }
        Some((mail, None)) => Some(mail),
        None => None,
    })
}

/// Composes a leased mail, unless it has no recipient or its recipient is suppressed.
async fn draft(app: &App, kind: &'static Kind, mail: &Mail) -> Result<Result<Draft, Outcome>> {
    let (now, links) = (app.clock.now(), Links(&app.config.section::<MailConfig>().brand));
    // No transaction is needed: composing only reads, except that it stores a token, which is the same at the next
    // attempt.
    let composed = app.database.autocommit(async move |connection| {
        let compose = Compose { connection: &mut *connection, mail, secret: &app.secret, links, now };
        let draft = match (kind.compose)(compose).await {
            // The subject was removed.
            Err(error) if error.reason() == Reason::NotFound => None,
            composed => composed?,
        };
        let Some(draft) = draft else {
            return Ok(Err(Outcome::Withheld("to_nobody", "there is no recipient".to_owned())));
        };
        Ok::<_, Error>(match suppression::reason(connection, &draft.to, kind.is_notification).await? {
            Some(reason) => Err(Outcome::Withheld("suppressed", reason.failure().to_owned())),
            None => Ok(draft),
        })
    });
    composed.await
}

/// Records the outcome of an attempt, and returns the resulting name of the outcome. A failure is ignored if another
/// attempt has begun meanwhile; a success counts while the mail is pending.
async fn record(app: &App, snapshot: Mail, outcome: Outcome) -> Result<Option<&'static str>> {
    let now = app.clock.now();
    let wait = max_retry_delay(snapshot.attempts, app.config.section::<MailConfig>().retry_wait);
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let wait = wait.mul_f64(rand::rng().random_range(0.5..1.0));
    let id = snapshot.id;
    let recorded = app.database.transaction(async move |work: &mut Work| {
        // By the clock of Postgres, by which workers look for what is due.
        let lock = async |connection: &Connection| pipeline!(store::lock(connection, id), time::now(connection));
        let (mail, now_in_postgres): (Mail, DateTime<Utc>) = work.read(lock).await?;
        let after = |wait: Duration| now_in_postgres + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
        let next = after(wait);
        // Not by the number of attempts alone, which does not grow if the mail is put off.
        let is_mine = (mail.attempts, mail.leased_until) == (snapshot.attempts, snapshot.leased_until);
        let (mail, became) = match outcome {
            _ if mail.state != State::Pending => return Ok(None),
            Outcome::Sent => (mail.mark_sent(now), "sent"),
            _ if !is_mine => return Ok(None),
            Outcome::Unavailable(why) if next < mail.expires_at => (mail.with_failure(why, next), "tried"),
            Outcome::Postponed(why, wait) if after(wait) < mail.expires_at => {
                (mail.postpone(why, after(wait)), "postponed")
            }
            Outcome::Unavailable(why) | Outcome::Postponed(why, _) => (mail.mark_failed(why, now), "expired"),
            Outcome::Rejected(why) => (mail.mark_rejected(why, now), "rejected"),
            Outcome::Withheld(became, why) => (mail.mark_failed(why, now), became),
        };
        store::update(work.connection().await?, &mail).await?;
        Ok(Some((mail, became)))
    });
    Ok(recorded.await?.map(|(mail, became)| {
        count(app, &mail, became);
        became
    }))
}

/// Returns at most `limit` mails that failed or were given up, newest first.
pub async fn list_failed(connection: &mut Connection, limit: i64) -> Result<Vec<Mail>> {
    store::list_failed(connection, limit).await
}

/// Retries mails that failed or were given up, with a new lifetime; returns their number.
///
/// # Errors
/// `NOT_FOUND`, or any database error.
pub async fn redrive(app: &App, ids: Vec<MailId>) -> Result<usize> {
    redrive_in(app, ids, &[State::Failed, State::GivenUp]).await
}

/// Retries a mail that was given up, with a new lifetime. A mail that was redriven, sent or rejected since then is
/// unchanged.
///
/// # Errors
/// `NOT_FOUND`, or any database error.
pub async fn redrive_given_up(app: &App, id: MailId) -> Result<()> {
    redrive_in(app, vec![id], &[State::GivenUp]).await.map(drop)
}

async fn redrive_in(app: &App, ids: Vec<MailId>, states: &'static [State]) -> Result<usize> {
    let (now, kinds) = (app.clock.now(), app.part::<Kinds>().clone());
    let redriven = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let mut count = 0;
        for id in ids {
            let mail = store::lock(connection, id).await?;
            if states.contains(&mail.state) {
                let (lifetime, is_urgent) = kinds
                    .get(&mail.topic.kind)
                    .map_or((UNKNOWN_LIFETIME, mail.is_urgent), |kind| (kind.lifetime, kind.is_urgent));
                store::update(connection, &Mail { is_urgent, ..mail.redrive(lifetime, now) }).await?;
                count += 1;
            }
        }
        Ok(count)
    });
    redriven.await
}

/// Logs and counts the outcome of a mail, without its content or recipient.
fn count(app: &App, mail: &Mail, became: &'static str) {
    let kind = app.part::<Kinds>().get(&mail.topic.kind);
    // The names of unknown kinds, of which there may be any number, are no label.
    let label = kind.map_or("unknown", |kind| kind.name);
    metrics::counter!("mainstay_mails_total", "kind" => label, "outcome" => counted_as(kind, became)).increment(1);
    let (id, kind, attempts, why) = (mail.id, &*mail.topic.kind, mail.attempts, mail.failure.as_deref());
    match became {
        "sent" => tracing::info!(mail = %id, kind, attempts, "a mail was sent"),
        "tried" => tracing::warn!(mail = %id, kind, attempts, why, "a mail was not accepted and will be retried"),
        // This is normal: every reset for an unknown address ends here. The metrics count it like a sent mail.
        "to_nobody" => tracing::info!(mail = %id, kind, "a mail has no recipient"),
        "postponed" => tracing::info!(mail = %id, kind, attempts, why, "a mail waits"),
        // This is normal too: requests for mail can't be prevented.
        "withheld" => tracing::info!(mail = %id, kind, why, "a mail was not sent"),
        // The suppression was logged when the address was added.
        "suppressed" => tracing::info!(mail = %id, kind, why, "a mail was not sent"),
        _ => tracing::error!(mail = %id, kind, attempts, outcome = became, why, "a mail will not be sent"),
    }
}

/// Returns the outcome in the metrics. Sent mails, mails without a recipient, and mails over the limit share one value.
/// So do all outcomes of a mail that any caller may send to any address. Otherwise the metrics would reveal which
/// addresses belong to users. The table `mails` has the exact outcomes.
fn counted_as(kind: Option<&Kind>, became: &'static str) -> &'static str {
    match became {
        "to_nobody" | "withheld" => "sent",
        "suppressed" | "rejected" | "expired" | "given_up" if kind.is_some_and(|kind| kind.is_for_any_address) => {
            "sent"
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::mails::{Registration, SignIn};

    #[test]
    fn the_metrics_do_not_tell_whether_a_mail_had_a_recipient() {
        const ENDS: [&str; 7] = ["sent", "to_nobody", "withheld", "suppressed", "rejected", "expired", "given_up"];
        let any_address = Some(Kind::of::<Registration>());
        assert_eq!(ENDS.map(|end| counted_as(any_address, end)), ["sent"; 7]);
        assert_eq!(counted_as(any_address, "tried"), "tried", "no end: the provider is unavailable");
        let others = ["sent", "sent", "sent", "suppressed", "rejected", "expired", "given_up"];
        assert_eq!(ENDS.map(|end| counted_as(Some(Kind::of::<SignIn>()), end)), others);
    }
}
