//! The network: one pool of connections, HTTP/1.1 or 2, TLS by the system's roots. No redirects, no proxies from the
//! environment, no cookies: a provider is called where the configuration says.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error as ClientError, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Service, util::BoxCloneSyncService};

/// The body of a request.
pub(super) type Body = Full<Bytes>;
/// The body of an answer.
pub(super) type Incoming = BoxBody<Bytes, std::io::Error>;

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Failed {
    /// There was no connection, so nothing was sent.
    NotConnected(String),
    /// The connection broke while a request was on it.
    Broken(String),
}

/// What a transport is.
pub(super) type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Incoming>, Failed>;

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(60);

/// A transport over the network.
///
/// # Errors
/// When the system has no root certificates.
pub(super) fn new() -> anyhow::Result<Transport> {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_WITHIN));
    http.set_nodelay(true);
    http.enforce_http(false);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)?
        // The configuration decides where plain HTTP is good enough.
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http);
    let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(https);
    Ok(BoxCloneSyncService::new(Network(client)))
}

#[derive(Debug, Clone)]
struct Network(Client<HttpsConnector<HttpConnector>, Body>);

impl Service<http::Request<Body>> for Network {
    type Response = http::Response<Incoming>;
    type Error = Failed;
    type Future = BoxFuture<'static, Result<Self::Response, Failed>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Failed>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let sent = self.0.request(request);
        async move {
            let answer = sent.await.map_err(|error| failed(&error))?;
            Ok(answer.map(|body| body.map_err(std::io::Error::other).boxed()))
        }
        .boxed()
    }
}

fn failed(error: &ClientError) -> Failed {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    if error.is_connect() { Failed::NotConnected(text) } else { Failed::Broken(text) }
}
