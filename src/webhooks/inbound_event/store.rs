//! Webhook events received from providers.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::Bool};
use diesel_async::RunQueryDsl;

use crate::webhooks::id::InboundEventId;
use crate::{
    schema::inbound_events,
    webhooks::inbound_event::model::{Filter, InboundEvent, Provider, State},
};
use mainstay_kernel::{
    database::{
        Connection, count, integrity::corrupt, optional_column::optional, seek::newest_first, statement::Prepare as _,
    },
    error::{Error, Result},
    page::{Page, Total},
};

/// An event without its payload, which lists do not need.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = inbound_events, treat_none_as_default_value = false)]
struct Row {
    id: InboundEventId,
    provider: Option<i16>,
    provider_name: Option<String>,
    provider_event_id: String,
    kind: String,
    state: i16,
    attempts: i32,
    failure: Option<String>,
    version: i64,
    received_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// Returns the number and the name of a provider in the table, which has one of them: a number for those from before
/// providers had names.
fn stored(provider: &str) -> (Option<i16>, Option<&str>) {
    match Provider::from_name(provider) {
        Some(numbered) => (Some(numbered.number()), None),
        None => (None, Some(provider)),
    }
}

impl From<&InboundEvent> for Row {
    fn from(event: &InboundEvent) -> Self {
        let (provider, provider_name) = stored(&event.provider);
        Self {
            id: event.id,
            provider,
            provider_name: provider_name.map(str::to_owned),
            provider_event_id: event.provider_event_id.clone(),
            kind: event.kind.clone(),
            state: event.state.number(),
            attempts: event.attempts,
            failure: event.failure.clone(),
            version: event.version,
            received_at: event.received_at,
            updated_at: event.updated_at,
            finished_at: event.finished_at,
        }
    }
}

impl Row {
    fn with(self, payload: Vec<u8>) -> Result<InboundEvent> {
        let provider = match self.provider {
            Some(number) => Provider::from_number(number.into()).map(|provider| provider.name().into()),
            None => self.provider_name.map(Cow::Owned),
        };
        let (Some(provider), Some(state)) = (provider, State::from_number(self.state.into())) else {
            return Err(corrupt("inbound_events", self.id, "a number"));
        };
        Ok(InboundEvent {
            id: self.id,
            provider,
            provider_event_id: self.provider_event_id,
            kind: self.kind,
            payload: payload.into(),
            state,
            attempts: self.attempts,
            failure: self.failure,
            version: self.version,
            received_at: self.received_at,
            updated_at: self.updated_at,
            finished_at: self.finished_at,
        })
    }
}

/// Stores a new event, unless the provider sent it before; returns whether it was stored.
pub async fn insert(connection: &Connection, event: &InboundEvent) -> Result<bool> {
    let inserted = diesel::insert_into(inbound_events::table)
        .values((Row::from(event), inbound_events::payload.eq(event.payload.as_ref())))
        .on_conflict_do_nothing()
        .execute(&mut &*connection)
        .await?;
    Ok(inserted == 1)
}

/// Returns one event, with an empty payload unless it is requested.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(mut connection: &Connection, id: InboundEventId, payload: bool) -> Result<InboundEvent> {
    let columns = (Row::as_select(), optional(inbound_events::payload, payload));
    let query = inbound_events::table.find(id).select(columns);
    require(query.first(&mut connection).await.optional()?)
}

/// Returns one event, locked against changes until the transaction ends, with an empty payload unless it is requested.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: InboundEventId, payload: bool) -> Result<InboundEvent> {
    let columns = (Row::as_select(), optional(inbound_events::payload, payload));
    let query = inbound_events::table.find(id).select(columns).for_no_key_update();
    require(query.first(&mut &*connection).await.optional()?)
}

fn require(row: Option<(Row, Vec<u8>)>) -> Result<InboundEvent> {
    let (row, payload) = row.ok_or_else(|| Error::not_found("inbound event"))?;
    row.with(payload)
}

