//! Runs the lists of outgoing messages: the deliveries of an endpoint by state, and the failed mails.

use mainstay::{
    mail::store as mail,
    webhooks::{
        delivery::{
            model::{Delivery, DeliveryState},
            store as delivery,
        },
        id::WebhookEndpointId,
    },
};
use mainstay_kernel::page::{Page, Start};
use serde_json::Value;
use uuid::Uuid;

use crate::server::{Server, plain};

/// The same number as in `lists`: enough for a generic plan.
const ROUNDS: usize = 7;
const LIMIT: i64 = 21;

/// The first of four endpoints. One in 250 of its deliveries failed, and as many deliveries of the second endpoint are
/// pending; all others were delivered. One mail in a thousand failed.
const ENDPOINT: Uuid = Uuid::from_u128(0x7000_8000_0000_0000_0000);
const SEED: &str = "
    SELECT add_partition('webhook_deliveries', now() + n * interval '1 month') FROM generate_series(-1, 1) AS n;
    INSERT INTO webhook_deliveries (id, endpoint_id, event_id, kind, payload, state, attempts, attempts_since_resend,
        next_attempt_at, created_at, updated_at)
    SELECT uuid_floor(now() - n * interval '1 second'), ('00000000-0000-7000-8000-00000000000' || n % 4)::uuid, gen_random_uuid(),
        'support.ticket.created', '{}', CASE n % 1000 WHEN 0 THEN 3 WHEN 1 THEN 1 ELSE 2 END, 1, 1,
        CASE WHEN n % 1000 = 1 THEN now() END, now() - n * interval '1 second', now()
    FROM generate_series(1, 100000) AS n;
    INSERT INTO mails (id, kind, topic_id, state, attempts, expires_at, created_at, finished_at)
    SELECT gen_random_uuid(), 2, gen_random_uuid(), CASE WHEN n % 1000 = 0 THEN 3 ELSE 2 END, 1, now(), now(),
        now() - n * interval '1 second'
    FROM generate_series(1, 50000) AS n;
    ANALYZE webhook_deliveries, mails";

pub(crate) async fn run(server: &Server) -> anyhow::Result<()> {
    server.client.batch_execute(SEED).await?;
    let endpoints = [0, 1, 3].map(|number| WebhookEndpointId(Uuid::from_u128(ENDPOINT.as_u128() + number)));
    for _ in 0..ROUNDS {
        for endpoint in endpoints {
            for state in [None, Some(DeliveryState::Pending), Some(DeliveryState::Delivered)] {
                list(server, endpoint, state).await?;
            }
            let failed = list(server, endpoint, Some(DeliveryState::Failed)).await?;
            anyhow::ensure!(failed.is_empty() == (endpoint != endpoints[0]), "{endpoint}: {} failed", failed.len());
        }
        let failed = server.database.autocommit(async move |connection| mail::list_failed(connection, LIMIT).await);
        anyhow::ensure!(!failed.await.map_err(plain)?.is_empty(), "no mail failed");
    }
    Ok(())
}

/// Lists the deliveries in a state, and counts them if they are few.
async fn list(
    server: &Server,
    endpoint: WebhookEndpointId,
    state: Option<DeliveryState>,
) -> anyhow::Result<Vec<Delivery>> {
    let read = server.database.autocommit(async move |connection| {
        let first = delivery::list(connection, endpoint, state, Page::first(LIMIT), false).await?;
        if let Some(last) = first.last() {
            delivery::list(connection, endpoint, state, Start::After(last.key()).page(LIMIT), false).await?;
        }
        if matches!(state, Some(DeliveryState::Pending | DeliveryState::Failed)) {
            delivery::total(connection, endpoint, state).await?;
        }
        Ok(first)
    });
    read.await.map_err(plain)
}

/// Fails unless failures are found by their partial indexes, regardless of the number of successes.
pub(crate) fn check(plans: &[Value]) {
    let plans: Vec<_> = plans.iter().map(Value::to_string).collect();
    // Deliveries have one index per month, with the month in its name.
    for table in ["webhook_deliveries_", "mails_"] {
        let start = format!("\"Index Name\":\"{table}");
        let is_failed = |rest: &str| rest.split('"').next().is_some_and(|name| name.ends_with("failed_idx"));
        let reads = |plan: &String| plan.split(&start).skip(1).any(is_failed);
        assert!(plans.iter().any(reads), "no plan reads the index of failed {table}");
    }
}
