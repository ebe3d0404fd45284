//! Tests of the layers together, with a simulated provider, in paused time that advances only when all tasks wait.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;
use tower::{service_fn, util::BoxCloneSyncService};

use crate::outbound::{
    transport::{Incoming, TransportError},
    *,
};

/// The behavior of the provider.
#[derive(Debug, Clone, Copy)]
enum Does {
    Answer(u16),
    AskForPatience(u64),
    Remember(u16),
    Hang,
    RefuseConnections,
    BreakOff,
}

/// A simulated provider.
#[derive(Debug)]
struct Provider {
    does: Mutex<Does>,
    calls: AtomicU32,
    times: Mutex<Vec<Instant>>,
}

impl Provider {
    fn new(does: Does) -> Arc<Self> {
        Arc::new(Self { does: Mutex::new(does), calls: AtomicU32::new(0), times: Mutex::default() })
    }

    fn now(&self, does: Does) {
        *self.does.lock().expect("no panic") = does;
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    fn client(self: &Arc<Self>, bounds: Bounds) -> Client {
        let provider = self.clone();
        let transport = service_fn(move |_: http::Request<transport::Body>| {
            let provider = provider.clone();
            async move { provider.answer().await }
        });
        Client::over("test", bounds, BoxCloneSyncService::new(transport), &Alerts::default())
    }

    async fn answer(&self) -> Result<http::Response<Incoming>, TransportError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.times.lock().expect("no panic").push(Instant::now());
        let does = *self.does.lock().expect("no panic");
        let answer = http::Response::builder();
        let answer = match does {
            Does::Answer(status) => answer.status(status),
            Does::AskForPatience(seconds) => answer.status(429).header("retry-after", seconds),
            Does::Remember(status) => answer.status(status).header("idempotent-replayed", "true"),
            Does::Hang => std::future::pending().await,
            Does::RefuseConnections => return Err(TransportError::NotConnected("refused".to_owned())),
            Does::BreakOff => return Err(TransportError::Broken("reset".to_owned())),
        };
        let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
        Ok(answer.body(body).expect("an answer"))
    }
}

const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(20),
    attempt_timeout: Duration::from_secs(5),
    max_concurrency: 4,
    max_attempts: 3,
};

fn keyed() -> Request {
    http::Request::post("http://provider/").header("idempotency-key", "one").body(Bytes::new()).expect("a request")
}

fn unkeyed() -> Request {
    http::Request::post("http://provider/").body(Bytes::new()).expect("a request")
}

async fn kind(client: &Client, request: Request) -> (Kind, bool) {
    let error = client.send(request).await.expect_err("a failure");
    (error.kind, error.may_have_acted)
}

