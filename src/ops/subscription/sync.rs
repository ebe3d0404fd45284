//! Brings a subscription in line with the gateway. A webhook is a reason to ask and no more: it may be late, or told twice,
//! or older than another that came before it; the gateway's answer is none of that, if answers are taken in by the order
//! they were asked for in.

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;

use crate::{
    app::App,
    caller::Visibility,
    domain::{
        effect::Failure,
        subscription::{Heard, Standing, State, Status, Subscription},
        webhook::{Event, EventKind},
    },
    error::{Error, Result},
    fault,
    gateway::Found,
    id::SubscriptionId,
    jobs::{self, Settle, SyncSubscription},
    ops::{settle, webhook},
    store::{Connection, ledger, subscription as store},
};

/// Subscriptions that one sweep has asked about at most.
const AT_ONCE: i64 = 500;

/// The gateway's answer to one asking.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Answer {
    /// The subscription.
    pub(in crate::ops) id: SubscriptionId,
    /// The number of the asking.
    pub(in crate::ops) number: i64,
    /// Where it stands.
    pub(in crate::ops) standing: Standing,
}

/// Asks where a subscription stands and takes the answer in. Of one that is not known to have begun, the job that finds
/// that out is hurried.
///
/// # Errors
/// `NOT_FOUND`, `UNAVAILABLE` when the gateway could not say.
pub async fn sync(app: &App, id: SubscriptionId) -> Result<()> {
    let now = app.clock.now();
    let asking = app.database.write(move |connection| async move { ask(connection, id, now).await }.boxed());
    let Some(Asking { gateway, gateway_id, number }) = asking.await? else { return Ok(()) };
    if let Some(why) = settle::elsewhere(app, &gateway) {
        tracing::warn!(subscription = %id, why, "where it stands can't be asked");
        return Ok(());
    }
    fault::point("sync.before")?;
    let standing = match app.gateway.subscription(&gateway_id).await {
        Found::Done(standing) => standing,
        Found::Nothing => return Err(unknown(id, "the gateway knows nothing of it")),
        Found::Unknown { why } => return Err(unknown(id, &why)),
    };
    fault::point("sync.after")?;
    let (answer, now) = (Answer { id, number, standing }, app.clock.now());
    app.database.write(move |connection| async move { take_in(connection, &answer, now).await }.boxed()).await
}

fn unknown(id: SubscriptionId, why: &str) -> Error {
    Error::unavailable(anyhow::anyhow!("subscription {id}: {why}"))
}

/// What is to be asked of whom.
struct Asking {
    gateway: String,
    gateway_id: String,
    number: i64,
}

/// Numbers an asking, and moves on when it is due the next time, whatever comes of this one: those that can't be asked about
/// leave the others their turn. `None`: there is nothing to ask about.
async fn ask(connection: &mut Connection, id: SubscriptionId, now: DateTime<Utc>) -> Result<Option<Asking>> {
    let asking = store::lock(connection, Visibility::All, id).await?.ask();
    match &asking.state {
        State::Pending => {
            jobs::enqueue(connection, &Settle::Subscription(id)).await?;
            Ok(None)
        }
        State::Failed(_) => Ok(None),
        State::Begun { gateway_id, .. } => {
            store::update(connection, &asking, now).await?;
            let (gateway, gateway_id) = (asking.gateway.clone(), gateway_id.clone());
            Ok(Some(Asking { gateway, gateway_id, number: asking.asked }))
        }
    }
}

