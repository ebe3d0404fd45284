//! The webhook throughput of a worker, to a receiver in this program, compared to the same POSTs alone and to one row
//! on disk per recorded delivery.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, body::Bytes, extract::State};
use futures_util::future::try_join_all;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use mainstay::proto::{
    support::v1::{BatchCreateTicketsRequest, TicketDraft, ticket_service_client::TicketServiceClient},
    webhooks::v1::{CreateWebhookEndpointRequest, webhook_endpoint_service_client::WebhookEndpointServiceClient},
};
use tokio::net::TcpListener;

use crate::{
    calls::{BODY, SUBJECT},
    clients::{self, Client, authorize},
    comparison::{Comparison, Rate},
    options::Options,
    pgbench::{self, Length, Scripts},
    world::World,
};

/// The number of endpoints, equal to the number that a worker serves concurrently.
const ENDPOINTS: usize = 16;
const EVENT: &str = "support.ticket.created";
/// The number of tickets that one request creates.
const BATCH: usize = 100;
const TIMEOUT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);

/// The received deliveries.
#[derive(Debug, Default)]
struct Received {
    count: AtomicU64,
    last: Mutex<Option<Bytes>>,
}

impl Received {
    fn take(&self, body: Bytes) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns the last delivery.
    fn last(&self) -> anyhow::Result<Bytes> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone().context("nothing was received")
    }
}

pub(crate) async fn run(world: &World, options: &Options) -> anyhow::Result<[Comparison; 2]> {
    let deliveries = Arc::<Received>::default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let receive = async |State(deliveries): State<Arc<Received>>, body: Bytes| {
        deliveries.take(body);
        StatusCode::NO_CONTENT
    };
    let router = Router::new().fallback(receive).with_state(deliveries.clone());
    let receiver = tokio::spawn(async move { axum::serve(listener, router).await });
    world.sql.execute("DELETE FROM jobs", &[]).await?;
    world.sql.batch_execute("CREATE TABLE attempts_alone (LIKE webhook_attempts INCLUDING ALL)").await?;
    let Client::Grpc { channel, token } = Client::grpc(world.server.port, &world.token).await? else {
        anyhow::bail!("asked for gRPC");
    };
    let mut endpoints = WebhookEndpointServiceClient::new(channel);
    for number in 0..ENDPOINTS {
        let url = format!("http://127.0.0.1:{port}/{number}");
        let event_types = vec![EVENT.to_owned()];
        let request = CreateWebhookEndpointRequest { url, event_types, ..CreateWebhookEndpointRequest::default() };
        endpoints.create_webhook_endpoint(authorize(request, &token)).await?;
    }
    let (mut served, mut posted, mut inserts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds() {
        announce(world, options.announced_tickets()).await?;
        served.push(deliver(world, options, &deliveries).await?);
        posted.push(post(options, port, deliveries.last()?).await?);
        inserts.push(store(world, options).await?);
    }
    receiver.abort();
    let comparison = |limit: &str, alone| Comparison {
        name: format!("webhook delivered, {ENDPOINTS} endpoints"),
        limit: limit.to_owned(),
        served: served.clone(),
        alone,
    };
    Ok([comparison("the POSTs alone", posted), comparison("pgbench: a row for each", inserts)])
}

/// Creates tickets while no worker runs, so that their deliveries queue up.
async fn announce(world: &World, tickets: usize) -> anyhow::Result<()> {
    let Client::Grpc { channel, token } = Client::grpc(world.server.port, &world.token).await? else {
        anyhow::bail!("asked for gRPC");
    };
    let draft = TicketDraft {
        subject: SUBJECT.to_owned(),
        body: BODY.to_owned(),
        account_id: Some(world.target.account.to_string()),
        ..TicketDraft::default()
    };
    let mut client = TicketServiceClient::new(channel);
    for _ in 0..tickets / BATCH {
        let request = BatchCreateTicketsRequest { tickets: vec![draft.clone(); BATCH] };
        client.batch_create_tickets(authorize(request, &token)).await?;
    }
    Ok(())
}

/// Runs a worker until everything is delivered, and measures from the first arrival until every delivery is recorded.
async fn deliver(world: &World, options: &Options, deliveries: &Received) -> anyhow::Result<Rate> {
    let (before, all) = (deliveries.count(), (options.announced_tickets() * ENDPOINTS) as u64);
    let (worker, start) = (world.worker(options.pool as usize)?, Instant::now());
    while deliveries.count() == before {
        anyhow::ensure!(start.elapsed() < TIMEOUT, "the webhooks do not arrive");
        tokio::time::sleep(POLL).await;
    }
    let (began, first, cpu) = (Instant::now(), deliveries.count() - before, worker.cpu());
    wait_until_none(world, "FROM webhook_deliveries WHERE state = 1").await?;
    let (wall, cpu) = (began.elapsed(), worker.cpu().zip(cpu).map(|(after, before)| after - before));
    // A job that dies with its worker would block its endpoint for the next worker for a while.
    wait_until_none(world, "FROM jobs WHERE kind = 'deliver_webhook'").await?;
    worker.stop().await;
    let again = deliveries.count() - before - all;
    if again > 0 {
        eprintln!("{again} of {all} webhooks were delivered again");
    }
    Ok(Rate { count: (all - first) as f64, wall, cpu })
}

/// Waits until no such rows exist.
async fn wait_until_none(world: &World, rows: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    while world.sql.query_one(&format!("SELECT EXISTS (SELECT {rows})"), &[]).await?.get(0) {
        anyhow::ensure!(began.elapsed() < TIMEOUT, "there are rows {rows}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Sends the receiver POSTs with a body at the maximum rate.
async fn post(options: &Options, port: u16, body: Bytes) -> anyhow::Result<Rate> {
    let (began, length) = (Instant::now(), options.round());
    let senders = (0..options.concurrency()).map(|_| {
        let body = body.clone();
        tokio::spawn(async move {
            let mut sender = clients::open(port).await?;
            let mut count = 0_u64;
            while began.elapsed() < length {
                sender.ready().await?;
                let request = Request::post("/").header("host", "127.0.0.1").body(Full::new(body.clone()))?;
                let response = sender.send_request(request).await?;
                anyhow::ensure!(response.status() == StatusCode::NO_CONTENT, "{}", response.status());
                response.into_body().collect().await?;
                count += 1;
            }
            Ok(count)
        })
    });
    let counts = try_join_all(senders).await?.into_iter().sum::<anyhow::Result<u64>>()?;
    Ok(Rate { count: counts as f64, wall: began.elapsed(), cpu: None })
}

/// Stores one row per delivery at the maximum rate of Postgres; each row is on disk before it is acknowledged.
async fn store(world: &World, options: &Options) -> anyhow::Result<Rate> {
    let script = "INSERT INTO attempts_alone VALUES (gen_random_uuid(), 1, now(), 1, 204, NULL);\n".to_owned();
    let scripts = Scripts { texts: vec![script], statements: 1 };
    // Connecting takes a part of the time.
    let length = Duration::from_secs(options.round().as_secs().max(2));
    let alone = pgbench::run(world, options, &scripts, Length::Seconds(length.as_secs())).await?;
    Ok(Rate { count: alone.per_second * length.as_secs_f64(), wall: length, cpu: None })
}
