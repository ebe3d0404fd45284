//! The private listener, and a peer that tries to exhaust its connections or the server's CPU.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Process, TestDatabase};

/// The maximum number of open connections, in addition to closing ones.
const PLACES: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_no_operator_out() {
    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[]).await;
    let mut silent = Vec::new();
    for _ in 0..4 * PLACES {
        silent.push(TcpStream::connect(server.private.address).await.expect("connected"));
    }
    let since = Instant::now();
    assert_eq!(server.private.get("/livez").await.status, 200);
    assert!(server.private.get("/metrics").await.body.to_string().contains("mainstay_build_info"));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    // Long before a silent connection ends by itself.
    for stream in &mut silent[..2 * PLACES] {
        let outcome = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0])).await;
        assert!(!matches!(outcome.expect("it is closed"), Ok(1..)), "nothing was asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_rendered_once_a_second_however_many_ask() {
    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[]).await;
    let mut stream = TcpStream::connect(server.private.address).await.expect("connected");
    let request = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(&request.repeat(50)).await.expect("written");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.expect("written");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("all of them");
    let mut bodies: Vec<_> = answers.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
    assert_eq!(bodies.len(), 51);
    for body in &mut bodies {
        *body = body.split_once("\r\n\r\n").expect("a head").1;
    }
    bodies.dedup();
    // Two, if a second ends in between; each rendering shows another CPU time.
    assert!(bodies.len() <= 2, "{} renderings", bodies.len());
    let cpu_time = || async {
        let text = server.private.get("/metrics").await.body.to_string();
        let line = text.split("\\n").find(|line| line.starts_with("process_cpu_seconds_total ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no processor time in {text}"))
    };
    let before = cpu_time().await;
    crate::support::eventually("the next rendering", async || cpu_time().await != before).await;
}
