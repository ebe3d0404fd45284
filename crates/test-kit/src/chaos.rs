//! Faults around the effects of a module, and a fake of the outside API that they call.

use std::{mem, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use chrono::TimeDelta;
use futures_util::stream;
use mainstay_kernel::effects::Effect;
use tokio::{
    net::TcpListener,
    sync::{Mutex, Notify},
    task::JoinHandle,
};

use crate::TestServer;

/// The runs of a job after which an effect without further faults must have its outcome.
const MAX_RUNS: usize = 8;
/// The maximum size of a request, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// The behavior of an outside API.
pub trait FakeApi: Send + 'static {
    /// Answers a request with a status and a body. A request with a safe method, such as GET, is a look-up; any other one may
    /// take effect. The body is at most 1 MiB of text, and empty otherwise. Requests are answered one at a time.
    fn answer(&mut self, request: &http::request::Parts, body: &str) -> (u16, String);

    /// The number of effects so far.
    fn effects(&self) -> usize;
}

/// What goes wrong at the first call that may take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fault {
    #[default]
    None,
    /// The connection breaks before the API acts.
    LostRequest,
    /// The API acts, and the connection breaks.
    LostResponse,
    /// The same, and two look-ups fail.
    FailedLookups,
    /// The API acts, and the worker is dead when it answers.
    DeadWorker,
    /// The API acts, and answers when another worker has taken over.
    TwoWorkers,
}

const FAULTS: [Fault; 6] =
    [Fault::None, Fault::LostRequest, Fault::LostResponse, Fault::FailedLookups, Fault::DeadWorker, Fault::TwoWorkers];

/// An HTTP server of a fake API, which ends when this value is dropped.
#[derive(Debug)]
pub struct OutsideApi<A> {
    url: String,
    shared: Arc<Shared<A>>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared<A> {
    state: Mutex<FaultyApi<A>>,
    /// The API has acted, and holds its answer back.
    acted: Notify,
    /// The answer may be sent.
    released: Notify,
}

#[derive(Debug)]
struct FaultyApi<A> {
    api: A,
    fault: Fault,
    /// The look-ups that still fail.
    failing: u32,
    /// Whether each request was a look-up.
    lookups: Vec<bool>,
}

impl<A> Drop for OutsideApi<A> {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl<A: FakeApi> OutsideApi<A> {
    /// Starts the server on a free port of 127.0.0.1, without faults.
    ///
    /// # Panics
    /// Panics if no port is free.
    pub async fn start(api: A) -> Self {
        Self::with_fault(api, Fault::None).await
    }

    async fn with_fault(api: A, fault: Fault) -> Self {
        let failing = if fault == Fault::FailedLookups { 2 } else { 0 };
        let state = Mutex::new(FaultyApi { api, fault, failing, lookups: Vec::new() });
        let shared = Arc::new(Shared { state, acted: Notify::new(), released: Notify::new() });
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let router = Router::new().fallback(answer::<A>).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(socket, router).await.expect("a server") });
        Self { url, shared, serving }
    }

    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Passes the API to a function, which sets its behavior or reads its state. Requests wait meanwhile.
    pub async fn with<T>(&self, run: impl FnOnce(&mut A) -> T) -> T {
        run(&mut self.shared.state.lock().await.api)
    }
}

async fn answer<A: FakeApi>(State(shared): State<Arc<Shared<A>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BYTES).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    let mut state = shared.state.lock().await;
    let is_lookup = parts.method.is_safe();
    state.lookups.push(is_lookup);
    if is_lookup && state.failing > 0 {
        state.failing -= 1;
        return broken();
    }
    let fault = if is_lookup { Fault::None } else { mem::take(&mut state.fault) };
    if fault == Fault::LostRequest {
        return broken();
    }
    let (status, text) = state.api.answer(&parts, &body);
    drop(state);
    match fault {
        Fault::LostResponse | Fault::FailedLookups => return broken(),
        Fault::DeadWorker | Fault::TwoWorkers => {
            shared.acted.notify_one();
            shared.released.notified().await;
        }
        Fault::None | Fault::LostRequest => {}
    }
    Response::builder().status(status).body(Body::from(text)).expect("a response")
}

