//! A server that is told to stop finishes the requests in progress.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    cases::ticket,
    support::{Process, Protocol, TestDatabase, database::connect, eventually, people::Cast},
};

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_finish_and_new_ones_go_elsewhere() {
    let database = TestDatabase::new().await;
    let mut server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let id = ticket(&cast.customer).await;
    let locker = connect(&database.url).await;
    locker
        .batch_execute(&format!("BEGIN; SELECT id FROM tickets WHERE id = '{id}' FOR UPDATE"))
        .await
        .expect("the ticket");
    let calls = [Protocol::Grpc, Protocol::Rest].map(|protocol| {
        let (customer, id) = (cast.customer.clone(), id.clone());
        tokio::spawn(async move {
            customer.call(protocol, "CommentService.CreateComment", json!({ "ticketId": id, "body": "Late" })).await
        })
    });
    database.locks_waited_for(2).await;
    server.signal(Signal::SIGTERM);
    let address = server.endpoint.address;
    eventually("new connections go elsewhere", async || TcpStream::connect(address).await.is_err()).await;
    locker.batch_execute("ROLLBACK").await.expect("the ticket goes");
    for call in calls {
        call.await.expect("no panic").success();
    }
    let status = server.wait().await;
    assert!(status.success(), "{status}: {}", server.log());
}

/// Starts a server with a long drain timeout.
async fn patient() -> (TestDatabase, Process) {
    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[("DRAIN_TIMEOUT", "10m"), ("WRITE_TIMEOUT", "10m")]).await;
    (database, server)
}

async fn ends_soon(mut server: Process) {
    let since = Instant::now();
    server.signal(Signal::SIGTERM);
    let status = server.wait().await;
    assert!(status.success(), "{status}: {}", server.log());
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_is_not_waited_for() {
    let (_database, server) = patient().await;
    let mut silent = TcpStream::connect(server.endpoint.address).await.expect("connected");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    silent.write_all(preface).await.expect("written");
    // The server's own SETTINGS: the connection has begun.
    silent.read_exact(&mut [0; 9]).await.expect("a frame");
    ends_soon(server).await;
}

/// A request that does not end in time is aborted, and the exit status reports that, because a stop must not wait for
/// the 600 seconds that an export may take.
#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_drain_are_cut_off() {
    let database = TestDatabase::new().await;
    // Without jobs, which could wait for the table too.
    let mut server = Process::with(&database, &[("DRAIN_TIMEOUT", "1s"), ("JOBS_IN_SERVE", "false")]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    cast.agent.token().await.expect("a token");
    let locker = connect(&database.url).await;
    locker.batch_execute("BEGIN; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE").await.expect("the table");
    let agent = cast.agent.clone();
    let export = tokio::spawn(async move { agent.rest("TicketService.ExportTickets", json!({})).await });
    database.locks_waited_for(1).await;
    let since = Instant::now();
    server.signal(Signal::SIGTERM);
    let status = server.wait().await;
    assert!(since.elapsed() >= Duration::from_secs(1), "it had a second: {:?}", since.elapsed());
    assert_eq!(status.code(), Some(1), "{status}: {}", server.log());
    server.wait_for_log("\"drained\":false").await;
    let cut_off = export.await.expect("no panic");
    assert_eq!(cut_off.status, 0, "{cut_off:#?}");
}

/// Whatever hangs, an orchestrator need not kill the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_that_hangs_ends_nevertheless() {
    let database = TestDatabase::new().await;
    let own = [("DRAIN_TIMEOUT", "1s"), ("MAINSTAY_FAULTS", "close=hang")];
    let mut server = Process::with(&database, &own).await;
    server.signal(Signal::SIGTERM);
    let status = server.wait().await;
    assert_eq!(status.code(), Some(1), "{status}: {}", server.log());
    server.wait_for_log("the shutdown exceeded its time").await;
}

/// A Ctrl-C reaches all processes of the foreground group, and a launcher such as npx forwards it in addition.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_interrupt_is_the_same_one_and_a_later_one_is_not() {
    let database = TestDatabase::new().await;
    let mut server = Process::with(&database, &[("DRAIN_DELAY", "10m")]).await;
    let ready = format!("http://{}/readyz", server.private.address);
    server.signal(Signal::SIGINT);
    tokio::time::sleep(Duration::from_millis(20)).await;
    server.signal(Signal::SIGINT);
    eventually("it drains", async || reqwest::get(&ready).await.expect("an answer").status() == 503).await;
    // Within half a second, an interrupt counts as a repetition.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(reqwest::get(&ready).await.expect("it drains still").status(), 503);
    server.signal(Signal::SIGINT);
    let status = server.wait().await;
    assert_eq!(status.code(), Some(130), "{status}: {}", server.log());
}
