//! Requests that are rejected before their bodies were received: their clients read the error.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::TestApp;

const MIB: usize = 1 << 20;

/// Sends a whole request before reading anything, as many clients do. Returns the response, up to the end of the
/// connection.
async fn post(address: SocketAddr, path: &str, headers: &str, bytes: usize, is_chunked: bool) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let length = if is_chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {bytes}") };
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}{length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("a head");
    let piece = vec![b'x'; MIB.min(bytes)];
    for _ in 0..bytes / piece.len() {
        if is_chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.expect("the server reads on");
        }
        stream.write_all(&piece).await.expect("the server reads on");
        if is_chunked {
            stream.write_all(b"\r\n").await.expect("the server reads on");
        }
    }
    if is_chunked {
        stream.write_all(b"0\r\n\r\n").await.expect("the server reads on");
    }
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer));
    read.await.expect("the connection ends").expect("no reset");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_that_is_refused_unread_does_not_cost_the_refusal() {
    let app = TestApp::start().await;
    let token = format!("authorization: Bearer {}\r\n", app.cast().await.customer.token().await.expect("a token"));
    let raw = "content-type: application/octet-stream\r\n";
    let json = "content-type: application/json\r\n";
    let html = format!("{json}accept: text/html\r\n");
    for is_chunked in [false, true] {
        for (path, headers, bytes, status, code) in [
            ("/api/v1/files?name=a.bin", raw.to_owned(), 9 * MIB, "401", "UNAUTHENTICATED"),
            ("/api/v1/files?name=a.bin", format!("{token}{raw}"), 20 * MIB, "413", "PAYLOAD_TOO_LARGE"),
            ("/api/v1/nothing", json.to_owned(), 20 * MIB, "404", "ROUTE_NOT_FOUND"),
            ("/nothing", json.to_owned(), 20 * MIB, "404", "ROUTE_NOT_FOUND"),
            ("/api/v1/tickets/export", json.to_owned(), 2 * MIB, "405", "METHOD_NOT_ALLOWED"),
            ("/api/v1/tickets", format!("{token}{html}"), 2 * MIB, "406", "NOT_ACCEPTABLE"),
            ("/api/v1/tickets", format!("{token}{raw}"), 2 * MIB, "415", "UNSUPPORTED_MEDIA_TYPE"),
            ("/api/v1/tickets?colour=red", format!("{token}{json}"), 2 * MIB, "400", "MALFORMED_REQUEST"),
            ("/webhooks/stripe", json.to_owned(), 9 * MIB, "413", "PAYLOAD_TOO_LARGE"),
        ] {
            let answer = post(app.endpoint.address, path, &headers, bytes, is_chunked).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {answer}"));
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && body.contains(code), "{path}: {answer}");
            assert!(head.contains("connection: close"), "{path}: {head}");
        }
    }
}

/// These are rejected before a request exists.
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_large_get_their_response() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.endpoint.address).await.expect("connected");
    let head = format!("POST /api/v1/tickets HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n", "x".repeat(5 * MIB));
    stream.write_all(head.as_bytes()).await.expect("the server reads on");
    stream.write_all(format!("content-length: {MIB}\r\n\r\n").as_bytes()).await.expect("the server reads on");
    stream.write_all(&vec![b'x'; MIB]).await.expect("the server reads on");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("no reset");
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// A client whose token has expired keeps its connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_that_is_refused_unread_costs_no_connection() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.endpoint.address).await.expect("connected");
    for (path, status) in [("/api/v1/tickets", "401"), ("/api/v1/nothing", "404"), ("/nothing", "404")] {
        let body = "{\"subject\":\"a\",\"body\":\"b\"}";
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.expect("the connection is open");
        let (mut answer, mut buffer) = (String::new(), [0; 4096]);
        while !answer.ends_with("}}") {
            let read = stream.read(&mut buffer).await.expect("no reset");
            assert!(read > 0, "{path}: {answer}");
            answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}
