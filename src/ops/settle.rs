//! Carries out what was committed to: asks the gateway, and commits its word.
//!
//! ```text
//!   intent committed ──▶ gateway asked under a key of (id, attempt) ──▶ outcome committed
//!          │                         │ not known                              ▲
//!          └── the process dies      └──▶ rest; the caller's retry, or the job ──┘
//! ```
//!
//! One at a time works on an effect, for as long as its lease; that spares the gateway, and nothing depends on it: two
//! who ask at once ask under the same key. What is committed is guarded by the state and the attempt. An attempt ends only
//! when the gateway is known to have stored a failure under its key *and* to have moved no money, so that a request of
//! an earlier attempt that is still on its way can do nothing either.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::refund::{Begun, charge_id};
use crate::{
    app::App,
    caller::Visibility,
    context::{self, Context},
    domain::{
        effect::{Drive, Failure, FailureKind, State},
        payment::{Payment, Refund},
    },
    error::{Error, Reason, Result},
    fault,
    gateway::{Charge, Found, Outcome, Return},
    jobs::{self, Settle},
    store::{Connection, ledger, order, payment, refund},
};

/// Gateways know a key again for a day; past this it is looked up instead.
const KEY_WINDOW: TimeDelta = TimeDelta::hours(23);
/// No further attempt is begun on what is older: a card charged days later is a surprise.
const LAST_ATTEMPT: TimeDelta = TimeDelta::hours(24);
/// What is pending for so long, and has nobody, lost its job.
const LEFT_AFTER: TimeDelta = TimeDelta::minutes(10);

/// Something to carry out, in the hands of whoever holds this.
#[derive(Debug, Clone)]
pub enum Work {
    /// A charge.
    Charge(Payment),
    /// A refund.
    Return(Begun),
}

/// Whose turn it is.
#[derive(Debug)]
pub enum Turn {
    /// The caller's.
    Mine(Box<Work>),
    /// Somebody else's, until then at most.
    Theirs(DateTime<Utc>),
    /// Nobody's: it is settled.
    Over,
}

/// What is known of an effect after asking.
enum Word {
    Done(String),
    Failed(Failure),
    NextAttempt,
    Wait(String),
}

impl Work {
    fn drive(&self) -> Drive {
        match self {
            Self::Charge(payment) => payment.drive,
            Self::Return(begun) => begun.refund.drive,
        }
    }

    fn job(&self) -> Settle {
        match self {
            Self::Charge(payment) => Settle::Payment(payment.id),
            Self::Return(begun) => Settle::Refund(begun.refund.id),
        }
    }

    fn created_at(&self) -> DateTime<Utc> {
        match self {
            Self::Charge(payment) => payment.created_at,
            Self::Return(begun) => begun.refund.created_at,
        }
    }
}

/// Takes an effect over, unless it is settled or somebody else's.
///
/// # Errors
/// `NOT_FOUND`, `UNAVAILABLE` while Postgres is away.
pub async fn take_over(app: &App, subject: Settle) -> Result<Turn> {
    let (now, lease) = (app.clock.now(), app.config.payments.lease());
    let turn = app.database.write(move |connection| {
        async move {
            let mut work = held(connection, subject).await?;
            let Some(work_now) = work.as_mut() else { return Ok(Turn::Over) };
            let before = work_now.drive();
            let Some(drive) = before.take_over(now, now + lease) else {
                return Ok(Turn::Theirs(before.until.unwrap_or(now)));
            };
            store_drive(connection, work_now, drive).await?;
            // Whoever takes over may die of it too.
            jobs::enqueue_at(connection, &subject, now + lease).await?;
            Ok::<_, Error>(work.map_or(Turn::Over, |work| Turn::Mine(Box::new(work))))
        }
        .boxed()
    });
    turn.await
}

