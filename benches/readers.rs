//! The cost of clients that request much and read nothing, for the server and for other callers. `cargo bench --bench
//! readers -- 1000` opens that many connections, with ten unread lists of 1.9 MB on each.

mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use mainstay::proto::support::v1::{
    BatchCreateTicketsRequest, ListTicketsRequest, TicketDraft, ticket_service_client::TicketServiceClient,
};
use tokio::{net::TcpStream, task::JoinSet};
use tonic::transport::Channel;

use self::server::{Server, authorize, service_keys};

const PER_CONNECTION: usize = 10;
/// The number of accounts that the readers share, as many unrelated callers would.
const CALLERS: usize = 100;
/// The flow-control window of a stream, in bytes: the amount that the server can send before the client reads.
const WINDOW: u32 = 1000;
const CALLS: usize = 3000;
const LARGE_LIST: &str = "/api/v1/tickets?pageSize=100";
const NOT_FOUND: &str = "/api/v1/tickets/00000000-0000-7000-8000-000000000000";
/// The number of connections that are opened concurrently.
const MAX_CONCURRENT: usize = 16;

fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let connections = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(connections))
}

async fn measure(connections: usize) -> anyhow::Result<()> {
    let server = Arc::new(Server::start().await?);
    let channel = server.connect().await?;
    let (token, account) = server.sign_in(&channel).await?;
    let body = "smoke ".repeat(3000);
    let draft = TicketDraft { subject: "Smoke".to_owned(), body, account_id: Some(account), ..TicketDraft::default() };
    let tickets = BatchCreateTicketsRequest { tickets: vec![draft; 100] };
    TicketServiceClient::new(channel.clone()).batch_create_tickets(authorize(tickets, &token)?).await?;
    let keys = Arc::new(service_keys(&channel, &token, CALLERS).await?);

    calls(&channel, &token, CALLS).await?;
    let (before, idle) = (server.memory()?, calls(&channel, &token, CALLS).await?);
    let (most, requests, refusals) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let counters = Arc::new((most, requests, refusals));
    let strangers = async |path: &'static str| {
        let asking = tokio::spawn(ask_all(server.clone(), path, keys.clone(), connections, counters.clone()));
        let mut times = Vec::new();
        while !asking.is_finished() {
            times.extend(calls(&channel, &token, 20).await?);
        }
        anyhow::Ok((asking.await??, percentiles(times)))
    };
    // The baseline: the CPU contention that this many connections and requests cause, independently of the responses.
    let (_, little) = strangers(NOT_FOUND).await?;
    let (most, requests, refusals) = &*counters;
    requests.store(0, Ordering::Relaxed);
    refusals.store(0, Ordering::Relaxed);
    let (unread, busy) = strangers(LARGE_LIST).await?;
    most.fetch_max(server.memory()?, Ordering::Relaxed);
    println!(
        "{connections} connections asked for {} lists of 1.9 MB and read none; {} of them got no list",
        requests.load(Ordering::Relaxed),
        refusals.load(Ordering::Relaxed)
    );
    println!("  memory of the server: {} MiB before, at most {} MiB", before >> 20, most.load(Ordering::Relaxed) >> 20);
    let idle = percentiles(idle);
    println!("  a list of one ticket, p50 and p99:");
    for (when, (median, late)) in [
        ("before", idle),
        ("while as many connections ask for a ticket that there is not", little),
        ("while they ask for the lists", busy),
    ] {
        println!("    {median:.1?} and {late:.1?}, {:.1} x, {when}", late.as_secs_f64() / idle.1.as_secs_f64());
    }
    drop(unread);
    Arc::into_inner(server).context("no other task uses it")?.stop().await;
    Ok(())
}

/// Opens the connections and sends the requests on each; returns the handles that keep them open.
async fn ask_all(
    server: Arc<Server>,
    path: &'static str,
    keys: Arc<Vec<String>>,
    connections: usize,
    counters: Arc<(AtomicU64, AtomicUsize, AtomicUsize)>,
) -> anyhow::Result<Vec<h2::RecvStream>> {
    let mut unread = Vec::new();
    let mut asking = JoinSet::new();
    for number in 0..connections {
        if asking.len() == MAX_CONCURRENT {
            unread.extend(asking.join_next().await.context("some ask")??);
        }
        let (server, keys, counters) = (server.clone(), keys.clone(), counters.clone());
        asking.spawn(async move {
            let (most, requests, refusals) = &*counters;
            let streams = ask(&server, path, &keys[number % keys.len()]).await.unwrap_or_default();
            requests.fetch_add(PER_CONNECTION, Ordering::Relaxed);
            refusals.fetch_add(PER_CONNECTION - streams.len(), Ordering::Relaxed);
            most.fetch_max(server.memory().unwrap_or_default(), Ordering::Relaxed);
            streams
        });
    }
    while let Some(streams) = asking.join_next().await {
        unread.extend(streams?);
    }
    Ok(unread)
}

/// Sends requests on a separate connection, and reads only the heads of the responses.
async fn ask(server: &Server, path: &str, key: &str) -> anyhow::Result<Vec<h2::RecvStream>> {
    let address = server.url.strip_prefix("http://").context("a scheme")?;
    let mut client = h2::client::Builder::new();
    let client = client.initial_window_size(WINDOW).initial_connection_window_size(1 << 30);
    let (client, connection) = client.handshake(TcpStream::connect(address).await?).await?;
    let client: SendRequest<Bytes> = client;
    tokio::spawn(connection);
    let mut unread = Vec::new();
    for _ in 0..PER_CONNECTION {
        let request = Request::get(format!("{}{path}", server.url));
        let request = request.header("authorization", format!("Bearer {key}")).body(())?;
        let (response, _) = client.clone().ready().await?.send_request(request, true)?;
        if let Ok(response) = response.await
            && response.status() == 200
        {
            unread.push(response.into_body());
        }
    }
    Ok(unread)
}

/// Returns the durations of sequential calls.
async fn calls(channel: &Channel, token: &str, count: usize) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let request = authorize(ListTicketsRequest { page_size: 1, ..ListTicketsRequest::default() }, token)?;
        let since = Instant::now();
        TicketServiceClient::new(channel.clone()).list_tickets(request).await?;
        times.push(since.elapsed());
    }
    Ok(times)
}

/// Returns the median and the 99th percentile.
fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
