//! Connections that several requests share, without this project's client code: the effect of a panic in one request on
//! the others.

use std::{net::SocketAddr, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::{
    Reason, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Method, Request, request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::support::Process;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A request that both versions of HTTP can send.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Call {
    /// A REST request; without a token it is anonymous.
    pub(super) fn rest(method: Method, path: impl Into<String>, token: &str, body: &'static str) -> Self {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(authorization(token));
        Self { method, path: path.into(), headers, body: Bytes::from_static(body.as_bytes()) }
    }

    /// A gRPC request with one message; without a token it is anonymous.
    pub(super) fn grpc(path: &str, token: &str, message: &[u8]) -> Self {
        let mut headers = vec![("content-type", "application/grpc".to_owned()), ("te", "trailers".to_owned())];
        headers.extend(authorization(token));
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len()).expect("short"));
        body.put_slice(message);
        Self { method: Method::POST, path: path.to_owned(), headers, body: body.freeze() }
    }

    fn head(&self, uri: String) -> request::Builder {
        let head = Request::builder().method(self.method.clone()).uri(uri);
        self.headers.iter().fold(head, |head, (name, value)| head.header(*name, value))
    }
}

fn authorization(token: &str) -> Option<(&'static str, String)> {
    (!token.is_empty()).then(|| ("authorization", format!("Bearer {token}")))
}

/// A response, read to its end.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: u16,
    pub(super) grpc_status: Option<String>,
    body: Bytes,
}

impl Outcome {
    /// Returns whether the response is `INTERNAL_ERROR`, in the form of its protocol.
    pub(super) fn is_internal(&self) -> bool {
        match &self.grpc_status {
            Some(code) => code == "13",
            None => String::from_utf8_lossy(&self.body).contains("\"INTERNAL_ERROR\""),
        }
    }
}

/// A connection over HTTP/2.
pub(super) struct Http2 {
    address: SocketAddr,
    client: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    pub(super) async fn connect(server: &Process) -> Self {
        let address = server.endpoint.address;
        let stream = TcpStream::connect(address).await.expect("connected");
        let (client, connection) = h2::client::handshake(stream).await.expect("a handshake");
        Self { address, client, connection: tokio::spawn(connection) }
    }

    /// Sends the headers of a request, which may be the whole request.
    async fn open(&self, call: &Call, end_of_stream: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let head = call.head(format!("http://{}{}", self.address, call.path)).body(()).expect("a request");
        let mut client = self.client.clone().ready().await.expect("the connection is open");
        client.send_request(head, end_of_stream).expect("the connection takes a request")
    }

    /// Sends a request, and reads the response; fails if the stream is reset.
    pub(super) async fn call(&self, call: &Call) -> Result<Outcome, h2::Error> {
        let (response, mut stream) = self.open(call, call.body.is_empty()).await;
        if !call.body.is_empty() {
            // The server may respond before it reads the body.
            stream.send_data(call.body.clone(), true).ok();
        }
        read(response).await
    }

    /// Whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.connection.is_finished()
    }
}

async fn read(response: ResponseFuture) -> Result<Outcome, h2::Error> {
    tokio::time::timeout(TIMEOUT, read_all(response)).await.expect("a response in time")
}

async fn read_all(response: ResponseFuture) -> Result<Outcome, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let status_of = |headers: &HeaderMap| headers.get("grpc-status")?.to_str().ok().map(str::to_owned);
    let (mut grpc_status, mut whole) = (status_of(&head.headers), BytesMut::new());
    loop {
        match body.data().await {
            Some(Ok(chunk)) => {
                body.flow_control().release_capacity(chunk.len())?;
                whole.put_slice(&chunk);
            }
            // The response is complete, and the server does not need the rest of the request.
            Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => break,
            Some(Err(error)) => return Err(error),
            None => {
                let trailers = body.trailers().await?.unwrap_or_default();
                grpc_status = grpc_status.or_else(|| status_of(&trailers));
                break;
            }
        }
    }
    Ok(Outcome { status: head.status.as_u16(), grpc_status, body: whole.freeze() })
}

/// Asserts that these calls panic on one HTTP/2 connection, on which another request has begun. That request is
/// answered normally after them, and so is the next one. Returns the number of panics.
pub(super) async fn assert_http2_survives(server: &Process, calls: &[&Call]) -> usize {
    let connection = Http2::connect(server).await;
    let check = Call::grpc("/grpc.health.v1.Health/Check", "", &[]);
    for call in calls {
        let (response, mut stream) = connection.open(&check, false).await;
        let outcome = connection.call(call).await.expect("a response");
        assert!(outcome.is_internal(), "{call:?}: {outcome:?}");
        stream.send_data(check.body.clone(), true).expect("the other request is still wanted");
        let other = read(response).await.expect("a response");
        assert_eq!(other.grpc_status.as_deref(), Some("0"), "{call:?}: {other:?}");
    }
    let next = connection.call(&check).await.expect("a response");
    assert_eq!(next.grpc_status.as_deref(), Some("0"), "{next:?}");
    assert!(!connection.has_ended(), "the connection has ended");
    calls.len()
}

/// Asserts that a call panics over HTTP/1.1 and gets an error envelope, and that its connection accepts another request
/// or was closed properly. Returns the number of panics.
pub(super) async fn assert_http1_survives(server: &Process, call: &Call) -> usize {
    let address = server.endpoint.address;
    let stream = TcpStream::connect(address).await.expect("connected");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    for count in 0..2 {
        if count > 0 && sender.ready().await.is_err() {
            connection.await.expect("no panic").expect("the server closes the connection after the response");
            return count;
        }
        let request = call.head(call.path.clone()).header("host", address.to_string());
        let request = request.body(Full::new(call.body.clone())).expect("a request");
        let (head, body) = sender.send_request(request).await.expect("a response").into_parts();
        let body = body.collect().await.expect("a whole response").to_bytes();
        let outcome = Outcome { status: head.status.as_u16(), grpc_status: None, body };
        assert!(outcome.status == 500 && outcome.is_internal(), "{call:?}: {outcome:?}");
    }
    2
}
