//! An OpenID Connect provider on a loopback socket that answers as it is told, and a browser with cookies.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mainstay_kernel::clock::Clock;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Endpoint, TestApp, app::Builder, unique};

/// The secret of the client at the provider.
const SECRET: &str = "hunter2";

/// How the provider signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Right,
    /// `alg: none`, without a signature.
    None,
    /// HMAC under the published key.
    HmacOfPublicKey,
    /// By a key of another provider under the id of the published one.
    OtherKey,
}

/// What the provider answers.
#[derive(Debug)]
pub(crate) struct Script {
    /// The person who signs in: claims that are added to those that are right, or replace them.
    pub(crate) claims: Value,
    pub(crate) signature: Signature,
    /// Members that are added to the metadata, or replace those that are right.
    pub(crate) metadata: Value,
    /// The answer of the userinfo endpoint.
    pub(crate) userinfo: Option<Value>,
    /// The `iss` of the authorization response; absent if `None`.
    pub(crate) response_issuer: Option<String>,
    /// The number of the key that signs, and whether it is published.
    pub(crate) key: usize,
    pub(crate) is_key_published: bool,
    /// Whether a code is accepted again, which RFC 6749, 4.1.2, forbids.
    pub(crate) is_code_reusable: bool,
    /// The status of the answer to a wrong code.
    pub(crate) refusal: StatusCode,
    /// How long the tokens, the keys and the address take.
    pub(crate) delay: Duration,
    /// How often the keys were read.
    pub(crate) keys_read: usize,
    codes: HashMap<String, Grant>,
}

/// What a code stands for.
#[derive(Debug, Clone)]
struct Grant {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

#[derive(Debug, Clone)]
struct Shared {
    base: String,
    script: Arc<Mutex<Script>>,
    keys: Arc<[Vec<u8>; 3]>,
}

/// A running provider. Dropping it stops the server.
#[derive(Debug)]
pub(crate) struct Provider {
    shared: Shared,
    _stop: DropGuard,
}

impl Provider {
    /// Starts a provider whose person is new.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let script = Script {
            claims: json!({ "sub": unique(), "email": format!("{}@corp.example", unique()), "email_verified": true, "name": "Ada" }),
            signature: Signature::Right,
            metadata: json!({}),
            userinfo: None,
            response_issuer: Some(base.clone()),
            key: 0,
            is_key_published: true,
            is_code_reusable: false,
            refusal: StatusCode::BAD_REQUEST,
            delay: Duration::ZERO,
            keys_read: 0,
            codes: HashMap::new(),
        };
        let keys = [(); 3].map(|()| {
            let pair = Ed25519KeyPair::generate().expect("a key");
            pair.to_pkcs8().expect("written").as_ref().to_vec()
        });
        let shared = Shared { base, script: Arc::new(Mutex::new(script)), keys: Arc::new(keys) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys_of))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .route("/login/oauth/authorize", get(authorize))
            .route("/login/oauth/access_token", post(token))
            .route("/api/v3/user", get(github_user))
            .route("/api/v3/user/emails", get(github_addresses))
            .with_state(shared.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(
            async move { axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned()).await },
        );
        Self { shared, _stop: stop.drop_guard() }
    }

    /// What it answers.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().expect("no panic")
    }

    pub(crate) fn issuer(&self) -> String {
        self.shared.base.clone()
    }

    /// Sets a claim of the person.
    pub(crate) fn claim(&self, name: &str, value: impl Into<Value>) {
        self.script().claims[name] = value.into();
    }

    /// The address of the person.
    pub(crate) fn email(&self) -> String {
        self.script().claims["email"].as_str().expect("an address").to_owned()
    }

    /// Returns the settings of an app that signs people in with this provider under a name.
    pub(crate) fn settings(&self, name: &str) -> [(String, String); 3] {
        let variable = |setting: &str| format!("OIDC_{}_{setting}", name.to_ascii_uppercase());
        [
            (variable("ISSUER"), self.issuer()),
            (variable("CLIENT_ID"), "mainstay".to_owned()),
            (variable("CLIENT_SECRET"), SECRET.to_owned()),
        ]
    }
}

/// Returns the builder of an app with a provider under the name `corp`.
pub(crate) fn builder_with(provider: &Provider) -> Builder {
    let settings = provider.settings("corp");
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    TestApp::builder().set("PUBLIC_URL", "http://app.example").set("OIDC_PROVIDERS", "corp").set_all(settings)
}

