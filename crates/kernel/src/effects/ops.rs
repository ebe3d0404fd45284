//! The job of an effect: a look-up, if an attempt may have taken effect, and an attempt, if none has.

use std::marker::PhantomData;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{ALERT, Effect, Failure, Unfinished, count, settle_in, store, store::Intent};
use crate::{
    app::App,
    database::Connection,
    error::{Error, Result},
    fault,
    queue::{Handler, Job, Lane},
    unit_of_work::Work,
};

#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Call<E> {
    effect: Uuid,
    #[serde(skip)]
    kind: PhantomData<fn() -> E>,
}

impl<E> Call<E> {
    pub(super) fn new(effect: Uuid) -> Self {
        Self { effect, kind: PhantomData }
    }
}

impl<E: Effect> Job for Call<E> {
    const NAME: &'static str = E::NAME;
    const MAX_ATTEMPTS: i32 = E::MAX_ATTEMPTS;
    const LANE: Lane = E::LANE;

    fn subject(&self) -> Uuid {
        self.effect
    }
}

impl<E: Effect> Handler for Call<E> {
    async fn run(self, app: &App, _stop: &CancellationToken) -> Result<()> {
        let Some(intent) = find(app, self.effect).await? else { return Ok(()) };
        let request: E = intent.request()?;
        let now = app.clock.now();
        let is_late = now - intent.created_at > E::DEADLINE;
        match next(&intent, is_late, now) {
            // The worker of the attempt died.
            Step::Wait(until) => {
                let error = Error::unavailable(anyhow::anyhow!("it can be looked up from {until}"));
                Err(error.retry_after((until - now).to_std().unwrap_or_default()))
            }
            Step::LookUp => match looked_up(app, intent.id, &request).await? {
                Some(outcome) => settle(app, intent, request, Ok(outcome)).await,
                None if is_late => settle(app, intent, request, Err(Failure::Expired)).await,
                None => attempt(app, Intent { lookup_at: None, ..intent }, request).await,
            },
            Step::Attempt => attempt(app, intent, request).await,
            Step::Expire => settle(app, intent, request, Err(Failure::Expired)).await,
        }
    }

