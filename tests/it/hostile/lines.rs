//! The log lines of hostile input: one line for each request, and none for bytes that are not a request.

use std::{collections::BTreeMap, time::Duration};

use http::Request;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    connections::{PREFACE, flood, frame, open, wait_until_closed},
    http2,
};
use crate::support::{Process, TestDatabase, eventually, people::Cast};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A request over HTTP/1.1 that closes its connection.
fn request(id: &str, line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: {id}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Returns the lines of the log so far.
fn lines(server: &Process) -> Vec<Value> {
    server.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn id(line: &Value) -> &str {
    line["span"]["id"].as_str().unwrap_or_default()
}

/// Returns the number of lines that each hostile request has left.
fn counts(lines: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for line in lines.iter().filter(|line| id(line).starts_with("hostile-")) {
        *counts.entry(id(line)).or_default() += 1;
    }
    counts
}

/// Returns well-formed requests that the server rejects: request line, headers and body.
fn refused(token: &str) -> Vec<(&'static str, String, Vec<u8>)> {
    const CREATE: &str = "POST /api/v1/tickets";
    const GRPC: &str = "POST /mainstay.support.v1.TicketService/CreateTicket";
    let signed_in = format!("Authorization: Bearer {token}\r\n");
    let json = format!("{signed_in}Content-Type: application/json\r\n");
    let grpc = format!("{signed_in}Content-Type: application/grpc\r\nTE: trailers\r\n");
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let payload = token.split('.').nth(1).expect("three parts");
    vec![
        (CREATE, json.clone(), b"{\"subject\":\"a\",\"bo".to_vec()),
        (CREATE, json.clone(), b"\xff\xfe".to_vec()),
        (CREATE, json.clone(), "[".repeat(10_000).into_bytes()),
        (CREATE, json.clone(), b"{\"subject\":{},\"body\":7}".to_vec()),
        (CREATE, json.clone(), b"{\"subject\":\"\"}".to_vec()),
        (CREATE, json.clone(), vec![b' '; (1 << 20) + 1]),
        (CREATE, format!("{json}Content-Encoding: gzip\r\n"), b"this is no gzip".to_vec()),
        (CREATE, format!("{json}Content-Encoding: nonsense\r\n"), b"{}".to_vec()),
        (CREATE, format!("{json}Idempotency-Key: one\r\nIdempotency-Key: two\r\n"), b"{}".to_vec()),
        (CREATE, format!("{json}Host: b\r\n"), b"{}".to_vec()),
        (GRPC, grpc.clone(), b"\xff\xff\xff\xff\xff".to_vec()),
        (GRPC, grpc.clone(), b"\0\xff\xff\xff\xff".to_vec()),
        (GRPC, grpc, b"\0\0\0\0\x02\xff\xff".to_vec()),
        ("GET /api/v1/tickets?nonsense=1", signed_in.clone(), Vec::new()),
        ("GET /api/v1/tickets?pageToken=%00", signed_in.clone(), Vec::new()),
        ("GET /api/v1/tickets/%2e%2e%2fetc%2fpasswd", signed_in.clone(), Vec::new()),
        ("GET /%2e%2e/%2e%2e/etc/passwd", signed_in.clone(), Vec::new()),
        ("BREW /api/v1/tickets", signed_in, Vec::new()),
        ("GET /api/v1/me", bearer("garbage"), Vec::new()),
        ("GET /api/v1/me", bearer(&format!("{token}x")), Vec::new()),
        ("GET /api/v1/me", bearer(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")), Vec::new()),
        (
            "POST /webhooks/stripe",
            "Content-Type: application/json\r\nStripe-Signature: t=1,v1=0\r\n".into(),
            b"{}".into(),
        ),
    ]
}

/// Returns bytes that are not a request, or end before they are one.
fn no_requests() -> Vec<Vec<u8>> {
    let many: String = (0..500).map(|number| format!("X-H-{number}: x\r\n")).collect();
    vec![
        b"\0\x01\x02\r\n\r\n".to_vec(),
        b"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x00\x05hello\r\n\r\n".to_vec(),
        request("hostile-headers", "GET /livez", &many, b""),
        request("hostile-header", "GET /livez", &format!("X-Large: {}\r\n", "x".repeat(200_000)), b""),
        // A DATA frame without a stream.
        [PREFACE, &frame(4, &[]), &frame(0, &[1; 8])].concat(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_leaves_one_line_for_each_request() {
    let database = TestDatabase::new().await;
    // An address may have one incomplete body.
    let server = Process::with(&database, &[("MAX_IN_FLIGHT", "8")]).await;
    let token = Cast::new(&server.endpoint, &database).await.customer.token().await.expect("a token");
    let address = server.endpoint.address;

    let requests = refused(&token);
    for (number, (line, headers, body)) in requests.iter().enumerate() {
        let mut stream = open(address, b"").await;
        // The server may reject it before it has read all of it.
        stream.write_all(&request(&format!("hostile-refused-{number}"), line, headers, body)).await.ok();
        let mut head = [0; 12];
        let read = tokio::time::timeout(TIMEOUT, stream.read_exact(&mut head)).await.expect("a response in time");
        let is_refused = head.starts_with(b"HTTP/1.1 4") || headers.contains("application/grpc");
        assert!(read.is_ok() && is_refused, "{line}: {}", String::from_utf8_lossy(&head));
    }
    for bytes in no_requests() {
        let mut stream = open(address, b"").await;
        stream.write_all(&bytes).await.ok();
        wait_until_closed(&mut stream).await;
    }
    let half = |id: &str| {
        let head = format!("POST /api/v1/tickets HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: {id}\r\n");
        format!("{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{").into_bytes()
    };
    drop(open(address, &half("hostile-left")).await);
    let (mut first, mut second) =
        (open(address, &half("hostile-late-1")).await, open(address, &half("hostile-late-2")).await);
    // One of them gets the place; the other one is rejected.
    tokio::select! {
        () = wait_until_closed(&mut first) => {}
        () = wait_until_closed(&mut second) => {}
    }
    drop((first, second));
    let reset = http2::reset(address, || {
        let path = "mainstay.support.v1.TicketService/CreateTicket";
        let request = Request::post(format!("http://{address}/{path}")).header("content-type", "application/grpc");
        let request = request.header("te", "trailers").header("authorization", format!("Bearer {token}"));
        request.header("x-request-id", "hostile-reset").body(()).expect("a request")
    });
    let streams = reset.await;
    assert!(flood(address, &frame(6, &[0; 8])).await, "it goes on");
    for _ in 0..50 {
        assert_eq!(server.endpoint.get("/livez").await.status, 200);
    }

    server.endpoint.get("/the-end").await;
    eventually("each request has its line", async || {
        let lines = lines(&server);
        let answered = |number: usize| counts(&lines).contains_key(&*format!("hostile-refused-{number}"));
        (0..requests.len()).all(answered) && lines.iter().any(|line| line["path"] == "/the-end")
    })
    .await;
    let lines = lines(&server);
    for (id, count) in counts(&lines) {
        let most = if id == "hostile-reset" { streams } else { 1 };
        assert!(count <= most, "{id} has {count} lines of {most}:\n{}", server.log());
    }
    for line in lines.iter().filter(|line| !id(line).starts_with("hostile-")) {
        let is_good = line["path"] == "/the-end" || line["method"] == "AuthService.Login";
        let target = line["target"].as_str().unwrap_or_default();
        let of_http = target.contains("::http")
            || ["h2", "hyper", "rustls", "tonic", "tower"].iter().any(|library| target.starts_with(library));
        assert!(is_good || !(of_http || line["span"]["name"] == "request"), "{line}");
    }
}
