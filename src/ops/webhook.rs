//! Who is told what happens here. The telling itself is [`delivery`].

pub mod delivery;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use crate::{
    caller::Permit,
    domain::{
        page::{Start, Total},
        version::Expected,
        webhook::{Delivery, DeliveryState, Endpoint, Event, EventKind, Patch, Secrets, Status, check_url},
    },
    error::{Error, Result},
    id::{self, AccountId, WebhookDeliveryId, WebhookEndpointId},
    identity::{SecretKey, random},
    jobs::{self, DeliverWebhook, ForgetDeliveries},
    store::{
        Connection,
        webhook::{delivery as deliveries, endpoint as store},
    },
};

/// What an endpoint shall be.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where it is.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// The events it is told; empty: all.
    pub kinds: Vec<EventKind>,
    /// The account whose events it is told.
    pub account: Option<AccountId>,
}

/// Who seals the secrets of endpoints, and knows which may be told.
#[derive(Debug, Clone)]
pub struct Sealer {
    /// Seals secrets.
    pub key: SecretKey,
    /// Whether private networks may be told.
    pub allow_private: bool,
}

/// The label under which the secrets of an endpoint are sealed.
fn label(id: WebhookEndpointId) -> String {
    format!("webhook endpoint {id}")
}

impl Sealer {
    /// A new secret: as it is shown, and sealed.
    fn secret(&self, id: WebhookEndpointId) -> Result<(SecretString, Vec<u8>)> {
        let bytes = random::<32>();
        Ok((format!("whsec_{}", STANDARD.encode(bytes)).into(), self.key.seal(&label(id), &bytes)?))
    }
}

/// Makes an endpoint. Its secret is returned this once.
///
/// # Errors
/// `VALIDATION_FAILED` for a URL that may not be told, `NOT_FOUND` for an unknown account.
pub async fn create(
    connection: &mut Connection,
    _: Permit,
    sealer: Sealer,
    draft: Draft,
    now: DateTime<Utc>,
) -> Result<(Endpoint, SecretString)> {
    let url = check_url(&draft.url, sealer.allow_private)?;
    let id = WebhookEndpointId::generate(now);
    let (secret, current) = sealer.secret(id)?;
    let Draft { description, kinds, account, .. } = draft;
    let endpoint = Endpoint {
        id,
        account,
        url,
        description,
        kinds,
        status: Status::Enabled,
        failing_since: None,
        secrets: Secrets { current, old: None },
        version: 1,
        created_at: now,
        updated_at: now,
    };
    store::insert(connection, &endpoint).await?;
    Ok((endpoint, secret))
}

/// One endpoint.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, _: Permit, id: WebhookEndpointId) -> Result<Endpoint> {
    store::get(connection, id).await
}

/// A page of endpoints, one more than asked for if there are more, and how many there are if that was asked.
///
/// # Errors
/// What Postgres answers.
pub async fn list(
    connection: &mut Connection,
    _: Permit,
    start: Start,
    limit: i64,
) -> Result<(Vec<Endpoint>, Option<Total>)> {
    let total = match start {
        Start::Offset(_) => Some(store::total(connection).await?),
        Start::After(_) => None,
    };
    Ok((store::list(connection, start, limit + 1).await?, total))
}

/// Changes an endpoint. A patch that changes nothing leaves the version alone.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `VALIDATION_FAILED` for a URL that may not be told.
pub async fn update(
    connection: &mut Connection,
    _: Permit,
    sealer: Sealer,
    id: WebhookEndpointId,
    expected: Option<Expected>,
    mut patch: Patch,
    now: DateTime<Utc>,
) -> Result<Endpoint> {
    if let Some(url) = &mut patch.url {
        *url = check_url(url, sealer.allow_private).map_err(|_| {
            Error::field("endpoint.url", "must be https, name a public host, and have no user, password or fragment")
        })?;
    }
    let endpoint = store::lock(connection, id).await?;
    Expected::check(expected.as_ref(), endpoint.version)?;
    let Some(next) = endpoint.apply(patch, now) else { return Ok(endpoint) };
    store::update(connection, &next).await?;
    Ok(next)
}

/// Removes an endpoint, and adds the job that removes its deliveries, of which there may be very many. From now on none of
/// them is sent, listed or read.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn delete(
    connection: &mut Connection,
    _: Permit,
    id: WebhookEndpointId,
    expected: Option<Expected>,
) -> Result<()> {
    let endpoint = store::lock(connection, id).await?;
    Expected::check(expected.as_ref(), endpoint.version)?;
    store::delete(connection, id).await?;
    jobs::enqueue(connection, &ForgetDeliveries { endpoint: id }).await
}

/// Makes a new secret, which is returned this once; the one before signs too for `overlap`.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn rotate(
    connection: &mut Connection,
    _: Permit,
    sealer: Sealer,
    id: WebhookEndpointId,
    overlap: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(Endpoint, SecretString)> {
    let (secret, sealed) = sealer.secret(id)?;
    let endpoint = store::lock(connection, id).await?.rotated(sealed, overlap, now);
    store::update(connection, &endpoint).await?;
    Ok((endpoint, secret))
}

/// Writes events into the outbox of whoever is told of them, with the jobs that send them, in the caller's transaction.
/// One statement when nobody is told.
///
/// # Errors
/// What Postgres answers.
pub async fn tell(connection: &mut Connection, events: &[Event], now: DateTime<Utc>) -> Result<()> {
    let accounts: Vec<_> = events.iter().map(|event| event.account).collect();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    let listeners = store::listeners(connection, &accounts, &kinds).await?;
    let mut made = Vec::new();
    for event in events {
        let (id, payload) = (id::new(now), payload(event, now));
        let told = |listener: &&store::Listener| {
            listener.account.is_none_or(|account| account == event.account) && listener.hears(event.kind)
        };
        made.extend(listeners.iter().filter(told).map(|listener| Delivery {
            id: WebhookDeliveryId::generate(now),
            endpoint: listener.id,
            event: id,
            kind: event.kind,
            payload: payload.clone(),
            state: DeliveryState::Pending,
            attempts: 0,
            tries: 0,
            next_attempt_at: Some(now),
            version: 1,
            created_at: now,
            updated_at: now,
        }));
    }
    if made.is_empty() {
        return Ok(());
    }
    deliveries::insert(connection, &made).await?;
    let jobs: Vec<_> = made.iter().map(DeliverWebhook::of).collect();
    jobs::enqueue_all(connection, &jobs).await
}

/// As the specification would have it: `type`, `timestamp`, `data`.
fn payload(event: &Event, now: DateTime<Utc>) -> String {
    serde_json::json!({
        "type": event.kind.name(),
        "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        "data": { "id": event.resource, "accountId": event.account, "version": event.version.to_string() },
    })
    .to_string()
}
