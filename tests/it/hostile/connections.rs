//! Clients that open connections and send nothing, or only control frames.

use std::{
    io::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    cases::ticket,
    support::{PROTOCOLS, TestApp},
};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn open(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(bytes).await.expect("written");
    stream
}

/// Reads until the server closes the connection.
pub(super) async fn wait_until_closed(stream: &mut TcpStream) {
    let read = async {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    tokio::time::timeout(TIMEOUT, read).await.expect("the server closes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_block_no_other() {
    let app = TestApp::builder().set("MAX_CONNECTIONS", "50").start().await;
    let mut silent = Vec::new();
    for number in 0..60 {
        silent.push(open(app.endpoint.address, [&b""[..], b"P", &PREFACE[..12]][number % 3]).await);
    }
    // Each on a separate connection.
    for _ in 0..3 {
        let stream = reqwest::Client::new().get(format!("{}/livez", app.endpoint.base()));
        let answer = tokio::time::timeout(TIMEOUT, stream.send()).await.expect("in time").expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    // Connections that were not evicted are closed after the time limit for a client's first bytes.
    tokio::time::timeout(TIMEOUT, join_all(silent.iter_mut().map(wait_until_closed))).await.expect("all are closed");
}

/// HTTP/2 peers that answer nothing do not acknowledge the close of their connections either.
#[tokio::test(flavor = "multi_thread")]
async fn silent_peers_are_not_asked_for_their_places() {
    let app = TestApp::builder().set("MAX_CONNECTIONS", "50").start().await;
    let preface = [PREFACE, &frame(4, &[])].concat();
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(open(app.endpoint.address, &preface).await);
    }
    let since = Instant::now();
    let answer = reqwest::Client::new().get(format!("{}/livez", app.endpoint.base())).send();
    let answer = tokio::time::timeout(TIMEOUT, answer).await.expect("in time").expect("an answer");
    assert_eq!(answer.status(), 200);
    // HTTP/2's own keep-alive closes the connections that were not evicted, a minute after they were opened.
    tokio::time::timeout(TIMEOUT, join_all(silent[..10].iter_mut().map(wait_until_closed)))
        .await
        .expect("the first are closed");
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    let metrics = app.private.get("/metrics").await.body.to_string();
    assert!(metrics.contains(r#"mainstay_connections_closed_total{reason=\"lingering\"}"#), "{metrics}");
}

pub(super) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    [&[0, 0, length, kind, 0, 0, 0, 0, 0], payload].concat()
}

/// Sends an HTTP/2 frame repeatedly without end; returns whether the server closes the connection.
pub(super) async fn flood(address: SocketAddr, frame: &[u8]) -> bool {
    let mut stream = open(address, &[PREFACE, &self::frame(4, &[])].concat()).await;
    let flood = frame.repeat(1000);
    let (mut reader, mut writer) = stream.split();
    let read = async {
        let mut buffer = [0; 4096];
        while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    let write = async { while writer.write_all(&flood).await.is_ok() {} };
    tokio::time::timeout(TIMEOUT, async { tokio::join!(read, write) }).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_control_frames_are_cut_off() {
    let app = TestApp::start().await;
    let in_stream = |mut frame: Vec<u8>| {
        frame[8] = 1;
        frame
    };
    let floods = [
        ("SETTINGS", frame(4, &[])),
        ("PING", frame(6, &[0; 8])),
        ("PRIORITY", in_stream(frame(2, &[0, 0, 0, 0, 1]))),
        // The smallest increment: the window could hold two billion of them.
        ("WINDOW_UPDATE", frame(8, &[0, 0, 0, 1])),
    ];
    for (name, frame) in floods {
        assert!(flood(app.endpoint.address, &frame).await, "{name} goes on");
    }
    assert_eq!(app.endpoint.get("/livez").await.status, 200);
}

/// Anonymous clients begin requests and never send the rest. The server learns that only by waiting; meanwhile they
/// take neither the turns nor the places of requests that arrive completely.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_arrive_block_no_other() {
    let (app, cast) = TestApp::builder().set("MAX_IN_FLIGHT", "8").start_with_cast().await;
    cast.customer.token().await;
    let half = "POST /api/v1/tickets HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nidempotency-key: k\r\n\
                content-length: 100\r\n\r\n{";
    let mut late = Vec::new();
    for _ in 0..40 {
        late.push(open(app.endpoint.address, half.as_bytes()).await);
        // Fewer at once than there are places for incomplete bodies.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for number in 0..5 {
        let list = json!({ "pageSize": 1 });
        cast.customer.call(PROTOCOLS[number % 3], "TicketService.ListTickets", list).await.success();
        ticket(&cast.customer).await;
    }
    // Most were rejected, with a retryable error.
    let mut refusals = 0;
    for stream in &mut late {
        let mut head = [0; 12];
        let read = tokio::time::timeout(Duration::from_millis(300), stream.read_exact(&mut head)).await;
        refusals += usize::from(read.is_ok_and(|read| read.is_ok()) && &head == b"HTTP/1.1 503");
    }
    assert!(refusals >= 30, "{refusals}");
}

/// Returns the status of a response, if its head arrives in time.
async fn status(stream: &mut TcpStream, patience: Duration) -> Option<u16> {
    let mut head = [0; 12];
    tokio::time::timeout(patience, stream.read_exact(&mut head)).await.ok()?.ok()?;
    std::str::from_utf8(&head).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// The body of a probe is not read: the probe is answered at once, and its connection ends with the rest unread.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_waits_for_no_body() {
    let app = TestApp::start().await;
    for path in ["/livez", "/readyz"] {
        let probe = format!("GET {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n{{");
        let mut stream = open(app.endpoint.address, probe.as_bytes()).await;
        assert_eq!(status(&mut stream, TIMEOUT).await, Some(200), "{path}");
        wait_until_closed(&mut stream).await;
    }
}

/// Networks that do not send their bodies do not exclude other networks with slow bodies.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_arrive_keep_out_no_slow_ones() {
    let app = TestApp::builder().set("MAX_IN_FLIGHT", "32").set("TRUSTED_PROXY_HOPS", "1").start().await;
    let half = |network: usize| {
        format!(
            "POST /api/v1/tickets HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.{network}\r\n\
             content-type: application/json\r\ncontent-length: 10\r\n\r\n{{"
        )
    };
    let mut late = Vec::new();
    for number in 0..30 {
        late.push(open(app.endpoint.address, half(number % 3).as_bytes()).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut slow = open(app.endpoint.address, half(9).as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    slow.write_all(b"        }").await.expect("the server has not refused it");
    assert_eq!(status(&mut slow, TIMEOUT).await, Some(401), "it was read");
}

/// Compressed bombs: a few bytes inflate to megabytes, before the caller is authenticated.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_count_with_what_comes_out_of_them() {
    let builder = TestApp::builder().set("MAX_RECEIVED_BYTES", "4MiB").set("TRUSTED_PROXY_HOPS", "1");
    let app = builder.start().await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&vec![b' '; 700 << 10]).expect("a vector");
    encoder.flush().expect("a vector");
    let beginning = encoder.get_ref().clone();
    assert!(beginning.len() < 8 << 10, "{}", beginning.len());
    let unfinished = |network: usize| {
        let head = format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.{network}\r\n\
             content-type: application/json\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
            beginning.len()
        );
        [head.as_bytes(), &beginning, b"\r\n"].concat()
    };
    // Long enough that the beginnings arrive on a busy machine.
    let soon = Duration::from_millis(1500);
    // A single network gets a quarter.
    let mut first = open(app.endpoint.address, &unfinished(1)).await;
    assert_eq!(status(&mut first, soon).await, None, "it waits for the rest");
    let mut second = open(app.endpoint.address, &unfinished(1)).await;
    assert_eq!(status(&mut second, TIMEOUT).await, Some(503));
    let mut other = open(app.endpoint.address, &unfinished(2)).await;
    assert_eq!(status(&mut other, soon).await, None, "another network has its own");
    ticket(&app.cast().await.customer).await;
    // The server notices the end of the connection only by reading it.
    first.shutdown().await.expect("its end is sent");
    wait_until_closed(&mut first).await;
    let mut third = open(app.endpoint.address, &unfinished(1)).await;
    assert_eq!(status(&mut third, soon).await, None, "what was given up is free again");
}

/// Inflating and parsing a body costs far more than sending it. So an unauthorized caller is rejected before the rest
/// is read.
#[tokio::test(flavor = "multi_thread")]
async fn only_bodies_of_permitted_callers_are_inflated() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (soon, compressed) = (Duration::from_millis(500), "content-encoding: gzip\r\n".to_owned());
    let [customer, agent] = [cast.customer.token().await, cast.agent.token().await]
        .map(|token| format!("{compressed}authorization: Bearer {}\r\n", token.expect("a token")));
    for (headers, expected) in [
        (compressed, Some(401)),
        (customer, Some(403)),
        (agent, None),
        // Its cost equals that of sending it.
        (String::new(), None),
    ] {
        let half = format!(
            "POST /api/v1/tickets/batch HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{headers}\
             content-length: 100\r\n\r\n\x1f"
        );
        let mut stream = open(app.endpoint.address, half.as_bytes()).await;
        let timeout = if expected.is_some() { TIMEOUT } else { soon };
        assert_eq!(status(&mut stream, timeout).await, expected, "{headers}");
    }
}
