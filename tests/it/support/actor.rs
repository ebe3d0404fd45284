//! Callers and the protocols they use.

use std::{fmt, net::SocketAddr, path::Path, sync::Arc};

use mainstay::identity::{
    session::{
        model::{Device, Proof},
        ops as sessions,
    },
    user::store as users,
};
use mainstay_dev_servers::Envoy;
use mainstay_kernel::{app::App, caller::Visibility, contract::policy::Role, http::envoy, id::UserId};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tonic::transport::Channel;
use uuid::Uuid;

use super::{Response, grpc, method, modules, rest, unique};

/// An entry point to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Rest,
    /// REST through a real Envoy, which transcodes.
    Envoy,
}

/// The protocols; every behavior is tested through each of them.
pub(crate) const PROTOCOLS: [Protocol; 3] = [Protocol::Grpc, Protocol::Rest, Protocol::Envoy];

/// A server and the connections to it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) channel: Channel,
    /// The server, if it runs in this process.
    app: Option<InProcess>,
    envoy: Arc<OnceCell<Envoy>>,
}

impl Endpoint {
    /// Creates an endpoint that connects on its first call.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // Shorter than the server's idle timeout: a request that crosses the server's close is lost.
            .pool_idle_timeout(std::time::Duration::from_secs(30))
            .http1_only()
            .build()
            .expect("a client");
        let channel = Channel::from_shared(format!("http://{address}")).expect("a URL").connect_lazy();
        Self { address, http, channel, app: None, envoy: Arc::default() }
    }

    /// An endpoint of a server in this process. Its callers begin sessions without a password, because its deliberately
    /// slow hash would dominate the cost of tests that cover all methods and roles.
    pub(crate) fn of(address: SocketAddr, app: &App) -> Self {
        Self { app: Some(InProcess(app.clone())), ..Self::new(address) }
    }

    /// The Envoy in front of the server, started on first use.
    pub(crate) async fn envoy(&self) -> &Envoy {
        self.envoy.get_or_init(|| start_envoy(envoy_options(&[self.address]))).await
    }

    /// `http://address` of the server itself or of the Envoy in front of it.
    pub(crate) async fn base_of(&self, protocol: Protocol) -> String {
        match protocol {
            Protocol::Envoy => format!("http://{}", self.envoy().await.address()),
            Protocol::Grpc | Protocol::Rest => self.base(),
        }
    }

    /// `http://address` of the server.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Fetches a page, or any path unchanged.
    pub(crate) async fn get(&self, path: &str) -> Response {
        rest::read(self.http.get(format!("{}{path}", self.base())).send().await.expect("an answer")).await
    }
}

/// A server in this process.
#[derive(Clone)]
struct InProcess(App);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

/// The options of an Envoy in front of these servers, on free ports.
pub(crate) fn envoy_options(upstreams: &[SocketAddr]) -> envoy::Options {
    let free = || "127.0.0.1:0".parse().expect("an address");
    envoy::Options {
        listen: free(),
        admin: free(),
        upstreams: upstreams.iter().map(|address| address.to_string().parse().expect("an address")).collect(),
        descriptors: "replaced".into(),
        allowed_origins: Vec::new(),
        max_request_bytes: 1 << 20,
        max_in_flight: 1024,
        tls: None,
        issuer: None,
    }
}

/// Starts an Envoy with the configuration that `mainstay envoy` prints for these options.
pub(crate) async fn start_envoy(mut options: envoy::Options) -> Envoy {
    let configuration = |descriptors: &Path| {
        options.descriptors = descriptors.to_owned();
        envoy::configuration(modules().contract, &options)
    };
    Envoy::start(&modules().contract.encoded, configuration).await.expect("an Envoy")
}

/// A user of a test.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) account: Uuid,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) role: Role,
}

/// A caller.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) endpoint: Endpoint,
    credential: Credential,
}

#[derive(Debug, Clone)]
enum Credential {
    None,
    /// Sent unchanged.
    Token(String),
    /// Signs in on first use.
    User(User, Arc<OnceCell<String>>),
    /// A user creates the key on first use, by this request.
    Service(Box<Actor>, Value, Arc<OnceCell<(String, String)>>),
}

impl Actor {
    /// An anonymous caller.
    pub(crate) fn anonymous(endpoint: &Endpoint) -> Self {
        Self { endpoint: endpoint.clone(), credential: Credential::None }
    }

    /// A caller with this token.
    pub(crate) fn bearer(endpoint: &Endpoint, token: impl Into<String>) -> Self {
        Self { endpoint: endpoint.clone(), credential: Credential::Token(token.into()) }
    }

    /// A user.
    pub(crate) fn user(endpoint: &Endpoint, user: User) -> Self {
        Self { endpoint: endpoint.clone(), credential: Credential::User(user, Arc::default()) }
    }

