//! The lifetime of a connection. HTTP/2: while its peer answers pings, until it is old and its requests have ended.
//! HTTP/1.1: a while after its last request.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::{
    SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::Request;
use mainstay_kernel::http::{
    health::Readiness,
    listener::{self, Bounds},
    service,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{TestApp, eventually, modules, raw::connect};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Serves an app on one more port, with the given bounds.
async fn listen(app: &TestApp, bounds: Bounds) -> SocketAddr {
    let service = service::build(modules(), &app.app, Readiness::of(app.app.contract)).expect("the contract holds");
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    tokio::spawn(listener::serve(socket, None, service, bounds, std::future::pending()));
    address
}

async fn get(client: SendRequest<Bytes>, address: SocketAddr) -> u16 {
    let mut client = client.ready().await.expect("an open connection");
    let request = Request::get(format!("http://{address}/livez")).body(()).expect("a request");
    let (response, _) = client.send_request(request, true).expect("sent");
    response.await.expect("a response").status().as_u16()
}

/// Begins a request whose body does not arrive yet.
fn begin(client: &mut SendRequest<Bytes>, address: SocketAddr) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::post(format!("http://{address}/api/v1/tickets")).header("content-type", "application/json");
    client.send_request(request.body(()).expect("a request"), false).expect("sent")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lasts_while_its_peer_answers_pings() {
    let app = TestApp::start().await;
    let bounds = Bounds { keep_alive: Duration::from_secs(2), ..Bounds::new(&app.app.config.server) };
    let address = listen(&app, bounds).await;
    let (client, connection) = connect(address).await;
    let mut silent = TcpStream::connect(address).await.expect("connected");
    // The preface, and no settings.
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("written");
    let read = async {
        let mut buffer = [0; 4096];
        while silent.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
    };
    timeout(TIMEOUT, read).await.expect("the server closes it");
    assert!(!connection.is_finished(), "this one was opened before it, and answers");
    assert_eq!(get(client, address).await, 200);
}

/// Sends a request over HTTP/1.1, and returns whether there is a response.
async fn ask(stream: &mut TcpStream) -> bool {
    let asked = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut head = [0; 15];
    asked.is_ok() && stream.read_exact(&mut head).await.is_ok() && &head == b"HTTP/1.1 200 OK"
}

/// Proxies keep connections for later requests, nginx and AWS' load balancer for a minute. If the server closes a
/// connection sooner, a request on it is occasionally lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_stays_open_for_the_next_request_as_long_as_configured() {
    const LONGER_THAN_HEADERS_TAKE: Duration = Duration::from_secs(12);
    let app = TestApp::start().await;
    let defaults = Bounds::new(&app.app.config.server);
    let kept = listen(&app, defaults).await;
    let closed = listen(&app, Bounds { idle: Duration::from_secs(1), ..defaults }).await;
    assert!(defaults.idle > Duration::from_secs(60), "{:?}", defaults.idle);
    let mut streams =
        [TcpStream::connect(kept).await.expect("one"), TcpStream::connect(closed).await.expect("another")];
    for stream in &mut streams {
        assert!(ask(stream).await);
    }
    tokio::time::sleep(LONGER_THAN_HEADERS_TAKE).await;
    let [first, second] = &mut streams;
    let mut rest = Vec::new();
    timeout(TIMEOUT, second.read_to_end(&mut rest)).await.expect("it is closed").expect("without an error");
    // The rest of the first response precedes the second one.
    let length = first.read(&mut [0; 4096]).await.expect("the rest");
    assert!(length > 0);
    assert!(ask(first).await, "it is still open");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_ends_with_the_last_of_its_requests() {
    let app = TestApp::start().await;
    let bounds = Bounds { max_age: Duration::from_secs(1), ..Bounds::new(&app.app.config.server) };
    let address = listen(&app, bounds).await;
    let (mut client, connection) = connect(address).await;
    let (response, mut body) = begin(&mut client, address);
    eventually("no further request is taken", async || client.clone().ready().await.is_err()).await;
    assert!(!connection.is_finished(), "it has a request");
    body.send_data(Bytes::from_static(b"{}"), true).expect("sent");
    let response = timeout(TIMEOUT, response).await.expect("in time").expect("a response");
    assert_eq!(response.status(), 401);
    timeout(TIMEOUT, connection).await.expect("it ends").expect("no panic").ok();
    let (client, _connection) = connect(address).await;
    assert_eq!(get(client, address).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_waits_for_its_requests_only_so_long() {
    let app = TestApp::start().await;
    let second = Duration::from_secs(1);
    let bounds = Bounds { max_age: second, last_requests: second, ..Bounds::new(&app.app.config.server) };
    let address = listen(&app, bounds).await;
    let (mut client, connection) = connect(address).await;
    let (response, _body) = begin(&mut client, address);
    let response = timeout(TIMEOUT, response).await.expect("an end");
    assert!(response.is_err(), "the body had more time: {response:?}");
    timeout(TIMEOUT, connection).await.expect("it ends").expect("no panic").ok();
}
