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
//!
//! What is carried out is an [`Effect`]: a charge, a refund, a
//! subscription begun or cancelled. Each has a file of its own below; a new one is its file, a
//! variant of [`Settle`], and a line in [`finish`] and [`rescue`].

mod ask;
pub(super) mod charge;
mod effect;
pub(super) mod refund;
mod subscription;
mod terms;

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use super::refund::Begun;
use crate::{
    alert,
    app::App,
    context::{self, Context},
    domain::{
        effect::{Drive, Failure, State},
        payment::Payment,
        subscription::Subscription,
    },
    error::{Error, Reason, Result},
    fault,
    jobs::{self, Job as _, Settle},
    store::{Connection, queue},
};

use ask::Word;
pub(super) use ask::elsewhere;
pub use effect::Effect;
pub use terms::Terms;

/// What is looked up in vain for so long needs a person, who is called again as often.
const IN_VAIN: TimeDelta = TimeDelta::hours(1);
/// What is left of the caller's time for the answer.
const ANSWER_TIME: std::time::Duration = std::time::Duration::from_millis(400);

/// Whose turn it is.
enum Turn<E> {
    /// The caller's.
    Mine(E),
    /// Somebody else's, until then at most.
    Theirs(DateTime<Utc>),
    /// Nobody's: it is settled.
    Over,
}

/// Takes an effect over, unless it is settled or somebody else's.
async fn take_over<E: Effect>(app: &App, id: Uuid) -> Result<Turn<E>> {
    let (now, lease) = (app.clock.now(), app.config.payments.lease());
    let turn = app.database.write(move |connection| {
        async move {
            let Some(effect) = E::held(connection, id).await? else { return Ok(Turn::Over) };
            let before = effect.drive();
            let Some(drive) = before.take_over(now, now + lease) else {
                return Ok(Turn::Theirs(before.until.unwrap_or(now)));
            };
            let effect = effect.store_drive(connection, drive).await?;
            // Whoever takes over may die of it too.
            jobs::enqueue_at(connection, &E::job(id), now + lease).await?;
            Ok::<_, Error>(Turn::Mine(effect))
        }
        .boxed()
    });
    turn.await
}

/// Attends to an effect for a caller who sent the same key again; nothing to do when it is settled.
///
/// # Errors
/// `IDEMPOTENCY_IN_PROGRESS` when somebody works on it now.
pub async fn resume<E: Effect>(app: &App, id: Uuid) -> Result<()> {
    match take_over::<E>(app, id).await? {
        Turn::Mine(effect) => attend(app, effect).await,
        Turn::Over => {}
        Turn::Theirs(_) => return Err(crate::store::idempotency::in_progress()),
    }
    Ok(())
}

/// Finishes what a job is for, unless somebody else does or did.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn finish(app: &App, job: Settle) -> Result<()> {
    match job {
        Settle::Payment(_) => finish_one::<Payment>(app, job).await,
        Settle::Refund(_) => finish_one::<Begun>(app, job).await,
        Settle::Subscription(_) => finish_one::<Subscription>(app, job).await,
    }
}

