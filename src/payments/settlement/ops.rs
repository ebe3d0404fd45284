//! Carries out committed intents: calls the gateway and commits the outcome.
//!
//! ```text
//!   intent committed ──▶ gateway called under a key of (id, attempt) ──▶ outcome committed
//!          │                         │ unknown                                ▲
//!          └── the process dies      └──▶ rest; the caller's retry, or the job ──┘
//! ```
//!
//! A lease limits each gateway request to one worker at a time. The lease only spares the gateway; correctness does not
//! depend on it, because concurrent workers call the gateway under the same key, and commits are guarded by the state
//! and the attempt. An attempt ends only when the gateway is known to have stored a failure under its key *and* to have
//! moved no money, so that a request of an earlier attempt that is still in flight can move none either.
//!
//! A [`GatewayRequest`] is a charge, a refund, or a subscription to begin or to cancel. Each implements the
//! trait in a file of its own, and has a job of its own that calls [`finish`].

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
    alert,
    app::App,
    context::{self, Context},
    database::Connection,
    error::{Error, Reason, Result},
    fault, queue as jobs,
};

pub use gateway_request::GatewayRequest;
pub use intent_context::IntentContext;

pub(crate) use crate::payments::settlement::store::attempt_lease_row;
use resolve::Resolution;
pub(crate) use resolve::wrong_gateway;

/// A gateway request whose look-ups have failed for this long raises an alert, which is repeated at this interval.
const ALERT_AFTER: TimeDelta = TimeDelta::hours(1);
/// The part of the caller's deadline that is reserved for the response.
const ANSWER_TIME: std::time::Duration = std::time::Duration::from_millis(400);

/// The result of trying to lease a gateway request.
enum Acquisition<R> {
    /// The caller holds the lease.
    Acquired(R),
    /// Another worker holds the lease, until this time at most.
    Held(DateTime<Utc>),
    /// The gateway request is settled.
    Settled,
}

/// Leases a gateway request, unless it is settled or another worker holds the lease.
async fn acquire_lease<R: GatewayRequest>(app: &App, id: Uuid) -> Result<Acquisition<R>> {
    let (now, lease_time) = (app.clock.now(), app.config.section::<PaymentsConfig>().lease());
    let acquired = app.database.transaction(async move |connection| {
        let Some(request) = R::lock_unsettled(connection, id).await? else { return Ok(Acquisition::Settled) };
        let before = request.lease();
        let Some(lease) = before.renew(now, now + lease_time) else {
            return Ok(Acquisition::Held(before.until.unwrap_or(now)));
        };
        let request = request.store_lease(connection, lease).await?;
        // This worker may die too.
        jobs::enqueue_at(connection, &R::job(id), now + lease_time).await?;
        Ok::<_, Error>(Acquisition::Acquired(request))
    });
    acquired.await
}

/// Carries out a gateway request for a caller that repeated its request under the same key. Does nothing if it is
/// settled.
///
/// # Errors
/// `IDEMPOTENCY_IN_PROGRESS` if another worker holds the lease.
pub async fn resume<R: GatewayRequest>(app: &App, id: Uuid) -> Result<()> {
    match acquire_lease::<R>(app, id).await? {
        Acquisition::Acquired(request) => run_detached(app, request).await,
        Acquisition::Settled => {}
        Acquisition::Held(_) => return Err(mainstay_kernel::database::idempotency::in_progress()),
    }
    Ok(())
}

