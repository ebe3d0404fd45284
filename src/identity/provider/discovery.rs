//! The metadata and the keys of a provider (OpenID Connect Discovery 1.0), cached.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};
use url::Url;

use super::{documents::Documents, model::KeySet, places::Places};
use mainstay_kernel::{
    clock::Clock,
    config::is_https_or_loopback,
    error::{Error, Reason, ReasonRef, Result},
};

/// How long the metadata is used.
const METADATA_LIFE: TimeDelta = TimeDelta::hours(1);
/// How long the keys are used: a key that the provider withdraws is refused from then on.
const KEYS_LIFE: TimeDelta = TimeDelta::minutes(10);
/// The minimum time between two reads of the keys because of an unknown key, which any ID token can name.
const RELOAD_INTERVAL: TimeDelta = TimeDelta::minutes(1);
/// How long a failed read is the answer of a provider that an account has chosen.
const FAILURE_LIFE: TimeDelta = TimeDelta::seconds(10);

/// The metadata of a provider.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    pub(super) userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207, 3.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Makes the metadata of a provider without keys.
    pub(super) fn of_oauth(issuer: &str, authorization_endpoint: String, token_endpoint: String) -> Self {
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint,
            token_endpoint,
            jwks_uri: String::new(),
            userinfo_endpoint: None,
            token_endpoint_auth_methods_supported: Some(vec!["client_secret_post".to_owned()]),
            authorization_response_iss_parameter_supported: false,
        }
    }

    /// Returns whether the token endpoint takes the client's secret in a header, which is the default.
    pub(super) fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }

    /// Checks that the document is that of an issuer, and that no endpoint is less protected than the issuer.
    fn check(&self, issuer: &str) -> std::result::Result<(), String> {
        if self.issuer != issuer {
            return Err(format!("the issuer is {}", self.issuer));
        }
        let is_plain = |url: &Url| url.scheme() == "http";
        let may_be_plain = issuer.parse::<Url>().is_ok_and(|url| is_plain(&url));
        let endpoints = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        let is_safe = |url: &Url| is_https_or_loopback(url) && (may_be_plain || !is_plain(url));
        match endpoints
            .into_iter()
            .chain(&self.userinfo_endpoint)
            .find(|text| !text.parse::<Url>().is_ok_and(|url| is_safe(&url)))
        {
            Some(endpoint) => Err(format!("the endpoint {endpoint} is no https URL")),
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Read<T> {
    value: T,
    at: DateTime<Utc>,
}

impl<T> Read<T> {
    fn is_younger(&self, age: TimeDelta, now: DateTime<Utc>) -> bool {
        (TimeDelta::zero()..age).contains(&(now - self.at))
    }
}

/// A failed read.
#[derive(Debug)]
struct Failure {
    reason: ReasonRef,
    message: String,
    detail: String,
}

impl Failure {
    fn of(error: &Error) -> Self {
        Self { reason: error.reason(), message: error.message().to_owned(), detail: error.detail() }
    }

    /// Returns the error of the read again.
    fn error(&self) -> Error {
        let cause = anyhow::anyhow!("the last read failed: {}", self.detail);
        Error::with_message(self.reason, self.message.clone()).caused_by(cause)
    }
}

/// A cached document. Concurrent callers share one read.
#[derive(Debug)]
struct Cached<T> {
    value: RwLock<Option<Read<T>>>,
    /// The last failure, which is kept only for a provider that an account has chosen.
    failure: RwLock<Option<Read<Failure>>>,
    /// Is held during a read.
    turn: Mutex<()>,
    waiting: Arc<Semaphore>,
}

impl<T: Clone> Cached<T> {
    fn new(waiting: Arc<Semaphore>) -> Self {
        Self { value: RwLock::default(), failure: RwLock::default(), turn: Mutex::default(), waiting }
    }

    /// Returns the document if it is younger than `life`, or else the failure of a moment ago.
    fn known(&self, life: TimeDelta, now: DateTime<Utc>) -> Option<Result<T>> {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = value.as_ref().filter(|read| read.is_younger(life, now)) {
            return Some(Ok(read.value.clone()));
        }
        let failure = self.failure.read().unwrap_or_else(PoisonError::into_inner);
        let failure = failure.as_ref().filter(|read| read.is_younger(FAILURE_LIFE, now));
        failure.map(|read| Err(read.value.error()))
    }

    /// Returns the document, which is read unless it is known.
    async fn get(
        &self,
        documents: &Documents,
        clock: &Clock,
        life: TimeDelta,
        read: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if let Some(known) = self.known(life, clock.now()) {
            return known;
        }
        let _place = documents.take_place(&self.waiting)?;
        let _turn = self.turn.lock().await;
        // Another caller may have read it meanwhile.
        let now = clock.now();
        if let Some(known) = self.known(life, now) {
            return known;
        }
        let outcome = read.await;
        match &outcome {
            Ok(value) => {
                let read = Read { value: value.clone(), at: now };
                *self.value.write().unwrap_or_else(PoisonError::into_inner) = Some(read);
            }
            // A call that was not sent proves nothing about the provider.
            Err(error) if documents.is_guarded() && error.reason() != Reason::CircuitOpen => {
                let read = Read { value: Failure::of(error), at: clock.now() };
                *self.failure.write().unwrap_or_else(PoisonError::into_inner) = Some(read);
            }
            Err(_) => {}
        }
        outcome
    }
}

/// The cached documents. A provider that can't be read is not used, because a sign-in calls the provider anyway.
#[derive(Debug)]
pub(super) struct Discovery {
    metadata: Cached<Metadata>,
    keys: Cached<Arc<KeySet>>,
}

impl Discovery {
    pub(super) fn new(places: &Places) -> Self {
        Self { metadata: Cached::new(places.metadata.clone()), keys: Cached::new(places.keys.clone()) }
    }

    /// Returns the metadata.
    ///
    /// # Errors
    /// `UPSTREAM_FAILED` and others of a call; `CIRCUIT_OPEN` if too many callers wait for the provider of an account.
    pub(super) async fn metadata(&self, documents: &Documents, issuer: &str, clock: &Clock) -> Result<Metadata> {
        self.metadata.get(documents, clock, METADATA_LIFE, read_metadata(documents, issuer)).await
    }

    /// Returns the keys. With `reload`, they are read again unless that was less than [`RELOAD_INTERVAL`] ago.
    ///
    /// # Errors
    /// As [`metadata`](Self::metadata).
    pub(super) async fn keys(
        &self,
        documents: &Documents,
        metadata: &Metadata,
        clock: &Clock,
        reload: bool,
    ) -> Result<Arc<KeySet>> {
        let life = if reload { RELOAD_INTERVAL } else { KEYS_LIFE };
        self.keys.get(documents, clock, life, read_keys(documents, metadata)).await
    }
}

async fn read_metadata(documents: &Documents, issuer: &str) -> Result<Metadata> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let metadata: Metadata = documents.get(&url, None).await?;
    metadata.check(issuer).map_err(|fault| documents.wrong("metadata", fault))?;
    Ok(metadata)
}

async fn read_keys(documents: &Documents, metadata: &Metadata) -> Result<Arc<KeySet>> {
    let set: Value = documents.get(&metadata.jwks_uri, None).await?;
    Ok(Arc::new(KeySet::read(&set)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(issuer: &str, change: Value) -> std::result::Result<(), String> {
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/keys",
        });
        for (name, value) in change.as_object().expect("an object") {
            document[name] = value.clone();
        }
        serde_json::from_value::<Metadata>(document).expect("metadata").check(issuer)
    }

    #[test]
    fn the_document_is_that_of_the_issuer_and_its_endpoints_have_tls() {
        const ISSUER: &str = "https://id.example";
        assert_eq!(check(ISSUER, json!({})), Ok(()));
        for bad in [
            json!({ "issuer": "https://id.example/" }),
            json!({ "issuer": "https://evil.example" }),
            json!({ "token_endpoint": "http://id.example/token" }),
            json!({ "jwks_uri": "http://127.0.0.1/keys" }),
            json!({ "userinfo_endpoint": "file:///etc/passwd" }),
            json!({ "authorization_endpoint": "javascript:alert(1)" }),
        ] {
            assert!(check(ISSUER, bad.clone()).is_err(), "{bad}");
        }
        assert_eq!(check("http://127.0.0.1:9", json!({ "jwks_uri": "http://127.0.0.1:9/keys" })), Ok(()));
        assert!(check("http://127.0.0.1:9", json!({ "jwks_uri": "http://10.0.0.1/keys" })).is_err());
    }
}
