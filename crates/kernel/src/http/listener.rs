//! The listener: HTTP/1.1 and HTTP/2 on one port, with or without TLS, with bounds on connections, streams, headers and
//! time, and a graceful drain.

pub mod tls;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    caller::{PeerAddress, PeerCaller},
    http::middleware::layer::{Body, Next},
};
use tls::Tls;

/// Bounds on a connection.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The maximum number of open connections; more wait in the kernel's queue.
    pub connections: usize,
    /// How long requests in flight may take to finish.
    pub drain: Duration,
    /// How long to keep accepting connections after the stop signal.
    pub drain_delay: Duration,
}

const MAX_HEADER_BYTES: usize = 32 << 10;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const MAX_STREAMS: u32 = 256;
/// Old connections are shut down gracefully, so that load spreads over new instances.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// Serves until `stop` resolves, then drains: accepts connections for the drain delay, lets requests in flight finish
/// within the bound, then cuts off the rest. Returns whether all requests finished.
pub async fn serve<S: Next + Sync>(
    listener: TcpListener,
    tls: Option<Tls>,
    service: S,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) -> bool {
    let tls = tls.map(Arc::new);
    let renewing = tls.clone().map(|tls| tokio::spawn(async move { tls.renew().await }));
    let connections = TaskTracker::new();
    let draining = CancellationToken::new();
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER_BYTES * 2);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .adaptive_window(true);
    let mut stop = std::pin::pin!(async {
        stop.await;
        tokio::time::sleep(bounds.drain_delay).await;
    });
    loop {
        let (place, (stream, peer)) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&places, &listener) => accepted,
        };
        stream.set_nodelay(true).ok();
        let (builder, tls, service, draining) = (builder.clone(), tls.clone(), service.clone(), draining.clone());
        connections.spawn(async move {
            let peer = PeerAddress(peer);
            match tls {
                None => hold(&builder, stream, service, (peer, None), draining).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok((stream, caller)) => hold(&builder, stream, service, (peer, caller), draining).await,
                    Err(error) => {
                        metrics::counter!("mainstay_tls_handshakes_failed_total").increment(1);
                        tracing::debug!(%error, "TLS handshake failed");
                    }
                },
            }
            drop(place);
        });
    }
    if let Some(renewing) = renewing {
        renewing.abort();
    }
    drop(listener);
    draining.cancel();
    connections.close();
    tokio::time::timeout(bounds.drain, connections.wait()).await.is_ok()
}

/// Serves a connection until it ends, is too old or the server drains.
async fn hold<S: Next + Sync>(
    builder: &auto::Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    (peer, caller): (PeerAddress, Option<PeerCaller>),
    draining: CancellationToken,
) {
    let service = service.map_request(move |request: http::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        if let Some(caller) = &caller {
            request.extensions_mut().insert(caller.clone());
        }
        request
    });
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        _ = connection.as_mut() => true,
        () = draining.cancelled() => false,
        () = tokio::time::sleep(MAX_AGE) => false,
    };
    if !ended {
        connection.as_mut().graceful_shutdown();
        // Most likely the client closed the connection; an interrupted request has its own log line.
        connection.await.ok();
    }
}

type Accepted = (tokio::sync::OwnedSemaphorePermit, (tokio::net::TcpStream, SocketAddr));

async fn accept(places: &Arc<Semaphore>, listener: &TcpListener) -> Accepted {
    loop {
        let place = places.clone().acquire_owned().await.expect("never closed");
        match listener.accept().await {
            Ok(accepted) => return (place, accepted),
            Err(error) => {
                // Most likely out of file descriptors: give connections time to end.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
