//! The listener: HTTP/1.1 and HTTP/2 on one port, with or without TLS, with bounds on connections, streams, headers and
//! time, and a graceful drain.

mod connection;
mod frames;
mod guarded;
mod held;
mod places;
mod request_body;
pub mod tls;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{caller::PeerAddress, config, http::middleware::layer::Next};
use connection::ConnectionServer;
use places::Places;
use tls::Tls;

/// Bounds on the connections.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The maximum number of open connections. A further connection takes the place of an idle one, or waits for it. Up to a
    /// quarter more may be open until their peers agree to close them.
    pub connections: usize,
    /// The maximum number of connections from one network: an IPv4 address, or an IPv6 address' /64. Those of a site, a
    /// /48, have twice as many. Further connections are closed while none of these is idle.
    pub per_network: usize,
    /// How long a peer may go without reading what is sent to it.
    pub stalled_after: Duration,
    /// How long a connection of HTTP/1.1 stays open without a request.
    pub idle: Duration,
    /// How long requests in flight may take to finish.
    pub drain: Duration,
    /// How long connections are accepted after the stop signal.
    pub drain_delay: Duration,
    /// The time without a frame after which an HTTP/2 peer is sent a ping, and the timeout of its answer.
    pub keep_alive: Duration,
    /// The age at which a connection is shut down gracefully, so that load spreads over new instances.
    pub max_age: Duration,
    /// How long the requests of such a connection may take to finish.
    pub last_requests: Duration,
}

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// Longer than the deadline of any method.
const LAST_REQUESTS: Duration = Duration::from_secs(15 * 60);

impl Bounds {
    /// Returns the configured bounds. One network has at most a quarter of the connections, and a site half of them, unless
    /// the peers are proxies.
    pub fn new(server: &config::Server) -> Self {
        let connections = server.max_connections;
        Self {
            connections,
            per_network: if server.trusted_proxy_hops == 0 { connections.div_ceil(4) } else { connections },
            stalled_after: server.write_timeout,
            idle: server.keep_alive_timeout,
            drain: server.drain,
            drain_delay: server.drain_delay,
            keep_alive: KEEP_ALIVE,
            max_age: MAX_AGE,
            last_requests: LAST_REQUESTS,
        }
    }
}

