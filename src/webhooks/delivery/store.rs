//! Webhook deliveries and their attempts: the outbox.

pub mod stats;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::webhooks::id::{WebhookDeliveryId, WebhookEndpointId};
use crate::{
    schema::{webhook_attempts, webhook_deliveries, webhook_endpoints},
    webhooks::delivery::model::{Attempt, Delivery, DeliveryState},
};
use mainstay_kernel::{
    database::{
        Connection,
        condition::Condition,
        count,
        integrity::{corrupt, one_row},
        optional_column::optional,
        seek::newest_first,
        statement::{MAX_PREPARED_ROWS, Prepare as _},
    },
    error::{Error, Result},
    page::{Page, Total},
};

/// A delivery without its payload, which never changes and is read only on request.
#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = webhook_deliveries, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: WebhookDeliveryId,
    endpoint_id: WebhookEndpointId,
    event_id: Uuid,
    kind: String,
    state: i16,
    attempts: i32,
    attempts_since_resend: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Delivery> for Row {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id,
            endpoint_id: delivery.endpoint,
            event_id: delivery.event,
            kind: delivery.kind.clone(),
            state: delivery.state.number(),
            attempts: delivery.attempts,
            attempts_since_resend: delivery.attempts_since_resend,
            next_attempt_at: delivery.next_attempt_at,
            version: delivery.version,
            created_at: delivery.created_at,
            updated_at: delivery.updated_at,
        }
    }
}

impl TryFrom<(Row, String)> for Delivery {
    type Error = Error;

