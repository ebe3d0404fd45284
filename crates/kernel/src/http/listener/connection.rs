//! One connection, until it ends, reaches its maximum age, or the server drains.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http_body::Body as _;
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{Bounds, guarded::Guarded, places::Place, request_body::Bodies, tls::Tls};
use crate::{
    caller::{PeerAddress, PeerCaller},
    http::{
        exchange::StreamExecutor,
        middleware::{
            layer::{Body, Next, Response, ResponseFuture},
            protocol,
        },
    },
};

const MAX_HEADER_BYTES: usize = 32 << 10;
/// The timeout of the first bytes, and of the headers of a request after their first byte.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_STREAMS: u32 = 256;
/// The send buffer of an HTTP/2 stream; beyond it, the response is not polled.
const MAX_STREAM_BUFFER: usize = 64 << 10;
/// What an HTTP/2 stream may send before it is read, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
/// What all streams of an HTTP/2 connection may send before it is read, in bytes. Half of it is h2's budget for small DATA frames
/// that are not read yet, beyond which h2 ends the connection. As many bytes may be held for handlers that are behind, so that a
/// connection has at most twice as many.
const CONNECTION_WINDOW: u32 = 1 << 20;

pub(super) type Protocols = auto::Builder<StreamExecutor>;

pub(super) fn protocols(bounds: &Bounds) -> Protocols {
    let mut builder = auto::Builder::new(StreamExecutor);
    // The idle timeout: hyper counts from the end of the previous request. The guard bounds the headers.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.idle).max_buf_size(MAX_HEADER_BYTES * 2);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_send_buf_size(MAX_STREAM_BUFFER)
        .keep_alive_interval(bounds.keep_alive)
        .keep_alive_timeout(bounds.keep_alive)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

pub(super) struct ConnectionServer<S> {
    pub(super) protocols: Protocols,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) service: S,
    pub(super) bounds: Bounds,
}

impl<S: Next + Sync> ConnectionServer<S> {
    pub(super) async fn run(self: Arc<Self>, stream: TcpStream, peer: PeerAddress, place: Place) {
        place.connection.clone().scope(self.handshake(stream, peer, &place)).await;
    }

    async fn handshake(&self, stream: TcpStream, peer: PeerAddress, place: &Place) {
        let Some(tls) = &self.tls else { return self.serve(stream, (peer, None), place).await };
        let outcome = tokio::select! {
            outcome = tls.accept(stream) => outcome,
            () = place.connection.closing.cancelled() => return,
        };
        match outcome {
            // In a box, because connections without TLS would be as large.
            Ok((stream, caller)) => Box::pin(self.serve(stream, (peer, caller), place)).await,
            Err(error) => {
                metrics::counter!("mainstay_tls_handshakes_failed_total").increment(1);
                tracing::debug!(%error, "TLS handshake failed");
            }
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        (peer, caller): (PeerAddress, Option<PeerCaller>),
        place: &Place,
    ) {
        let (service, bodies) = (Mutex::new(self.service.clone()), Bodies::new(place.connection.clone()));
        let io = TokioIo::new(Guarded::new(stream, bodies.clone(), HEADER_TIMEOUT, self.bounds.stalled_after));
        let service = ConnectionService { service, peer, caller, bodies };
        let mut connection = pin!(self.protocols.serve_connection(io, service));
        let has_ended = tokio::select! {
            _ = connection.as_mut() => true,
            () = place.connection.closing.cancelled() => false,
            () = tokio::time::sleep(self.bounds.max_age) => false,
        };
        if !has_ended {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                // Most likely the client closed the connection; an interrupted request has its own log line.
                _ = connection => {}
                // HTTP/2 waits for the peer's acknowledgement, and accepts requests until then.
                () = place.connection.wait_until_idle() => {
                    metrics::counter!("mainstay_connections_closed_total", "reason" => "lingering").increment(1);
                }
                () = tokio::time::sleep(self.bounds.last_requests) => {}
            }
        }
    }
}

struct ConnectionService<S> {
    /// Never contended: a connection hands over one request after the other.
    service: Mutex<S>,
    peer: PeerAddress,
    caller: Option<PeerCaller>,
    bodies: Arc<Bodies>,
}

impl<S: Next> Service<http::Request<Incoming>> for ConnectionService<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: http::Request<Incoming>) -> ResponseFuture {
        self.bodies.connection.begin_request();
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(self.peer);
        if let Some(caller) = &self.caller {
            parts.extensions.insert(caller.clone());
        }
        let is_stream = parts.version == http::Version::HTTP_2;
        let (body, rest) = match body.is_end_stream() {
            true => (Body::new(body), None),
            false => {
                let (body, rest) = self.bodies.track(body, &parts.headers);
                (body, Some(rest))
            }
        };
        let request = http::Request::from_parts(parts, body);
        let mut service = self.service.lock();
        match rest {
            None if !is_stream => service.pass(request),
            Some(rest) if !is_stream => {
                let response = service.run(request);
                Box::pin(async move {
                    let mut response = response.await;
                    rest.settle(&mut response).await;
                    Ok(response)
                })
            }
            rest => {
                let is_grpc = matches!(protocol::name(&request), "grpc" | "envoy");
                let mut service = service.clone();
                // Each stream is a separate task, which begins with the first poll of this future: there the stack finds the
                // stream, and does not delay other streams of the connection.
                Box::pin(async move {
                    let response = service.run(request).await;
                    if let Some(rest) = rest {
                        if is_grpc {
                            rest.read_small().await;
                        }
                        rest.discard();
                    }
                    Ok(response)
                })
            }
        }
    }
}