    /// A service with a key of these scopes, created by `admin`.
    pub(crate) fn service(admin: &Self, scopes: &[String]) -> Self {
        Self::key(admin, json!({ "scopes": scopes }))
    }

    /// A program with a key that `creator` creates by this request.
    pub(crate) fn key(creator: &Self, request: Value) -> Self {
        let credential = Credential::Service(Box::new(creator.clone()), request, Arc::default());
        Self { endpoint: creator.endpoint.clone(), credential }
    }

    /// The same caller at another instance.
    pub(crate) fn at(&self, endpoint: &Endpoint) -> Self {
        Self { endpoint: endpoint.clone(), credential: self.credential.clone() }
    }

    /// Whether the caller is a program with a key.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self.credential, Credential::Service(..))
    }

    /// The user behind the caller.
    #[track_caller]
    pub(crate) fn as_user(&self) -> &User {
        match &self.credential {
            Credential::User(user, _) => user,
            other => panic!("no user: {other:?}"),
        }
    }

    /// The id of the caller's principal; empty for an anonymous caller.
    pub(crate) async fn principal(&self) -> String {
        match &self.credential {
            Credential::User(user, _) => user.id.to_string(),
            Credential::Service(creator, request, key) => service_key(creator, request, key).await.0,
            Credential::None | Credential::Token(_) => String::new(),
        }
    }

    /// The bearer token, if any.
    pub(crate) async fn token(&self) -> Option<String> {
        match &self.credential {
            Credential::None => None,
            Credential::Token(token) => Some(token.clone()),
            Credential::User(user, token) => {
                let begin = || async {
                    match &self.endpoint.app {
                        Some(InProcess(app)) => begin_session(app, user).await,
                        None => sign_in(&self.endpoint, user).await.success().text("/data/accessToken"),
                    }
                };
                Some(token.get_or_init(begin).await.clone())
            }
            Credential::Service(creator, request, key) => Some(service_key(creator, request, key).await.1),
        }
    }

    /// Calls `Service.Method` with a request in proto JSON.
    pub(crate) async fn call(&self, protocol: Protocol, name: &str, request: Value) -> Response {
        self.call_with(protocol, name, request, &[]).await
    }

    /// Does the same as [`Actor::call`], over REST.
    pub(crate) async fn rest(&self, name: &str, request: Value) -> Response {
        self.call(Protocol::Rest, name, request).await
    }

    /// Does the same as [`Actor::call`], with an idempotency key.
    pub(crate) async fn keyed(&self, protocol: Protocol, name: &str, request: Value, key: &str) -> Response {
        self.call_with(protocol, name, request, &[("idempotency-key", key)]).await
    }

    /// Does the same as [`Actor::call`], with headers, which are metadata over gRPC.
    pub(crate) async fn call_with(
        &self,
        protocol: Protocol,
        name: &str,
        request: Value,
        headers: &[(&str, &str)],
    ) -> Response {
        let mut all: Vec<(String, String)> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        if let Some(token) = Box::pin(self.token()).await {
            all.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        let method = method(name);
        // Without optimization, the frame of a test has room for each of its calls, twice over.
        match protocol {
            Protocol::Grpc => Box::pin(grpc::call(self.endpoint.channel.clone(), method, &request, &all)).await,
            Protocol::Rest | Protocol::Envoy => {
                let base = Box::pin(self.endpoint.base_of(protocol)).await;
                Box::pin(rest::call(&self.endpoint.http, &base, method, &request, &all)).await
            }
        }
    }
}

/// Signs a user in.
pub(crate) async fn sign_in(endpoint: &Endpoint, user: &User) -> Response {
    let request = json!({ "email": user.email, "password": user.password });
    Actor::anonymous(endpoint).rest("AuthService.Login", request).await
}

/// Begins a session without a password, and returns its access token.
async fn begin_session(app: &App, user: &User) -> String {
    let id = UserId(user.id);
    let owner = app.database.autocommit(async move |connection| users::get(connection, Visibility::All, id).await);
    let device = Device::new("tests", "127.0.0.1".to_owned());
    let proof = Proof::password(app.clock.now());
    let tokens =
        sessions::begin(app, &owner.await.expect("a user"), device, None, None, proof).await.expect("a session");
    tokens.access.expose_secret().to_owned()
}

async fn service_key(creator: &Actor, request: &Value, key: &OnceCell<(String, String)>) -> (String, String) {
    let make = || async {
        let mut request = request.clone();
        request["name"] = format!("test {}", unique()).into();
        let response = Box::pin(creator.rest("ServiceKeyService.CreateServiceKey", request)).await.success();
        (response.id(), response.text("/secret"))
    };
    key.get_or_init(make).await.clone()
}
