//! Delivers an event to an endpoint: reads it, sends it outside any transaction, and records the outcome.

use crate::proto::webhooks::v1::Reason as WebhooksReason;
mod test_event;

use crate::webhooks::config::WebhooksConfig;
use std::{
    future::ready,
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt as _, StreamExt as _, join, stream};
use http::{StatusCode, header::CONTENT_TYPE};
use rand::Rng as _;
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::webhooks::id::{WebhookDeliveryId, WebhookEndpointId};
use crate::webhooks::{
    config::PER_ENDPOINT,
    delivery::{
        job::DeliverWebhook,
        model::{Attempt, Delivery, DeliveryState, retry_delay},
        removal_job::ForgetDeliveries,
        store,
    },
    endpoint::{
        model::{Endpoint, Status},
        ops::{check_readable, label},
        store as endpoints,
    },
};
// For other modules.
pub(crate) use store::stats;

use mainstay_kernel::{
    app::App,
    caller::Permit,
    contract::Policies,
    database::{Connection, pipeline::pipeline, time},
    error::{Error, Result},
    fault,
    outbound::{Receivers, Request},
    page::{Listed, Page},
    queue as jobs,
    secret::SecretKey,
    unit_of_work::Work,
};

pub use test_event::{TestAnswer, send_test};

/// The maximum time an endpoint keeps its slot while others may be waiting for one; requests in flight are then
/// completed.
const BATCH_WINDOW: Duration = Duration::from_secs(5);
/// The number of due deliveries read at once.
const BATCH: i64 = 100;
/// The number of deliveries removed at once.
const REMOVAL_BATCH: i64 = 1000;
/// The maximum number of attempts returned for a delivery.
const MAX_ATTEMPTS_SHOWN: i64 = 100;
/// The maximum `Retry-After` that is honored.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Sends a delivery, and all others due to its endpoint, until none are left or the endpoint's time slice ends. The
/// remaining deliveries have separate jobs.
///
/// # Errors
/// Any database error. A failed attempt is recorded, and is not an error.
pub async fn deliver_due(app: &App, job: DeliverWebhook, stop: &CancellationToken) -> Result<()> {
    let (since, database) = (Instant::now(), Mutex::new(()));
    let is_over = || since.elapsed() >= BATCH_WINDOW || stop.is_cancelled();
    // The job's own delivery is always sent, and first, because no other job would send it.
    let mut own = Some(job.delivery);
    loop {
        let first = own.take();
        let read = app.database.autocommit(async move |connection| store::due(connection, job.endpoint, BATCH).await);
        let due = read.await?;
        let due = first.into_iter().chain(due.into_iter().filter(|id| first != Some(*id)));
        let batch = stream::iter(due).take_while(|id| ready(first == Some(*id) || !is_over()));
        let deliver = |id| deliver(app, id, job.endpoint, &database).map(jobs::ignore_not_found);
        // A failure ends the job after the batch: to drop a delivery that was sent and not recorded would send it again.
        let delivered: Vec<Result<()>> = batch.map(deliver).buffer_unordered(PER_ENDPOINT).collect().await;
        let delivered = delivered.into_iter().collect::<Result<Vec<()>>>()?;
        if delivered.is_empty() {
            return Ok(());
        }
    }
}

/// Sends a delivery once, unless it is settled. Deliveries to one endpoint access the database one at a time. Otherwise
/// each would hold a connection while waiting for the endpoint's row lock.
async fn deliver(app: &App, id: WebhookDeliveryId, endpoint: WebhookEndpointId, database: &Mutex<()>) -> Result<()> {
    let exclusive = database.lock().await;
    let read = app.database.autocommit(async move |connection| {
        let shared: &Connection = connection;
        let (delivery, endpoint) = join!(store::get(shared, id, true), endpoints::get(shared, endpoint));
        Ok((delivery?, endpoint?))
    });
    let (delivery, endpoint) = read.await?;
    if delivery.state != DeliveryState::Pending {
        return Ok(());
    }
    if endpoint.status != Status::Enabled {
        return give_up(app, id).await;
    }
    drop(exclusive);
    let started_at = app.clock.now();
    let request = request(&app.secret, &endpoint, delivery.event, &delivery.payload, started_at)?;
    let since = Instant::now();
    let answer = match request {
        Ok(request) => app.part::<Receivers>().send(request).await,
        Err(error) => Err(Receivers::invalid_request(&error)),
    };
    let duration = since.elapsed();
    fault::point("webhook.sent")?;
    let (status, failure) = match &answer {
        Ok(answer) => (Some(answer.status()), None),
        Err(error) => (error.answer.as_ref().map(|answer| answer.status()), Some(error.to_string())),
    };
    let retry_after = answer.as_ref().err().and_then(|error| error.retry_after);
    let number = delivery.attempts + 1;
    let attempt = Attempt { number, started_at, duration, status: status.map(|status| status.as_u16()), failure };
    let _exclusive = database.lock().await;
    record(app, delivery, endpoint.url, attempt, retry_after, status == Some(StatusCode::GONE)).await?;
    fault::point("webhook.recorded")
}