/// Returns a response whose connection breaks.
fn broken() -> Response {
    Response::new(Body::from_stream(stream::once(async { Err::<String, _>(std::io::Error::other("broken")) })))
}

/// Runs an effect of a module against a fake of its API, once for each fault: a lost request, a lost response, failed
/// look-ups, a worker that dies after the call and before the outcome, and two workers at once. `start` starts a server whose
/// effect calls a URL, `begin` begins one effect, and `outcomes` counts the outcomes that are stored.
///
/// # Panics
/// Panics if an effect happened not exactly once, has not exactly one outcome, is called again without a look-up (unless
/// [`Effect::REPEATABLE_FOR`] permits it), or is not settled in the end.
pub async fn check_effect<E: Effect, A: FakeApi>(
    start: impl AsyncFn(&str) -> TestServer,
    api: impl Fn() -> A,
    begin: impl AsyncFn(&TestServer),
    outcomes: impl AsyncFn(&TestServer) -> usize,
) {
    for fault in FAULTS {
        let outside = OutsideApi::with_fault(api(), fault).await;
        let server = start(outside.url()).await;
        begin(&server).await;
        assert_eq!(
            outside.with(|api| api.effects()).await,
            0,
            "{fault:?}: it began before its transaction was committed"
        );
        match fault {
            Fault::None | Fault::LostRequest | Fault::LostResponse | Fault::FailedLookups => server.run_jobs().await,
            Fault::DeadWorker => tokio::select! {
                () = server.run_jobs() => panic!("the API was not called"),
                () = outside.shared.acted.notified() => {}
            },
            Fault::TwoWorkers => {
                let other = async {
                    outside.shared.acted.notified().await;
                    server.run_effects::<E>().await;
                    outside.shared.released.notify_one();
                };
                tokio::join!(server.run_jobs(), other);
            }
        }
        server.run_effects::<E>().await;
        assert_eq!(outside.with(|api| api.effects()).await, 1, "{fault:?}: the number of effects");
        assert_eq!(outcomes(&server).await, 1, "{fault:?}: the number of outcomes");
        let lookups = mem::take(&mut outside.shared.state.lock().await.lookups);
        let is_repeated = lookups.windows(2).any(|two| two == [false, false]);
        assert!(
            E::REPEATABLE_FOR > TimeDelta::zero() || !is_repeated,
            "{fault:?}: it was called twice without a look-up"
        );
    }
}

impl TestServer {
    /// Runs the effects of a kind until each has its outcome, as if a worker that holds one were dead. Before each of at most
    /// eight runs, advances the clock by [`Effect::TIMEOUT`], one second and [`Effect::LOOKUP_LAG`], so that attempts can be
    /// looked up.
    ///
    /// # Panics
    /// Panics with the jobs if an effect has no outcome after eight runs.
    pub async fn run_effects<E: Effect>(&self) {
        let step = TimeDelta::from_std(E::TIMEOUT + Duration::from_secs(1)).expect("a time limit") + E::LOOKUP_LAG;
        let pending = format!("SELECT count(*) FROM effects WHERE kind = '{}'", E::NAME);
        let due = format!("UPDATE jobs SET due_at = now() WHERE kind = '{}' AND dead_at IS NULL", E::NAME);
        for _ in 0..MAX_RUNS {
            if self.database().sql(&pending).await == ["0"] {
                return;
            }
            self.advance(step);
            self.database().sql(&due).await;
            self.run_jobs().await;
        }
        let jobs = format!("SELECT row_to_json(jobs)::text FROM jobs WHERE kind = '{}'", E::NAME);
        assert_eq!(self.database().sql(&pending).await, ["0"], "{:#?}", self.database().sql(&jobs).await);
    }
}
