//! The middleware around a stub that counts its calls.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use http::{StatusCode, header};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tower::{Layer as _, Service as _};
use uuid::Uuid;

use super::*;
use crate::{
    caller::Caller,
    changes, config,
    contract::{Policies, policy::tests},
    database::Database,
    http::middleware::layer::MiddlewareLayer,
    id::ServiceKeyId,
};

/// A public method, and a microcache around a stub of it.
struct Server {
    database: Database,
    middleware: Microcache,
    calls: Arc<AtomicU32>,
}

fn method() -> &'static Method {
    static POLICIES: OnceLock<Policies> = OnceLock::new();
    POLICIES.get_or_init(tests::public_get).get("/fleet.v1.Vehicles/Do").expect("a method")
}

fn rules() -> &'static RuleTable {
    static RULES: OnceLock<RuleTable> = OnceLock::new();
    let pool = method().descriptor.parent_pool();
    RULES.get_or_init(|| RuleTable::new(pool, &["fleet.v1.Vehicles"]).expect("good rules"))
}

impl Server {
    fn new() -> Self {
        let config = config::Database {
            url: None,
            pool_size: 1,
            pool_wait: Duration::from_millis(100),
            statement_timeout: Duration::from_secs(1),
            trace_context: false,
            data_dir: "/nonexistent".into(),
        };
        let database = Database::new(&"postgres://127.0.0.1:1/none".into(), "test", &config).unwrap();
        let cache = Cache::new(&database, changes::open(&database), 1 << 20);
        drop(cache.region::<String>("test.posts", REUSE).follow("test.post"));
        Self { middleware: Microcache::new(cache, rules()), database, calls: Arc::default() }
    }

    /// Sends a request; the stub's response has the number of the call in its body, and these headers.
    async fn send(&self, request: http::request::Builder, status: StatusCode, control: &'static str) -> String {
        let calls = self.calls.clone();
        let stub = tower::service_fn(move |_: Request| {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            let response = http::Response::builder().status(status).header(header::CACHE_CONTROL, control);
            let response = response.extension(method()).body(Body::new(Full::new(Bytes::from(number.to_string()))));
            async { Ok::<_, Infallible>(response.unwrap()) }
        });
        let mut service = MiddlewareLayer(self.middleware.clone()).layer(stub);
        let response = service.call(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CACHE_CONTROL], control);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    async fn get(&self, request: http::request::Builder) -> String {
        self.send(request, StatusCode::OK, PUBLIC).await
    }
}

const PUBLIC: &str = "public, max-age=60, stale-while-revalidate=60, stale-if-error=600";
const PATH: &str = "/api/v1/do";

#[tokio::test(start_paused = true)]
async fn a_public_response_is_reused_for_a_second() {
    let server = Server::new();
    for _ in 0..3 {
        assert_eq!(server.get(http::Request::get(PATH)).await, "0");
    }
    tokio::time::advance(REUSE).await;
    assert_eq!(server.get(http::Request::get(PATH)).await, "1");
}

#[tokio::test(start_paused = true)]
async fn an_outdated_response_is_not_reused() {
    let server = Server::new();
    assert_eq!(server.get(http::Request::get(PATH)).await, "0");
    server.database.outdated().record("test.post", Uuid::nil());
    assert_eq!(server.get(http::Request::get(PATH)).await, "1");
    // Without a cached value, a change outdates no response.
    server.database.outdated().record("test.ticket", Uuid::nil());
    assert_eq!(server.get(http::Request::get(PATH)).await, "1");
    server.database.outdated().record_gap();
    assert_eq!(server.get(http::Request::get(PATH)).await, "2");
}

