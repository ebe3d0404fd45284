//! Webhook endpoints, and the events published to them, which [`delivery`](crate::webhooks::delivery) sends.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use crate::webhooks::id::{WebhookDeliveryId, WebhookEndpointId};
use crate::webhooks::{
    delivery::{
        job::DeliverWebhook,
        model::{Delivery, DeliveryState},
        removal_job::ForgetDeliveries,
        store as deliveries,
    },
    endpoint::{
        model::{Endpoint, Patch, Secrets, Status},
        store,
    },
};
use mainstay_kernel::{
    caller::Permit,
    contract::{Policies, policy::DeclaredEvent},
    database::{
        Connection,
        pipeline::{Queued, pipeline, queued},
    },
    error::{Error, Result},
    events::Event,
    id::{self, AccountId},
    outbound::check_url,
    page::{Listed, Page},
    queue as jobs,
    secret::{SecretKey, random},
    unit_of_work::Work,
    version::ExpectedVersions,
};

/// An endpoint to be created.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The URL that events are sent to.
    pub url: String,
    /// The purpose of the endpoint.
    pub description: String,
    /// The types of events to send, by their qualified names; all if empty.
    pub kinds: Vec<String>,
    /// The account whose events are sent; every account's if absent.
    pub account: Option<AccountId>,
}

/// The parts of the server's configuration that operations on endpoints need.
#[derive(Debug, Clone)]
pub struct EndpointContext {
    /// The key that seals secrets.
    pub key: SecretKey,
    /// Whether endpoints in private networks are allowed.
    pub allow_private: bool,
}

/// Returns the label under which an endpoint's secrets are sealed.
pub(crate) fn label(id: WebhookEndpointId) -> String {
    format!("webhook endpoint {id}")
}

impl EndpointContext {
    /// Returns a new secret, in plain text and sealed.
    fn secret(&self, id: WebhookEndpointId) -> Result<(SecretString, Vec<u8>)> {
        let bytes = random::<32>();
        Ok((format!("whsec_{}", STANDARD.encode(bytes)).into(), self.key.seal(&label(id), &bytes)?))
    }
}

/// Checks that a caller may read the resources of these types of events; of all types if the list is empty. A receiver thus
/// learns no more than the caller who chose it. A type that no module declares any more needs no scope: nothing publishes it.
///
/// # Errors
/// `PERMISSION_DENIED`, with a scope that the caller lacks.
pub(crate) fn check_readable(permit: &Permit, policies: &Policies, kinds: &[String]) -> Result<()> {
    let is_sent = |event: &&DeclaredEvent| kinds.is_empty() || kinds.contains(&event.name);
    permit.check_scopes(policies.events().filter(is_sent).map(|event| event.scope.as_str()))
}

/// Creates an endpoint. Its secret is returned only here.
///
/// # Errors
/// `VALIDATION_FAILED` if the URL is not allowed, `PERMISSION_DENIED` as for [`check_readable`], `NOT_FOUND` if the account is
/// unknown.
pub async fn create(
    work: &mut Work,
    policies: &Policies,
    context: EndpointContext,
    draft: Draft,
) -> Result<(Endpoint, SecretString)> {
    check_readable(&work.permit()?, policies, &draft.kinds)?;
    let now = work.now();
    let url = check_url("url", &draft.url, context.allow_private)?;
    let id = WebhookEndpointId::generate(now);
    let (secret, current) = context.secret(id)?;
    let Draft { description, kinds, account, .. } = draft;
    let endpoint = Endpoint {
        id,
        account,
        url,
        description,
        kinds,
        status: Status::Enabled,
        failing_since: None,
        secrets: Secrets { current, old: Vec::new() },
        version: 1,
        created_at: now,
        updated_at: now,
    };
    store::insert(work.connection().await?, &endpoint).await?;
    Ok((endpoint, secret))
}

/// Returns an endpoint.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, _: &Permit, id: WebhookEndpointId) -> Result<Endpoint> {
    store::get(connection, id).await
}

/// Returns a page of endpoints plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, _: Permit, page: Page) -> Result<Listed<Endpoint>> {
    store::list(connection, page).await
}

/// Updates an endpoint. A patch that changes nothing keeps the version. The caller needs the scopes of the types of events
/// that the endpoint receives before and after the change.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `VALIDATION_FAILED` if the URL is not allowed, `PERMISSION_DENIED` as for
/// [`check_readable`].
pub async fn update(
    work: &mut Work,
    policies: &Policies,
    context: EndpointContext,
    id: WebhookEndpointId,
    expected: Option<ExpectedVersions>,
    mut patch: Patch,
) -> Result<Endpoint> {
    let permit = work.permit()?;
    if let Some(url) = &mut patch.url {
        *url = check_url("url", url, context.allow_private).map_err(|_| {
            Error::field("endpoint.url", "must be https, name a public host, and have no user, password or fragment")
        })?;
    }
    let endpoint = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    work.before(&endpoint);
    ExpectedVersions::check(expected.as_ref(), endpoint.version)?;
    let Some(next) = endpoint.apply(patch, work.now()) else { return Ok(endpoint) };
    check_readable(&permit, policies, &endpoint.kinds)?;
    check_readable(&permit, policies, &next.kinds)?;
    store::update(work.connection().await?, &next).await?;
    Ok(next)
}