/// As [`take_over`], for a caller who sent the same key again: nothing to do when it is settled.
///
/// # Errors
/// `IDEMPOTENCY_IN_PROGRESS` when somebody works on it now.
pub async fn resume(app: &App, subject: Settle) -> Result<Option<Work>> {
    match take_over(app, subject).await? {
        Turn::Mine(work) => Ok(Some(*work)),
        Turn::Over => Ok(None),
        Turn::Theirs(_) => Err(crate::store::idempotency::in_progress()),
    }
}

/// The effect, held until the transaction ends; `None` when it is settled.
async fn held(connection: &mut Connection, subject: Settle) -> Result<Option<Work>> {
    match subject {
        Settle::Payment(id) => {
            let payment = payment::lock(connection, Visibility::All, id).await?;
            Ok((payment.state == State::Pending).then_some(Work::Charge(payment)))
        }
        Settle::Refund(id) => {
            let refund = refund::lock(connection, id).await?;
            if refund.state != State::Pending {
                return Ok(None);
            }
            let charge_id = charge_id(&payment::get(connection, Visibility::All, refund.payment).await?)?;
            Ok(Some(Work::Return(Begun { refund, charge_id })))
        }
    }
}

async fn store_drive(connection: &mut Connection, work: &mut Work, drive: Drive) -> Result<()> {
    match work {
        Work::Charge(payment) => {
            payment.drive = drive;
            payment::drive(connection, payment.id, drive).await
        }
        Work::Return(begun) => {
            begun.refund.drive = drive;
            refund::drive(connection, begun.refund.id, drive).await
        }
    }
}

/// Begins to carry work out and waits for it as long as the caller does. It goes on without the caller, within its
/// lease; whatever happens to it, the job behind it sees to the rest.
pub async fn attend(app: &App, work: Work) {
    let lease = app.config.payments.lease().to_std().unwrap_or_default();
    let deadline = Instant::now() + lease;
    let context =
        Context { request_id: context::request_id().unwrap_or_else(|| "settle".into()), deadline: Some(deadline) };
    let app = app.clone();
    let carried = async move {
        if let Err(error) = carry_on(&app, work).await {
            let cause = error.source().map(|source| format!("{source:#}"));
            tracing::warn!(code = error.reason().facts().code, cause, "left to the job");
        }
    };
    let carried = tokio::spawn(context.scope(carried).in_current_span());
    // The answer has to be made in the caller's time too.
    let patience = context::remaining().map_or(lease, |left| left.saturating_sub(ANSWER_TIME));
    tokio::time::timeout(patience, carried).await.ok();
}

/// What is left of the caller's time for the answer.
const ANSWER_TIME: std::time::Duration = std::time::Duration::from_millis(400);

/// Asks the gateway and commits its word, or leaves it to the job for a while.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away; the job goes on.
pub async fn carry_on(app: &App, mut work: Work) -> Result<()> {
    loop {
        fault::point("gateway.before")?;
        let word = ask(app, &work).await;
        fault::point("gateway.after")?;
        match word {
            Word::Done(gateway_id) => {
                commit(app, &work, Ok(gateway_id)).await?;
                return fault::point("outcome.after");
            }
            Word::Failed(failure) => return commit(app, &work, Err(failure)).await,
            Word::Wait(why) => return rest(app, work, &why).await,
            Word::NextAttempt => match next_attempt(app, work).await? {
                Some(next) => work = next,
                None => return Ok(()),
            },
        }
    }
}