/// Stores the next version of a locked event.
pub async fn update(connection: &Connection, event: &InboundEvent) -> Result<()> {
    let target = inbound_events::table
        .filter(inbound_events::id.eq(event.id))
        .filter(inbound_events::version.eq(event.version - 1));
    // The content of the event never changes.
    let change = (
        inbound_events::state.eq(event.state.number()),
        inbound_events::attempts.eq(event.attempts),
        inbound_events::failure.eq(event.failure.as_deref()),
        inbound_events::version.eq(event.version),
        inbound_events::updated_at.eq(event.updated_at),
        inbound_events::finished_at.eq(event.finished_at),
    );
    let updated = diesel::update(target).set(change).prepared().execute(&mut &*connection).await?;
    if updated == 1 {
        Ok(())
    } else {
        Err(Error::internal(anyhow::anyhow!("inbound_events {}: update touched {updated} rows", event.id)))
    }
}

type Boxed<'q> = inbound_events::BoxedQuery<'q, diesel::pg::Pg>;

fn matching<'q>(filter: Filter) -> Boxed<'q> {
    let mut query = inbound_events::table.into_boxed();
    if let Some(provider) = filter.provider {
        query = match stored(&provider) {
            (Some(number), _) => query.filter(inbound_events::provider.eq(number)),
            (None, _) => query.filter(inbound_events::provider_name.eq(provider)),
        };
    }
    if let Some(state) = filter.state {
        query = query.filter(inbound_events::state.eq(state.number()));
    }
    query
}

/// Returns a page of events, newest first, without their payloads.
pub async fn list(mut connection: &Connection, filter: Filter, page: Page) -> Result<Vec<InboundEvent>> {
    let query = newest_first!(matching(filter), inbound_events::received_at, page);
    let rows: Vec<Row> = query.select(Row::as_select()).load(&mut connection).await?;
    rows.into_iter().map(|row| row.with(Vec::new())).collect()
}

/// Counts the events, up to a bound.
pub async fn total(connection: &Connection, filter: Filter) -> Result<Total> {
    let limited = matching(filter).select(inbound_events::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

/// Makes at most `limit` dead events pending again, oldest first, and returns their ids. Events locked by another
/// transaction are skipped.
pub async fn redrive(
    connection: &mut Connection,
    provider: Option<&str>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<InboundEventId>> {
    let (number, name) = provider.map(stored).unwrap_or_default();
    let is_of_provider = inbound_events::provider.is_not_distinct_from(number);
    let is_of_provider = is_of_provider.and(inbound_events::provider_name.is_not_distinct_from(name));
    let dead = inbound_events::table
        .filter(inbound_events::state.eq(State::Dead.number()))
        .filter(provider.is_none().into_sql::<Bool>().or(is_of_provider))
        .order((inbound_events::received_at, inbound_events::id))
        .limit(limit)
        .select(inbound_events::id);
    // Selected in a separate statement, because the planner may execute a locking subselect within an update more than
    // once.
    let ids: Vec<InboundEventId> = dead.for_no_key_update().skip_locked().load(connection).await?;
    diesel::update(inbound_events::table.filter(inbound_events::id.eq_any(&ids)))
        .set((
            inbound_events::state.eq(State::Pending.number()),
            inbound_events::attempts.eq(0),
            inbound_events::finished_at.eq(None::<DateTime<Utc>>),
            inbound_events::version.eq(inbound_events::version + 1),
            inbound_events::updated_at.eq(now),
        ))
        .execute(connection)
        .await?;
    Ok(ids)
}

/// Removes at most `limit` events that were received before `before` and were processed or ignored, or became dead
/// before it; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let states = [State::Processed.number(), State::Ignored.number(), State::Dead.number()];
    let is_expired = inbound_events::state.ne(State::Dead.number()).or(inbound_events::finished_at.lt(before));
    let query = inbound_events::table
        .filter(inbound_events::state.eq_any(states))
        .filter(inbound_events::received_at.lt(before))
        .filter(is_expired)
        .select(inbound_events::id)
        .limit(limit);
    let ids: Vec<InboundEventId> = query.load(connection).await?;
    // The state is checked again, because an event may be redriven in between.
    let events = inbound_events::table.filter(inbound_events::id.eq_any(ids));
    let events = events.filter(inbound_events::state.ne(State::Pending.number()));
    Ok(diesel::delete(events).execute(connection).await?)
}

/// Removes the events whose provider ids have this prefix, and returns their ids.
pub async fn erase(connection: &mut Connection, prefix: &str) -> Result<Vec<InboundEventId>> {
    let erased = inbound_events::table.filter(inbound_events::provider_event_id.like(format!("{prefix}%")));
    Ok(diesel::delete(erased).returning(inbound_events::id).get_results(connection).await?)
}
