//! Calls to hosts that users choose, such as webhook receivers. The client therefore can't reach internal networks. The
//! failure of one host is no evidence about another, so that there is no circuit breaker and no alert. Retries are up to the
//! caller.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::sync::Semaphore;

use crate::outbound::{
    Error, Request, Response, classify,
    guard::{Guard, PRIVATE, is_public, system},
    take_slot,
    transport::{self, Transport},
    within_deadline,
};

const WEBHOOKS: &str = "webhooks";
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The client for webhook receivers, and for other hosts that users choose. Cheap to clone.
#[derive(Clone)]
pub struct Receivers {
    /// What the receivers are in spans and errors.
    name: &'static str,
    sender: Sender,
    guard: Guard,
}

#[derive(Clone)]
enum Sender {
    /// Over the network, with a limit of concurrent calls.
    Network(Transport, Arc<Semaphore>),
    /// Not at all: the status and the duration of each response are computed.
    Script(fn(&Request) -> (StatusCode, Duration)),
}

debug_fields!(Receivers: name);

impl Receivers {
    /// Creates a client with a limit of concurrent calls. It reaches public addresses only, unless `allow_private`.
    ///
    /// # Errors
    /// If the system has no root certificates.
    pub fn new(allow_private: bool, slots: usize) -> anyhow::Result<Self> {
        Self::over(Guard { allow_private, look_up: system() }, slots)
    }

    /// Creates a client that sends nothing. `answer` returns the status and the duration of each response. It serves
    /// the deliveries of sample data, whose receivers do not exist.
    pub fn scripted(answer: fn(&Request) -> (StatusCode, Duration)) -> Self {
        let guard = Guard { allow_private: false, look_up: system() };
        Self { name: WEBHOOKS, sender: Sender::Script(answer), guard }
    }

    /// Returns the client under another name in spans and errors.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn over(guard: Guard, slots: usize) -> anyhow::Result<Self> {
        let sender = Sender::Network(transport::guarded(guard.clone())?, Arc::new(Semaphore::new(slots)));
        Ok(Self { name: WEBHOOKS, sender, guard })
    }

    /// Sends a request once and reads the status of the response. It does not follow redirects, which count as failures.
    ///
    /// # Errors
    /// An unsuccessful response, no response, or a host that is not public.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        self.exchange(request, None).await
    }

    /// As [`send`](Self::send), with the body of the response, of at most `max_bytes`.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and a longer body.
    pub async fn fetch(&self, request: Request, max_bytes: usize) -> Result<Response, Error> {
        self.exchange(request, Some(max_bytes)).await
    }

    async fn exchange(&self, request: Request, max_answer: Option<usize>) -> Result<Response, Error> {
        // An IP address in the URL is not resolved, so that the guard would not check it.
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        if !self.guard.allow_private && host.parse::<IpAddr>().is_ok_and(|address| !is_public(address)) {
            return Err(Error::not_connected(self.name, PRIVATE.to_owned()));
        }
        match &self.sender {
            Sender::Network(transport, slots) => {
                let _slot = take_slot(self.name, slots)?;
                let exchange = classify::exchange(self.name, transport.clone(), request, max_answer);
                within_deadline(self.name, TOTAL_TIMEOUT, exchange).await
            }
            Sender::Script(answer) => {
                let (status, duration) = answer(&request);
                tokio::time::sleep(duration).await;
                let mut response = Response::default();
                *response.status_mut() = status;
                if status.is_success() { Ok(response) } else { Err(Error::from_response(self.name, response)) }
            }
        }
    }

    /// Returns the error for a request that can't be built.
    pub fn invalid_request(error: &http::Error) -> Error {
        Error::not_connected(WEBHOOKS, format!("the request can't be made: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::SocketAddr,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use bytes::Bytes;
    use futures_util::future::BoxFuture;
    use hyper_util::client::legacy::connect::dns::Name;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tower::Service as _;

    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for public in
            ["8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
                .into_iter()
                .chain(["64:ff9b::808:808"])
        {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:0:0:0:1:808:808",
            "64:ff9b:1::1",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
    }

    fn request(url: &str) -> Request {
        http::Request::post(url).body(Bytes::new()).expect("a request")
    }

    /// A host that resolves to a public address at first and to a private one afterwards (DNS rebinding).
    fn rebinding() -> (Guard, Arc<AtomicUsize>) {
        let lookups = Arc::new(AtomicUsize::new(0));
        let count = lookups.clone();
        let look_up = move |_| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            let address = if first { "8.8.8.8:0" } else { "127.0.0.1:0" };
            Box::pin(async move { Ok(vec![address.parse().expect("an address")]) })
        };
        (Guard { allow_private: false, look_up: Arc::new(look_up) }, lookups)
    }

    #[tokio::test]
    async fn the_checked_address_is_the_one_connected_to() {
        let (mut guard, lookups) = rebinding();
        let name: Name = "rebinding.example".parse().expect("a name");
        let first: Vec<_> = guard.call(name.clone()).await.expect("public").collect();
        assert_eq!(
            (first[0].ip().to_string(), lookups.load(Ordering::SeqCst)),
            ("8.8.8.8".to_owned(), 1),
            "resolved once"
        );
        guard.call(name).await.map(drop).expect_err("private by now");

        // A request through the complete client does not arrive.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let receivers = Receivers::over(guard, 8).expect("root certificates");
        let hosts = ["rebinding.example", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"];
        for host in hosts {
            let error = receivers.send(request(&format!("http://{host}:{port}/"))).await.expect_err(host);
            assert!(!error.may_have_acted && error.to_string().contains(PRIVATE), "{host}: {error}");
        }
        let arrived = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(arrived.is_err(), "something was connected to");
    }

    /// The connection could use either address.
    #[tokio::test]
    async fn a_host_with_a_private_address_beside_a_public_one_is_refused() {
        let look_up = |_| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            let addresses = ["8.8.8.8:0", "127.0.0.1:0"].map(|address| address.parse().expect("an address"));
            Box::pin(async move { Ok(addresses.to_vec()) })
        };
        let mut guard = Guard { allow_private: false, look_up: Arc::new(look_up) };
        let name: Name = "both.example".parse().expect("a name");
        guard.call(name).await.map(drop).expect_err("one of them is private");
    }

    #[tokio::test]
    async fn local_names_are_refused_after_resolution() {
        let receivers = Receivers::new(false, 8).expect("root certificates");
        // Resolvers accept `127.1` as an address; URL parsers do not.
        for host in ["localhost", "127.1"] {
            let error = receivers.send(request(&format!("http://{host}:9/"))).await.expect_err(host);
            assert!(!error.may_have_acted, "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, elsewhere) = (listener.local_addr().expect("one"), other.local_addr().expect("one"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let answer = format!("HTTP/1.1 307 Moved\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
            assert_ne!(stream.read(&mut [0; 1024]).await.expect("a request"), 0);
            stream.write_all(answer.as_bytes()).await.expect("written");
            // The connection stays open, because closing it may discard the response.
            std::future::pending::<()>().await;
        });
        let receivers = Receivers::new(true, 8).expect("root certificates");
        let error = receivers.send(request(&format!("http://{address}/"))).await.expect_err("a bad answer");
        assert_eq!(error.answer.map(|answer| answer.status().as_u16()), Some(307));
        let arrived = tokio::time::timeout(Duration::from_millis(50), other.accept()).await;
        assert!(arrived.is_err(), "it was followed");
    }
}