/// Starts an app with a provider under the name `corp`.
pub(crate) async fn app_with(provider: &Provider) -> TestApp {
    builder_with(provider).start().await
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no panic")
    }

    async fn wait(&self) {
        let delay = self.script().delay;
        tokio::time::sleep(delay).await;
    }

    fn public(&self, number: usize) -> String {
        let pair = Ed25519KeyPair::from_pkcs8(&self.keys[number]).expect("a key");
        BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref())
    }

    fn sign(&self, claims: &Value) -> String {
        let (signature, number) = {
            let script = self.script();
            (script.signature, script.key)
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(format!("key-{number}"));
        let by = |number: usize| EncodingKey::from_ed_der(&self.keys[number]);
        let encode = |header: &Header, key: &EncodingKey| jsonwebtoken::encode(header, claims, key).expect("a token");
        match signature {
            Signature::Right => encode(&header, &by(number)),
            Signature::OtherKey => encode(&header, &by(2)),
            Signature::HmacOfPublicKey => {
                header.alg = Algorithm::HS256;
                encode(&header, &EncodingKey::from_base64_secret(&pad(&self.public(number))).expect("a secret"))
            }
            Signature::None => {
                let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
                format!("{}.{}.", part(&json!({ "alg": "none", "kid": format!("key-{number}") })), part(claims))
            }
        }
    }
}

/// Returns base64url without padding as base64 with padding.
fn pad(text: &str) -> String {
    let text = text.replace('-', "+").replace('_', "/");
    let padding = "=".repeat((4 - text.len() % 4) % 4);
    format!("{text}{padding}")
}

fn merge(mut value: Value, changes: &Value) -> Value {
    for (name, change) in changes.as_object().expect("an object") {
        value[name] = change.clone();
    }
    value
}

async fn metadata(State(shared): State<Shared>) -> Json<Value> {
    let url = |path: &str| format!("{}{path}", shared.base);
    let right = json!({
        "issuer": shared.base,
        "authorization_endpoint": url("/authorize"),
        "token_endpoint": url("/token"),
        "jwks_uri": url("/keys"),
        "userinfo_endpoint": url("/userinfo"),
        "authorization_response_iss_parameter_supported": true,
    });
    Json(merge(right, &shared.script().metadata))
}

async fn keys_of(State(shared): State<Shared>) -> Json<Value> {
    shared.wait().await;
    let (number, is_published) = {
        let mut script = shared.script();
        script.keys_read += 1;
        (script.key, script.is_key_published)
    };
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": format!("key-{number}"), "x": shared.public(number) });
    Json(json!({ "keys": if is_published { vec![key] } else { Vec::new() } }))
}

/// Signs the person in at once, as a provider does that has a session of the browser.
async fn authorize(State(shared): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    let of = |name: &str| query.get(name).cloned().unwrap_or_default();
    // PKCE missing: such a request is refused, as RFC 9700, 2.1.1, asks.
    if of("code_challenge_method") != "S256" || of("client_id") != "mainstay" || of("response_type") != "code" {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let code = unique();
    let grant = Grant { nonce: of("nonce"), challenge: of("code_challenge"), redirect_uri: of("redirect_uri") };
    let issuer = {
        let mut script = shared.script();
        script.codes.insert(code.clone(), grant);
        script.response_issuer.clone()
    };
    let mut url: url::Url = of("redirect_uri").parse().expect("a URL");
    url.query_pairs_mut().append_pair("state", &of("state")).append_pair("code", &code);
    if let Some(issuer) = issuer {
        url.query_pairs_mut().append_pair("iss", &issuer);
    }
    Redirect::to(url.as_str()).into_response()
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    shared.wait().await;
    let form: HashMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let of = |name: &str| form.get(name).cloned().unwrap_or_default();
    let basic = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("mainstay:{SECRET}")));
    // A client sends its secret in the header, or in the form as GitHub asks.
    let is_client = match headers.get(header::AUTHORIZATION) {
        Some(value) => value.as_bytes() == basic.as_bytes(),
        None => of("client_id") == "mainstay" && of("client_secret") == SECRET,
    };
    if !is_client {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let grant = {
        let (mut script, code) = (shared.script(), of("code"));
        if script.is_code_reusable { script.codes.get(&code).cloned() } else { script.codes.remove(&code) }
    };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(of("code_verifier")));
    let is_right = |grant: &Grant| grant.challenge == challenge && grant.redirect_uri == of("redirect_uri");
    let Some(grant) = grant.filter(is_right) else {
        let status = shared.script().refusal;
        return (status, Json(json!({ "error": "invalid_grant" }))).into_response();
    };
    let now = Clock::default().now().timestamp();
    let right = json!({ "iss": shared.base, "aud": "mainstay", "exp": now + 300, "iat": now, "auth_time": now, "nonce": grant.nonce });
    let claims = merge(right, &shared.script().claims);
    let id_token = shared.sign(&claims);
    Json(json!({ "access_token": "opaque", "token_type": "Bearer", "id_token": id_token })).into_response()
}