async fn ask(app: &App, work: &Work) -> Word {
    let age = app.clock.now() - work.drive().since;
    if age > KEY_WINDOW {
        return match find(app, work).await {
            Found::Done { gateway_id } => Word::Done(gateway_id),
            Found::Nothing => Word::Failed(abandoned()),
            Found::Unknown { why } => Word::Wait(why),
        };
    }
    let outcome = match work {
        Work::Charge(payment) => {
            let charge = Charge {
                key: payment.key(),
                payment: payment.id,
                order: payment.order,
                amount: payment.amount,
                method: payment.method.clone(),
            };
            app.gateway.charge(charge).await
        }
        Work::Return(Begun { refund, charge_id }) => {
            let (key, charge_id) = (refund.key(), charge_id.clone());
            app.gateway.give_back(Return { key, refund: refund.id, charge_id, amount: refund.amount }).await
        }
    };
    match outcome {
        Outcome::Done { gateway_id } => Word::Done(gateway_id),
        Outcome::Refused(failure) => Word::Failed(failure),
        // Only the look-up knows more, once what it looks at can be trusted to be complete.
        Outcome::Unknown { remembered: true, why } if age < app.config.payments.lookup_lag() => Word::Wait(why),
        Outcome::Unknown { remembered: true, .. } => match find(app, work).await {
            Found::Done { gateway_id } => Word::Done(gateway_id),
            Found::Nothing if app.clock.now() - work.created_at() > LAST_ATTEMPT => Word::Failed(abandoned()),
            Found::Nothing => Word::NextAttempt,
            Found::Unknown { why } => Word::Wait(why),
        },
        Outcome::Unknown { why, .. } => Word::Wait(why),
    }
}

async fn find(app: &App, work: &Work) -> Found {
    match work {
        Work::Charge(payment) => app.gateway.find_charge(payment.id).await,
        Work::Return(begun) => app.gateway.find_refund(begun.refund.id, &begun.charge_id).await,
    }
}

fn abandoned() -> Failure {
    Failure {
        kind: FailureKind::Abandoned,
        code: "no_answer".to_owned(),
        message: "The gateway had no answer in a day; no money was moved.".to_owned(),
    }
}

/// Leaves an effect to the job for a while.
async fn rest(app: &App, work: Work, why: &str) -> Result<()> {
    let now = app.clock.now();
    let (drive, job) = (work.drive(), work.job());
    let at = now + drive.rest(app.config.payments.retry_wait());
    metrics::counter!("mainstay_gateway_unknown_total").increment(1);
    tracing::warn!(subject = %job.id(), drive = drive.count, why, "what came of it is not known yet");
    app.database
        .write(move |connection| {
            async move {
                let Some(mut current) = held(connection, job).await?.filter(|now| now.drive() == drive) else {
                    return Ok(());
                };
                store_drive(connection, &mut current, drive.at_rest()).await?;
                jobs::enqueue_at(connection, &job, at).await
            }
            .boxed()
        })
        .await
}

/// Begins another attempt, unless somebody else took over.
async fn next_attempt(app: &App, work: Work) -> Result<Option<Work>> {
    let now = app.clock.now();
    let (drive, job) = (work.drive(), work.job());
    tracing::warn!(subject = %job.id(), attempt = drive.attempt, "the attempt failed for good; the next one begins");
    let next = app.database.write(move |connection| {
        async move {
            let Some(mut current) = held(connection, job).await?.filter(|now| now.drive() == drive) else {
                return Ok::<_, Error>(None);
            };
            store_drive(connection, &mut current, drive.next_attempt(now)).await?;
            Ok(Some(current))
        }
        .boxed()
    });
    next.await
}

/// Commits the gateway's word.
async fn commit(app: &App, work: &Work, word: Result<String, Failure>) -> Result<()> {
    let (now, work) = (app.clock.now(), work.clone());
    app.database
        .write(move |connection| {
            async move {
                match &work {
                    Work::Charge(asked) => commit_charge(connection, asked, word, now).await?,
                    Work::Return(asked) => commit_refund(connection, asked, word, now).await?,
                }
                fault::point("outcome.before_commit")?;
                jobs::cancel(connection, &work.job()).await
            }
            .boxed()
        })
        .await
}

