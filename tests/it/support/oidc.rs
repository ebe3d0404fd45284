//! An OpenID Connect provider on a loopback socket that answers as it is told, and a browser with cookies.

mod browser;
mod endpoints;
mod real;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_lc_rs::signature::Ed25519KeyPair;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{TestApp, app::Builder, unique};

pub(crate) use browser::{Browser, Page};
pub(crate) use real::RealProvider;

use endpoints::router;

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
        let router = router(shared.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(
            async move { axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned()).await },
        );
        Self { shared, _stop: stop.drop_guard() }
    }

    /// What it answers.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script()
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
