//! Carries out committed intents: calls the gateway and commits the outcome.
//!
//! ```text
//!   intent committed ──▶ gateway called under a key of (id, attempt) ──▶ outcome committed
//!          │                         │ unknown                                ▲
//!          └── the process dies      └──▶ wait; the caller's retry, or a worker ─┘
//! ```
//!
//! A lease limits each gateway request to one worker at a time. The lease only reduces load on the gateway; correctness
//! does not depend on it, because concurrent workers call the gateway under the same key, and commits are guarded by the
//! state and the attempt. An attempt ends only when the gateway is known to have stored a failure under its key *and* to
//! have moved no money. So a request of an earlier attempt that is still in flight can move no money either.
//!
//! A [`GatewayRequest`] is a charge, a refund, or a subscription to begin or to cancel. Each implements the trait in a
//! separate file. A worker [finishes](finish) due requests: after the lease ends, or at the time of the next try.

pub(crate) mod charge;
mod gateway_request;
mod intent_context;
pub(crate) mod refund;
mod resolve;

use crate::payments::config::PaymentsConfig;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::payments::{
    gateway::CUSTOMER_MISSING,
    settlement::model::{AttemptLease, Failure, State},
};
use mainstay_kernel::{
    app::App,
    context::{self, Context},
    database::{Connection, after_commit, time},
    error::{Error, Reason, Result},
    fault,
    queue::{self, Job},
    unit_of_work::Work,
};

pub use gateway_request::{Facts, GatewayRequest, Respond};
pub(crate) use gateway_request::{conclude, failure_error};
pub use intent_context::IntentContext;

pub(crate) use crate::payments::settlement::store::attempt_lease_row;
use resolve::Resolution;
pub(crate) use resolve::wrong_gateway;

/// A gateway request whose look-ups have failed for this long raises an alert, which is repeated at this interval.
const ALERT_AFTER: TimeDelta = TimeDelta::hours(1);
/// A gateway request that is settled sooner than this is assumed to have raised no alert.
const SLOW: TimeDelta = TimeDelta::minutes(5);
/// After this many leases that were not released, in succession, a gateway request raises the alert too: their workers
/// failed or died.
const MAX_LEASES: i32 = 10;
const FAILED_TOO_OFTEN: &str =
    "its workers failed or died too often, and it is tried again in an hour; the log has the error";
/// The shortest wait for the end of another worker's lease.
const MIN_WAIT: TimeDelta = TimeDelta::seconds(1);
/// The longest wait before a query is repeated that the gateway did not answer.
const MAX_QUERY_WAIT: TimeDelta = TimeDelta::minutes(5);
/// The number of repetitions, some ten hours, after which such failures use up the attempts of their job.
const MAX_REPETITIONS: u32 = 128;
/// The part of the caller's deadline that is reserved for the response.
const ANSWER_TIME: std::time::Duration = std::time::Duration::from_millis(400);

/// Runs a transaction about a gateway request and passes the locked rows to it; `None` if the request is settled. The
/// lock is sent with the BEGIN.
async fn lock_then<R: GatewayRequest, T>(
    app: &App,
    id: Uuid,
    run: impl AsyncFnOnce(&mut Connection, Option<R>) -> Result<T>,
) -> Result<T> {
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let current = work.read(async |connection: &Connection| R::lock_unsettled(connection, id).await).await?;
        run(work.connection().await?, current).await
    });
    transaction.await
}

/// The result of trying to lease a gateway request.
enum Acquisition<R> {
    /// The caller holds the lease. The flag is set if too many earlier leases were not released.
    Acquired(R, bool),
    /// Another worker holds the lease, until this time at most.
    LeasedByAnother(DateTime<Utc>),
    /// The gateway request is settled.
    Settled,
}

