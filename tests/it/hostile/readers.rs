//! Clients that send requests and do not read the responses.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use h2::{Reason, RecvStream, client::SendRequest};
use http::Request;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    cases::{add_tickets, file::body, ticket},
    support::{Actor, Endpoint, Process, Protocol, TestApp, TestDatabase, database, people::Cast},
    watch::Reader,
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// The flow-control window of a stream in bytes: the amount that the server can send before the client reads.
const WINDOW: u32 = 1000;
/// The size of a ticket's body.
const BODY_BYTES: usize = 18_000;

/// The deadline of a list. It ends all that is held for its reader.
const LIST_DEADLINE: Duration = Duration::from_secs(2);

/// The window of a client that reads a large response: it needs few updates of the window within the deadline.
const LARGE_WINDOW: u32 = 64_000;

/// Opens an HTTP/2 connection whose streams stall independently.
async fn connect(endpoint: &Endpoint) -> SendRequest<Bytes> {
    connect_with(endpoint, WINDOW).await
}

async fn connect_with(endpoint: &Endpoint, window: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(endpoint.address).await.expect("connected");
    let mut client = h2::client::Builder::new();
    let client = client.initial_window_size(window).initial_connection_window_size(1 << 30);
    let (client, connection) = client.handshake(stream).await.expect("a handshake");
    // The task ends with the test, or when the server closes the connection.
    tokio::spawn(async move { connection.await.ok() });
    client
}

