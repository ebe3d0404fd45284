//! Tests of both rate limit middlewares around a stub of the inner services.

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use secrecy::SecretString;
use tower::{Layer as _, Service as _};
use uuid::Uuid;

use crate::{
    caller::Caller,
    clock::Clock,
    config::{self, Quota},
    contract::{
        Policies,
        policy::{Reach, Role},
    },
    database::Database,
    http::middleware::{
        layer::{Body, MiddlewareLayer, Response},
        rate_limit::*,
    },
    id::{AccountId, ServiceKeyId, SessionId, UserId},
    redis::{Local, Redis},
};

const READ: &str = "/fleet.v1.Vehicles/Get";

/// A stack with both limits, a stub of routing and authentication between them, and a call counter inside.
struct Stack {
    limiter: Limiter,
    credentials: Credentials,
    served: Arc<AtomicU32>,
}

impl Stack {
    async fn new(address: u32, read: u32) -> Self {
        let quota = |requests| Quota { requests, window: Duration::from_secs(60) };
        let limits = config::Limits {
            address: quota(address),
            read: quota(read),
            write: quota(10),
            bulk: quota(10),
            service_factor: 1,
            instances: 1,
        };
        let database = config::Database {
            url: None,
            pool_size: 1,
            pool_wait: Duration::from_millis(100),
            statement_timeout: Duration::from_secs(1),
            trace_context: false,
            data_dir: "/nonexistent".into(),
        };
        let database =
            Database::new(&SecretString::from("postgres://127.0.0.1:1/none"), "mainstay", &database).unwrap();
        let clock = Clock::default();
        let limiter = Limiter::new(Redis::Local(Local::new(clock.clone())), database, &limits, clock);
        Self { limiter, credentials: Credentials::default(), served: Arc::default() }
    }

    async fn call(&self, path: &str, authorization: Option<&'static str>) -> Response {
        self.call_from("192.0.2.1", path, authorization).await
    }

    async fn call_from(&self, address: &str, path: &str, authorization: Option<&'static str>) -> Response {
        let mut request = http::Request::post(path);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        self.send(request, address).await
    }

    /// Calls over a connection with the client certificate of a service.
    async fn call_with_certificate(&self, path: &str) -> Response {
        self.send(http::Request::post(path).extension(PeerCaller(service())), "192.0.2.1").await
    }

    async fn send(&self, request: http::request::Builder, address: &str) -> Response {
        let served = self.served.clone();
        let next = tower::service_fn(move |_: Request| {
            served.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        });
        let inner = PrincipalLimit { limiter: self.limiter.clone(), credentials: self.credentials.clone() };
        let outer = AddressLimit { limiter: self.limiter.clone(), credentials: self.credentials.clone() };
        let inner = MiddlewareLayer(inner).layer(next);
        let between = tower::service_fn(move |request: Request| authenticate(request, inner.clone()));
        let request = request.extension(ClientAddress(address.parse().unwrap())).body(Body::empty()).unwrap();
        MiddlewareLayer(outer).layer(between).call(request).await.unwrap()
    }
}

/// The policies of a small contract.
fn policies() -> &'static Policies {
    static POLICIES: OnceLock<Policies> = OnceLock::new();
    POLICIES.get_or_init(crate::contract::policy::tests::get_and_login)
}

fn service() -> Caller {
    Caller::Service { id: ServiceKeyId(Uuid::from_u128(2)), account: None, scopes: [].into() }
}

