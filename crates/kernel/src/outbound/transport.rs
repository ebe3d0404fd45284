//! The HTTP transport: one connection pool, HTTP/1.1 or 2, TLS with the system's root certificates. It follows no
//! redirects, uses no proxies from the environment and stores no cookies, so that requests go to the configured host.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::Uri;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{
        Client, Error as ClientError,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpStream;
use tower::{BoxError, Service, util::BoxCloneSyncService};

use crate::outbound::guard::Guard;

pub(crate) type Body = Full<Bytes>;
pub(crate) type Incoming = BoxBody<Bytes, std::io::Error>;

#[derive(Debug)]
pub(crate) enum TransportError {
    /// The connection failed, so that nothing was sent.
    NotConnected(String),
    /// The connection broke after the request may have been sent.
    Broken(String),
}

pub(crate) type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Incoming>, TransportError>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(60);

/// Creates a transport that uses the network.
pub(crate) fn new() -> anyhow::Result<Transport> {
    over(HttpConnector::new(), usize::MAX)
}

/// Creates a transport that resolves hosts with a guard. It keeps no idle connections, because there are many receivers
/// and each is called rarely.
pub(crate) fn guarded(guard: Guard) -> anyhow::Result<Transport> {
    over(HttpConnector::new_with_resolver(guard), 0)
}

fn over<R>(mut http: HttpConnector<R>, idle: usize) -> anyhow::Result<Transport>
where
    R: Clone + Send + Sync + 'static,
    HttpConnector<R>: Service<Uri, Response = TokioIo<TcpStream>, Error: Into<BoxError>, Future: Send>,
{
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_nodelay(true);
    http.enforce_http(false);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)?
        // The configuration decides where plain HTTP is acceptable.
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http);
    let client =
        Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(idle).build(https);
    Ok(BoxCloneSyncService::new(Network(client)))
}

#[derive(Debug, Clone)]
struct Network<C>(Client<C, Body>);

impl<C: Connect + Clone + Send + Sync + 'static> Service<http::Request<Body>> for Network<C> {
    type Response = http::Response<Incoming>;
    type Error = TransportError;
    type Future = BoxFuture<'static, Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), TransportError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let response = self.0.request(request);
        async move {
            let answer = response.await.map_err(|error| classify(&error))?;
            Ok(answer.map(|body| body.map_err(std::io::Error::other).boxed()))
        }
        .boxed()
    }
}

fn classify(error: &ClientError) -> TransportError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    if error.is_connect() { TransportError::NotConnected(text) } else { TransportError::Broken(text) }
}