/// Leases a gateway request, unless it is settled or another worker holds the lease.
async fn acquire_lease<R: GatewayRequest>(app: &App, id: Uuid) -> Result<Acquisition<R>> {
    let (now, lease_time) = (app.clock.now(), app.config.section::<PaymentsConfig>().lease());
    let acquired = lock_then(app, id, async move |connection, current: Option<R>| {
        let Some(request) = current else { return Ok(Acquisition::Settled) };
        let before = request.facts().lease;
        // This worker may die too, so the gateway request is due again when the lease ends.
        let Some(lease) = before.renew(now, now + lease_time) else {
            return Ok(Acquisition::LeasedByAnother(before.until.unwrap_or(now)));
        };
        let is_hopeless = before.until.is_some() && before.count >= MAX_LEASES;
        let lease = if is_hopeless { lease.due_at(now + ALERT_AFTER) } else { lease };
        let request = request.store_lease(connection, lease).await?;
        Ok::<_, Error>(Acquisition::Acquired(request, is_hopeless))
    });
    let acquired = acquired.await?;
    if let Acquisition::Acquired(_, true) = &acquired {
        alert("unsettled", id, FAILED_TOO_OFTEN);
    }
    Ok(acquired)
}

/// Carries out a gateway request for a caller that repeated its request under the same key. Does nothing if the gateway
/// request is settled. Returns the caller's view, if this call settled it.
///
/// # Errors
/// `IDEMPOTENCY_IN_PROGRESS` if another worker holds the lease.
pub async fn resume<R: GatewayRequest>(app: &App, id: Uuid) -> Result<Option<R::View>> {
    match acquire_lease::<R>(app, id).await? {
        Acquisition::Acquired(request, _) => Ok(run_detached(app, request).await),
        Acquisition::Settled => Ok(None),
        Acquisition::LeasedByAnother(_) => Err(mainstay_kernel::database::idempotency::in_progress()),
    }
}