/// Takes an answer in: books what was paid, and keeps where the subscription stands, unless a later answer told that. What
/// was paid never becomes unpaid, so it is booked from any answer.
///
/// # Errors
/// `NOT_FOUND`.
pub(in crate::ops) async fn take_in(connection: &mut Connection, answer: &Answer, now: DateTime<Utc>) -> Result<()> {
    let Answer { id, number, standing } = answer;
    let current = store::lock(connection, Visibility::All, *id).await?;
    let is_ours = match &current.state {
        State::Pending => true,
        State::Begun { gateway_id, .. } => *gateway_id == standing.gateway_id,
        State::Failed(_) => false,
    };
    if !is_ours {
        settle::alert(
            "subscribed_twice",
            id.0,
            &format!("{} is of a subscription that is {:?}", standing.gateway_id, current.state),
        );
        return Ok(());
    }
    ledger::book_invoices(connection, &current, &standing.invoices, now).await?;
    match current.hear(*number, standing, now) {
        Heard::Changed(next) => {
            store::update(connection, &next, now).await?;
            tell(connection, &next, now).await?;
            if current.asked > *number {
                // Whoever asked later may have been answered before this change was made, and would undo it here.
                jobs::enqueue(connection, &SyncSubscription { subscription: *id }).await?;
            }
            Ok(())
        }
        Heard::Same(next) => store::update(connection, &next, now).await,
        Heard::Late => jobs::enqueue(connection, &SyncSubscription { subscription: *id }).await,
        Heard::Over => Ok(()),
    }
}

/// Keeps that a subscription never began, unless another attempt than the one that failed is the current one.
///
/// # Errors
/// `NOT_FOUND`.
pub(in crate::ops) async fn fail(
    connection: &mut Connection,
    asked: &Subscription,
    failure: Failure,
    now: DateTime<Utc>,
) -> Result<()> {
    let current = store::lock(connection, Visibility::All, asked.id).await?;
    let Some(failed) = current.failed(asked.drive.attempt, failure, now) else { return Ok(()) };
    store::update(connection, &failed, now).await?;
    tell(connection, &failed, now).await
}

async fn tell(connection: &mut Connection, subscription: &Subscription, now: DateTime<Utc>) -> Result<()> {
    let ended = subscription.state.status() == Status::Cancelled;
    let kind = if ended { EventKind::SubscriptionCancelled } else { EventKind::SubscriptionUpdated };
    let (account, resource, version) = (subscription.account, subscription.id.0, subscription.version);
    webhook::tell(connection, &[Event { kind, account, resource, version }], now).await
}

/// What a gateway told of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a> {
    /// Our id of it, if the gateway was given that.
    pub id: Option<SubscriptionId>,
    /// What the gateway knows it by.
    pub gateway_id: Option<&'a str>,
    /// Whether it was alive then, or paid.
    pub lives: bool,
}

/// Has the gateway asked about a subscription that it told something of: the one of our id, or else the one it knows by its
/// own. What is no subscription of ours is nothing to us. One that lives there beside ours, or though ours failed, takes
/// money each period and is in no books: a person is called.
///
/// # Errors
/// What Postgres answers.
pub async fn told_of(connection: &mut Connection, gateway: &str, told: Told<'_>) -> Result<()> {
    let Some(known) = store::known(connection, gateway, told.id, told.gateway_id).await? else { return Ok(()) };
    let other = told.gateway_id.filter(|theirs| match &known.state {
        State::Pending => false,
        State::Failed(_) => true,
        State::Begun { gateway_id, .. } => gateway_id != theirs,
    });
    if let Some(other) = other.filter(|_| told.lives) {
        settle::alert(
            "subscribed_twice",
            known.id.0,
            &format!("{other} is of a subscription that is {:?}", known.state),
        );
    }
    match known.state {
        State::Failed(_) => Ok(()),
        State::Pending | State::Begun { .. } => {
            jobs::enqueue(connection, &SyncSubscription { subscription: known.id }).await
        }
    }
}

/// Has the gateway asked about subscriptions whose time has come, whether or not anything was told of them: a webhook that
/// is lost is made up for, and a gateway that sends none is followed all the same. Returns how many there were.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn ask_about_due(app: &App) -> Result<usize> {
    let now = app.clock.now();
    let due = app.database.read(move |connection| store::due(connection, now, AT_ONCE).boxed()).await?;
    let jobs: Vec<_> = due.into_iter().map(|subscription| SyncSubscription { subscription }).collect();
    // One whose job waits for its next try goes on waiting.
    app.database.read(move |connection| async move { jobs::enqueue_missing(connection, &jobs).await }.boxed()).await
}
