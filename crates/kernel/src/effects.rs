//! Effects: calls to outside APIs that take effect once, whatever fails in between.
//!
//! A module declares a kind of effect with [`Effect`], registers it with [`Module::effect`](crate::module::Module::effect),
//! and [begins](begin) one in the transaction of its cause. The intent with its key and a job commit with that transaction:
//!
//! ```text
//!   intent committed ──▶ attempt stored ──▶ API called under the key ──▶ outcome committed, intent removed
//!                             ▲                     │ unclear                    ▲
//!                             │                     ▼                            │
//!                             └──── absent ◀── looked up under the key ── found ─┘
//! ```
//!
//! An attempt is stored before it is sent. From then on, a worker that does not know what became of it, because the response
//! was lost or the process died, looks it up. Another attempt follows only if the API has nothing under the key; or within
//! [`Effect::REPEATABLE_FOR`], in which the API itself does the same under the same key. The outcome commits with what it
//! changes, and with the removal of the intent, so that a second outcome changes nothing.
//!
//! A look-up can find only what has arrived. It therefore follows the end of the attempt by [`Effect::LOOKUP_LAG`]; the end is
//! at most [`Effect::TIMEOUT`] after the attempt was stored. A process that is suspended between the two for longer than
//! both sends a call that no look-up has seen. The key still tells an API with idempotency that it is the same call.

mod ops;
mod store;
mod unfinished;

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    app::App,
    context,
    database::{Connection, after_commit},
    error::{Error, Reason, Result},
    id,
    queue::{self, Lane},
    unit_of_work::Work,
};

pub(crate) use ops::Call;
use store::Intent;
pub use unfinished::{Failure, Unfinished};

/// The provider and the cause of the alert about an effect whose job is dead.
pub(crate) const ALERT: (&str, &str) = ("effects", "undecided");
/// An effect with an outcome sooner than this is assumed to have raised no alert.
const SLOW: TimeDelta = TimeDelta::minutes(5);

/// A kind of effect, and the request of one such effect: a struct with named fields. The request is stored until the outcome
/// is known, so that it contains ids and never secrets.
pub trait Effect: Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// The name, also of the job: lower-case words joined by `_`, after the name of the module and a dot, as in
    /// `fleet.recharge`, at most 100 characters.
    const NAME: &'static str;

    /// The number of attempts and look-ups without a result after which a person decides: the job is dead, and an alert is
    /// raised. Twelve take about half a day.
    const MAX_ATTEMPTS: i32 = 12;

    /// The slots of the workers. It is no [serial](Lane::serial) lane.
    const LANE: Lane = Lane::SHARED;

    /// The time limit of an attempt, and of a look-up.
    const TIMEOUT: Duration = Duration::from_secs(30);

    /// The time after the end of an attempt at which a look-up is certain to show what the attempt did.
    const LOOKUP_LAG: TimeDelta = TimeDelta::seconds(10);

    /// How long after the first attempt the API is known to do the same under the same key, so that an attempt may be
    /// repeated without a look-up. An API that does not promise it has none.
    const REPEATABLE_FOR: TimeDelta = TimeDelta::zero();

    /// The time after which no other attempt begins. An effect that did not happen until then has failed.
    const DEADLINE: TimeDelta = TimeDelta::hours(24);

    /// What the API reports about an effect that happened.
    type Outcome: Send + 'static;

    /// Calls the API once under the key. An error of [`outbound`](crate::outbound) converts to an [`Unfinished`].
    ///
    /// # Errors
    /// Whether the API refused the request, is known to have done nothing, or may have done it.
    fn attempt(&self, app: &App, key: Uuid) -> impl Future<Output = Result<Self::Outcome, Unfinished>> + Send;

    /// Asks the API what it did under the key. `None`: nothing.
    ///
    /// # Errors
    /// Any failure, after which it is not known. The look-up is repeated.
    fn lookup(&self, app: &App, key: Uuid) -> impl Future<Output = anyhow::Result<Option<Self::Outcome>>> + Send;

    /// Stores the outcome, and what it changes. The resource may have been removed meanwhile.
    ///
    /// # Errors
    /// Any error. Nothing is stored then, and the outcome is looked up again.
    fn succeeded(
        &self,
        work: &mut Work,
        resource: Uuid,
        outcome: Self::Outcome,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Stores that the effect did not happen and will not, and what that changes.
    fn failed(&self, work: &mut Work, resource: Uuid, failure: Failure) -> impl Future<Output = Result<()>> + Send;
}