/// What the gateway's word makes of a state; `None`: nothing, for it is settled or no longer the attempt that was asked.
fn settled(current: &State, same_attempt: bool, word: Result<String, Failure>, subject: uuid::Uuid) -> Option<State> {
    match (current, word) {
        // Money that moved counts, whichever attempt moved it.
        (State::Pending, Ok(gateway_id)) => Some(State::Succeeded { gateway_id }),
        (State::Pending, Err(failure)) if same_attempt => Some(State::Failed(failure)),
        (State::Succeeded { gateway_id: known }, Ok(gateway_id)) if *known == gateway_id => None,
        (_, Ok(gateway_id)) => {
            metrics::counter!("mainstay_alerts_total", "provider" => "gateway", "cause" => "moved_twice").increment(1);
            tracing::error!(alert = "moved_twice", %subject, gateway_id, "on-call: money moved that is not in the books");
            None
        }
        (_, Err(_)) => None,
    }
}

async fn commit_charge(
    connection: &mut Connection,
    asked: &Payment,
    word: Result<String, Failure>,
    now: DateTime<Utc>,
) -> Result<()> {
    let order = order::lock(connection, Visibility::All, asked.order).await?;
    let current = payment::lock(connection, Visibility::All, asked.id).await?;
    let same_attempt = current.drive.attempt == asked.drive.attempt;
    let Some(state) = settled(&current.state, same_attempt, word, asked.id.0) else { return Ok(()) };
    let turned = match &state {
        State::Succeeded { gateway_id } => {
            ledger::charged(connection, &current, gateway_id, now).await?;
            order.state.paid(current.id, now)?
        }
        _ => order.state.unpaid(current.id)?,
    };
    let drive = current.drive.at_rest();
    payment::update(connection, &Payment { state, drive, ..current }.changed(now)).await?;
    order::update(connection, &order.turned(turned, now)).await
}

async fn commit_refund(
    connection: &mut Connection,
    asked: &Begun,
    word: Result<String, Failure>,
    now: DateTime<Utc>,
) -> Result<()> {
    let of = payment::get(connection, Visibility::All, asked.refund.payment).await?.order;
    let order = order::lock(connection, Visibility::All, of).await?;
    let payment = payment::lock(connection, Visibility::All, asked.refund.payment).await?;
    let current = refund::lock(connection, asked.refund.id).await?;
    let same_attempt = current.drive.attempt == asked.refund.drive.attempt;
    let Some(state) = settled(&current.state, same_attempt, word, asked.refund.id.0) else { return Ok(()) };
    if let State::Succeeded { gateway_id } = &state {
        ledger::given_back(connection, &current, gateway_id, now).await?;
    } else {
        payment::update(connection, &payment.keep(current.amount, now)?).await?;
    }
    let drive = current.drive.at_rest();
    refund::update(connection, &Refund { state, drive, ..current }.changed(now)).await?;
    if refund::given_back(connection, payment.id).await? == payment.amount.minor() {
        let turned = order.state.refund(now)?;
        order::update(connection, &order.turned(turned, now)).await?;
    }
    Ok(())
}

/// Gives a job again to what has lost its own; returns how many there were.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn rescue(app: &App) -> Result<usize> {
    const AT_ONCE: i64 = 500;
    let now = app.clock.now();
    let left = app.database.read(move |connection| {
        async move {
            let payments = payment::left(connection, now - LEFT_AFTER, now, AT_ONCE).await?;
            let refunds = refund::left(connection, now - LEFT_AFTER, now, AT_ONCE).await?;
            Ok(payments
                .into_iter()
                .map(Settle::Payment)
                .chain(refunds.into_iter().map(Settle::Refund))
                .collect::<Vec<_>>())
        }
        .boxed()
    });
    let mut count = 0;
    for job in left.await? {
        // One whose job waits for a later time goes on waiting.
        let missing =
            app.database.read(move |connection| async move { jobs::enqueue_missing(connection, &job).await }.boxed());
        count += usize::from(missing.await?);
    }
    Ok(count)
}

/// Lets the job come back at a time.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn later(app: &App, job: Settle, at: DateTime<Utc>) -> Result<()> {
    app.database.write(move |connection| async move { jobs::enqueue_at(connection, &job, at).await }.boxed()).await
}

/// Whether nobody need wait any longer for this.
pub fn is_gone(error: &Error) -> bool {
    error.reason() == Reason::NotFound
}