/// Builds a request according to the Standard Webhooks specification, signed with each valid secret. The inner error
/// means that the URL does not allow a request.
fn request(
    key: &SecretKey,
    endpoint: &Endpoint,
    event: Uuid,
    payload: &str,
    now: DateTime<Utc>,
) -> Result<Result<Request, http::Error>> {
    let timestamp = now.timestamp();
    let signed = format!("{event}.{timestamp}.{payload}");
    let old = endpoint.secrets.old.iter().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
    let current = sign(key, endpoint, &endpoint.secrets.current, &signed);
    let mut signatures =
        current.ok_or_else(|| Error::internal(anyhow::anyhow!("a webhook's secret can't be unsealed")))?;
    // An earlier secret that was sealed under an earlier SECRET_KEY is skipped; the current one still signs.
    for signature in old.filter_map(|old| sign(key, endpoint, old, &signed)) {
        signatures.push(' ');
        signatures.push_str(&signature);
    }
    let request = http::Request::post(&endpoint.url)
        .header(CONTENT_TYPE, "application/json")
        .header("user-agent", "mainstay-webhooks")
        .header("webhook-id", event.to_string())
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signatures)
        .body(Bytes::from(payload.to_owned()));
    Ok(request)
}

/// Signs under a sealed secret; `None` if it was sealed with another key.
fn sign(key: &SecretKey, endpoint: &Endpoint, sealed: &[u8], signed: &str) -> Option<String> {
    let secret = key.unseal(&label(endpoint.id), sealed)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret());
    Some(format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed.as_bytes()))))
}

async fn record(
    app: &App,
    snapshot: Delivery,
    url: String,
    attempt: Attempt,
    retry_after: Option<Duration>,
    is_gone: bool,
) -> Result<()> {
    let (now, config) = (app.clock.now(), &app.config.section::<WebhooksConfig>());
    let patience = TimeDelta::from_std(config.patience).unwrap_or(TimeDelta::MAX);
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let random = rand::rng().random_range(0.0..1.0);
    let wait = retry_delay(snapshot.attempts_since_resend + 1, config.first_wait, random)
        .max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
    let is_accepted = attempt.failure.is_none();
    let outcome = if is_accepted { "accepted" } else { "failed" };
    metrics::counter!("mainstay_webhook_attempts_total", "outcome" => outcome).increment(1);
    let (id, endpoint) = (snapshot.id, snapshot.endpoint);
    let recorded = app.database.transaction(async move |work: &mut Work| {
        // Lock the endpoint before the delivery, as deletion of an endpoint does, to avoid a deadlock.
        let lock = async |connection: &Connection| {
            pipeline!(endpoints::lock(connection, endpoint), store::lock(connection, id), time::now(connection))
        };
        let (endpoint, current, now_in_postgres) = work.read(lock).await?;
        // By the clock of Postgres, by which workers look for what is due.
        let next = now_in_postgres + wait;
        // Another worker sent it as well: its record stands.
        if current.version != snapshot.version {
            return Ok(None);
        }
        // An answer from the endpoint's old URL does not apply to the new one.
        let update = if endpoint.url == url { endpoint.after(is_accepted, is_gone, patience, now) } else { None };
        let is_disabled = |endpoint: &Endpoint| endpoint.status == Status::DisabledForFailures;
        let disabled = update.as_ref().is_some_and(is_disabled) && !is_disabled(&endpoint);
        let delivery = current.record_attempt(is_accepted, Some(next).filter(|_| !disabled), now);
        let (shared, job): (&Connection, _) = (work.connection().await?, DeliverWebhook::of(&delivery));
        let update_endpoint = async {
            match &update {
                Some(update) => endpoints::update(shared, update).await,
                None => Ok(()),
            }
        };
        let schedule = async {
            match delivery.next_attempt_at {
                Some(next) => jobs::enqueue_at(shared, &job, next).await,
                None => jobs::cancel::<DeliverWebhook>(shared, delivery.id.0).await,
            }
        };
        // One round trip, in this order.
        pipeline!(
            store::insert_attempt(shared, snapshot.id, &attempt),
            update_endpoint,
            store::update(shared, &delivery),
            schedule,
        )?;
        Ok(update.filter(|_| disabled))
    });
    if let Some(disabled) = recorded.await? {
        let since = disabled.failing_since.map(tracing::field::display);
        tracing::error!(endpoint = %disabled.id, since, "a webhook endpoint was disabled");
        metrics::counter!("mainstay_webhook_endpoints_disabled_total").increment(1);
    }
    Ok(())
}