/// Begins an effect for a resource within the caller's transaction, and returns its key.
///
/// # Errors
/// `CONFLICT` while an effect of this kind is pending for the resource.
pub async fn begin<E: Effect>(work: &mut Work, resource: Uuid, request: &E) -> Result<Uuid> {
    let (key, now) = (id::new(work.now()), work.now());
    let request = serde_json::to_string(request).map_err(Error::internal)?;
    let connection = work.connection().await?;
    if !store::insert(connection, key, E::NAME, resource, &request, now).await? {
        return Err(Error::with_message(Reason::Conflict, "An earlier call about this resource is still in progress."));
    }
    queue::enqueue(connection, &Call::<E>::new(key)).await?;
    Ok(key)
}

/// Cancels the effect of a resource within the caller's transaction. Returns whether it will not happen: `false` if an attempt
/// may have been sent, or if none is pending.
pub async fn cancel<E: Effect>(work: &mut Work, resource: Uuid) -> Result<bool> {
    let connection = work.connection().await?;
    let Some(key) = store::delete_unattempted(connection, E::NAME, resource).await? else { return Ok(false) };
    queue::forget::<Call<E>>(connection, &[key]).await?;
    Ok(true)
}

/// Returns the key of the pending effect of a resource. The caller compares it with the one in a webhook of the API, which may
/// report an earlier effect, before it [settles](settle) this one.
pub async fn pending<E: Effect>(work: &mut Work, resource: Uuid) -> Result<Option<Uuid>> {
    Ok(store::of_resource(work.connection().await?, E::NAME, resource).await?.map(|intent| intent.id))
}

/// Stores an outcome that is known otherwise, as by a webhook of the API or from a person who asked its operator, within the
/// caller's transaction. Returns `false` if no effect of this kind is pending for the resource.
pub async fn settle<E: Effect>(work: &mut Work, resource: Uuid, outcome: Result<E::Outcome, Failure>) -> Result<bool> {
    let Some(intent) = store::of_resource(work.connection().await?, E::NAME, resource).await? else { return Ok(false) };
    let (key, request) = (intent.id, intent.request::<E>()?);
    settle_in(work, &intent, &request, outcome).await?;
    queue::forget::<Call<E>>(work.connection().await?, &[key]).await?;
    Ok(true)
}

/// Stores an outcome, and removes the intent. The intent is locked last, as where an effect begins.
/// Errors: `NOT_FOUND` if another outcome was stored before, or if another attempt began before a failure; any error of
/// the effect.
async fn settle_in<E: Effect>(
    work: &mut Work,
    intent: &Intent,
    request: &E,
    outcome: Result<E::Outcome, Failure>,
) -> Result<()> {
    let (id, resource) = (intent.id, intent.resource_id);
    // A success counts, whichever attempt it is of.
    let (name, attempts) = if outcome.is_ok() { ("succeeded", None) } else { ("failed", Some(intent.attempts)) };
    let stored = match outcome {
        Ok(outcome) => request.succeeded(work, resource, outcome).await,
        Err(failure) => request.failed(work, resource, failure).await,
    };
    stored.map_err(|error| match error.reason() {
        // The job would end, and the intent would remain.
        reason if reason == Reason::NotFound => Error::internal(anyhow::anyhow!("{}: {}", E::NAME, error.detail())),
        _ => error,
    })?;
    let delete = async move |connection: &Connection| store::delete(connection, id, attempts).await;
    if !work.write(delete).await? {
        return Err(Error::not_found("effect"));
    }
    let (is_slow, alerts) = (work.now() - intent.created_at > SLOW, context::alerts());
    after_commit::run(move || {
        count::<E>(name);
        if is_slow {
            alerts.resolve(ALERT.0, ALERT.1, id);
        }
    });
    Ok(())
}

fn count<E: Effect>(outcome: &'static str) {
    metrics::counter!("mainstay_effects_total", "effect" => E::NAME, "outcome" => outcome).increment(1);
}
