//! An HTTP request sent byte for byte, the command that sends it again, and a bare HTTP/2 connection.

use std::{fmt, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use h2::client::SendRequest;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use super::{Response, rest};

/// Opens a bare HTTP/2 connection, without this project's client code.
pub(crate) async fn connect(address: SocketAddr) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(address).await.expect("connected");
    let (client, connection) = h2::client::handshake(stream).await.expect("a handshake");
    (client, tokio::spawn(connection))
}

/// Opens a bare HTTP/2 connection. What the client writes within 20 ms arrives together, as through a busy proxy.
pub(crate) async fn connect_gathered(address: SocketAddr) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    const AT_ONCE: usize = 1 << 20;
    let (mut from_server, mut to_server) = TcpStream::connect(address).await.expect("connected").into_split();
    let (client, relay) = tokio::io::duplex(AT_ONCE);
    let (mut from_client, mut to_client) = tokio::io::split(relay);
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    tokio::spawn(async move {
        let mut piece = BytesMut::with_capacity(AT_ONCE);
        while from_client.read_buf(&mut piece).await? > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            piece.reserve(AT_ONCE);
            from_client.read_buf(&mut piece).now_or_never().transpose()?;
            to_server.write_all(&piece).await?;
            piece.clear();
        }
        std::io::Result::Ok(())
    });
    let (client, connection) = h2::client::handshake(client).await.expect("a handshake");
    (client, tokio::spawn(connection))
}

/// A request over HTTP/1.1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw {
    pub(crate) method: String,
    /// Path and query, unchanged.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    /// A request without headers or body.
    pub(crate) fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into(), ..Self::default() }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a JSON body.
    pub(crate) fn json(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json")
    }

    /// Sends the request on its own connection.
    pub(crate) async fn send(&self, address: SocketAddr) -> Response {
        let stream = TcpStream::connect(address).await.expect("connected");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        let mut request = http::Request::builder().method(self.method.as_str()).uri(&self.target);
        request = request.header("host", address.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(self.body.clone()))).expect("a request that can be sent");
        let response = sender.send_request(request).await.unwrap_or_else(|error| panic!("{error}: {self}"));
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{error}: {self}")).to_bytes();
        let answer = rest::parse(parts.status, &parts.headers, &body);
        if self.method == "HEAD" { answer } else { answer.sound() }
    }
}

/// Formats the request as a curl command.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        write!(f, "curl -i --path-as-is -X {} {}", self.method, quoted(&format!("http://$HOST{}", self.target)))?;
        for (name, value) in &self.headers {
            write!(f, " \\\n  -H {}", quoted(&format!("{name}: {value}")))?;
        }
        if !self.body.is_empty() {
            write!(f, " \\\n  --data-binary {}", quoted(&String::from_utf8_lossy(&self.body)))?;
        }
        Ok(())
    }
}
