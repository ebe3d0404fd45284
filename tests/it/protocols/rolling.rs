//! Two instances behind Envoy are replaced one after the other, or die, while customers continue to call.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mainstay_dev_servers::Envoy;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    ChildProcess, Endpoint, Process, Protocol, Response, TestDatabase,
    actor::{envoy_options, start_envoy},
    eventually,
    people::Cast,
    unique,
};

/// The number of concurrent callers.
const CALLERS: usize = 6;
/// The number of calls that must succeed between two changes, so that each change happens under load.
const CALLS: u64 = 60;

fn draft_of(account: &str) -> Value {
    json!({ "accountId": account, "subject": "The printer is on fire", "body": "It burns." })
}

/// Two instances behind an Envoy.
struct Fleet {
    database: TestDatabase,
    instances: Vec<(SocketAddr, ChildProcess)>,
    /// The replaced instance, for its log.
    predecessors: Vec<ChildProcess>,
    envoy: Envoy,
}

impl Fleet {
    async fn start() -> (Self, Cast) {
        let database = TestDatabase::new().await;
        let mut instances = Vec::new();
        for _ in 0..2 {
            let server = Process::start(&database).await;
            instances.push((server.endpoint.address, server.into_running()));
        }
        let addresses: Vec<_> = instances.iter().map(|(address, _)| *address).collect();
        let envoy = start_envoy(envoy_options(&addresses)).await;
        let cast = Cast::new(&Endpoint::new(envoy.address()), &database).await;
        (Self { database, instances, predecessors: Vec::new(), envoy }, cast)
    }

    /// Waits until Envoy routes to both, as any rolling update has to.
    async fn wait_until_healthy(&self) {
        let (since, clusters) = (Instant::now(), format!("http://{}/clusters", self.envoy.admin()));
        loop {
            let text = reqwest::get(&clusters).await.expect("a page").text().await.expect("text");
            let is_healthy = |(address, _): &(SocketAddr, ChildProcess)| {
                text.contains(&format!("mainstay::{address}::health_flags::healthy"))
            };
            if self.instances.iter().all(is_healthy) {
                return;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends an instance by a signal and starts a new one in its place.
    async fn replace(&mut self, index: usize, signal: Signal) {
        let (address, mut old) = self.instances.remove(index);
        old.signal(signal);
        let status = old.wait().await;
        assert_eq!(status.success(), signal == Signal::SIGTERM, "{status}: {}", old.log());
        let next = Process::with(&self.database, &[("LISTEN_ADDR", &address.to_string())]).await;
        self.instances.insert(index, (address, next.into_running()));
        self.predecessors.push(old);
        self.wait_until_healthy().await;
    }

    /// Returns a response with the log lines of its request.
    fn explain(&self, answer: &Response) -> String {
        let id = answer.body["error"]["requestId"].as_str().unwrap_or("no request id");
        let running = self.instances.iter().map(|(_, instance)| instance);
        let logs: Vec<_> = self.predecessors.iter().chain(running).map(ChildProcess::log).collect();
        let lines: Vec<_> = logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains(id)).collect();
        format!("{answer:#?}\n{}", lines.join("\n"))
    }
}

/// Customers who create tickets sequentially, over both protocols, every ticket under its own key.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: JoinSet<Vec<(String, Response)>>,
}

impl Load {
    fn begin(fleet: &Fleet, cast: &Cast) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let (stop, answered) = (stop.clone(), answered.clone());
            // Callers see only Envoy's listener, over gRPC and over REST.
            let agent = cast.agent.at(&Endpoint::new(fleet.envoy.address()));
            let account = cast.customer.as_user().account.to_string();
            let protocol = if number % 2 == 0 { Protocol::Grpc } else { Protocol::Rest };
            callers.spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let key = unique();
                    let answer = agent.keyed(protocol, "TicketService.CreateTicket", draft_of(&account), &key).await;
                    answered.fetch_add(1, Ordering::SeqCst);
                    answers.push((key, answer));
                }
                answers
            });
        }
        Self { stop, answered, callers }
    }

    /// Waits until many more calls have been answered.
    async fn goes_on(&self) {
        let enough = self.answered.load(Ordering::SeqCst) + CALLS;
        eventually("the calls are answered", async || self.answered.load(Ordering::SeqCst) >= enough).await;
    }

    async fn end(mut self) -> Vec<(String, Response)> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        while let Some(answers) = self.callers.join_next().await {
            all.extend(answers.expect("no caller panicked"));
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_do_not_notice_a_rolling_restart() {
    let (mut fleet, cast) = Fleet::start().await;
    let load = Load::begin(&fleet, &cast);
    for index in [0, 1] {
        load.goes_on().await;
        fleet.replace(index, Signal::SIGTERM).await;
    }
    load.goes_on().await;
    let answers = load.end().await;
    for (_, answer) in &answers {
        assert_eq!(answer.status, 201, "{}", fleet.explain(answer));
    }
    assert_eq!(fleet.database.number("SELECT count(*) FROM tickets").await, i64::try_from(answers.len()).expect("few"));
}

/// Returns whether a failed response is retryable: by its envelope, or, if Envoy answered a gRPC call itself, by its
/// status alone, which gRPC's retry policies use. A response whose body breaks off has neither, and its outcome is as unknown as
/// that of a lost connection. Other errors of the protocol are not retryable: they would be those of a surviving instance.
fn may_be_retried(answer: &Response) -> bool {
    answer.body["error"]["retryable"] == json!(true)
        || answer.reason.starts_with("no reason (Unavailable:")
        || answer.reason == "no reason (Internal: h2 protocol error: error reading a body from connection)"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dying_instance_costs_at_most_a_retry_and_repeats_no_write() {
    let (mut fleet, cast) = Fleet::start().await;
    let load = Load::begin(&fleet, &cast);
    for index in [0, 1] {
        load.goes_on().await;
        fleet.replace(index, Signal::SIGKILL).await;
    }
    load.goes_on().await;
    let answers = load.end().await;
    let agent = cast.agent.at(&Endpoint::new(fleet.envoy.address()));
    let account = cast.customer.as_user().account.to_string();
    for (key, answer) in &answers {
        // A failed response is marked as retryable, and the retry succeeds.
        if answer.status != 201 {
            assert!(may_be_retried(answer), "{}", fleet.explain(answer));
            let again =
                agent.keyed(Protocol::Rest, "TicketService.CreateTicket", draft_of(&account), key).await.success();
            assert_eq!(again.status, 201);
        }
    }
    assert_eq!(fleet.database.number("SELECT count(*) FROM tickets").await, i64::try_from(answers.len()).expect("few"));
}