    fn try_from((row, payload): (Row, String)) -> Result<Self> {
        let broken = || corrupt("webhook_deliveries", row.id, "a number");
        Ok(Self {
            id: row.id,
            endpoint: row.endpoint_id,
            event: row.event_id,
            kind: row.kind,
            state: DeliveryState::from_number(row.state.into()).ok_or_else(broken)?,
            payload,
            attempts: row.attempts,
            attempts_since_resend: row.attempts_since_resend,
            next_attempt_at: row.next_attempt_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Stores new deliveries, in one round trip.
pub async fn insert(connection: &Connection, deliveries: &[Delivery]) -> Result<()> {
    // Postgres accepts 65,535 parameters in one statement.
    try_join_all(deliveries.chunks(1000).map(|some| insert_some(connection, some))).await?;
    Ok(())
}

async fn insert_some(connection: &Connection, deliveries: &[Delivery]) -> Result<()> {
    let row = |delivery: &Delivery| (Row::from(delivery), webhook_deliveries::payload.eq(delivery.payload.clone()));
    let insert = diesel::insert_into(webhook_deliveries::table).values(deliveries.iter().map(row).collect::<Vec<_>>());
    match deliveries.len() {
        ..=MAX_PREPARED_ROWS => insert.prepared().execute(&mut &*connection).await?,
        _ => insert.execute(&mut &*connection).await?,
    };
    Ok(())
}

/// Returns one delivery, with an empty payload unless it is requested. Deliveries of a deleted endpoint, which await
/// removal, are treated as absent.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, id: WebhookDeliveryId, payload: bool) -> Result<Delivery> {
    let query = webhook_deliveries::table.inner_join(webhook_endpoints::table);
    let columns = (Row::as_select(), optional(webhook_deliveries::payload, payload));
    let query = query.filter(webhook_deliveries::id.eq(id)).select(columns);
    require(query.first(&mut &*connection).await.optional()?)
}

/// Returns one delivery, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: WebhookDeliveryId) -> Result<Delivery> {
    let columns = (Row::as_select(), webhook_deliveries::payload);
    let query = webhook_deliveries::table.find(id).select(columns).for_no_key_update();
    require(query.first(&mut &*connection).await.optional()?)
}

fn require(row: Option<(Row, String)>) -> Result<Delivery> {
    row.ok_or_else(|| Error::not_found("webhook delivery"))?.try_into()
}

/// Returns at most `limit` deliveries to an endpoint that are due by now, by the clock of Postgres, longest due first.
pub async fn due(
    connection: &mut Connection,
    endpoint: WebhookEndpointId,
    limit: i64,
) -> Result<Vec<WebhookDeliveryId>> {
    let due = webhook_deliveries::table
        // Deliveries of a deleted endpoint, which await removal, are treated as absent.
        .inner_join(webhook_endpoints::table)
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(webhook_deliveries::state.eq(DeliveryState::Pending.number()))
        .filter(webhook_deliveries::next_attempt_at.le(diesel::dsl::now));
    let due = due.order(webhook_deliveries::next_attempt_at).limit(limit).select(webhook_deliveries::id);
    Ok(due.load(connection).await?)
}

/// Stores the next version of a locked delivery.
pub async fn update(connection: &Connection, delivery: &Delivery) -> Result<()> {
    let target = webhook_deliveries::table
        .filter(webhook_deliveries::id.eq(delivery.id))
        .filter(webhook_deliveries::version.eq(delivery.version - 1));
    let rows = diesel::update(target).set(Row::from(delivery)).prepared().execute(&mut &*connection).await?;
    one_row(rows, "update", "webhook_deliveries", delivery.id)
}

type Boxed<'q> = webhook_deliveries::BoxedQuery<'q, diesel::pg::Pg>;

fn matching<'q>(endpoint: WebhookEndpointId, state: Option<DeliveryState>) -> Boxed<'q> {
    let query = webhook_deliveries::table.filter(webhook_deliveries::endpoint_id.eq(endpoint)).into_boxed();
    match state {
        // The states are literals, so that the planner sees that a partial index applies.
        Some(DeliveryState::Pending) => query.filter(Condition::plain("webhook_deliveries.state = 1")),
        Some(DeliveryState::Failed) => query.filter(Condition::plain("webhook_deliveries.state = 3")),
        Some(DeliveryState::Delivered) => query.filter(Condition::plain("webhook_deliveries.state = 2")),
        None => query,
    }
}

/// Returns a page of deliveries of an endpoint, newest first, with empty payloads unless they are requested.
pub async fn list(
    mut connection: &Connection,
    endpoint: WebhookEndpointId,
    state: Option<DeliveryState>,
    page: Page,
    payloads: bool,
) -> Result<Vec<Delivery>> {
    let query = newest_first!(matching(endpoint, state), webhook_deliveries::created_at, page);
    let query = query.select((Row::as_select(), optional(webhook_deliveries::payload, payloads)));
    let rows: Vec<(Row, String)> = query.load(&mut connection).await?;
    rows.into_iter().map(Delivery::try_from).collect()
}

/// Counts the deliveries of an endpoint, up to a bound.
pub async fn total(
    connection: &Connection,
    endpoint: WebhookEndpointId,
    state: Option<DeliveryState>,
) -> Result<Total> {
    let limited = matching(endpoint, state).select(webhook_deliveries::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_attempts, treat_none_as_default_value = false)]
struct AttemptRow {
    number: i32,
    started_at: DateTime<Utc>,
    duration_ms: i64,
    status: Option<i16>,
    failure: Option<String>,
}

/// Adds an attempt of a locked delivery.
pub async fn insert_attempt(connection: &Connection, delivery: WebhookDeliveryId, attempt: &Attempt) -> Result<()> {
    let row = AttemptRow {
        number: attempt.number,
        started_at: attempt.started_at,
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
        status: attempt.status.and_then(|status| i16::try_from(status).ok()),
        failure: attempt.failure.clone(),
    };
    let values = (webhook_attempts::delivery_id.eq(delivery), row);
    let rows = diesel::insert_into(webhook_attempts::table).values(values).execute(&mut &*connection).await?;
    one_row(rows, "insert", "webhook_attempts", delivery)
}

/// Returns the latest `limit` attempts of a delivery, oldest first.
pub async fn attempts(connection: &Connection, delivery: WebhookDeliveryId, limit: i64) -> Result<Vec<Attempt>> {
    let query = webhook_attempts::table.filter(webhook_attempts::delivery_id.eq(delivery));
    let query = query.order(webhook_attempts::number.desc()).limit(limit).select(AttemptRow::as_select());
    let rows: Vec<AttemptRow> = query.load(&mut &*connection).await?;
    let attempt = |row: AttemptRow| Attempt {
        number: row.number,
        started_at: row.started_at,
        duration: Duration::from_millis(row.duration_ms.unsigned_abs()),
        status: row.status.and_then(|status| u16::try_from(status).ok()),
        failure: row.failure,
    };
    Ok(rows.into_iter().rev().map(attempt).collect())
}

/// Removes at most `limit` deliveries of a removed endpoint, in any state, and their attempts; returns how many.
pub async fn delete_of_endpoint(connection: &mut Connection, endpoint: WebhookEndpointId, limit: i64) -> Result<usize> {
    let some = webhook_deliveries::table.filter(webhook_deliveries::endpoint_id.eq(endpoint));
    let ids: Vec<WebhookDeliveryId> = some.select(webhook_deliveries::id).limit(limit).load(connection).await?;
    // The attempts are removed first, so that a crash leaves none behind. None is added meanwhile, because that
    // requires a lock on the endpoint.
    let attempts = webhook_attempts::table.filter(webhook_attempts::delivery_id.eq_any(&ids));
    diesel::delete(attempts).execute(connection).await?;
    let deliveries = webhook_deliveries::table.filter(webhook_deliveries::id.eq_any(&ids));
    Ok(diesel::delete(deliveries).execute(connection).await?)
}

/// Removes all deliveries of a deleted endpoint at once, and their attempts; returns their ids.
pub async fn erase(connection: &mut Connection, endpoint: WebhookEndpointId) -> Result<Vec<Uuid>> {
    let some = webhook_deliveries::table.filter(webhook_deliveries::endpoint_id.eq(endpoint));
    let ids: Vec<WebhookDeliveryId> =
        diesel::delete(some).returning(webhook_deliveries::id).get_results(connection).await?;
    let attempts = webhook_attempts::table.filter(webhook_attempts::delivery_id.eq_any(&ids));
    diesel::delete(attempts).execute(connection).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}