async fn userinfo(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    shared.wait().await;
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value.as_bytes() != b"Bearer opaque") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match shared.script().userinfo.clone() {
        Some(info) => Json(info).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The person, at the API of a GitHub Enterprise Server.
async fn github_user(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    match headers.get(header::AUTHORIZATION) {
        Some(value) if value.as_bytes() == b"Bearer opaque" => {
            let name = shared.script().claims["name"].clone();
            Json(json!({ "id": 7_000_001, "login": "ada", "name": name })).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// The addresses of the person; without an address, the scope was withdrawn.
async fn github_addresses(State(shared): State<Shared>) -> Response {
    let claims = shared.script().claims.clone();
    let other = json!({ "email": format!("{}@other.example", unique()), "primary": false, "verified": true });
    match claims["email"].as_str() {
        Some(email) => {
            let primary = json!({ "email": email, "primary": true, "verified": claims["email_verified"] });
            Json(json!([other, primary])).into_response()
        }
        None => StatusCode::FORBIDDEN.into_response(),
    }
}

/// The implementation of another author (npm's `oidc-provider`), as a process. Its only person is `grace@real.example`. The
/// process ends with this value.
#[derive(Debug)]
pub(crate) struct RealProvider {
    child: std::process::Child,
    port: u16,
}

impl RealProvider {
    /// Starts a provider for the name `real` in the configuration.
    pub(crate) async fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "how `make test` passes the path of the packages")]
        let packages =
            std::env::var("OIDC_PROVIDER_PACKAGES").expect("OIDC_PROVIDER_PACKAGES, which scripts/test sets");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/oidc_provider/server.mjs");
        let mut command = std::process::Command::new("node");
        command.args([script, packages.as_str(), "http://app.example/auth/oidc/real/callback"]);
        let (child, port) = super::python::listening(command, "oidc_provider").await;
        Self { child, port }
    }

    /// Starts an app that signs people in with this provider.
    pub(crate) async fn app(&self) -> TestApp {
        let app = TestApp::builder().set("PUBLIC_URL", "http://app.example").set("OIDC_PROVIDERS", "real");
        let app = app.set("OIDC_REAL_ISSUER", format!("http://127.0.0.1:{}", self.port));
        app.set("OIDC_REAL_CLIENT_ID", "mainstay").set("OIDC_REAL_CLIENT_SECRET", SECRET).start().await
    }
}

impl Drop for RealProvider {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// A browser: it follows no redirect by itself, and keeps cookies, whatever their paths.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    http: reqwest::Client,
    pub(crate) cookies: BTreeMap<String, String>,
    base: String,
}

/// A response that a browser got.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) body: Value,
}

impl Page {
    /// Returns the code of an error in the body.
    pub(crate) fn reason(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Browser {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { http, cookies: BTreeMap::new(), base: endpoint.base() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header("cookie", cookies.join("; ")).send().await.expect("an answer");
        let text = |value: &reqwest::header::HeaderValue| value.to_str().expect("ASCII").to_owned();
        let set_cookies: Vec<_> = response.headers().get_all("set-cookie").iter().map(text).collect();
        for line in &set_cookies {
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            if line.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, location) = (response.status().as_u16(), response.headers().get("location").map(text));
        let body = response.bytes().await.expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Page { status, location: location.unwrap_or_default(), set_cookies, body }
    }

    /// Goes to a page of the app.
    pub(crate) async fn open(&mut self, path: &str) -> Page {
        let request = self.http.get(format!("{}{path}", self.base));
        self.send(request).await
    }

    /// Sends a request as a script of a page of the app.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Page {
        let request = self.http.post(format!("{}{path}", self.base)).header("origin", &self.base).json(body);
        self.send(request).await
    }

    /// Sends a form, as a page of another site.
    pub(crate) async fn post_form(&mut self, path: &str, form: &str) -> Page {
        let request = self.http.post(format!("{}{path}", self.base)).header("origin", "https://id.example");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        self.send(request).await
    }

    /// Signs in at the provider, and returns the path of the app to which the provider sends the browser.
    pub(crate) async fn authorize(&self, url: &str) -> String {
        let response = self.http.get(url).send().await.expect("an answer");
        assert_eq!(response.status(), 303, "{url}");
        let back = response.headers()["location"].to_str().expect("ASCII").to_owned();
        back.strip_prefix("http://app.example").expect("the redirect URI is that of PUBLIC_URL").to_owned()
    }

    /// Signs in at the provider like [`authorize`](Self::authorize), over as many pages as the provider has.
    pub(crate) async fn authorize_fully(&mut self, url: &str) -> String {
        let mut url: url::Url = url.parse().expect("a URL");
        for _ in 0..10 {
            if let Some(path) = url.as_str().strip_prefix("http://app.example") {
                return path.to_owned();
            }
            let request = self.http.get(url.clone());
            let page = self.send(request).await;
            url = url.join(&page.location).unwrap_or_else(|error| panic!("{error}: {page:#?}"));
        }
        panic!("the pages do not end: {url}")
    }

    /// Begins a sign-in, and returns the path to which the provider sends the browser.
    pub(crate) async fn begin(&mut self, name: &str) -> String {
        let started = self.open(&format!("/auth/oidc/{name}")).await;
        assert_eq!(started.status, 303, "{started:#?}");
        self.authorize(&started.location).await
    }

    /// Signs in with a provider, and returns the last page.
    pub(crate) async fn sign_in(&mut self, name: &str) -> Page {
        let back = self.begin(name).await;
        self.open(&back).await
    }

    /// Returns an access token of the session.
    pub(crate) async fn access_token(&mut self) -> String {
        let refreshed = self.post("/session/refresh", &json!({})).await;
        refreshed.body["data"]["accessToken"].as_str().unwrap_or_else(|| panic!("{refreshed:#?}")).to_owned()
    }
}