/// Marks a delivery as failed because it will not be retried.
pub async fn give_up(app: &App, id: WebhookDeliveryId) -> Result<()> {
    let now = app.clock.now();
    let abandoned = app.database.transaction(async move |work: &mut Work| {
        let delivery = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
        if delivery.state == DeliveryState::Pending {
            store::update(work.connection().await?, &delivery.abandon(now)).await?;
        }
        Ok(())
    });
    abandoned.await
}

/// Removes the deliveries of a deleted endpoint in slices, so that locks are held only briefly. If the worker is
/// stopping, the job is queued again for the rest.
pub async fn delete_of_endpoint(app: &App, job: ForgetDeliveries, stop: &CancellationToken) -> Result<()> {
    loop {
        let deleted = app.database.autocommit(async move |connection| {
            store::delete_of_endpoint(connection, job.endpoint, REMOVAL_BATCH).await
        });
        if deleted.await? == 0 {
            return Ok(());
        }
        if stop.is_cancelled() {
            return app.database.autocommit(async move |connection| jobs::enqueue(connection, &job).await).await;
        }
    }
}

/// Returns a delivery with its attempts. The payload is empty unless it is requested.
///
/// # Errors
/// `NOT_FOUND`; `PERMISSION_DENIED` if the caller lacks the scope of the event.
pub async fn get(
    connection: &Connection,
    permit: Permit,
    policies: &Policies,
    id: WebhookDeliveryId,
    payload: bool,
) -> Result<(Delivery, Vec<Attempt>)> {
    let delivery = store::get(connection, id, payload).await?;
    check_readable(&permit, policies, std::slice::from_ref(&delivery.kind))?;
    Ok((delivery, store::attempts(connection, id, MAX_ATTEMPTS_SHOWN).await?))
}

/// Returns a page of an endpoint's deliveries plus one more if another page follows, and the total unless paging by
/// key. The payloads are empty unless they are requested.
///
/// # Errors
/// `NOT_FOUND` if the endpoint is unknown; `PERMISSION_DENIED` if the caller lacks the scope of an event that the endpoint
/// receives, or that the page has.
pub async fn list(
    connection: &Connection,
    permit: Permit,
    policies: &Policies,
    (endpoint, state): (WebhookEndpointId, Option<DeliveryState>),
    page: Page,
    payloads: bool,
) -> Result<Listed<Delivery>> {
    let kinds = endpoints::get(connection, endpoint).await?.kinds;
    check_readable(&permit, policies, &kinds)?;
    let total = page.total(store::total(connection, endpoint, state)).await?;
    let deliveries = store::list(connection, endpoint, state, page.and_next(), payloads).await?;
    // The endpoint may have received others before a change.
    for delivery in &deliveries {
        check_readable(&permit, policies, std::slice::from_ref(&delivery.kind))?;
    }
    Ok((deliveries, total))
}

/// Resends a delivery.
///
/// # Errors
/// `NOT_FOUND`, `DELIVERY_PENDING`, `ENDPOINT_DISABLED`; `PERMISSION_DENIED` if the caller lacks the scope of the event.
pub async fn resend(work: &mut Work, policies: &Policies, id: WebhookDeliveryId) -> Result<(Delivery, Vec<Attempt>)> {
    let permit = work.permit()?;
    let delivery = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    check_readable(&permit, policies, std::slice::from_ref(&delivery.kind))?;
    let endpoint = endpoints::get(work.connection().await?, delivery.endpoint).await?;
    let delivery = delivery.resend(work.now())?;
    if endpoint.status != Status::Enabled {
        return Err(WebhooksReason::EndpointDisabled.into());
    }
    let job = DeliverWebhook::of(&delivery);
    let resend = async |connection: &Connection| {
        pipeline!(
            store::update(connection, &delivery),
            jobs::enqueue(connection, &job),
            store::attempts(connection, id, MAX_ATTEMPTS_SHOWN),
        )
    };
    let ((), (), attempts) = work.write(resend).await?;
    Ok((delivery, attempts))
}
