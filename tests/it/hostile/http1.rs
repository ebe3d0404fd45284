//! Clients that violate HTTP/1.1.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::TestApp;

/// Sends raw bytes and reads until the server closes the connection or the time limit passes.
async fn speak(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.endpoint.address).await.expect("connected");
    // The server may close the connection in the middle, which is a valid outcome too.
    stream.write_all(bytes).await.ok();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn floods_and_smuggling_are_refused() {
    let app = TestApp::start().await;
    let many: String = (0..500).map(|number| format!("X-H-{number}: x\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "x".repeat(200_000));
    let requests = [
        format!("GET /livez HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        format!("GET /livez HTTP/1.1\r\nHost: a\r\n{large}\r\n"),
        "POST /api/v1/tickets HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello".to_owned(),
        "GET /livez HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let answer = speak(&app, request.as_bytes()).await;
        let head = answer.lines().next().unwrap_or_default().to_owned();
        assert!(answer.is_empty() || head.contains(" 4"), "{}: {head}", &request[..request.len().min(60)]);
    }
    assert_eq!(app.endpoint.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let app = TestApp::start().await;
    for (path, good) in [("/livez", "200"), ("/api/v1/nothing", "404")] {
        for (version, hosts, status) in [
            ("1.1", "", "400"),
            ("1.1", "Host: a\r\nHost: a\r\n", "400"),
            ("1.1", "Host: a\r\nHost: b\r\n", "400"),
            ("1.1", "Host: a b\r\n", "400"),
            ("1.1", "Host: a/b\r\n", "400"),
            ("1.1", "Host: a:8080\r\n", good),
            ("1.1", "Host:\r\n", good),
            ("1.0", "", good),
        ] {
            let request = format!("GET {path} HTTP/{version}\r\nConnection: close\r\n{hosts}\r\n");
            let answer = speak(&app, request.as_bytes()).await;
            assert_eq!(answer.split(' ').nth(1), Some(status), "{request}{answer}");
            let named = answer.contains("MALFORMED_REQUEST");
            assert_eq!(named, status == "400", "{request}{answer}");
        }
    }
}

#[tokio::test]
async fn a_truncated_body_changes_nothing() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let head = format!(
        "POST /api/v1/tickets HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{\"subject\":\"a\",\"body\":\"b\"}}"
    );
    let mut stream = TcpStream::connect(app.endpoint.address).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("written");
    stream.shutdown().await.expect("closed");
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("it ends").ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
}

#[tokio::test]
async fn a_slow_body_times_out() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let head = format!(
        "POST /api/v1/tickets HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{"
    );
    let mut stream = TcpStream::connect(app.endpoint.address).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("written");
    let since = Instant::now();
    let mut answer = [0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(40), stream.read(&mut answer)).await;
    let read = read.unwrap_or_else(|_| panic!("no answer after {:?}", since.elapsed())).unwrap_or(0);
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}
