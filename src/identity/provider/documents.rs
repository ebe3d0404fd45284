//! Reads the documents of a provider.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use mainstay_kernel::{
    app::App,
    error::{Error, Reason, Result},
    outbound::{self, Bounds, Client, Receivers},
};

const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(4),
    attempt_timeout: Duration::from_secs(3),
    max_concurrency: 32,
    max_attempts: 2,
};

/// The maximum size of a document of a provider that an account has chosen, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// Calls one provider.
#[derive(Debug)]
pub(super) struct Documents {
    provider: String,
    channel: Channel,
}

/// How a provider is called.
#[derive(Debug)]
enum Channel {
    /// The operator has chosen the provider.
    Trusted(Client),
    /// An account has chosen the provider, which is therefore called at public addresses only, and by few calls at a time: a slow
    /// one leaves the places of the others.
    Guarded(Receivers, Arc<Semaphore>),
}

impl Documents {
    /// Opens the client of a provider.
    ///
    /// # Errors
    /// If the system has no root certificates.
    pub(super) fn open(provider: &str, app: &App) -> anyhow::Result<Self> {
        // Metrics and alerts of each provider are apart. The name lives as long as the process.
        let label = format!("oidc_{provider}").leak();
        Ok(Self { provider: provider.to_owned(), channel: Channel::Trusted(Client::new(label, BOUNDS, &app.alerts)?) })
    }

    /// Opens the client of a provider that an account has chosen.
    pub(super) fn guarded(provider: String, receivers: Receivers, places: Arc<Semaphore>) -> Self {
        Self { provider, channel: Channel::Guarded(receivers, places) }
    }

    /// Returns whether an account has chosen the provider.
    pub(super) fn is_guarded(&self) -> bool {
        matches!(self.channel, Channel::Guarded(..))
    }

    /// Takes a place among the callers that wait for a provider that an account has chosen; nothing for any other provider.
    ///
    /// # Errors
    /// `CIRCUIT_OPEN` if every place is taken, so that a slow provider does not hold more requests.
    pub(super) fn take_place<'p>(&self, places: &'p Semaphore) -> Result<Option<SemaphorePermit<'p>>> {
        if !self.is_guarded() {
            return Ok(None);
        }
        places.try_acquire().map(Some).map_err(|_| {
            let cause = anyhow::anyhow!("the provider {}: too many callers wait", self.provider);
            Error::new(Reason::CircuitOpen).caused_by(cause)
        })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Any error of the call.
    pub(super) async fn send(
        &self,
        request: outbound::Request,
    ) -> std::result::Result<outbound::Response, outbound::Error> {
        match &self.channel {
            Channel::Trusted(client) => client.send(request).await,
            Channel::Guarded(receivers, places) => {
                // The semaphore is never closed.
                let _place = places.acquire().await;
                receivers.fetch(request, MAX_BYTES).await
            }
        }
    }

    /// Reads a JSON document.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: &str, token: Option<&SecretString>) -> Result<T> {
        // GitHub refuses requests without a user agent.
        let mut request = http::Request::get(url).header(header::USER_AGENT, "mainstay");
        if let Some(token) = token {
            let mut bearer =
                HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(Error::internal)?;
            bearer.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.header(header::ACCEPT, "application/json").body(Bytes::new());
        let response: outbound::Response = self.send(request.map_err(|error| self.wrong(url, error))?).await?;
        self.read(response.body())
    }

    /// Reads a document with the address, without which a linked person signs in all the same; `None` if that fails.
    pub(super) async fn optional<T: DeserializeOwned>(&self, url: &str, token: &SecretString) -> Option<T> {
        let read = self.get(url, Some(token)).await;
        read.inspect_err(|error| {
            tracing::warn!(provider = self.provider, error = error.detail(), "an address could not be read");
        })
        .ok()
    }

    pub(super) fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| self.wrong("response", error))
    }

    /// Returns the error for a document of the provider that can't be used.
    pub(super) fn wrong(&self, what: &str, error: impl std::fmt::Display) -> Error {
        let cause = anyhow::anyhow!("the provider {}: {what}: {error}", self.provider);
        Error::new(Reason::UpstreamFailed).caused_by(cause)
    }
}