#[tokio::test(start_paused = true)]
async fn only_transient_failures_are_retried() {
    for (does, request, attempts, expected) in [
        (Does::Answer(503), keyed(), 3, (Kind::Unavailable, true)),
        (Does::Answer(503), unkeyed(), 1, (Kind::Unavailable, true)),
        (Does::RefuseConnections, keyed(), 3, (Kind::Unavailable, false)),
        (Does::BreakOff, keyed(), 3, (Kind::Unavailable, true)),
        (Does::BreakOff, unkeyed(), 1, (Kind::Unavailable, true)),
        (Does::Hang, keyed(), 3, (Kind::TimedOut, true)),
        (Does::Answer(429), keyed(), 3, (Kind::RateLimited, false)),
        (Does::Answer(402), keyed(), 1, (Kind::Rejected, false)),
        (Does::Answer(401), keyed(), 1, (Kind::Auth, false)),
        (Does::Remember(500), keyed(), 1, (Kind::Unavailable, true)),
        (Does::AskForPatience(60), keyed(), 1, (Kind::RateLimited, false)),
    ] {
        let provider = Provider::new(does);
        let client = provider.client(BOUNDS);
        assert_eq!((kind(&client, request).await, provider.calls()), (expected, attempts), "{does:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_successful_attempt_ends_the_retries() {
    let provider = Provider::new(Does::Answer(500));
    let client = provider.client(BOUNDS);
    let (call, ()) = tokio::join!(client.send(keyed()), async {
        while provider.calls() == 0 {
            tokio::task::yield_now().await;
        }
        provider.now(Does::Answer(200));
    });
    assert!(call.is_ok());
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn waits_are_jittered_within_a_growing_bound_and_honor_retry_after() {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let provider = Provider::new(Does::Answer(503));
        provider.client(BOUNDS).send(keyed()).await.expect_err("unavailable");
        let times = provider.times.lock().expect("no panic").clone();
        first.push(times[1] - times[0]);
        second.push(times[2] - times[1]);
    }
    // The timer has a resolution of one millisecond.
    assert!(first.iter().all(|wait| *wait <= Duration::from_millis(101)), "{first:?}");
    assert!(second.iter().all(|wait| *wait <= Duration::from_millis(201)), "{second:?}");
    assert!(second.iter().any(|wait| *wait > Duration::from_millis(100)), "it grows: {second:?}");
    assert!(first.iter().any(|wait| *wait < Duration::from_millis(40)), "full jitter begins at nothing: {first:?}");
    let distinct: std::collections::BTreeSet<_> = first.iter().collect();
    assert!(distinct.len() > 10, "{first:?}");

    let provider = Provider::new(Does::AskForPatience(2));
    provider.client(BOUNDS).send(keyed()).await.expect_err("enough");
    let times = provider.times.lock().expect("no panic").clone();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(2)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_total_outage_gets_few_extra_requests() {
    // The breaker counts a 429 as evidence of availability, so that only the budget limits these retries.
    for does in [Does::Answer(429), Does::Answer(503), Does::Hang, Does::RefuseConnections] {
        let provider = Provider::new(does);
        let client = provider.client(BOUNDS);
        let calls = 200;
        for _ in 0..calls {
            client.send(keyed()).await.expect_err("unavailable");
            // The advance exceeds the longest backoff, so that every call may be a probe.
            tokio::time::advance(Duration::from_secs(31)).await;
        }
        let requests = provider.calls();
        assert!(requests >= calls, "{does:?}: the breaker was not what limited retries: {requests} of {calls}");
        assert!(requests * 10 <= calls * 11, "{does:?}: {requests} for {calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn success_refills_the_budget() {
    let provider = Provider::new(Does::Answer(503));
    let client = provider.client(BOUNDS);
    let spend = async || {
        for _ in 0..40 {
            client.send(keyed()).await.expect_err("unavailable");
            tokio::time::advance(Duration::from_secs(31)).await;
        }
        let before = provider.calls();
        client.send(keyed()).await.expect_err("unavailable");
        tokio::time::advance(Duration::from_secs(31)).await;
        provider.calls() - before
    };
    assert_eq!(spend().await, 1, "nothing is left for a second try");
    provider.now(Does::Answer(200));
    for _ in 0..20 {
        client.send(keyed()).await.expect("good");
    }
    let before = provider.calls();
    provider.now(Does::Answer(503));
    client.send(keyed()).await.expect_err("unavailable");
    assert_eq!(provider.calls() - before, 3, "twenty good answers earned two more attempts");
    assert_eq!(spend().await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_circuit_opens_probes_and_closes() {
    let provider = Provider::new(Does::Answer(503));
    let client = provider.client(BOUNDS);
    for _ in 0..5 {
        assert_eq!(client.circuit(), Circuit::Closed);
        client.send(unkeyed()).await.expect_err("unavailable");
    }
    assert_eq!(client.circuit(), Circuit::Open);
    assert_eq!((kind(&client, keyed()).await, provider.calls()), ((Kind::NotSent, false), 5), "nothing is sent");

    // A failed probe opens the circuit again, for longer.
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert_eq!(client.circuit(), Circuit::HalfOpen);
    assert_eq!(kind(&client, unkeyed()).await.0, Kind::Unavailable);
    assert_eq!((client.circuit(), provider.calls()), (Circuit::Open, 6));
    tokio::time::advance(Duration::from_millis(1500)).await;
    assert_eq!(client.circuit(), Circuit::Open, "the backoff doubles");
    tokio::time::advance(Duration::from_millis(501)).await;

    // Only one probe runs at a time, and an aborted one yields no verdict.
    provider.now(Does::Hang);
    let probe = tokio::spawn({
        let client = client.clone();
        async move { client.send(unkeyed()).await }
    });
    while provider.calls() < 7 {
        tokio::task::yield_now().await;
    }
    assert_eq!((client.circuit(), kind(&client, unkeyed()).await.0), (Circuit::HalfOpen, Kind::NotSent));
    probe.abort();
    probe.await.expect_err("it was given up");
    provider.now(Does::Answer(404));
    assert_eq!(kind(&client, unkeyed()).await.0, Kind::Rejected, "the next call is the next probe");
    assert_eq!(client.circuit(), Circuit::Closed, "a refusal is a sign of life");
}

#[tokio::test(start_paused = true)]
async fn a_replayed_failure_does_not_open_the_circuit() {
    let provider = Provider::new(Does::Remember(500));
    let client = provider.client(BOUNDS);
    for _ in 0..20 {
        assert_eq!(kind(&client, keyed()).await, (Kind::Unavailable, true));
    }
    assert_eq!((client.circuit(), provider.calls()), (Circuit::Closed, 20));
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_are_limited() {
    let provider = Provider::new(Does::Hang);
    let client = provider.client(BOUNDS);
    let calls = futures_util::future::join_all((0..6).map(|_| client.send(unkeyed())));
    let kinds: Vec<_> = calls.await.into_iter().map(|call| call.expect_err("none is answered").kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::NotSent).count(), 2, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::TimedOut).count(), 4, "{kinds:?}");
    assert_eq!(provider.calls(), 4);
    provider.now(Does::Answer(200));
    client.send(unkeyed()).await.expect("slots are released");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_bounded_by_its_limit_and_its_callers_deadline() {
    let provider = Provider::new(Does::Hang);
    let client = provider.client(BOUNDS);
    let since = Instant::now();
    client.send(keyed()).await.expect_err("three attempts of five seconds");
    assert!((15..=20).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());

    let since = Instant::now();
    let deadline = std::time::Instant::now() + Duration::from_secs(2);
    let context = crate::context::Context::new("test").with_deadline(deadline);
    let error = context.scope(client.send(keyed())).await.expect_err("the caller has no more time");
    assert_eq!(error.kind, Kind::TimedOut);
    assert!(since.elapsed() <= Duration::from_secs(2), "{:?}", since.elapsed());
}

/// The job of an effect would otherwise take a call for one that did nothing.
#[tokio::test(start_paused = true)]
async fn a_retry_that_was_not_sent_says_nothing_about_the_attempt_before() {
    let provider = Provider::new(Does::Answer(503));
    let client = provider.client(BOUNDS);
    let close = async { provider.now(Does::RefuseConnections) };
    let (failure, ()) = tokio::join!(kind(&client, keyed()), close);
    assert_eq!((failure, provider.calls()), ((Kind::Unavailable, true), 3));
}