/// Serves until `stop` resolves, then drains: accepts connections for the drain delay, lets requests in flight finish
/// within the bound, then aborts the others. Returns whether all requests finished.
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
    let places = Places::new(bounds.connections, bounds.per_network, draining.clone());
    let protocols = connection::protocols(&bounds);
    let server = Arc::new(ConnectionServer { protocols, tls, service, bounds });
    let mut stop = std::pin::pin!(async {
        stop.await;
        tokio::time::sleep(bounds.drain_delay).await;
    });
    loop {
        let arrival = async {
            let (stream, peer) = accept(&listener).await;
            let place = places.take(peer.ip()).await?;
            Some((stream, peer, place))
        };
        let arrival = tokio::select! {
            () = &mut stop => break,
            arrival = arrival => arrival,
        };
        if let Some((stream, peer, place)) = arrival {
            stream.set_nodelay(true).ok();
            let connection = place.connection.clone();
            let task = connections.spawn(server.clone().run(stream, PeerAddress(peer), place));
            connection.record_task(task.abort_handle());
        }
    }
    if let Some(renewing) = renewing {
        renewing.abort();
    }
    drop(listener);
    draining.cancel();
    connections.close();
    tokio::time::timeout(bounds.drain, connections.wait()).await.is_ok()
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(arrival) => return arrival,
            Err(error) => {
                // Most likely, no file descriptor is free: connections need time to end.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
        time::Instant,
    };

    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Semaphore,
    };
    use tonic::Status;

    use super::*;
    use crate::http::{
        exchange::{Exchange, LINGER},
        middleware::layer::{Body, Request, Response},
    };

    const SHORT: Duration = Duration::from_millis(300);
    /// Of connections that are closed for their age.
    const SHORT_BOUNDS: Bounds = Bounds {
        connections: 10,
        per_network: 10,
        stalled_after: Duration::from_secs(30),
        idle: Duration::from_secs(30),
        drain: SHORT,
        drain_delay: Duration::ZERO,
        keep_alive: LINGER,
        max_age: SHORT,
        last_requests: SHORT,
    };

    /// How long a connection on which a peer sends something lasts, at a server that never answers.
    async fn lasts(bounds: Bounds, bytes: &[u8]) -> Duration {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = tower::service_fn(|_: Request| async {
            let _counted = Exchange::current().and_then(|exchange| exchange.connection().enter());
            std::future::pending::<Result<Response, Infallible>>().await
        });
        let since = Instant::now();
        let served = tokio::spawn(serve(listener, None, service, bounds, std::future::pending()));
        let mut peer = TcpStream::connect(address).await.expect("connected");
        peer.write_all(bytes).await.expect("written");
        while peer.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {}
        served.abort();
        since.elapsed()
    }

    /// Thousands are idle, each with its task.
    #[tokio::test]
    async fn the_task_of_a_connection_is_small() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stream = TcpStream::connect(address).await.expect("connected");
        let bounds = Bounds { connections: 1, per_network: 1, ..SHORT_BOUNDS };
        let service = tower::service_fn(|_: Request| std::future::pending::<Result<Response, Infallible>>());
        let protocols = connection::protocols(&bounds);
        let server = Arc::new(ConnectionServer { tls: None, protocols, service, bounds });
        let place = Places::new(1, 1, CancellationToken::new()).take(address.ip()).await.expect("a place");
        let task = server.run(stream, PeerAddress(address), place);
        let bytes = size_of_val(&task);
        assert!(bytes < 4 << 10, "{bytes}: an async function keeps a future that it is given twice");
    }

    #[tokio::test]
    async fn an_old_connection_closes_and_its_requests_have_some_time() {
        let bounds = SHORT_BOUNDS;
        let idle = lasts(bounds, b"").await;
        assert!((SHORT..LINGER).contains(&idle), "{idle:?}");
        let asking = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let stalled = lasts(bounds, asking).await;
        assert!((SHORT * 2..LINGER).contains(&stalled), "{stalled:?}");
        let young = lasts(Bounds { max_age: SHORT * 3, ..bounds }, asking).await;
        assert!((SHORT * 4..LINGER).contains(&young), "{young:?}");
    }

    /// What a client gets that sends a request whose body is refused unread: the head of the response, and what follows.
    async fn refused(head: &str, body: &[u8]) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = tower::service_fn(|request: Request| async move {
            drop(request);
            Ok::<_, Infallible>(http::Response::builder().status(401).body(Body::empty()).expect("a response"))
        });
        let bounds = Bounds { max_age: KEEP_ALIVE, ..SHORT_BOUNDS };
        let served = tokio::spawn(serve(listener, None, service, bounds, std::future::pending()));
        let mut peer = TcpStream::connect(address).await.expect("connected");
        // As clients do that read nothing before they have sent all.
        peer.write_all(format!("POST / HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n").as_bytes()).await.expect("written");
        peer.write_all(body).await.expect("the server reads on");
        peer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.expect("written");
        let mut response = String::new();
        peer.read_to_string(&mut response).await.expect("no reset");
        served.abort();
        let (head, rest) = response.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), rest.to_owned())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_is_refused_unread_gets_its_response() {
        let large = vec![b'x'; 20 << 20];
        let chunked = [format!("{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n0\r\n\r\n"].concat();
        let length = |bytes: &[u8]| format!("content-length: {}", bytes.len());
        let cases = [(length(&large), &large), ("transfer-encoding: chunked".to_owned(), &chunked)];
        for (head, body) in cases {
            let (response, rest) = refused(&head, body).await;
            assert!(
                response.starts_with("HTTP/1.1 401 ") && response.contains("connection: close"),
                "{head}: {response}"
            );
            assert_eq!(rest, "", "the connection ends");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_small_body_that_is_refused_unread_leaves_its_connection_open() {
        let small = vec![b'x'; 60 << 10];
        let chunked = [format!("{:x}\r\n", small.len()).as_bytes(), &small, b"\r\n0\r\n\r\n"].concat();
        for (head, body) in [
            (format!("content-length: {}", small.len()), &small[..]),
            ("transfer-encoding: chunked".to_owned(), &chunked[..]),
            ("content-length: 2".to_owned(), b"{}"),
        ] {
            // A busy machine may need longer for a body than the server waits.
            let mut answers = refused(&head, body).await;
            for _ in 0..4 {
                if answers.0.contains("connection: close") {
                    answers = refused(&head, body).await;
                }
            }
            let (response, rest) = answers;
            assert!(!response.contains("connection: close"), "{head}: {response}");
            assert!(rest.starts_with("HTTP/1.1 401 "), "{head}: the next request is served: {rest}");
        }
    }

    /// Reads the text of a response.
    async fn text(response: http::Response<hyper::body::Incoming>) -> String {
        let text = response.into_body().collect().await.expect("a whole response").to_bytes();
        String::from_utf8(text.into()).expect("a text")
    }

    /// h2 would end the connection for some two thousand of them.
    #[tokio::test(flavor = "multi_thread")]
    async fn small_frames_that_a_handler_does_not_read_are_held_or_lost_for_it_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let gate = Arc::new(Semaphore::new(0));
        let opened = gate.clone();
        let service = tower::service_fn(move |request: Request| {
            let gate = gate.clone();
            async move {
                if request.uri().path() == "/late" {
                    gate.acquire().await.expect("it is open").forget();
                }
                let read = request.into_body().collect().await;
                let text = read.map_or_else(|_| "lost".to_owned(), |body| body.to_bytes().len().to_string());
                Ok::<_, Infallible>(http::Response::new(Body::new(Full::new(Bytes::from(text)))))
            }
        });
        let bounds = Bounds { max_age: KEEP_ALIVE, ..SHORT_BOUNDS };
        let served = tokio::spawn(serve(listener, None, service, bounds, std::future::pending()));
        let stream = TokioIo::new(TcpStream::connect(address).await.expect("connected"));
        let handshake = http2::handshake::<_, _, Body>(TokioExecutor::new(), stream).await;
        let (mut client, connection) = handshake.expect("HTTP/2");
        tokio::spawn(connection);
        let request =
            |path: &str, body: Body| http::Request::post(format!("http://a{path}")).body(body).expect("a request");
        for (count, frame, expected) in [(20_000, &b"x"[..], "20000"), (10_000, &[b'x'; 250], "lost")] {
            let sent = Arc::new(AtomicUsize::new(0));
            let counted = sent.clone();
            let frames = stream::iter(0..count).map(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Status>(Frame::data(Bytes::from_static(frame)))
            });
            let late = tokio::spawn(client.send_request(request("/late", Body::new(StreamBody::new(frames)))));
            let since = Instant::now();
            while sent.load(Ordering::Relaxed) < count {
                assert!(since.elapsed() < KEEP_ALIVE, "the server receives them");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let other = request("/", Body::new(Full::new(Bytes::from_static(b"abc"))));
            assert_eq!(text(client.send_request(other).await.expect("no GOAWAY")).await, "3");
            opened.add_permits(1);
            assert_eq!(text(late.await.expect("no panic").expect("no GOAWAY")).await, expected);
        }
        served.abort();
    }

    /// To read the body would ask for it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_that_waits_for_a_word_is_not_asked_for() {
        let (response, rest) = refused("expect: 100-continue\r\ncontent-length: 2", b"").await;
        assert!(response.starts_with("HTTP/1.1 401 ") && response.contains("connection: close"), "{response}");
        assert_eq!(rest, "");
    }
}