/// Settles a gateway request for its job, unless it is settled or another worker is carrying it out.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn finish<R: GatewayRequest>(app: &App, id: Uuid) -> Result<()> {
    match acquire_lease::<R>(app, id).await {
        Ok(Acquisition::Acquired(request)) => {
            run_detached(app, request).await;
            Ok(())
        }
        // The other worker may die, so the job runs again when its lease ends.
        Ok(Acquisition::Held(until)) => {
            app.database
                .transaction(async move |connection| jobs::enqueue_at(connection, &R::job(id), until).await)
                .await
        }
        Ok(Acquisition::Settled) => Ok(()),
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Carries out a gateway request in a task of its own, and waits for it as long as the caller's deadline allows. The
/// task continues without the caller, within its lease; if it fails, its job takes over.
pub async fn run_detached<R: GatewayRequest>(app: &App, request: R) {
    let lease_time = app.config.section::<PaymentsConfig>().lease().to_std().unwrap_or_default();
    let deadline = Instant::now() + lease_time;
    let context =
        Context { request_id: context::request_id().unwrap_or_else(|| "settle".into()), deadline: Some(deadline) };
    let app = app.clone();
    let task = async move {
        if let Err(error) = carry_out(&app, request).await {
            let cause = error.source().map(|source| format!("{source:#}"));
            tracing::warn!(code = error.reason().facts().code, cause, "the job will retry");
        }
    };
    let task = tokio::spawn(context.scope(task).in_current_span());
    // Leave time to send the response within the caller's deadline.
    let wait = context::remaining().map_or(lease_time, |left| left.saturating_sub(ANSWER_TIME));
    tokio::time::timeout(wait, task).await.ok();
}

/// Calls the gateway and commits the outcome, or postpones the gateway request.
async fn carry_out<R: GatewayRequest>(app: &App, mut request: R) -> Result<()> {
    loop {
        fault::point("gateway.before")?;
        let resolution = resolve::resolve(app, &request).await;
        fault::point(if matches!(resolution, Resolution::Customer(_)) { "customer.after" } else { "gateway.after" })?;
        match resolution {
            Resolution::Done(done) => {
                commit(app, request, Ok(done)).await?;
                return fault::point("outcome.after");
            }
            Resolution::Failed(failure) => return commit(app, request, Err(failure)).await,
            Resolution::Wait(why) => return postpone(app, request, &why, AttemptLease::released).await,
            Resolution::KeyAbandoned(why) => {
                let now = app.clock.now();
                return postpone(app, request, &why, move |lease| lease.abandon_key(now)).await;
            }
            Resolution::Customer(customer) => match attach_customer(app, request, customer).await? {
                Some(known) => request = known,
                None => return Ok(()),
            },
            Resolution::NextAttempt => match next_attempt(app, request).await? {
                Some(next) => request = next,
                None => return Ok(()),
            },
        }
    }
}

/// Postpones a gateway request: stores the attempt lease that `leave` returns, and schedules the job.
async fn postpone<R: GatewayRequest>(
    app: &App,
    request: R,
    why: &str,
    leave: impl FnOnce(AttemptLease) -> AttemptLease + Send + 'static,
) -> Result<()> {
    let (id, lease, now) = (request.id(), request.lease(), app.clock.now());
    let next = leave(lease);
    let known_at = next.key_abandoned_at.map(|at| at + app.config.section::<PaymentsConfig>().lookup_lag());
    let at = if known_at.is_some_and(|at| now - at > ALERT_AFTER) {
        alert("unsettled", id, &format!("its outcome could not be looked up for an hour: {why}"));
        now + ALERT_AFTER
    } else {
        known_at.unwrap_or(now).max(now + lease.rest(app.config.section::<PaymentsConfig>().retry_wait()))
    };
    metrics::counter!("mainstay_gateway_unknown_total").increment(1);
    tracing::warn!(subject = %id, lease = lease.count, why, "the outcome is not known yet");
    app.database
        .transaction(async move |connection| {
            let Some(current) = R::lock_unsettled(connection, id).await?.filter(|now| now.lease() == lease) else {
                return Ok(());
            };
            current.store_lease(connection, next).await?;
            jobs::enqueue_at(connection, &R::job(id), at).await
        })
        .await
}

/// Stores the gateway's id for the account's customer before it is used. Returns `None` if another worker has acquired
/// over.
async fn attach_customer<R: GatewayRequest>(app: &App, request: R, customer: String) -> Result<Option<R>> {
    let (id, lease, now) = (request.id(), request.lease(), app.clock.now());
    let known = app.database.transaction(async move |connection| {
        let Some(current) = R::lock_unsettled(connection, id).await?.filter(|now| now.lease() == lease) else {
            return Ok::<_, Error>(None);
        };
        Ok(Some(current.attach_customer(connection, &customer, now).await?))
    });
    known.await
}

/// Begins another attempt. Returns `None` if another worker has acquired over.
async fn next_attempt<R: GatewayRequest>(app: &App, request: R) -> Result<Option<R>> {
    let now = app.clock.now();
    let (id, lease) = (request.id(), request.lease());
    tracing::warn!(subject = %id, attempt = lease.attempt, "the attempt failed permanently; the next one begins");
    let next = app.database.transaction(async move |connection| {
        let Some(current) = R::lock_unsettled(connection, id).await?.filter(|now| now.lease() == lease) else {
            return Ok::<_, Error>(None);
        };
        Ok(Some(current.store_lease(connection, lease.next_attempt(now)).await?))
    });
    next.await
}

/// Commits the outcome.
async fn commit<R: GatewayRequest>(app: &App, request: R, resolution: Result<R::Done, Failure>) -> Result<()> {
    let now = app.clock.now();
    app.database
        .transaction(async move |connection| {
            commit_in(connection, &request, resolution, now).await?;
            fault::point("outcome.before_commit")
        })
        .await
}

/// Commits the outcome, however it was learned, within the caller's transaction.
///
/// # Errors
/// Any database error.
pub(crate) async fn commit_in<R: GatewayRequest>(
    connection: &mut Connection,
    request: &R,
    resolution: Result<R::Done, Failure>,
    now: DateTime<Utc>,
) -> Result<()> {
    let is_customer_missing = resolution.as_ref().is_err_and(|failure| failure.code == CUSTOMER_MISSING);
    request.commit(connection, resolution, now).await?;
    jobs::cancel::<R::Job>(connection, request.id()).await?;
    if is_customer_missing {
        // Nothing that the account pays for will succeed until an operator repairs this.
        alert("customer_missing", request.id(), "the gateway does not know the customer stored for this account");
    }
    Ok(())
}

/// Returns the state that the gateway's answer leads to, or `None` if nothing changes because it is settled or
/// the answer is about an earlier attempt.
fn settled(current: &State, same_attempt: bool, resolution: Result<String, Failure>, subject: Uuid) -> Option<State> {
    match (current, resolution) {
        // Money that moved counts, whichever attempt moved it.
        (State::Pending, Ok(gateway_id)) => Some(State::Succeeded { gateway_id }),
        (State::Pending, Err(failure)) if same_attempt => Some(State::Failed(failure)),
        (State::Succeeded { gateway_id: known }, Ok(gateway_id)) if *known == gateway_id => None,
        (_, Ok(gateway_id)) => {
            alert("moved_twice", subject, &format!("money moved that is not in the ledger: {gateway_id}"));
            None
        }
        (_, Err(_)) => None,
    }
}

/// Raises an alert: the gateway's books and the ledger will not agree without intervention.
pub(crate) fn alert(cause: &'static str, subject: Uuid, detail: &str) {
    alert::raise("gateway", cause, subject, detail);
}

/// Goes on with a gateway request whose job used up its attempts, which takes a failure of something else than the
/// gateway: raises an alert, and adds another job for later.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn go_on<R: GatewayRequest>(app: &App, id: Uuid) -> Result<()> {
    let at = app.clock.now() + ALERT_AFTER;
    let is_unsettled = app.database.transaction(async move |connection| {
        let is_unsettled = R::lock_unsettled(connection, id).await?.is_some();
        if is_unsettled {
            jobs::enqueue_at(connection, &R::job(id), at).await?;
        }
        Ok::<_, Error>(is_unsettled)
    });
    if is_unsettled.await? {
        alert(
            "unsettled",
            id,
            "its job failed too often, and is tried again in an hour; `mainstay jobs dead` has the error",
        );
    }
    Ok(())
}