    async fn give_up(self, app: &App) -> Result<()> {
        if let Some(intent) = find(app, self.effect).await? {
            let what = match intent.lookup_at {
                None => "it did not happen",
                Some(_) => "it is not known whether it happened",
            };
            let detail = format!("{} of {}: {what}; the dead job has the error", E::NAME, intent.resource_id);
            app.alerts.raise(ALERT.0, ALERT.1, intent.id, &detail);
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing before this time.
    Wait(DateTime<Utc>),
    LookUp,
    Attempt,
    Expire,
}

fn next(intent: &Intent, is_late: bool, now: DateTime<Utc>) -> Step {
    match intent.lookup_at {
        None if is_late => Step::Expire,
        None => Step::Attempt,
        Some(_) if !is_late && intent.repeat_until.is_some_and(|until| now < until) => Step::Attempt,
        Some(at) if now < at => Step::Wait(at),
        Some(_) => Step::LookUp,
    }
}

async fn find(app: &App, id: Uuid) -> Result<Option<Intent>> {
    app.database.autocommit(async move |connection: &mut Connection| store::find(connection, id).await).await
}

fn unclear<E: Effect>(why: String) -> Error {
    count::<E>("unclear");
    Error::unavailable(anyhow::anyhow!("it is not known whether it happened: {why}"))
}

async fn looked_up<E: Effect>(app: &App, key: Uuid, request: &E) -> Result<Option<E::Outcome>> {
    match timeout(E::TIMEOUT, request.lookup(app, key)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(unclear::<E>(format!("the look-up failed: {error:#}"))),
        Err(_) => Err(unclear::<E>("the look-up took too long".to_owned())),
    }
}

/// Makes an attempt, which is stored before it is sent. `intent.lookup_at` says whether an earlier attempt may have taken
/// effect.
async fn attempt<E: Effect>(app: &App, intent: Intent, request: E) -> Result<()> {
    let (key, now, began, earlier) = (intent.id, app.clock.now(), Instant::now(), intent.lookup_at);
    let limit = TimeDelta::from_std(E::TIMEOUT).unwrap_or(TimeDelta::MAX);
    let repeat_until = intent.repeat_until.or(Some(now + E::REPEATABLE_FOR));
    let number = intent.attempts + 1;
    let begun = Intent { attempts: number, repeat_until, ..intent.clone() };
    if !update(app, intent, number, Some(now + limit + E::LOOKUP_LAG), repeat_until).await? {
        return Err(Error::unavailable(anyhow::anyhow!("another worker makes an attempt")));
    }
    fault::point("effect.before")?;
    let left = E::TIMEOUT.saturating_sub(began.elapsed());
    let result = match left.is_zero() {
        true => Ok(Err(Unfinished::NotDone("it took too long to store the attempt".to_owned()))),
        false => timeout(left, request.attempt(app, key)).await,
    };
    fault::point("effect.called")?;
    let (lookup_at, lag) = (Some(app.clock.now() + E::LOOKUP_LAG), E::LOOKUP_LAG.to_std().unwrap_or_default());
    let why = match result {
        Ok(Ok(outcome)) => return settle(app, begun, request, Ok(outcome)).await,
        // The refusal of a repetition says nothing about the earlier attempt.
        Ok(Err(Unfinished::Refused(failure))) if earlier.is_some() => {
            update(app, begun, number, lookup_at, Some(now)).await?;
            return Err(unclear::<E>(format!("a repetition was refused: {failure:?}")).retry_after(lag));
        }
        Ok(Err(Unfinished::Refused(failure))) => return settle(app, begun, request, Err(failure)).await,
        Ok(Err(Unfinished::NotDone(why))) => {
            update(app, begun, number, earlier, repeat_until).await?;
            count::<E>("not_done");
            return Err(Error::unavailable(anyhow::anyhow!("it was not done: {why}")));
        }
        Ok(Err(Unfinished::Unclear(why))) => why,
        Err(_) => "the attempt took too long".to_owned(),
    };
    update(app, begun, number, lookup_at, repeat_until).await?;
    let error = unclear::<E>(why);
    // A repetition needs no look-up before it.
    Err(if repeat_until.is_some_and(|until| now < until) { error } else { error.retry_after(lag) })
}

async fn update(
    app: &App,
    before: Intent,
    attempts: i32,
    lookup_at: Option<DateTime<Utc>>,
    repeat_until: Option<DateTime<Utc>>,
) -> Result<bool> {
    let update = async move |connection: &mut Connection| {
        store::update(connection, &before, attempts, lookup_at, repeat_until).await
    };
    app.database.autocommit(update).await
}

async fn settle<E: Effect>(app: &App, intent: Intent, request: E, outcome: Result<E::Outcome, Failure>) -> Result<()> {
    let (intent, request) = (&intent, &request);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        settle_in(work, intent, request, outcome).await?;
        fault::point("effect.before_commit")
    });
    transaction.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_may_have_taken_effect_is_looked_up_before_another_one() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let at = |seconds| Some(now + TimeDelta::seconds(seconds));
        let step = |lookup_at, repeat_until, is_late| {
            let intent = Intent { lookup_at, repeat_until, ..Intent::sample(now) };
            next(&intent, is_late, now)
        };
        assert_eq!((step(None, None, false), step(None, at(9), true)), (Step::Attempt, Step::Expire));
        for repeat_until in [None, at(0), at(-9)] {
            for is_late in [false, true] {
                assert_eq!(step(at(1), repeat_until, is_late), Step::Wait(now + TimeDelta::seconds(1)));
                assert_eq!(step(at(0), repeat_until, is_late), Step::LookUp);
            }
        }
        assert_eq!((step(at(1), at(9), false), step(at(-1), at(9), true)), (Step::Attempt, Step::LookUp));
    }
}