/// Finds the method, and accepts `good` credentials and certificates.
async fn authenticate(mut request: Request, mut inner: impl Next) -> Result<Response, Infallible> {
    if let Some(method) = policies().get(request.uri().path()) {
        request.extensions_mut().insert(method);
    }
    match request.headers().get("authorization").map(|value| value.as_bytes()) {
        Some(b"good") => {
            let (id, account) = (UserId(Uuid::from_u128(1)), Some(AccountId(Uuid::nil())));
            let (role, session) = (Role::Customer, SessionId(Uuid::nil()));
            let sign_in = crate::caller::SignIn::at(chrono::DateTime::UNIX_EPOCH);
            let caller = Caller::User { id, account, role, session, scopes: [].into(), sign_in };
            request.extensions_mut().insert(Permit::new(caller, Reach::OwnUser));
        }
        Some(name @ (b"key" | b"other key")) => {
            let id = ServiceKeyId(Uuid::from_u128(name.len() as u128));
            let caller = Caller::Service { id, account: Some(AccountId(Uuid::from_u128(3))), scopes: [].into() };
            request.extensions_mut().insert(Permit::new(caller, Reach::OwnAccount));
        }
        Some(b"service") => {
            request.extensions_mut().insert(Permit::new(service(), Reach::Any));
        }
        Some(_) => return Ok(http::Response::builder().status(StatusCode::UNAUTHORIZED).body(Body::empty()).unwrap()),
        None => {
            if let Some(PeerCaller(caller)) = request.extensions().get().cloned() {
                request.extensions_mut().insert(Permit::new(caller, Reach::Any));
            }
        }
    }
    inner.call(request).await
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn is_refused(response: &Response) -> bool {
    let retry_after = header(response, "retry-after");
    if response.headers().get("grpc-status").is_none() {
        assert_eq!(retry_after, "");
        return false;
    }
    assert_eq!(header(response, "grpc-status"), "8");
    assert!(header(response, "ratelimit").ends_with(&format!(";r=0;t={retry_after}")), "{:?}", response.headers());
    true
}

#[tokio::test]
async fn an_address_is_limited_whatever_it_presents() {
    for authorization in [None, Some("forged")] {
        let stack = Stack::new(12, 100).await;
        for remaining in (0..3).rev() {
            let response = stack.call("/nowhere", authorization).await;
            assert!(!is_refused(&response));
            assert_eq!(header(&response, "ratelimit-policy"), "\"address\";q=12;w=60");
            assert!(header(&response, "ratelimit").starts_with(&format!("\"address\";r={remaining};t=")));
        }
        let served = stack.served.load(Ordering::Relaxed);
        let response = stack.call("/nowhere", authorization).await;
        assert!(is_refused(&response));
        assert_eq!(header(&response, "retry-after"), "5");
        assert_eq!(stack.served.load(Ordering::Relaxed), served, "refused before anything further in");
    }
}

#[tokio::test]
async fn a_cancelled_request_is_charged() {
    let stack = Stack::new(12, 100).await;
    assert!(!is_refused(&stack.call(READ, Some("good")).await), "the credential is remembered");
    let limit = AddressLimit { limiter: stack.limiter.clone(), credentials: stack.credentials.clone() };
    let pending = tower::service_fn(|_: Request| std::future::pending::<Result<Response, Infallible>>());
    for _ in 0..2 {
        let request = http::Request::post(READ).header("authorization", "good");
        let request = request.extension(ClientAddress("192.0.2.1".parse().unwrap())).body(Body::empty()).unwrap();
        let call = MiddlewareLayer(limit.clone()).layer(pending).call(request);
        assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
        tokio::task::yield_now().await;
    }
    assert!(is_refused(&stack.call("/nowhere", None).await), "the burst of three is used up");
}

/// A /48 site contains 65,536 networks.
#[tokio::test]
async fn the_networks_of_a_site_share_a_limit_and_are_told_of_it() {
    for authorization in [None, Some("good")] {
        // The burst is two for each network, and twenty for the whole site.
        let stack = Stack::new(8, 1000).await;
        let mut policies = Vec::new();
        let refusal = loop {
            let address = format!("2001:db8:1:{:x}::1", policies.len());
            let response = stack.call_from(&address, READ, authorization).await;
            if is_refused(&response) {
                break response;
            }
            policies.push(header(&response, "ratelimit-policy").to_owned());
        };
        // The site regains one request every three quarters of a second.
        assert!((20..30).contains(&policies.len()), "{policies:?}");
        let (network, site) = ("\"address\";q=8;w=60", "\"address-site\";q=80;w=60");
        assert_eq!((policies[1].as_str(), policies.last().map(String::as_str)), (network, Some(site)));
        assert_eq!(header(&refusal, "ratelimit-policy"), site);
        for elsewhere in ["2001:db8:2::1", "192.0.2.1"] {
            let response = stack.call_from(elsewhere, "/nowhere", None).await;
            assert!(!is_refused(&response), "{elsewhere}");
            assert_eq!(header(&response, "ratelimit-policy"), network);
        }
    }
}

#[tokio::test]
async fn a_principal_is_told_of_its_own_limit() {
    let stack = Stack::new(1000, 8).await;
    let response = stack.call(READ, Some("good")).await;
    assert_eq!(header(&response, "ratelimit-policy"), "\"read\";q=8;w=60");
    assert_eq!(header(&response, "ratelimit"), "\"read\";r=1;t=8");
    assert!(!is_refused(&stack.call(READ, Some("good")).await));
    assert!(is_refused(&stack.call(READ, Some("good")).await));
    assert_eq!(stack.served.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_known_credential_still_pays_for_its_address() {
    let stack = Stack::new(16, 1000).await;
    // The first call is charged to its address before authentication, and reports the principal's limit. The next one
    // is charged to both at once, and reports the limit with less left.
    assert!(header(&stack.call(READ, Some("good")).await, "ratelimit").starts_with("\"read\";r=249;"));
    assert!(header(&stack.call(READ, Some("good")).await, "ratelimit").starts_with("\"address\";r=2;"));
    // Calls that do not reach the inner middleware are charged on the way out, and later ones before authentication.
    assert!(!is_refused(&stack.call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some("good")).await));
    assert!(!is_refused(&stack.call("/nowhere", Some("good")).await));
    assert!(is_refused(&stack.call("/nowhere", Some("good")).await));
    assert!(is_refused(&stack.call(READ, Some("good")).await));
    assert!(is_refused(&stack.call(READ, None).await), "the same address");
}

#[tokio::test]
async fn a_service_is_limited_by_its_own_class_and_not_by_its_address() {
    let stack = Stack::new(8, 40).await;
    // The first call is charged to its address once, because its credential is not yet remembered.
    assert!(header(&stack.call(READ, Some("service")).await, "ratelimit").starts_with("\"read\";r=9;"));
    assert!(!is_refused(&stack.call(READ, None).await));
    assert!(is_refused(&stack.call(READ, None).await), "others have used up the address");
    for remaining in (0..9).rev() {
        let response = stack.call(READ, Some("service")).await;
        assert!(header(&response, "ratelimit").starts_with(&format!("\"read\";r={remaining};")), "{remaining}");
    }
    assert!(is_refused(&stack.call(READ, Some("service")).await));
    assert!(is_refused(&stack.call("/nowhere", Some("service")).await), "what no limit of its own counts");
}

/// Its owner is a customer, who creates as many keys as there may be.
#[tokio::test]
async fn the_keys_of_an_account_are_limited_as_one_user_and_by_their_address() {
    let stack = Stack::new(1000, 8).await;
    assert_eq!(header(&stack.call(READ, Some("key")).await, "ratelimit"), "\"read\";r=1;t=8");
    assert!(!is_refused(&stack.call(READ, Some("other key")).await));
    assert!(is_refused(&stack.call(READ, Some("key")).await), "they share the burst of two");
    let stack = Stack::new(12, 1000).await;
    for _ in 0..3 {
        assert!(!is_refused(&stack.call(READ, Some("key")).await));
    }
    assert!(is_refused(&stack.call(READ, Some("key")).await), "the burst of three of the address is used up");
}

#[tokio::test]
async fn a_service_with_a_certificate_is_not_limited_by_its_address_either() {
    let stack = Stack::new(4, 40).await;
    assert!(!is_refused(&stack.call(READ, None).await));
    assert!(is_refused(&stack.call(READ, None).await), "others have used up the address");
    for remaining in (0..10).rev() {
        let response = stack.call_with_certificate(READ).await;
        assert!(header(&response, "ratelimit").starts_with(&format!("\"read\";r={remaining};")), "{remaining}");
    }
    assert!(is_refused(&stack.call_with_certificate(READ).await));
    assert!(is_refused(&stack.call_with_certificate("/nowhere").await), "what no limit of its own counts");
}

#[tokio::test]
async fn health_is_never_limited() {
    let stack = Stack::new(1, 1).await;
    assert!(!is_refused(&stack.call("/nowhere", None).await));
    for path in ["/grpc.health.v1.Health/Check", "/readyz", "/livez"] {
        let response = stack.call(path, None).await;
        assert_eq!((is_refused(&response), header(&response, "ratelimit")), (false, ""));
    }
    assert!(is_refused(&stack.call("/nowhere", None).await));
}
