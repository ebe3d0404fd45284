//! Inbound webhook events: stored with their job, processed once, dead after too many attempts, and redriven on
//! request.

use crate::webhooks::inbound::handlers::Handlers;

use crate::webhooks::id::InboundEventId;
use crate::webhooks::inbound_event::{
    job::ProcessInboundEvent,
    model::{Filter, InboundEvent, State},
    store,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    database::{Connection, pipeline::pipeline},
    error::{Error, Reason, Result},
    fault,
    page::{Listed, Page},
    queue as jobs,
    unit_of_work::Work,
};

/// The maximum number of events redriven by one call.
const MAX_REDRIVEN: i64 = 500;

/// Stores an event and the job that processes it. Returns whether the event is new; a duplicate changes nothing.
pub async fn receive(work: &mut Work, event: InboundEvent) -> Result<bool> {
    let job = ProcessInboundEvent { event: event.id };
    // One round trip, because nearly every event is new.
    let store = async |connection: &Connection| {
        pipeline!(store::insert(connection, &event), jobs::enqueue(connection, &job)).map(|(new, ())| new)
    };
    let new = work.write(store).await?;
    if !new {
        // The event is a duplicate, stored under another id with its own job.
        jobs::cancel::<ProcessInboundEvent>(work.connection().await?, event.id.0).await?;
    }
    Ok(new)
}

/// Processes an event. The handler's effects and the event's new state commit together. Returns `None` if the event was
/// already processed.
///
/// # Errors
/// The handler's error, which is also recorded on the event, unless it makes the event dead immediately.
pub async fn process(app: &App, id: InboundEventId) -> Result<Option<State>> {
    let (handlers, now) = (app.part::<Handlers>().clone(), app.clock.now());
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let event = work.read(async |connection: &Connection| store::lock(connection, id, true).await).await?;
        if event.state != State::Pending {
            return Ok(None);
        }
        fault::point("inbound_event.handle")?;
        let state = match handlers.of(&event) {
            Some(handler) => {
                handler.handle(work, &event).await?;
                State::Processed
            }
            None => State::Ignored,
        };
        store::update(work.connection().await?, &event.end(state, now)).await?;
        Ok(Some(state))
    });
    let error: Error = match transaction.await {
        Ok(state) => return Ok(state),
        Err(error) => error,
    };
    let failure = error.detail();
    if error.is_rule() {
        // The event violates a business rule, so a retry can't succeed.
        end_dead(app, id, move |event| event.record_permanent_failure(failure, now)).await?;
        return Ok(Some(State::Dead));
    }
    let recorded = failure.clone();
    change_pending(app, id, move |event| event.record_failure(recorded, now)).await?;
    // A job that ends with NOT_FOUND is done, because its own subject is gone. This event still exists.
    let is_subject_gone = error.reason() == Reason::NotFound;
    Err(if is_subject_gone { Error::internal(anyhow::anyhow!(failure)) } else { error })
}

/// Marks an event dead because its job will not be retried.
pub async fn give_up(app: &App, id: InboundEventId) -> Result<()> {
    let now = app.clock.now();
    end_dead(app, id, move |event| event.end(State::Dead, now)).await
}

async fn end_dead<F>(app: &App, id: InboundEventId, end: F) -> Result<()>
where
    F: FnOnce(InboundEvent) -> InboundEvent + Send + 'static,
{
    if change_pending(app, id, end).await? {
        tracing::error!(event = %id, "an inbound event is dead; redrive it once the cause is fixed");
        metrics::counter!("mainstay_inbound_events_dead_total").increment(1);
    }
    Ok(())
}

/// Applies a change to an event that is still pending. Returns whether the event was pending.
async fn change_pending<F>(app: &App, id: InboundEventId, change: F) -> Result<bool>
where
    F: FnOnce(InboundEvent) -> InboundEvent + Send + 'static,
{
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let event = work.read(async |connection: &Connection| store::lock(connection, id, false).await).await?;
        if event.state != State::Pending {
            return Ok(false);
        }
        store::update(work.connection().await?, &change(event)).await?;
        Ok(true)
    });
    transaction.await
}

/// Returns an event, with an empty payload unless it is requested.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, _: Permit, id: InboundEventId, payload: bool) -> Result<InboundEvent> {
    store::get(connection, id, payload).await
}

/// Returns a page of events plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, _: Permit, filter: Filter, page: Page) -> Result<Listed<InboundEvent>> {
    let total = page.total(store::total(connection, filter.clone())).await?;
    Ok((store::list(connection, filter, page.and_next()).await?, total))
}

/// Queues an event to be processed again.
///
/// # Errors
/// `NOT_FOUND`, `EVENT_PENDING`, `EVENT_PROCESSED`.
pub async fn redrive(work: &mut Work, id: InboundEventId) -> Result<InboundEvent> {
    work.permit()?;
    let event = work.read(async |connection: &Connection| store::lock(connection, id, false).await).await?;
    let (event, job) = (event.redrive(work.now())?, ProcessInboundEvent { event: id });
    let store = async |connection: &Connection| {
        pipeline!(store::update(connection, &event), jobs::enqueue(connection, &job)).map(drop)
    };
    work.write(store).await?;
    Ok(event)
}

/// Queues dead events to be processed again, oldest first. Returns their number, and whether there are more.
pub async fn redrive_dead(work: &mut Work, provider: Option<String>) -> Result<(usize, bool)> {
    work.permit()?;
    let now = work.now();
    let connection = work.connection().await?;
    let ids = store::redrive(connection, provider.as_deref(), MAX_REDRIVEN, now).await?;
    let jobs: Vec<_> = ids.iter().map(|&event| ProcessInboundEvent { event }).collect();
    jobs::enqueue_all(connection, &jobs).await?;
    let rest = store::list(connection, Filter { provider, state: Some(State::Dead) }, Page::first(1)).await?;
    Ok((ids.len(), !rest.is_empty()))
}

/// Measures how many events are dead. Unlike the counter, the gauge also shows an event whose worker ended before it
/// counted the event.
pub async fn measure_dead(app: App) -> Result<()> {
    let dead = Filter { provider: None, state: Some(State::Dead) };
    let count = async move |connection: &mut Connection| store::total(connection, dead).await;
    let total = app.database.autocommit(count).await?;
    metrics::gauge!("mainstay_inbound_events_dead").set(f64::from(i32::try_from(total.rows).unwrap_or(i32::MAX)));
    Ok(())
}

/// Removes the events whose provider ids have this prefix, with their jobs.
pub(crate) async fn erase(connection: &mut Connection, prefix: &str) -> Result<()> {
    let ids: Vec<_> = store::erase(connection, prefix).await?.into_iter().map(|id| id.0).collect();
    jobs::forget::<ProcessInboundEvent>(connection, &ids).await
}