/// Sends a request, and reads only the head. `None` if the server ended the stream, or the connection.
async fn ask(client: &mut SendRequest<Bytes>, path: &str, headers: &[(&str, &str)]) -> Option<(u16, RecvStream)> {
    let mut request = Request::get(format!("http://mainstay{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut ready = client.clone().ready().await.ok()?;
    let (answer, _) = ready.send_request(request.body(()).expect("a request"), true).ok()?;
    let answer = tokio::time::timeout(TIMEOUT, answer).await.expect("a head in time").ok()?;
    Some((answer.status().as_u16(), answer.into_body()))
}

/// Reads what has arrived and waits for the end, without ever opening the window.
async fn end(mut body: RecvStream) -> Option<Reason> {
    let read = async {
        while let Some(data) = body.data().await {
            if let Err(error) = data {
                return error.reason();
            }
        }
        None
    };
    tokio::time::timeout(TIMEOUT, read).await.expect("the stream ends")
}

/// Reads a whole response.
async fn read(response: (u16, RecvStream)) -> (u16, usize) {
    read_in_time(response).await.expect("no reset")
}

/// Reads a whole response; `None` if its deadline ends first, as on a busy machine.
async fn read_in_time((status, mut body): (u16, RecvStream)) -> Option<(u16, usize)> {
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        length += data.len();
        body.flow_control().release_capacity(data.len()).expect("as much as arrived");
    }
    Some((status, length))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_cut_off_alone() {
    let app = TestApp::builder().set("WRITE_TIMEOUT", "1s").start().await;
    let mut client = connect(&app.endpoint).await;
    let (status, stalled) = ask(&mut client, "/openapi.json", &[]).await.expect("a head");
    assert_eq!(status, 200);
    assert_eq!(end(stalled).await, Some(Reason::CANCEL));
    let whole = ask(&mut client, "/openapi.json", &[]).await.expect("the connection goes on");
    let (status, length) = read(whole).await;
    assert!(status == 200 && length > 100_000, "{status}: {length} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_bytes_are_not_waited_for_either() {
    let app = TestApp::builder().set("WRITE_TIMEOUT", "1s").start().await;
    let mut client = connect(&app.endpoint).await;
    // Larger than the window, and small enough to be fully handed to the connection, so it can't be reset alone any
    // more.
    let (status, stalled) = ask(&mut client, "/docs/start.js", &[]).await.expect("a head");
    assert_eq!(status, 200);
    end(stalled).await;
    let since = Instant::now();
    while client.clone().ready().await.is_ok() {
        assert!(since.elapsed() < TIMEOUT, "the connection is kept");
        tokio::task::yield_now().await;
    }
}

/// The connection may be that of a proxy, with the requests of others.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_the_last_bytes_is_cut_off_alone() {
    let (app, cast) = TestApp::builder().set("WRITE_TIMEOUT", "1s").start_with_cast().await;
    add_tickets(&app.database, cast.customer.as_user(), 2, BODY_BYTES).await;
    let token = format!("Bearer {}", cast.agent.token().await.expect("a token"));
    let headers = [("authorization", token.as_str()), ("accept-encoding", "identity")];
    // Two pieces of 16 KiB fit in, so that the last one is handed to the connection, too.
    let mut client = connect_with(&app.endpoint, 33_000).await;
    let (status, stalled) = ask(&mut client, "/api/v1/tickets", &headers).await.expect("a head");
    assert_eq!(status, 200);
    assert_eq!(end(stalled).await, Some(Reason::CANCEL));
    let whole = ask(&mut client, "/api/v1/tickets", &headers).await.expect("the connection goes on");
    let (status, length) = read(whole).await;
    assert!(status == 200 && (33_000..49_000).contains(&length), "{status}: {length} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_holds_to_the_last_byte() {
    let (app, cast) = TestApp::start_with_cast().await;
    add_tickets(&app.database, cast.customer.as_user(), 100, BODY_BYTES).await;
    let token = format!("Bearer {}", cast.agent.token().await.expect("a token"));
    let headers = [("authorization", token.as_str()), ("x-request-timeout", "2")];
    let mut client = connect(&app.endpoint).await;
    for path in ["/api/v1/tickets/export", "/api/v1/tickets?pageSize=100"] {
        let (status, stalled) = loop {
            let answer = ask(&mut client, path, &headers).await.expect("a head");
            // On a busy machine, the head alone may take longer.
            if answer.0 != 504 {
                break answer;
            }
        };
        assert_eq!(status, 200, "{path}");
        assert_eq!(end(stalled).await, Some(Reason::CANCEL), "{path}");
    }
}

async fn in_flight(app: &TestApp) -> f64 {
    let metrics = app.private.get("/metrics").await.body;
    let metrics = metrics.as_str().expect("a text").to_owned();
    let line = metrics.lines().find_map(|line| line.strip_prefix("mainstay_requests_in_flight "));
    line.and_then(|value| value.parse().ok()).expect("the gauge")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_in_flight_until_it_is_read() {
    let app = TestApp::start().await;
    let mut client = connect(&app.endpoint).await;
    let mut stalled = Vec::new();
    for _ in 0..5 {
        stalled.push(ask(&mut client, "/openapi.json", &[]).await.expect("a head"));
    }
    assert_eq!(in_flight(&app).await, 5.0);
    for response in stalled {
        read(response).await;
    }
    let since = Instant::now();
    while in_flight(&app).await > 0.0 {
        assert!(since.elapsed() < TIMEOUT, "they were read");
    }
}

/// Uploads a file that is larger than all buffers on its way; returns its download URL.
async fn large_file(app: &TestApp) -> String {
    let cast = app.cast().await;
    let request = json!({ "name": "large.bin", "file": body("application/octet-stream", vec![1; 2 << 20]) });
    let id = cast.customer.call(Protocol::Grpc, "FileService.UploadFile", request).await.success().id();
    let link = cast.customer.rest("FileService.DownloadFile", json!({ "fileId": id })).await.success();
    link.text("/data/url")
}

/// Download links and images of public resources need no credential. Clients that do not read them must exhaust neither
/// the request slots nor the budget for unread bytes.
#[tokio::test(flavor = "multi_thread")]
async fn small_unread_downloads_block_no_other() {
    let app = TestApp::builder()
        .set("MAX_IN_FLIGHT", "8")
        .set("MAX_UNREAD_BYTES", "1MiB")
        .set("WRITE_TIMEOUT", "10m")
        .start()
        .await;
    let path = large_file(&app).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut client = connect(&app.endpoint).await;
        for _ in 0..20 {
            let (status, body) = ask(&mut client, &path, &[("range", "bytes=0-15999")]).await.expect("a head");
            assert_eq!(status, 206);
            stalled.push(body);
        }
    }
    assert!(in_flight(&app).await >= 80.0, "none of them is read");
    let mut client = connect(&app.endpoint).await;
    for _ in 0..20 {
        let (status, _) = ask(&mut client, "/api/v1/posts", &[]).await.expect("a head");
        assert_eq!(status, 200);
    }
    let whole = ask(&mut client, &path, &[]).await.expect("a head");
    assert_eq!(read(whole).await, (200, 2 << 20));
    assert!(in_flight(&app).await >= 80.0, "nor did any have to give way");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_download_ends_for_another() {
    // Room for one stream of a connection.
    let app = TestApp::builder().set("MAX_UNREAD_BYTES", "1MiB").set("WRITE_TIMEOUT", "10m").start().await;
    let path = large_file(&app).await;
    let mut client = connect(&app.endpoint).await;
    let (status, stalled) = ask(&mut client, &path, &[]).await.expect("a head");
    assert_eq!(status, 200);
    let since = Instant::now();
    let read = loop {
        if let answer @ (200, _) = ask(&mut client, &path, &[]).await.expect("a head") {
            break read(answer).await;
        }
        assert!(since.elapsed() < TIMEOUT, "no reader makes room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(read, (200, 2 << 20));
    assert_eq!(end(stalled).await, Some(Reason::CANCEL));
}

/// A list costs much more than its rejection, and a client that does not read the first list would not read the second.
#[tokio::test(flavor = "multi_thread")]
async fn no_response_is_produced_for_callers_that_do_not_read() {
    let (app, cast) =
        TestApp::builder().set("MAX_UNREAD_BYTES", "8MiB").set("WRITE_TIMEOUT", "10m").start_with_cast().await;
    add_tickets(&app.database, cast.customer.as_user(), 100, BODY_BYTES).await;
    let service = Actor::service(&cast.admin, &["support.tickets.read".to_owned()]);
    let mut tokens = Vec::new();
    for actor in [&cast.agent, &cast.customer, &cast.admin, &service] {
        tokens.push(format!("Bearer {}", actor.token().await.expect("a token")));
    }
    let mut stalled = Vec::new();
    let since = Instant::now();
    for token in tokens {
        let mut client = connect_with(&app.endpoint, LARGE_WINDOW).await;
        let headers = [("authorization", token.as_str())];
        let list = loop {
            let list = ask(&mut client, "/api/v1/tickets?pageSize=100", &headers).await.expect("a head");
            // On a busy machine, a list may take longer than its deadline.
            if list.0 != 504 {
                break list;
            }
        };
        assert_eq!(list.0, 200);
        stalled.push((list, client, token));
    }
    // The last one, whose deadline is the latest.
    let (list, mut client, token) = stalled.pop().expect("four of them");
    let headers = [("authorization", token.as_str())];
    for _ in 0..3 {
        let refusal = ask(&mut client, "/api/v1/tickets?pageSize=1", &headers).await.expect("a head");
        let (status, _) = read(refusal).await;
        let are_all_held = since.elapsed() < LIST_DEADLINE;
        assert!(status == 503 || !are_all_held, "that a refusal was read changes nothing: {status}");
    }
    let length = read_in_time(list).await.map(|(_, length)| length);
    assert!(length.is_none_or(|length| length > 1_000_000), "what was made is there to be read: {length:?}");
    let (status, _) = ask(&mut client, "/api/v1/tickets?pageSize=1", &headers).await.expect("a head");
    assert_eq!(status, 200, "who has read is served, although the others have not");
}

/// A caller with many concurrent requests waits only for itself, and gets only a share of the queue. Small responses
/// still get their turn, and a processor.
#[tokio::test(flavor = "multi_thread")]
async fn few_large_lists_of_a_caller_are_made_or_wait_at_once() {
    const MOST: usize = 8;
    /// The number of tickets of some 19 kB each: large, while all lists together stay below the caller's unread budget.
    const TICKETS: usize = 20;
    let (app, cast) = TestApp::start_with_cast().await;
    add_tickets(&app.database, cast.customer.as_user(), TICKETS, BODY_BYTES).await;
    let token = format!("Bearer {}", cast.agent.token().await.expect("a token"));
    let headers = [("authorization", token.as_str())];
    let client = connect(&app.endpoint).await;
    let list = |size: usize| {
        let (mut client, path) = (client.clone(), format!("/api/v1/tickets?pageSize={size}"));
        async move { read(ask(&mut client, &path, &headers).await.expect("a head")).await }
    };
    assert_eq!(list(1).await.0, 200, "it shows how large a ticket is");
    let locker = database::connect(&app.database.url).await;
    locker.batch_execute("BEGIN; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let mut lists: FuturesUnordered<_> = (0..=MOST).map(|_| list(TICKETS)).collect();
    let result = tokio::time::timeout(TIMEOUT, lists.next()).await.expect("one does not wait");
    assert_eq!(result.expect("one of nine").0, 503);
    locker.batch_execute("ROLLBACK").await.expect("an end");
    let all = lists.collect::<Vec<_>>().await.into_iter().chain(join_all((0..MOST).map(|_| list(TICKETS))).await);
    for (status, length) in all {
        assert!(status == 200 && length > 300_000, "{status}: {length} bytes");
    }
}

/// A stop waits neither for bytes that are still to be handed to the connection, nor for bytes in the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_clients_that_read_nothing() {
    let database = TestDatabase::new().await;
    let mut server = Process::with(&database, &[("DRAIN_TIMEOUT", "10m"), ("WRITE_TIMEOUT", "10m")]).await;
    let mut stalled = Vec::new();
    for path in ["/openapi.json", "/docs/start.js"] {
        let mut client = connect(&server.endpoint).await;
        stalled.push((ask(&mut client, path, &[]).await.expect("a head"), client));
    }
    let since = Instant::now();
    server.signal(Signal::SIGTERM);
    let status = server.wait().await;
    assert!(status.success(), "{status}: {}", server.log());
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
}

/// Returns the resident memory in bytes, from Linux's /proc.
#[cfg(target_os = "linux")]
fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn unread_responses_are_bounded() {
    /// 600 lists of 1.9 MB are 1.1 GB.
    const READERS: [usize; 2] = [20, 30];
    const MAY_GROW: usize = 160 << 20;

    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[("MAX_UNREAD_BYTES", "32MiB"), ("WRITE_TIMEOUT", "10m")]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    add_tickets(&database, cast.customer.as_user(), 100, BODY_BYTES).await;
    let who = [&cast.agent, &cast.customer, &cast.admin];
    let mut tokens = Vec::new();
    for actor in who {
        tokens.push(format!("Bearer {}", actor.token().await.expect("a token")));
    }
    let before = memory(server.pid());
    let mut unread = Vec::new();
    let mut most = 0;
    for connection in 0..READERS[0] {
        let mut client = connect(&server.endpoint).await;
        let headers = [("authorization", tokens[connection % 3].as_str()), ("accept-encoding", "br")];
        // A third of them would stall within an encoder, if there were one.
        let headers = &headers[..1 + usize::from(connection % 3 == 0)];
        for _ in 0..READERS[1] {
            unread.extend(ask(&mut client, "/api/v1/tickets?pageSize=100", headers).await);
        }
        most = most.max(memory(server.pid()));
    }
    let grown = most.saturating_sub(before);
    assert!(grown < MAY_GROW, "the server uses {} MB more for readers that do not read", grown >> 20);
    // A client that reads is served as usual.
    let mut client = connect_with(&server.endpoint, LARGE_WINDOW).await;
    let since = Instant::now();
    loop {
        let headers = [("authorization", tokens[1].as_str())];
        if let Some(answer @ (200, _)) = ask(&mut client, "/api/v1/tickets?pageSize=100", &headers).await
            && let Some((_, length)) = read_in_time(answer).await
        {
            assert!(length > 1_000_000, "{length} bytes");
            break;
        }
        assert!(since.elapsed() < 3 * TIMEOUT, "no reader makes room");
    }
}

/// A watch whose reader has stalled retains its encoded messages, which count against the budget.
#[tokio::test(flavor = "multi_thread")]
async fn unread_watches_end_for_others_which_continue() {
    let (app, cast) =
        TestApp::builder().set("MAX_UNREAD_BYTES", "4MiB").set("WRITE_TIMEOUT", "10m").start_with_cast().await;
    let token = format!("Bearer {}", cast.agent.token().await.expect("a token"));
    let headers = [("authorization", token.as_str()), ("accept", "text/event-stream")];
    let mut reader = Reader::open(&cast.agent, Protocol::Rest, "TicketService.WatchTickets", "").await;
    reader.message().await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut client = connect(&app.endpoint).await;
        let (status, body) = ask(&mut client, "/api/v1/tickets/watch", &headers).await.expect("a head");
        assert_eq!(status, 200);
        stalled.push((client, body));
    }
    let open = async || {
        let metrics = app.private.get("/metrics").await.body;
        let metrics = metrics.as_str().expect("a text").to_owned();
        let line = metrics.lines().find_map(|line| line.strip_prefix("mainstay_watches "));
        line.and_then(|value| value.parse::<f64>().ok()).expect("the gauge")
    };
    let id = ticket(&cast.customer).await;
    let since = Instant::now();
    let mut number = 0;
    // A caller may hold a quarter of the memory: four stalled callers, beside the one that reads.
    while open().await > 5.0 {
        assert!(since.elapsed() < TIMEOUT, "{} watches after {number} changes", open().await);
        let body = format!("{number} {}", "smoke ".repeat(BODY_BYTES / 6));
        let change = json!({ "ticketId": id, "ticket": { "body": body } });
        cast.customer.rest("TicketService.UpdateTicket", change).await.success();
        number += 1;
        while !reader.item().await.to_string().contains(&format!("{} smoke", number - 1)) {}
    }
    assert!(open().await >= 4.0, "those that fit stay: {}", open().await);
}
