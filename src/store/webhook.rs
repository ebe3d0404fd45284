//! Endpoints that are told what happens here, and the outbox of what they are told.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection,
    condition::Condition,
    count, queue,
    schema::{webhook_attempts, webhook_deliveries, webhook_endpoints},
};
use crate::{
    domain::{
        page::{Start, Total},
        webhook::{Attempt, Delivery, DeliveryState, Endpoint, EventKind, Secrets, Status},
    },
    error::{Error, Result},
    id::{AccountId, WebhookDeliveryId, WebhookEndpointId},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = webhook_endpoints, treat_none_as_null = true)]
struct EndpointRow {
    id: WebhookEndpointId,
    account_id: Option<AccountId>,
    url: String,
    description: String,
    kinds: Vec<i16>,
    status: i16,
    failing_since: Option<DateTime<Utc>>,
    secret: Vec<u8>,
    old_secret: Option<Vec<u8>>,
    old_secret_until: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Endpoint> for EndpointRow {
    fn from(endpoint: &Endpoint) -> Self {
        let old = endpoint.secrets.old.clone();
        Self {
            id: endpoint.id,
            account_id: endpoint.account,
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            kinds: endpoint.kinds.iter().map(|kind| kind.number()).collect(),
            status: endpoint.status.number(),
            failing_since: endpoint.failing_since,
            secret: endpoint.secrets.current.clone(),
            old_secret_until: old.as_ref().map(|(_, until)| *until),
            old_secret: old.map(|(secret, _)| secret),
            version: endpoint.version,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

impl TryFrom<EndpointRow> for Endpoint {
    type Error = Error;

    fn try_from(row: EndpointRow) -> Result<Self> {
        let broken = || Error::internal(anyhow::anyhow!("webhook_endpoints {}: a number breaks its check", row.id));
        let kinds = row.kinds.iter().map(|&kind| EventKind::from_number(kind.into())).collect::<Option<_>>();
        Ok(Self {
            id: row.id,
            account: row.account_id,
            // One left out could leave none, which means all.
            kinds: kinds.ok_or_else(broken)?,
            status: Status::from_number(row.status.into()).ok_or_else(broken)?,
            url: row.url,
            description: row.description,
            failing_since: row.failing_since,
            secrets: Secrets { current: row.secret, old: row.old_secret.zip(row.old_secret_until) },
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Stores a new endpoint.
///
/// # Errors
/// `NOT_FOUND` for an unknown account.
pub async fn insert(connection: &mut Connection, endpoint: &Endpoint) -> Result<()> {
    let insert = diesel::insert_into(webhook_endpoints::table).values(EndpointRow::from(endpoint));
    match insert.execute(connection).await {
        Err(error) if super::broken_reference(&error) == Some("webhook_endpoints_account_id_fkey") => {
            Err(Error::not_found("account").caused_by(error))
        }
        inserted => one(inserted?, endpoint.id.0),
    }
}

/// One endpoint.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, id: WebhookEndpointId) -> Result<Endpoint> {
    let query = webhook_endpoints::table.find(id).select(EndpointRow::as_select());
    found(query.first(connection).await.optional()?)
}

/// One endpoint, held against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &mut Connection, id: WebhookEndpointId) -> Result<Endpoint> {
    let query = webhook_endpoints::table.find(id).select(EndpointRow::as_select()).for_no_key_update();
    found(query.first(connection).await.optional()?)
}

fn found(row: Option<EndpointRow>) -> Result<Endpoint> {
    row.ok_or_else(|| Error::not_found("webhook endpoint"))?.try_into()
}

/// Stores the next version of a locked endpoint.
pub async fn update(connection: &mut Connection, endpoint: &Endpoint) -> Result<()> {
    let target = webhook_endpoints::table
        .filter(webhook_endpoints::id.eq(endpoint.id))
        .filter(webhook_endpoints::version.eq(endpoint.version - 1));
    one(diesel::update(target).set(EndpointRow::from(endpoint)).execute(connection).await?, endpoint.id.0)
}

/// Removes a locked endpoint with its deliveries.
pub async fn delete(connection: &mut Connection, id: WebhookEndpointId) -> Result<()> {
    one(diesel::delete(webhook_endpoints::table.find(id)).execute(connection).await?, id.0)
}

/// At most `limit` endpoints, newest first.
pub async fn list(connection: &mut Connection, start: Start, limit: i64) -> Result<Vec<Endpoint>> {
    let query = webhook_endpoints::table.into_boxed();
    let query = match start {
        Start::Offset(offset) => query.offset(offset),
        Start::After(key) => {
            query.filter(Condition::beyond("(webhook_endpoints.created_at, webhook_endpoints.id)", true, key))
        }
    };
    let query = query.order((webhook_endpoints::created_at.desc(), webhook_endpoints::id.desc())).limit(limit);
    let rows: Vec<EndpointRow> = query.select(EndpointRow::as_select()).load(connection).await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// How many endpoints there are, up to a bound.
pub async fn total(connection: &mut Connection) -> Result<Total> {
    let limited = webhook_endpoints::table.select(webhook_endpoints::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

/// Who is told, and of what.
#[derive(Debug, Queryable)]
pub struct Listener {
    /// The endpoint.
    pub id: WebhookEndpointId,
    /// Whose events it is told; `None`: every account's.
    pub account: Option<AccountId>,
    kinds: Vec<i16>,
}

impl Listener {
    /// Whether it is told of events of a kind.
    pub fn hears(&self, kind: EventKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind.number())
    }
}

/// Who is told any of these kinds of events of these accounts. They stay until the transaction ends; one that is just
/// being removed is not waited for.
pub async fn listeners(
    connection: &mut Connection,
    accounts: &[AccountId],
    kinds: &[EventKind],
) -> Result<Vec<Listener>> {
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.number()).collect();
    let query = webhook_endpoints::table
        .filter(webhook_endpoints::status.eq(Status::Enabled.number()))
        .filter(webhook_endpoints::account_id.is_null().or(webhook_endpoints::account_id.eq_any(accounts)))
        .filter(webhook_endpoints::kinds.eq(Vec::<i16>::new()).or(webhook_endpoints::kinds.overlaps_with(kinds)));
    let columns = (webhook_endpoints::id, webhook_endpoints::account_id, webhook_endpoints::kinds);
    Ok(query.select(columns).for_key_share().skip_locked().load(connection).await?)
}

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = webhook_deliveries, treat_none_as_null = true)]
struct DeliveryRow {
    id: WebhookDeliveryId,
    endpoint_id: WebhookEndpointId,
    event_id: Uuid,
    kind: i16,
    payload: String,
    state: i16,
    attempts: i32,
    tries: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Delivery> for DeliveryRow {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id,
            endpoint_id: delivery.endpoint,
            event_id: delivery.event,
            kind: delivery.kind.number(),
            payload: delivery.payload.clone(),
            state: delivery.state.number(),
            attempts: delivery.attempts,
            tries: delivery.tries,
            next_attempt_at: delivery.next_attempt_at,
            version: delivery.version,
            created_at: delivery.created_at,
            updated_at: delivery.updated_at,
        }
    }
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = Error;

    fn try_from(row: DeliveryRow) -> Result<Self> {
        let broken = || Error::internal(anyhow::anyhow!("webhook_deliveries {}: a number breaks its check", row.id));
        Ok(Self {
            id: row.id,
            endpoint: row.endpoint_id,
            event: row.event_id,
            kind: EventKind::from_number(row.kind.into()).ok_or_else(broken)?,
            state: DeliveryState::from_number(row.state.into()).ok_or_else(broken)?,
            payload: row.payload,
            attempts: row.attempts,
            tries: row.tries,
            next_attempt_at: row.next_attempt_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Stores new deliveries.
pub async fn insert_deliveries(connection: &mut Connection, deliveries: &[Delivery]) -> Result<()> {
    // Postgres takes 65,535 parameters in one statement.
    for some in deliveries.chunks(1000) {
        let rows: Vec<_> = some.iter().map(DeliveryRow::from).collect();
        diesel::insert_into(webhook_deliveries::table).values(rows).execute(connection).await?;
    }
    Ok(())
}

/// One delivery.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get_delivery(connection: &mut Connection, id: WebhookDeliveryId) -> Result<Delivery> {
    let query = webhook_deliveries::table.find(id).select(DeliveryRow::as_select());
    found_delivery(query.first(connection).await.optional()?)
}

/// One delivery, held against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock_delivery(connection: &mut Connection, id: WebhookDeliveryId) -> Result<Delivery> {
    let query = webhook_deliveries::table.find(id).select(DeliveryRow::as_select()).for_no_key_update();
    found_delivery(query.first(connection).await.optional()?)
}

fn found_delivery(row: Option<DeliveryRow>) -> Result<Delivery> {
    row.ok_or_else(|| Error::not_found("webhook delivery"))?.try_into()
}

/// At most `limit` deliveries to an endpoint that are to be sent by now, the longest due first.
pub async fn due(
    connection: &mut Connection,
    endpoint: WebhookEndpointId,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<WebhookDeliveryId>> {
    let due = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(webhook_deliveries::state.eq(DeliveryState::Pending.number()))
        .filter(webhook_deliveries::next_attempt_at.le(now));
    let due = due.order(webhook_deliveries::next_attempt_at).limit(limit).select(webhook_deliveries::id);
    Ok(due.load(connection).await?)
}

/// Stores the next version of a locked delivery.
pub async fn update_delivery(connection: &mut Connection, delivery: &Delivery) -> Result<()> {
    let target = webhook_deliveries::table
        .filter(webhook_deliveries::id.eq(delivery.id))
        .filter(webhook_deliveries::version.eq(delivery.version - 1));
    one(diesel::update(target).set(DeliveryRow::from(delivery)).execute(connection).await?, delivery.id.0)
}

type Boxed<'q> = webhook_deliveries::BoxedQuery<'q, diesel::pg::Pg>;

fn matching<'q>(endpoint: WebhookEndpointId, state: Option<DeliveryState>) -> Boxed<'q> {
    let query = webhook_deliveries::table.filter(webhook_deliveries::endpoint_id.eq(endpoint)).into_boxed();
    match state {
        Some(state) => query.filter(webhook_deliveries::state.eq(state.number())),
        None => query,
    }
}

/// At most `limit` deliveries of an endpoint, newest first.
pub async fn list_deliveries(
    connection: &mut Connection,
    endpoint: WebhookEndpointId,
    state: Option<DeliveryState>,
    start: Start,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let query = match start {
        Start::Offset(offset) => matching(endpoint, state).offset(offset),
        Start::After(key) => matching(endpoint, state).filter(Condition::beyond(
            "(webhook_deliveries.created_at, webhook_deliveries.id)",
            true,
            key,
        )),
    };
    let query = query.order((webhook_deliveries::created_at.desc(), webhook_deliveries::id.desc())).limit(limit);
    let rows: Vec<DeliveryRow> = query.select(DeliveryRow::as_select()).load(connection).await?;
    rows.into_iter().map(Delivery::try_from).collect()
}

/// How many deliveries of an endpoint there are, up to a bound.
pub async fn total_deliveries(
    connection: &mut Connection,
    endpoint: WebhookEndpointId,
    state: Option<DeliveryState>,
) -> Result<Total> {
    let limited = matching(endpoint, state).select(webhook_deliveries::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_attempts)]
struct AttemptRow {
    number: i32,
    started_at: DateTime<Utc>,
    duration_ms: i64,
    status: Option<i16>,
    failure: Option<String>,
}

/// Adds an attempt of a locked delivery.
pub async fn insert_attempt(connection: &mut Connection, delivery: WebhookDeliveryId, attempt: &Attempt) -> Result<()> {
    let row = AttemptRow {
        number: attempt.number,
        started_at: attempt.started_at,
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
        status: attempt.status.and_then(|status| i16::try_from(status).ok()),
        failure: attempt.failure.clone(),
    };
    let values = (webhook_attempts::delivery_id.eq(delivery), row);
    one(diesel::insert_into(webhook_attempts::table).values(values).execute(connection).await?, delivery.0)
}

/// The latest `limit` attempts of a delivery, first to last.
pub async fn attempts(connection: &mut Connection, delivery: WebhookDeliveryId, limit: i64) -> Result<Vec<Attempt>> {
    let query = webhook_attempts::table.filter(webhook_attempts::delivery_id.eq(delivery));
    let query = query.order(webhook_attempts::number.desc()).limit(limit).select(AttemptRow::as_select());
    let rows: Vec<AttemptRow> = query.load(connection).await?;
    let attempt = |row: AttemptRow| Attempt {
        number: row.number,
        started_at: row.started_at,
        duration: Duration::from_millis(row.duration_ms.unsigned_abs()),
        status: row.status.and_then(|status| u16::try_from(status).ok()),
        failure: row.failure,
    };
    Ok(rows.into_iter().rev().map(attempt).collect())
}

/// Deliveries that a job is to send.
pub const WAITING: queue::Waiting = queue::Waiting { table: "webhook_deliveries", condition: "state = 1" };

/// Removes at most `limit` deliveries that were made before `before` and are on their way no more; returns how many.
pub async fn forget(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let done = webhook_deliveries::table
        .filter(webhook_deliveries::created_at.lt(before))
        .filter(webhook_deliveries::state.ne(DeliveryState::Pending.number()))
        .select(webhook_deliveries::id)
        .limit(limit);
    let ids: Vec<WebhookDeliveryId> = done.load(connection).await?;
    Ok(diesel::delete(webhook_deliveries::table.filter(webhook_deliveries::id.eq_any(ids))).execute(connection).await?)
}

fn one(count: usize, id: Uuid) -> Result<()> {
    if count == 1 { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("webhooks {id}: {count} rows were touched"))) }
}