async fn finish_one<E: Effect>(app: &App, job: Settle) -> Result<()> {
    match take_over::<E>(app, job.subject()).await {
        Ok(Turn::Mine(effect)) => {
            attend(app, effect).await;
            Ok(())
        }
        // Whoever is at it may die of it, so this comes back when their time is over.
        Ok(Turn::Theirs(until)) => {
            app.database
                .write(move |connection| async move { jobs::enqueue_at(connection, &job, until).await }.boxed())
                .await
        }
        Ok(Turn::Over) => Ok(()),
        Err(gone) if gone.reason() == Reason::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Begins to carry an effect out and waits for it as long as the caller does. It goes on without the caller, within its
/// lease; whatever happens to it, the job behind it sees to the rest.
pub async fn attend<E: Effect>(app: &App, effect: E) {
    let lease = app.config.payments.lease().to_std().unwrap_or_default();
    let deadline = Instant::now() + lease;
    let context =
        Context { request_id: context::request_id().unwrap_or_else(|| "settle".into()), deadline: Some(deadline) };
    let app = app.clone();
    let carried = async move {
        if let Err(error) = carry_on(&app, effect).await {
            let cause = error.source().map(|source| format!("{source:#}"));
            tracing::warn!(code = error.reason().facts().code, cause, "left to the job");
        }
    };
    let carried = tokio::spawn(context.scope(carried).in_current_span());
    // The answer has to be made in the caller's time too.
    let patience = context::remaining().map_or(lease, |left| left.saturating_sub(ANSWER_TIME));
    tokio::time::timeout(patience, carried).await.ok();
}

/// Asks the gateway and commits its word, or leaves it to the job for a while.
async fn carry_on<E: Effect>(app: &App, mut effect: E) -> Result<()> {
    loop {
        fault::point("gateway.before")?;
        let word = ask::ask(app, &effect).await;
        fault::point(if matches!(word, Word::Customer(_)) { "customer.after" } else { "gateway.after" })?;
        match word {
            Word::Done(done) => {
                commit(app, effect, Ok(done)).await?;
                return fault::point("outcome.after");
            }
            Word::Failed(failure) => return commit(app, effect, Err(failure)).await,
            Word::Wait(why) => return rest(app, effect, &why, Drive::at_rest).await,
            Word::Spent(why) => {
                let now = app.clock.now();
                return rest(app, effect, &why, move |drive| drive.spent(now)).await;
            }
            Word::Customer(customer) => match introduce(app, effect, customer).await? {
                Some(known) => effect = known,
                None => return Ok(()),
            },
            Word::NextAttempt => match next_attempt(app, effect).await? {
                Some(next) => effect = next,
                None => return Ok(()),
            },
        }
    }
}

/// Leaves an effect to the job for a while; `leave` says how.
async fn rest<E: Effect>(
    app: &App,
    effect: E,
    why: &str,
    leave: impl FnOnce(Drive) -> Drive + Send + 'static,
) -> Result<()> {
    let (id, drive, now) = (effect.id(), effect.drive(), app.clock.now());
    let left = leave(drive);
    let known_at = left.spent_at.map(|at| at + app.config.payments.lookup_lag());
    let at = if known_at.is_some_and(|at| now - at > IN_VAIN) {
        alert("unsettled", id, &format!("it was looked up in vain for an hour: {why}"));
        now + IN_VAIN
    } else {
        known_at.unwrap_or(now).max(now + drive.rest(app.config.payments.retry_wait()))
    };
    metrics::counter!("mainstay_gateway_unknown_total").increment(1);
    tracing::warn!(subject = %id, drive = drive.count, why, "what came of it is not known yet");
    app.database
        .write(move |connection| {
            async move {
                let Some(current) = E::held(connection, id).await?.filter(|now| now.drive() == drive) else {
                    return Ok(());
                };
                current.store_drive(connection, left).await?;
                jobs::enqueue_at(connection, &E::job(id), at).await
            }
            .boxed()
        })
        .await
}

/// Keeps what the gateway knows the account by, before anything is asked in its name; `None`: somebody else took over.
async fn introduce<E: Effect>(app: &App, effect: E, customer: String) -> Result<Option<E>> {
    let (id, drive, now) = (effect.id(), effect.drive(), app.clock.now());
    let known = app.database.write(move |connection| {
        async move {
            let Some(current) = E::held(connection, id).await?.filter(|now| now.drive() == drive) else {
                return Ok::<_, Error>(None);
            };
            Ok(Some(current.introduce(connection, &customer, now).await?))
        }
        .boxed()
    });
    known.await
}

/// Begins another attempt, unless somebody else took over.
async fn next_attempt<E: Effect>(app: &App, effect: E) -> Result<Option<E>> {
    let now = app.clock.now();
    let (id, drive) = (effect.id(), effect.drive());
    tracing::warn!(subject = %id, attempt = drive.attempt, "the attempt failed for good; the next one begins");
    let next = app.database.write(move |connection| {
        async move {
            let Some(current) = E::held(connection, id).await?.filter(|now| now.drive() == drive) else {
                return Ok::<_, Error>(None);
            };
            Ok(Some(current.store_drive(connection, drive.next_attempt(now)).await?))
        }
        .boxed()
    });
    next.await
}

/// Commits the gateway's word.
async fn commit<E: Effect>(app: &App, effect: E, word: Result<E::Done, Failure>) -> Result<()> {
    let now = app.clock.now();
    app.database
        .write(move |connection| {
            async move {
                commit_in(connection, &effect, word, now).await?;
                fault::point("outcome.before_commit")
            }
            .boxed()
        })
        .await
}

/// Commits the gateway's word, however it came, within the caller's transaction.
///
/// # Errors
/// What Postgres answers.
pub(super) async fn commit_in<E: Effect>(
    connection: &mut Connection,
    effect: &E,
    word: Result<E::Done, Failure>,
    now: DateTime<Utc>,
) -> Result<()> {
    effect.commit(connection, word, now).await?;
    jobs::cancel::<Settle>(connection, effect.id()).await
}

/// What the gateway's word makes of the state of money; `None`: nothing, for it is settled or no longer the attempt that
/// was asked.
fn settled(current: &State, same_attempt: bool, word: Result<String, Failure>, subject: Uuid) -> Option<State> {
    match (current, word) {
        // Money that moved counts, whichever attempt moved it.
        (State::Pending, Ok(gateway_id)) => Some(State::Succeeded { gateway_id }),
        (State::Pending, Err(failure)) if same_attempt => Some(State::Failed(failure)),
        (State::Succeeded { gateway_id: known }, Ok(gateway_id)) if *known == gateway_id => None,
        (_, Ok(gateway_id)) => {
            alert("moved_twice", subject, &format!("money moved that is not in the books: {gateway_id}"));
            None
        }
        (_, Err(_)) => None,
    }
}

/// Calls a person: the gateway's books and ours will not come to agree by themselves.
pub(super) fn alert(cause: &'static str, subject: Uuid, detail: &str) {
    alert::raise("gateway", cause, subject, detail);
}

/// Gives a job again to what has lost its own; returns how many there were.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn rescue(app: &App) -> Result<usize> {
    let money = rescue_all::<Payment>(app).await? + rescue_all::<Begun>(app).await?;
    Ok(money + rescue_all::<Subscription>(app).await?)
}

async fn rescue_all<E: Effect>(app: &App) -> Result<usize> {
    const AT_ONCE: i64 = 500;
    let rescued = app.database.read(|connection| {
        async move {
            let prefix = jobs::key_prefix::<Settle>();
            let left = queue::without_job(connection, E::WAITING, prefix, AT_ONCE).await?;
            let jobs: Vec<_> = left.into_iter().map(E::job).collect();
            // Whoever begins one adds its job meanwhile.
            jobs::enqueue_missing(connection, &jobs).await
        }
        .boxed()
    });
    rescued.await
}