/// Deletes an endpoint, and queues the job that removes its deliveries, which may be very many. From now on none of
/// them is sent, listed or returned.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn delete(work: &mut Work, id: WebhookEndpointId, expected: Option<ExpectedVersions>) -> Result<()> {
    work.permit()?;
    let endpoint = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    work.before(&endpoint);
    ExpectedVersions::check(expected.as_ref(), endpoint.version)?;
    let connection = work.connection().await?;
    store::delete(connection, id).await?;
    jobs::enqueue(connection, &ForgetDeliveries { endpoint: id }).await
}

/// Creates a new secret, which is returned only here. The previous one also signs for `overlap`, and earlier ones until
/// their own times, unless there is no overlap.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn rotate(
    work: &mut Work,
    context: EndpointContext,
    id: WebhookEndpointId,
    overlap: TimeDelta,
) -> Result<(Endpoint, SecretString)> {
    work.permit()?;
    let (secret, sealed) = context.secret(id)?;
    let endpoint = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    work.before(&endpoint);
    let endpoint = endpoint.rotate_secret(sealed, overlap, work.now());
    store::update(work.connection().await?, &endpoint).await?;
    Ok((endpoint, secret))
}

/// Locks the endpoints that are subscribed to these events, and returns the statements that insert a delivery, with its
/// job, for each event and endpoint; `None` if no endpoint is subscribed.
pub async fn deliveries_of(connection: &Connection, events: &[Event], now: DateTime<Utc>) -> Result<Option<Queued>> {
    let accounts: Vec<_> = events.iter().map(|event| event.account).collect();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_ref()).collect();
    let subscribers = store::subscribers(connection, &accounts, &kinds).await?;
    let mut pending = Vec::new();
    for event in events {
        let (id, payload) = (id::new(now), payload(event, now));
        let is_subscribed = |subscriber: &&store::Subscriber| {
            subscriber.account.is_none_or(|account| account == event.account) && subscriber.wants(&event.kind)
        };
        pending.extend(subscribers.iter().filter(is_subscribed).map(|subscriber| Delivery {
            id: WebhookDeliveryId::generate(now),
            endpoint: subscriber.id,
            event: id,
            kind: event.kind.to_string(),
            payload: payload.clone(),
            state: DeliveryState::Pending,
            attempts: 0,
            attempts_since_resend: 0,
            next_attempt_at: Some(now),
            version: 1,
            created_at: now,
            updated_at: now,
        }));
    }
    Ok((!pending.is_empty())
        .then(|| queued(move |connection| Box::pin(async move { add(connection, &pending).await }))))
}

/// Stores new deliveries and their jobs, in one round trip.
async fn add(connection: &Connection, pending: &[Delivery]) -> Result<()> {
    let jobs: Vec<_> = pending.iter().map(DeliverWebhook::of).collect();
    pipeline!(deliveries::insert(connection, pending), jobs::enqueue_all(connection, &jobs))?;
    Ok(())
}

/// Returns the payload in the form recommended by the Standard Webhooks specification: `type`, `timestamp`, `data`.
fn payload(event: &Event, now: DateTime<Utc>) -> String {
    serde_json::json!({
        "type": event.kind,
        "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        "data": { "id": event.resource, "accountId": event.account, "version": event.version.to_string() },
    })
    .to_string()
}

/// Returns whether any endpoint exists.
pub(crate) async fn any(connection: &mut Connection) -> Result<bool> {
    store::any(connection).await
}

/// Removes the endpoints of an account, whose deliveries jobs remove; returns how many.
pub(crate) async fn erase_of(connection: &mut Connection, account: uuid::Uuid) -> Result<usize> {
    let erased = store::erase(connection, &[AccountId(account)]).await?;
    let removals: Vec<_> = erased.iter().map(|endpoint| ForgetDeliveries { endpoint: *endpoint }).collect();
    jobs::enqueue_all(connection, &removals).await?;
    Ok(erased.len())
}

/// Removes the endpoints of removed accounts, with their deliveries and jobs.
pub(crate) async fn erase(connection: &mut Connection, accounts: &[AccountId]) -> Result<()> {
    for endpoint in store::erase(connection, accounts).await? {
        let ids = deliveries::erase(connection, endpoint).await?;
        jobs::forget::<DeliverWebhook>(connection, &ids).await?;
    }
    Ok(())
}
