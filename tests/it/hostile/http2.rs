//! Clients that abuse HTTP/2.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::Request;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};

use crate::{
    cases::ticket,
    support::{
        TestApp,
        raw::{connect, connect_gathered},
    },
};

const TIMEOUT: Duration = Duration::from_secs(30);

fn create(app: &TestApp, token: &str) -> Request<()> {
    Request::post(format!("{}/mainstay.support.v1.TicketService/CreateTicket", app.endpoint.base()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .expect("a request")
}

/// Opens streams and resets them at once until the server ends the connection; returns their number.
pub(super) async fn reset(address: SocketAddr, request: impl Fn() -> Request<()>) -> usize {
    let (mut client, connection) = connect(address).await;
    let since = Instant::now();
    let mut count = 0;
    while !connection.is_finished() {
        assert!(since.elapsed() < TIMEOUT, "{count} streams were reset and the connection is still open");
        match client.send_request(request(), false) {
            Ok((_, mut body)) => {
                count += 1;
                body.send_reset(Reason::CANCEL);
            }
            // The client has reached its own stream limit; the connection's task must run.
            Err(_) => tokio::task::yield_now().await,
        }
        client = match client.ready().await {
            Ok(client) => client,
            Err(_) => break,
        };
    }
    count
}

/// Small frames within the windows are no fault of the client: gRPC libraries send a frame for each message, and behind a
/// proxy, the end of the connection would be the end of the requests of others.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_many_small_frames_is_read() {
    const FRAMES: usize = 20_000;
    let app = TestApp::start().await;
    let (client, _connection) = connect(app.endpoint.address).await;
    let mut client = client.ready().await.expect("ready");
    let login = Request::post(format!("{}/api/v1/auth/login", app.endpoint.base()));
    let login = login.header("content-type", "application/json").body(()).expect("a request");
    let (response, mut body) = client.send_request(login, false).expect("sent");
    let sent = (0..FRAMES).try_for_each(|_| body.send_data(Bytes::from_static(b"  "), false));
    let sent = sent.and_then(|()| body.send_data(Bytes::from_static(b"{}"), true));
    let response = tokio::time::timeout(TIMEOUT, response).await.expect("a response").expect("no GOAWAY");
    assert_eq!(response.status(), 422, "{sent:?}");
}

fn reflection(app: &TestApp) -> Request<()> {
    Request::post(format!("{}/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", app.endpoint.base()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

/// A message of gRPC that asks for a large file.
fn ask() -> Bytes {
    let file = MessageRequest::FileByFilename("google/protobuf/descriptor.proto".to_owned());
    message(&ServerReflectionRequest { host: String::new(), message_request: Some(file) })
}

/// A message as gRPC frames it.
fn message(message: &impl prost::Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a length").to_be_bytes();
    [&[0][..], &length, &message].concat().into()
}

/// A proxy shares a connection among clients. A client whose handler does not read, because it does not read the answers, sends
/// more small frames than h2 allows a connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_small_frames_costs_its_own_stream_only() {
    let app = TestApp::start().await;
    let (client, connection) = connect(app.endpoint.address).await;
    let mut floods = Vec::new();
    for _ in 0..2 {
        let mut client = client.clone().ready().await.expect("ready");
        let (response, mut body) = client.send_request(reflection(&app), false).expect("sent");
        for _ in 0..50 {
            body.send_data(ask(), false).expect("sent");
        }
        let response = tokio::time::timeout(TIMEOUT, response).await.expect("in time").expect("a response");
        floods.push((response.into_body(), body));
    }
    let mut slowest = Duration::ZERO;
    for round in 0..300 {
        for (_, body) in &mut floods {
            // The head of a message, then its bytes one by one, and then more bytes than are held for all handlers.
            let (frame, count): (&[u8], usize) = match round {
                0 => (&[0, 0, 0, 0x30, 0], 1),
                1..200 => (b"x", 20),
                _ => (&[b'x'; 250], 60),
            };
            for _ in 0..count {
                body.send_data(Bytes::copy_from_slice(frame), false).expect("the stream is open");
            }
        }
        if round % 20 == 0 {
            let since = Instant::now();
            let mut client = client.clone().ready().await.expect("the connection is open");
            let (response, mut body) = client.send_request(health_call(&app, "Check"), false).expect("sent");
            body.send_data(Bytes::from_static(&[0; 5]), true).expect("sent");
            let response = tokio::time::timeout(TIMEOUT, response).await.expect("in time").expect("no GOAWAY");
            assert_eq!(response.status(), 200, "{response:?}");
            slowest = slowest.max(since.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!connection.is_finished(), "20,000 small frames were sent");
    assert!(slowest < Duration::from_secs(10), "others waited for {slowest:?}");
    // Both at once: they share the window of the connection, which the answers of an unread one would fill.
    let (answers, _bodies): (Vec<_>, Vec<_>) = floods.into_iter().unzip();
    let ends = tokio::time::timeout(TIMEOUT, join_all(answers.into_iter().map(read_all))).await.expect("an end");
    for (_, status) in ends {
        assert_eq!(status, "14");
    }
}

/// Reads all messages of a stream. Returns their bytes and the status of gRPC.
async fn read_all(mut content: RecvStream) -> (usize, String) {
    let mut bytes = 0;
    while let Some(piece) = content.data().await {
        let length = piece.expect("the answers").len();
        content.flow_control().release_capacity(length).expect("capacity");
        bytes += length;
    }
    let trailers = content.trailers().await.expect("no reset").expect("trailers");
    (bytes, trailers["grpc-status"].to_str().expect("digits").to_owned())
}

/// The frames of a reset stream are not read by a handler, and must not count against the bodies of others, whose handlers are
/// behind: here, because the client does not read the answers yet.
#[tokio::test(flavor = "multi_thread")]
async fn small_frames_of_streams_that_are_reset_cost_others_nothing() {
    // A stream has at most 1 MiB, as other requests.
    const ASKS: usize = 60;
    let app = TestApp::start().await;
    let (client, connection) = connect_gathered(app.endpoint.address).await;
    // More than the window and all bytes that are held for handlers.
    let name = MessageRequest::FileByFilename("x".repeat(15 << 10));
    let ask_long = message(&ServerReflectionRequest { host: String::new(), message_request: Some(name) });
    let mut uploads = Vec::new();
    for _ in 0..3 {
        let mut ready = client.clone().ready().await.expect("ready");
        let (response, mut upload) = ready.send_request(reflection(&app), false).expect("sent");
        for number in 1..=ASKS {
            upload.send_data(ask_long.clone(), number == ASKS).expect("sent");
        }
        let response = tokio::time::timeout(TIMEOUT, response).await.expect("in time").expect("a response");
        uploads.push(response.into_body());
    }
    for _ in 0..6 {
        let mut client = client.clone().ready().await.expect("the connection is open");
        let (response, mut body) = client.send_request(reflection(&app), false).expect("sent");
        for _ in 0..20 {
            body.send_data(ask(), false).expect("sent");
        }
        let response = tokio::time::timeout(TIMEOUT, response).await.expect("in time").expect("a response");
        // The handler waits for a reader of its answers soon.
        tokio::time::sleep(Duration::from_millis(50)).await;
        body.send_data(Bytes::from_static(&[0, 0, 0, 0x30, 0]), false).expect("sent");
        for _ in 0..300 {
            body.send_data(Bytes::from_static(b"x"), false).expect("sent");
        }
        // The frames leave the client before the reset, which would discard them, and arrive with it.
        tokio::time::sleep(Duration::from_millis(5)).await;
        body.send_reset(Reason::CANCEL);
        drop(response);
    }
    let ends = tokio::time::timeout(TIMEOUT, join_all(uploads.into_iter().map(read_all))).await.expect("an end");
    for (bytes, status) in ends {
        assert_eq!(status, "0", "after {bytes} bytes");
        assert!(bytes > ASKS * (15 << 10), "each request is repeated in its answer: {bytes} bytes");
    }
    assert!(!connection.is_finished());
}

/// CVE-2023-44487: streams that are reset as soon as they are opened, which costs the sender nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rapid_reset_ends_the_connection() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    reset(app.endpoint.address, || create(&app, &token)).await;
    assert_eq!(app.endpoint.get("/livez").await.status, 200);
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_arrives_too_slowly_is_refused_at_the_deadline() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let (client, _connection) = connect(app.endpoint.address).await;
    let mut client = client.ready().await.expect("ready");
    let (answer, mut body) = client.send_request(create(&app, &token), false).expect("sent");
    // The header declares a message of 100 bytes, which arrive one by one.
    body.send_data(Bytes::from_static(&[0, 0, 0, 0, 100]), false).expect("the head");
    let drip = tokio::spawn(async move {
        while body.send_data(Bytes::from_static(&[10]), false).is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let answer = tokio::time::timeout(TIMEOUT, answer).await.expect("no answer in time").expect("an answer");
    let status = answer.headers().get("grpc-status").map(|status| status.to_str().expect("digits"));
    assert_eq!(status, Some("4"), "{answer:#?}");
    drip.abort();
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
}

/// Begins a sign-in from a network, whose message of one MiB never ends.
async fn begin_login(app: &TestApp, client: &SendRequest<Bytes>, network: u8) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::post(format!("{}/mainstay.identity.v1.AuthService/Login", app.endpoint.base()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-forwarded-for", format!("192.0.2.{network}"))
        .body(())
        .expect("a request");
    let mut client = client.clone().ready().await.expect("room");
    let (response, mut body) = client.send_request(request, false).expect("sent");
    body.send_data(Bytes::from_static(&[0, 0, 16, 0, 0]), false).expect("the head");
    body.send_data(Bytes::from(vec![b' '; 700 << 10]), false).expect("the beginning");
    (response, body)
}

/// Sends the head of a request that is refused, and returns its body when the whole response has arrived.
async fn refused(app: &TestApp, client: &SendRequest<Bytes>, content_type: &str) -> SendStream<Bytes> {
    let request = Request::post(format!("{}/api/v1/nothing", app.endpoint.base())).header("content-type", content_type);
    let mut client = client.clone().ready().await.expect("room");
    let (response, body) = client.send_request(request.body(()).expect("a request"), false).expect("sent");
    let response = tokio::time::timeout(TIMEOUT, response).await.expect("in time").expect("a response");
    let is_web = content_type.starts_with("application/grpc-web");
    assert_eq!(response.status(), if is_web { 200 } else { 404 });
    let mut content = response.into_body();
    while let Some(piece) = content.data().await {
        let length = piece.expect("the whole response").len();
        content.flow_control().release_capacity(length).expect("capacity");
    }
    body
}

/// A client that still sends when the refusal arrives may lose it to a reset (curl before version 8, httpx). A proxy shares a
/// connection among clients, so that those who send nothing must leave places to others.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_refusal_does_not_reset_the_stream() {
    let app = TestApp::start().await;
    let (client, _connection) = connect(app.endpoint.address).await;
    let client = client.ready().await.expect("room");
    let mut silent = Vec::new();
    for content_type in ["application/json", "application/grpc-web+proto"] {
        for _ in 0..10 {
            silent.push(refused(&app, &client, content_type).await);
        }
        let mut body = refused(&app, &client, content_type).await;
        // More than the window, so that the server must go on reading.
        let mut left = 3 << 20;
        while left > 0 {
            body.reserve_capacity(left.min(16 << 10));
            let room = std::future::poll_fn(|context| body.poll_capacity(context));
            let room = tokio::time::timeout(TIMEOUT, room).await.expect("the server reads");
            let room = room.expect("the stream is open").expect("no reset").min(left);
            body.send_data(Bytes::from(vec![0; room]), room == left).expect("sent");
            left -= room;
        }
        let reset =
            tokio::time::timeout(Duration::from_millis(300), std::future::poll_fn(|context| body.poll_reset(context)));
        assert!(!matches!(reset.await, Ok(Ok(reason)) if reason != Reason::NO_ERROR), "the stream ended by itself");
    }
}

/// The buffered bytes of incomplete messages count like bodies of REST, for all public methods.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_never_end_leave_memory_to_others() {
    let app = TestApp::builder().set("MAX_RECEIVED_BYTES", "4MiB").set("TRUSTED_PROXY_HOPS", "1").start().await;
    let (client, _connection) = connect(app.endpoint.address).await;
    // Long enough that the beginnings arrive on a busy machine, and shorter than the deadline of the method.
    let soon = Duration::from_millis(1500);
    // A single network gets a quarter.
    let (mut first, _first_body) = begin_login(&app, &client, 1).await;
    assert!(tokio::time::timeout(soon, &mut first).await.is_err(), "it waits for the rest");
    let (second, _second_body) = begin_login(&app, &client, 1).await;
    let second = tokio::time::timeout(TIMEOUT, second).await.expect("an end").expect("a response");
    assert_eq!(second.headers()["grpc-status"], "14", "{second:?}");
    assert!(second.headers().contains_key("retry-after"), "{second:?}");
    let (mut other, _other_body) = begin_login(&app, &client, 2).await;
    assert!(tokio::time::timeout(soon, &mut other).await.is_err(), "another network has its own");
    ticket(&app.cast().await.customer).await;
}

/// Returns a call of the health service, without its message.
fn health_call(app: &TestApp, method: &str) -> Request<()> {
    Request::post(format!("{}/grpc.health.v1.Health/{method}", app.endpoint.base()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

/// Probes are not rate-limited, so the number of incomplete ones is bounded. A probe whose message arrives with its
/// headers needs no place.
#[tokio::test(flavor = "multi_thread")]
async fn late_probes_keep_out_only_late_ones() {
    let app = TestApp::start().await;
    let (mut client, _connection) = connect(app.endpoint.address).await;
    let mut late = Vec::new();
    for _ in 0..80 {
        client = client.ready().await.expect("room");
        late.push(client.send_request(health_call(&app, "Check"), false).expect("sent"));
    }
    let mut health = HealthClient::new(app.endpoint.channel.clone());
    let mut refusals = 0;
    for (response, _body) in late {
        let response = tokio::time::timeout(TIMEOUT, response).await.expect("an end").expect("a response");
        refusals += usize::from(response.headers()["grpc-status"] == "14");
        health.check(HealthCheckRequest::default()).await.expect("it is in time");
    }
    // An address has 32 places, each for two seconds; a busy machine may need longer for all 80.
    assert!((20..=48).contains(&refusals), "{refusals} were refused");
}

/// Health needs no credential, has no deadline from a policy, and is not rate-limited. So an incomplete probe must end,
/// and a malformed message is not a server failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_never_complete_ends_soon() {
    let app = TestApp::start().await;
    let (mut client, _connection) = connect(app.endpoint.address).await;
    let health_call = |method| health_call(&app, method);
    let since = Instant::now();
    let mut waiting = Vec::new();
    // No bytes, and half a message.
    for bytes in [&b""[..], b"\0\0\0\0\x0a1234"] {
        for method in ["Check", "Watch"] {
            client = client.ready().await.expect("room");
            let (response, mut body) = client.send_request(health_call(method), false).expect("sent");
            body.send_data(Bytes::from_static(bytes), false).expect("sent");
            waiting.push((method, response, body));
        }
    }
    for (method, response, _body) in waiting {
        let response = tokio::time::timeout(TIMEOUT, response).await.expect("an end").expect("a response");
        assert_eq!(response.headers()["grpc-status"], "4", "{method}: {response:?}");
    }
    assert!(since.elapsed() >= Duration::from_secs(2), "they have time to arrive");
    for bytes in [&b""[..], b"\0\0\0\0\x02\xff\xff"] {
        client = client.ready().await.expect("room");
        let (response, mut body) = client.send_request(health_call("Check"), false).expect("sent");
        body.send_data(Bytes::from_static(bytes), true).expect("sent");
        let response = response.await.expect("a response");
        assert_eq!(response.headers()["grpc-status"], "3", "{response:?}");
    }
    let mut forty = Vec::new();
    for _ in 0..40 {
        client = client.ready().await.expect("room");
        forty.push(client.send_request(health_call("Check"), true).expect("sent").0);
    }
    for response in forty {
        assert_eq!(response.await.expect("a response").headers()["grpc-status"], "3");
    }
}