/// Settles a gateway request that is due, unless it is settled or another worker is carrying it out.
pub async fn finish<R: GatewayRequest>(app: &App, id: Uuid) -> Result<()> {
    match acquire_lease::<R>(app, id).await {
        Ok(Acquisition::Acquired(request, _)) => {
            run_detached(app, request).await;
            Ok(())
        }
        // The other worker may die, so this is due again when its lease ends.
        Ok(Acquisition::LeasedByAnother(until)) => {
            let set_due = async move |connection: &mut Connection| {
                // The lease goes by the clock of that worker's host, which may be behind.
                let at = until.max(time::now(connection).await? + MIN_WAIT);
                R::set_due(connection, id, Some(at)).await
            };
            app.database.autocommit(set_due).await
        }
        Ok(Acquisition::Settled) => Ok(()),
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Carries out a gateway request in a detached task, and waits for the task as long as the caller's deadline allows.
/// The task continues after the caller is gone, within its lease; if it fails, a worker takes over. Returns the
/// caller's view, if the task settled the gateway request in time.
pub async fn run_detached<R: GatewayRequest>(app: &App, request: R) -> Option<R::View> {
    let lease_time = app.config.section::<PaymentsConfig>().lease().to_std().unwrap_or_default();
    let deadline = Instant::now() + lease_time;
    let context = Context::current().unwrap_or_else(|| Context::new("settle")).with_deadline(deadline);
    let app = app.clone();
    let task = async move {
        carry_out(&app, request).await.unwrap_or_else(|error| {
            let cause = error.source().map(|source| format!("{source:#}"));
            tracing::warn!(code = error.reason().facts().code, cause, "a worker will retry");
            None
        })
    };
    let task = tokio::spawn(context.scope(task).in_current_span());
    // Leave time to send the response within the caller's deadline.
    let wait = context::remaining().map_or(lease_time, |budget| budget.saturating_sub(ANSWER_TIME));
    tokio::time::timeout(wait, task).await.ok()?.ok()?
}

/// Calls the gateway and commits the outcome, or postpones the gateway request. Returns the caller's view, if this call
/// settled it.
async fn carry_out<R: GatewayRequest>(app: &App, mut request: R) -> Result<Option<R::View>> {
    loop {
        fault::point("gateway.before")?;
        let resolution = resolve::resolve(app, &request).await;
        fault::point(if matches!(resolution, Resolution::Customer(_)) { "customer.after" } else { "gateway.after" })?;
        match resolution {
            Resolution::Done(outcome) => {
                let settled = settle(app, request, Ok(outcome)).await?;
                fault::point("outcome.after")?;
                return Ok(settled);
            }
            Resolution::Failed(failure) => return settle(app, request, Err(failure)).await,
            Resolution::Wait(why) => {
                postpone(app, request, &why, AttemptLease::release).await?;
                return Ok(None);
            }
            Resolution::KeyAbandoned(why) => {
                let now = app.clock.now();
                postpone(app, request, &why, move |lease| lease.abandon_key(now)).await?;
                return Ok(None);
            }
            Resolution::Customer(customer) => match attach_customer(app, request, customer).await? {
                Some(next) => request = next,
                None => return Ok(None),
            },
            Resolution::NextAttempt => match next_attempt(app, request).await? {
                Some(next) => request = next,
                None => return Ok(None),
            },
        }
    }
}

/// Postpones a gateway request: stores the attempt lease that `leave` returns, with the time of the next try.
async fn postpone<R: GatewayRequest>(
    app: &App,
    request: R,
    why: &str,
    leave: impl FnOnce(AttemptLease) -> AttemptLease + Send + 'static,
) -> Result<()> {
    let (Facts { id, lease, .. }, now) = (request.facts(), app.clock.now());
    let next = leave(lease);
    let config = app.config.section::<PaymentsConfig>();
    let known_at = next.key_abandoned_at.map(|at| at + config.lookup_lag());
    let wait = if known_at.is_some_and(|at| now - at > ALERT_AFTER) {
        alert("unsettled", id, &format!("its outcome could not be looked up for an hour: {why}"));
        ALERT_AFTER
    } else {
        known_at.map_or(TimeDelta::zero(), |at| at - now).max(lease.backoff(now, config.retry_wait()))
    };
    metrics::counter!("mainstay_gateway_unknown_total").increment(1);
    tracing::warn!(subject = %id, lease = lease.count, why, "the outcome is not known yet");
    lock_then(app, id, async move |connection, current: Option<R>| {
        let Some(current) = current.filter(|now| now.facts().lease.is_unchanged(lease)) else { return Ok(()) };
        // By the clock of Postgres, by which workers look for what is due.
        let at = time::now(connection).await? + wait;
        current.store_lease(connection, next.due_at(at)).await?;
        Ok(())
    })
    .await
}

/// Stores the gateway's id for the account's customer before it is used. Returns `None` if another worker has taken
/// over.
async fn attach_customer<R: GatewayRequest>(app: &App, request: R, customer: String) -> Result<Option<R>> {
    let (Facts { id, lease, .. }, now) = (request.facts(), app.clock.now());
    let transaction = lock_then(app, id, async move |connection, current: Option<R>| {
        let Some(current) = current.filter(|now| now.facts().lease.is_unchanged(lease)) else {
            return Ok::<_, Error>(None);
        };
        Ok(Some(current.attach_customer(connection, &customer, now).await?))
    });
    transaction.await
}

/// Begins another attempt. Returns `None` if another worker has taken over.
async fn next_attempt<R: GatewayRequest>(app: &App, request: R) -> Result<Option<R>> {
    let now = app.clock.now();
    let Facts { id, lease, .. } = request.facts();
    tracing::warn!(subject = %id, attempt = lease.attempt, "the attempt failed permanently; the next one begins");
    let next = lock_then(app, id, async move |connection, current: Option<R>| {
        let Some(current) = current.filter(|now| now.facts().lease.is_unchanged(lease)) else {
            return Ok::<_, Error>(None);
        };
        Ok(Some(current.store_lease(connection, lease.next_attempt(now)).await?))
    });
    next.await
}

/// Commits the outcome. Returns the caller's view, if this call settled the gateway request.
async fn settle<R: GatewayRequest>(
    app: &App,
    request: R,
    resolution: Result<R::Done, Failure>,
) -> Result<Option<R::View>> {
    let request = &request;
    let committed = app.database.transaction(async move |work: &mut Work| {
        let settled = settle_in(work, request, resolution).await?;
        fault::point("outcome.before_commit")?;
        Ok(settled)
    });
    committed.await
}

/// Stores the outcome, from any source, within the caller's transaction. Returns the caller's view, if this call settled
/// the gateway request.
pub(crate) async fn settle_in<R: GatewayRequest>(
    work: &mut Work,
    request: &R,
    resolution: Result<R::Done, Failure>,
) -> Result<Option<R::View>> {
    let row = work.read(async |connection: &Connection| request.lock(connection).await).await?;
    let is_customer_missing = resolution.as_ref().is_err_and(|failure| failure.code == CUSTOMER_MISSING);
    let settled = request.settle(work, row, resolution).await?;
    // Most gateway requests are settled within seconds, before any alert is raised.
    let Facts { id, created_at, .. } = request.facts();
    if settled.is_some() && work.now() - created_at > SLOW {
        // A failed commit does not end the incident, so the alert is resolved after the commit.
        let alerts = context::alerts();
        after_commit::run(move || alerts.resolve("gateway", "unsettled", id));
    }
    if is_customer_missing {
        // All payments of the account fail until an operator repairs this.
        alert("customer_missing", id, "the gateway does not know the customer stored for this account");
    }
    Ok(settled)
}

/// Returns the state that the gateway's answer leads to; `None` if the gateway request is settled or the answer is
/// about an earlier attempt.
fn next_state(
    current: &State,
    same_attempt: bool,
    resolution: Result<String, Failure>,
    subject: Uuid,
) -> Option<State> {
    match (current, resolution) {
        // A movement of money counts, whichever attempt caused it.
        (State::Pending, Ok(gateway_id)) => Some(State::Succeeded { gateway_id }),
        (State::Pending, Err(failure)) if same_attempt => Some(State::Failed(failure)),
        (State::Succeeded { gateway_id: earlier }, Ok(gateway_id)) if *earlier == gateway_id => None,
        (_, Ok(gateway_id)) => {
            alert("moved_twice", subject, &format!("money moved that is not in the ledger: {gateway_id}"));
            None
        }
        (_, Err(_)) => None,
    }
}

/// Repeats a job whose query the gateway did not answer: after the wait for an unknown outcome, doubled each time, up to
/// five minutes. So an outage of the gateway uses up no attempts of the job, and does not delay it for hours.
///
/// # Errors
/// `UNAVAILABLE` after [`MAX_REPETITIONS`], because the cause is then hardly an outage; any error of Postgres.
pub(crate) async fn repeat<J: Job>(app: &App, next: J, repetitions: u32, error: anyhow::Error) -> Result<()> {
    if repetitions > MAX_REPETITIONS {
        return Err(Error::unavailable(error));
    }
    tracing::warn!(kind = J::NAME, subject = %next.subject(), repetitions, "the gateway did not answer: {error:#}");
    let wait = app.config.section::<PaymentsConfig>().retry_wait() * (1 << repetitions.min(6));
    let at = app.clock.now() + wait.min(MAX_QUERY_WAIT);
    app.database
        .autocommit(async move |connection: &mut Connection| queue::repeat_at(connection, &next, at).await)
        .await
}

/// Raises an alert: the gateway's books and the ledger will not agree without intervention.
pub(crate) fn alert(cause: &'static str, subject: Uuid, detail: &str) {
    context::alerts().raise("gateway", cause, subject, detail);
}

/// Raises an alert about a gateway request that could not be processed, and makes it due again in an hour.
pub async fn try_later<R: GatewayRequest>(app: &App, id: Uuid) -> Result<()> {
    let at = app.clock.now() + ALERT_AFTER;
    let is_unsettled = lock_then(app, id, async move |connection, current: Option<R>| {
        let is_unsettled = current.is_some();
        if is_unsettled {
            R::set_due(connection, id, Some(at)).await?;
        }
        Ok::<_, Error>(is_unsettled)
    });
    if is_unsettled.await? {
        alert("unsettled", id, FAILED_TOO_OFTEN);
    }
    Ok(())
}
