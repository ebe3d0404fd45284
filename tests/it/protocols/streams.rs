//! Exports over every protocol: a reader that stops reading pauses the server (backpressure), and an error in the
//! middle of a stream reaches the reader.

use std::time::Duration;

use mainstay::proto::support::v1::{
    ExportTicketsRequest, ExportTicketsResponse, export_tickets_response::Item,
    ticket_service_client::TicketServiceClient,
};
use serde_json::Value;
use tonic::{Request, Streaming};

use crate::{
    cases::add_tickets,
    support::{Actor, Endpoint, Process, Protocol, TestDatabase, people::Cast},
};

const TICKETS: usize = 16_000;
/// The size of a ticket's body; with `TICKETS` tickets, 80 MB for each reader.
const BODY: usize = 5_000;
/// Occurs once in each ticket's JSON.
const MARKER: &[u8] = b"\"subject";

/// An export in progress.
enum Reading {
    Web(reqwest::Response),
    Grpc(Box<Streaming<ExportTicketsResponse>>),
}

impl Reading {
    async fn web(who: &Actor, protocol: Protocol, accept: &str) -> Self {
        let url = format!("{}/api/v1/tickets/export", who.endpoint.base_of(protocol).await);
        let request = who.endpoint.http.get(url).bearer_auth(who.token().await.expect("a token"));
        let response = request.header("accept", accept).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &accept.parse().expect("a type"))
        );
        Self::Web(response)
    }

    async fn grpc(who: &Actor, endpoint: &Endpoint) -> Self {
        let mut request = Request::new(ExportTicketsRequest::default());
        let token = format!("Bearer {}", who.token().await.expect("a token"));
        request.metadata_mut().insert("authorization", token.parse().expect("a value"));
        let answer = TicketServiceClient::new(endpoint.channel.clone()).export_tickets(request).await;
        Self::Grpc(Box::new(answer.expect("a stream").into_inner()))
    }

    /// Reads the first message or chunk.
    async fn begin(&mut self) {
        match self {
            Self::Web(response) => assert!(response.chunk().await.expect("a piece").is_some()),
            Self::Grpc(stream) => assert!(stream.message().await.expect("a message").is_some()),
        }
    }

    /// The number of tickets in the rest of the stream, and the code of the error it ends with, if any.
    async fn end(self) -> (usize, Option<String>) {
        tokio::time::timeout(Duration::from_secs(60), self.rest()).await.expect("the end of the stream")
    }

    async fn rest(self) -> (usize, Option<String>) {
        let mut tickets = 0;
        match self {
            Self::Web(mut response) => {
                let mut last = Vec::new();
                while let Some(piece) = response.chunk().await.expect("a piece") {
                    // A marker may begin in the previous chunk.
                    let offset = last.len().saturating_sub(MARKER.len() - 1);
                    last.extend_from_slice(&piece);
                    tickets += last[offset..].windows(MARKER.len()).filter(|bytes| *bytes == MARKER).count();
                    last.drain(..last.len().saturating_sub(2 * BODY));
                }
                let text = String::from_utf8_lossy(&last);
                let line = text.trim_end().lines().last().unwrap_or_default().trim_start_matches("data: ");
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                (tickets, line.pointer("/error/code").and_then(Value::as_str).map(str::to_owned))
            }
            Self::Grpc(mut stream) => {
                while let Some(message) = stream.message().await.expect("a message") {
                    match message.item {
                        Some(Item::Error(error)) => return (tickets, Some(error.code)),
                        _ => tickets += 1,
                    }
                }
                (tickets, None)
            }
        }
    }
}

async fn every_kind(who: &Actor, envoy: &Endpoint) -> Vec<Reading> {
    let mut all = Vec::new();
    for protocol in [Protocol::Rest, Protocol::Envoy] {
        for accept in ["application/x-ndjson", "text/event-stream"] {
            all.push(Reading::web(who, protocol, accept).await);
        }
    }
    all.push(Reading::grpc(who, &who.endpoint).await);
    all.push(Reading::grpc(who, envoy).await);
    for reading in &mut all {
        reading.begin().await;
    }
    all
}

/// Process statistics from Linux's /proc, which other systems lack.
#[cfg(target_os = "linux")]
mod process {
    use std::time::{Duration, Instant};

    /// Resident memory in bytes.
    pub(super) fn memory(pid: u32) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// CPU time used, in clock ticks.
    fn work(pid: u32) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
        let fields = stat.rsplit_once(')').expect("a name").1;
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    /// Waits until both processes are almost idle.
    pub(super) async fn idle(pids: [u32; 2]) {
        let since = Instant::now();
        let mut quiet = 0;
        while quiet < 10 {
            let before = pids.map(work);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let busy = pids.map(work).iter().zip(before).any(|(after, before)| after - before > 1);
            quiet = if busy { 0 } else { quiet + 1 };
            assert!(since.elapsed() < Duration::from_secs(120), "a stalled stream keeps the server busy");
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_cost_no_memory_and_receive_an_error_in_mid_stream() {
    /// For six readers, each of which could have 80 MB pending.
    const MAY_GROW: u64 = 96 << 20;

    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let agent = &cast.agent;
    add_tickets(&database, cast.customer.as_user(), TICKETS, BODY).await;
    let envoy = server.endpoint.envoy().await;
    let through = Endpoint::new(envoy.address());
    let pids = [server.pid(), envoy.pid()];
    let before = pids.map(process::memory);

    let mut readings = every_kind(agent, &through).await;
    process::idle(pids).await;
    let after = pids.map(process::memory);
    for (name, (after, before)) in ["the server", "Envoy"].into_iter().zip(after.into_iter().zip(before)) {
        let grown = after.saturating_sub(before);
        assert!(grown < MAY_GROW, "{name} uses {} MB more for readers that do not read", grown >> 20);
    }

    // A reader that keeps reading receives everything.
    let patient = Reading::web(agent, Protocol::Envoy, "application/x-ndjson").await;
    assert_eq!(patient.end().await, (TICKETS, None));

    // The next page fails for all the others.
    database.sql("ALTER TABLE tickets RENAME TO tickets_elsewhere").await;
    for (number, reading) in readings.drain(..).enumerate() {
        let (tickets, error) = reading.end().await;
        assert_eq!(error.as_deref(), Some("INTERNAL_ERROR"), "reader {number}");
        assert!(tickets < TICKETS, "reader {number} received everything");
    }
}