#[tokio::test(start_paused = true)]
async fn a_response_made_while_something_is_outdated_is_not_reused() {
    let server = Server::new();
    let outdated = server.database.outdated().clone();
    let slow = tower::service_fn(move |_: Request| {
        let outdated = outdated.clone();
        async move {
            outdated.record("test.post", Uuid::nil());
            let response = http::Response::builder().header(header::CACHE_CONTROL, PUBLIC).extension(method());
            Ok::<_, Infallible>(response.body(Body::new(Full::new(Bytes::from_static(b"old")))).unwrap())
        }
    });
    let mut service = MiddlewareLayer(server.middleware.clone()).layer(slow);
    service.call(http::Request::get(PATH).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(server.get(http::Request::get(PATH)).await, "0");
}

#[tokio::test(start_paused = true)]
async fn requests_whose_responses_may_differ_are_called() {
    let server = Server::new();
    assert_eq!(server.get(http::Request::get(PATH)).await, "0");
    let service = Caller::Service { id: ServiceKeyId(Uuid::nil()), account: None, scopes: [].into() };
    let others = [
        http::Request::get(PATH).extension(PeerCaller(service)),
        http::Request::get("/api/v1/do?color=red"),
        http::Request::get(PATH).header("accept", "application/json"),
        http::Request::get(PATH).header("authorization", "Bearer x"),
        http::Request::get(PATH).header("cookie", "a=b"),
        http::Request::get(PATH).header("x-request-timeout", "0"),
        http::Request::get(PATH).header("content-type", "application/json"),
        http::Request::head(PATH),
        http::Request::post(PATH),
    ];
    for (number, request) in others.into_iter().enumerate() {
        assert_eq!(server.get(request).await, (number + 1).to_string());
    }
    assert_eq!(server.get(http::Request::get(PATH).header("user-agent", "curl")).await, "0");
}

/// With them in the key, a caller could fill the cache with copies of one response.
#[tokio::test(start_paused = true)]
async fn ignored_parameters_are_no_part_of_the_key() {
    let server = Server::new();
    assert_eq!(server.get(http::Request::get(PATH)).await, "0");
    for query in ["utm_source=x", "utm_source=y&fbclid=z", "", "&&a", "$prettyPrint=true", "%75tm_source=x"] {
        assert_eq!(server.get(http::Request::get(format!("{PATH}?{query}"))).await, "0", "{query}");
    }
    for (query, call) in [("alt=json", "1"), ("color=red", "2"), ("utm_source=x&color=red", "2")] {
        assert_eq!(server.get(http::Request::get(format!("{PATH}?{query}"))).await, call, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_is_public_is_reused() {
    for (status, control) in
        [(StatusCode::OK, "private, no-cache"), (StatusCode::OK, "no-store"), (StatusCode::NOT_FOUND, PUBLIC)]
    {
        let server = Server::new();
        for number in ["0", "1"] {
            assert_eq!(server.send(http::Request::get(PATH), status, control).await, number, "{status} {control}");
        }
    }
}

/// A body that records whether a slot had ended at each read.
struct SlotWatch {
    body: Full<Bytes>,
    end: Arc<Mutex<oneshot::Receiver<()>>>,
    states: Arc<Mutex<Vec<TryRecvError>>>,
}

impl http_body::Body for SlotWatch {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let state = self.end.lock().unwrap().try_recv().unwrap_err();
        self.states.lock().unwrap().push(state);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_held_until_the_response_is_whole_and_no_longer() {
    let (slot, end) = Slot::of_test();
    let (end, states) = (Arc::new(Mutex::new(end)), Arc::<Mutex<Vec<_>>>::default());
    let body = SlotWatch { body: Full::new(Bytes::from_static(b"all")), end: end.clone(), states: states.clone() };
    let large = http::Response::builder().header(header::CACHE_CONTROL, PUBLIC).extension(method()).extension(slot);
    let large = Arc::new(Mutex::new(Some(large.body(Body::new(body)).unwrap())));
    let stub = tower::service_fn(move |_: Request| {
        let response = large.lock().unwrap().take().expect("it is called once");
        async move { Ok::<_, Infallible>(response) }
    });
    let mut service = MiddlewareLayer(Server::new().middleware).layer(stub);
    for _ in 0..2 {
        let response = service.call(http::Request::get(PATH).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(end.lock().unwrap().try_recv(), Err(TryRecvError::Closed));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "all");
    }
    let states = states.lock().unwrap();
    assert!(!states.is_empty() && states.iter().all(|state| *state == TryRecvError::Empty), "{states:?}");
}

#[test]
fn a_reader_has_time_to_read_a_cached_response() {
    let (parts, ()) = http::Response::new(()).into_parts();
    let (called_at, body) = (Instant::now(), Bytes::new());
    let cached = CachedResponse { generation: 0, called_at, method: method(), parts, body };
    let before = std::time::Instant::now();
    let expires = cached.response().extensions().get::<ResponseDeadline>().expect("a deadline").0;
    assert!(expires >= before + method().deadline);
}
