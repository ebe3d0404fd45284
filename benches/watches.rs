//! The cost of idle watches for a server, and the latency of a change on all of them. `cargo bench --bench watches --
//! 1000`.

mod server;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use mainstay::proto::support::v1::{
    CreateTicketRequest, WatchTicketsRequest, ticket_service_client::TicketServiceClient,
};
use tokio::sync::mpsc;

use self::server::{Server, authorize, service_keys};

/// The number of watches of one caller.
const PER_CALLER: usize = 32;
/// The number of streams on one connection.
const PER_CONNECTION: usize = 200;
const IDLE: Duration = Duration::from_secs(60);
const CHANGES: usize = 20;

fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let watches = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(watches))
}

async fn measure(watches: usize) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let first = server.connect().await?;
    let (token, account) = server.sign_in(&first).await?;
    let keys = service_keys(&first, &token, watches.div_ceil(PER_CALLER)).await?;

    tokio::time::sleep(Duration::from_secs(5)).await;
    let (before, idle_cpu) = (server.memory()?, idle(&server).await?);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut channel = first.clone();
    for number in 0..watches {
        if number % PER_CONNECTION == 0 {
            channel = server.connect().await?;
        }
        let request = authorize(WatchTicketsRequest::default(), &keys[number / PER_CALLER])?;
        let mut stream = TicketServiceClient::new(channel.clone()).watch_tickets(request).await?.into_inner();
        stream.message().await?.context("the first message")?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = stream.message().await {
                if message.data.is_some() {
                    sender.send(Instant::now()).ok();
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (after, watched_cpu) = (server.memory()?, idle(&server).await?);
    let each = (after.saturating_sub(before)) / watches as u64;
    println!("{watches} idle watches over gRPC");
    println!(
        "  memory of the server: {} MiB without, {} MiB with them: {} KiB each",
        before >> 20,
        after >> 20,
        each >> 10
    );
    println!(
        "  CPU of the server: {:.1} % of a core without, {:.1} % with them",
        idle_cpu * 100.0,
        watched_cpu * 100.0
    );

    let mut times = (Vec::new(), Vec::new());
    for _ in 0..CHANGES {
        let ticket = CreateTicketRequest {
            subject: "Printer on fire".to_owned(),
            body: "Smoke since nine.".to_owned(),
            account_id: Some(account.clone()),
            ..CreateTicketRequest::default()
        };
        TicketServiceClient::new(first.clone()).create_ticket(authorize(ticket, &token)?).await?;
        let committed = Instant::now();
        let mut all = Vec::with_capacity(watches);
        while all.len() < watches {
            let arrival = tokio::time::timeout(Duration::from_secs(60), receiver.recv()).await?.context("a watch")?;
            all.push(arrival.saturating_duration_since(committed));
        }
        all.sort_unstable();
        times.0.push(all[0]);
        times.1.push(all[watches - 1]);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    times.0.sort_unstable();
    times.1.sort_unstable();
    let middle = CHANGES / 2;
    println!(
        "  after a commit, median of {CHANGES}: the first has it after {:.1?}, the last after {:.1?}",
        times.0[middle], times.1[middle]
    );
    server.stop().await;
    Ok(())
}

/// Returns the fraction of a core that the server uses while idle.
async fn idle(server: &Server) -> anyhow::Result<f64> {
    let ticks = || -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()?))?;
        let fields: Vec<_> = stat.rsplit_once(')').context("a name")?.1.split_whitespace().collect();
        Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
    };
    let before = ticks()?;
    tokio::time::sleep(IDLE).await;
    // A hundred ticks are a second.
    Ok((ticks()? - before) as f64 / 100.0 / IDLE.as_secs_f64())
}
