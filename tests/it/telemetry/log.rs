//! The log line of a request, including the case that the log is not read.

use std::{
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Stdio,
    time::Duration,
};

use futures_util::future::join_all;
use mainstay_dev_servers::{Redis, RedisOptions};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    cases::draft,
    support::{Actor, Process, Protocol, TestApp, TestDatabase, app::environment, eventually, people::Cast, unique},
};

/// The lines of requests so far.
fn lines(server: &Process) -> Vec<Value> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"].as_str().is_some_and(|text| text.starts_with("request "))).collect()
}

/// Waits for the line of a request.
async fn line(server: &Process, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let mut line = None;
    eventually(what, async || {
        line = lines(server).into_iter().find(|line| is_it(line));
        line.is_some()
    })
    .await;
    line.expect("found")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_the_caller_the_method_and_the_outcome() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let me = cast.customer.rest("UserService.GetMe", json!({})).await.success();
    for protocol in [Protocol::Rest, Protocol::Grpc] {
        let id = format!("request-{}", unique());
        let key = unique().to_string();
        let headers = [("x-request-id", id.as_str()), ("idempotency-key", key.as_str())];
        let response =
            cast.customer.call_with(protocol, "TicketService.CreateTicket", draft(), &headers).await.success();
        let line = line(&server, "the line", |line| line["span"]["id"] == id).await;
        assert_eq!(line["method"], "TicketService.CreateTicket", "{line}");
        assert_eq!(line["principal"], me.text("/data/id"), "{line}");
        assert_eq!(line["account"], me.text("/accountId"), "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert!(line["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{line}");
        assert!(line["elapsed_us"].as_u64() <= line["sent_us"].as_u64(), "{line}");
        let (status, route) = match protocol {
            Protocol::Rest => (json!(201), json!("/api/v1/tickets")),
            _ => (json!(201), Value::Null),
        };
        assert_eq!((&line["status"], &line["route"]), (&status, &route), "{line}");
        assert!(line.get("path").is_none() && line.get("cut_off").is_none(), "{line}");
        let get = json!({ "ticketId": response.id() });
        cast.customer
            .call_with(protocol, "TicketService.GetTicket", get, &[("x-request-id", &format!("{id}-get"))])
            .await;
        let line = self::line(&server, "the second line", |line| line["span"]["id"] == format!("{id}-get")).await;
        if protocol == Protocol::Rest {
            assert_eq!(line["route"], "/api/v1/tickets/{ticket_id}", "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_path_has_a_bounded_line_that_cannot_be_forged() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let token = "eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ".repeat(4);
    server.endpoint.get(&format!("/api/v1/nowhere/{token}?token=not-for-logs")).await;
    server.endpoint.get(&format!("/{}", "long/".repeat(100))).await;
    server.endpoint.get("/nowhere%0A%7B%22message%22:%22request%20done%22%7D").await;
    let hidden = line(&server, "the token", |line| line["path"] == "/api/v1/nowhere/…").await;
    assert_eq!(
        (&hidden["status"], &hidden["code"], &hidden["client"]),
        (&json!(404), &json!("ROUTE_NOT_FOUND"), &json!("127.0.0.1"))
    );
    let long =
        line(&server, "the long path", |line| line["path"].as_str().is_some_and(|path| path.starts_with("/long")))
            .await;
    assert!(long["path"].as_str().is_some_and(|path| path.len() <= 200), "{long}");
    line(&server, "the forged line", |line| line["path"] == "/…").await;
    let (address, id) = ("mallory.private@example.com", "0197b5f4-8a20-7d13-9c4b-6e5f7a8b9c01");
    server.endpoint.get(&format!("/api/v1/users/by-email/{address}")).await;
    line(&server, "the address", |line| line["path"] == "/api/v1/users/by-email/…").await;
    // The unguessable id of an avatar is its only credential.
    server.endpoint.get(&format!("/avatars/{id}/64")).await;
    line(&server, "the page", |line| line["path"] == "/avatars/{id}/{size}").await;
    assert!(!server.log().contains(address) && !server.log().contains(id), "{}", server.log());
    assert!(lines(&server).iter().all(|line| line["level"].is_string()), "{}", server.log());
    assert!(!server.log().contains(&token) && !server.log().contains("not-for-logs"), "{}", server.log());
}

/// A missing table is a defect: the line has the causes, and a backtrace.
#[tokio::test(flavor = "multi_thread")]
async fn a_defect_has_its_causes_and_a_backtrace() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    cast.customer.rest("TicketService.ListTickets", json!({})).await.success();
    database.sql("ALTER TABLE tickets RENAME TO mislaid").await;
    let answer = cast.customer.rest("TicketService.ListTickets", json!({})).await;
    assert!(!answer.body.to_string().contains("mislaid"), "{}", answer.body);
    let line = line(&server, "the failure", |line| line["status"] == 500).await;
    assert_eq!((&line["level"], &line["code"]), (&json!("ERROR"), &json!("INTERNAL_ERROR")), "{line}");
    assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("42P01")), "{line}");
    assert!(line["backtrace"].as_str().is_some_and(|trace| trace.contains("mainstay")), "{line}");
    assert_eq!(line["method"], "TicketService.ListTickets");
}

/// A form of another site is refused, and no defect of the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_is_no_error() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let paths = ["/register", "/reset-password", "/session"];
    for path in paths {
        let form = server.endpoint.http.post(format!("{}{path}", server.endpoint.base())).body("email=a%40example.com");
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = form.header("sec-fetch-site", "cross-site").send().await.expect("an answer");
        assert_eq!(answer.status(), 403, "{path}");
    }
    eventually("a line of each refusal", async || {
        lines(&server).iter().filter(|line| line["status"] == 403).count() == paths.len()
    })
    .await;
    assert!(!server.log().contains("\"ERROR\""), "{}", server.log());
}

/// The first line has the failure of a command, and the second one why Redis can't be reached again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_redis_has_its_cause() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[("REDIS_URL", &redis.url())]).await;
    server.endpoint.get("/api/v1/posts").await.success();
    redis.crash();
    for (message, expected) in [("Redis is unavailable", "Redis"), ("Redis is still unavailable", "refused")] {
        eventually(message, async || {
            server.endpoint.get("/api/v1/posts").await;
            let log = server.log();
            let mut events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            events.any(|event| {
                let cause = event["cause"].as_str().unwrap_or_default();
                event["message"] == message && cause.contains(expected)
            })
        })
        .await;
    }
}

/// Load balancers probe about every second.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_has_no_line_unless_it_fails() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(server.endpoint.get(path).await.status, 200);
    }
    let mut health = HealthClient::new(server.endpoint.channel.clone());
    health.check(HealthCheckRequest::default()).await.expect("serving");
    server.endpoint.get("/livez/nowhere").await;
    line(&server, "what is no probe", |line| line["path"] == "/livez/nowhere").await;
    assert_eq!(lines(&server).len(), 1, "{}", server.log());
}

/// Returns the number of lines that were dropped because stderr was blocked.
async fn dropped(server: &Process) -> u64 {
    let metrics =
        server.private.http.get(format!("{}/metrics", server.private.base())).send().await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    let value = metrics.lines().find_map(|line| line.strip_prefix("mainstay_log_lines_dropped_total "));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no such metric in {metrics}"))
}

/// Makes requests with long lines, until more lines were dropped than before.
async fn fill_log(server: &Process) {
    let (path, before) = (format!("/{}", "nowhere/".repeat(25)), dropped(server).await);
    let fill = async {
        while dropped(server).await == before {
            join_all((0..50).map(|_| server.endpoint.get(&path))).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), fill).await.expect("answers, and lines that were dropped");
}

/// The log collector may hang: requests are answered, and the server ends when it is told to.
#[tokio::test(flavor = "multi_thread")]
async fn an_unread_log_delays_no_request() {
    let database = TestDatabase::new().await;
    let mut server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let unread = server.stop_reading_log().await;
    let start = server.log().len();
    fill_log(&server).await;
    for protocol in [Protocol::Rest, Protocol::Grpc] {
        cast.customer.call(protocol, "TicketService.CreateTicket", draft()).await.success();
    }
    drop(unread);
    // Waiting lines are written once there is room, followed by new lines.
    eventually("the log goes on", async || {
        server.endpoint.get("/somewhere/else").await;
        server.log().contains("/somewhere/else")
    })
    .await;
    let log = server.log();
    // The first line may have begun earlier.
    let lines: Vec<_> = log[start..].split('\n').skip(1).collect();
    let (_, whole) = lines.split_last().expect("lines");
    assert!(whole.len() > 1000, "{} lines", whole.len());
    for line in whole {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let _unread = server.stop_reading_log().await;
    fill_log(&server).await;
    server.signal(Signal::SIGTERM);
    assert!(server.wait().await.success());
}

/// A second signal skips the drain, but the log is written first.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_server_but_not_before_its_log_is_written() {
    let database = TestDatabase::new().await;
    let mut server = Process::with(&database, &[("DRAIN_DELAY", "10m")]).await;
    let unread = server.stop_reading_log().await;
    // More than a pipe holds, and less than the buffer holds.
    let path = format!("/{}", "nowhere/".repeat(25));
    for _ in 0..10 {
        join_all((0..50).map(|_| server.endpoint.get(&path))).await;
    }
    server.endpoint.get("/the-end").await;
    server.signal(Signal::SIGTERM);
    let ready = format!("http://{}/readyz", server.private.address);
    eventually("it drains", async || reqwest::get(&ready).await.expect("an answer").status() == 503).await;
    assert!(!server.log().contains("/the-end"), "{}", server.log());
    server.signal(Signal::SIGTERM);
    drop(unread);
    let status = server.wait().await;
    assert_eq!(status.code(), Some(130), "{status}: {}", server.log());
    server.wait_for_log("/the-end").await;
}

/// A panic is logged like everything else, and the panicking thread does not wait either.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_one_line_that_no_request_waits_for() {
    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[("MAINSTAY_FAULTS", "authenticate=panic")]).await;
    let caller = Actor::bearer(&server.endpoint, "x");
    let panic = async || {
        let call = caller.rest("UserService.GetMe", json!({}));
        let answer = tokio::time::timeout(Duration::from_secs(30), call).await.expect("an answer");
        answer.failure("INTERNAL_ERROR");
    };
    panic().await;
    let request = line(&server, "the request's line", |line| line["status"] == 500).await;
    let log = server.log();
    let about: Vec<_> = log.lines().filter(|line| line.contains("injected at authenticate")).collect();
    let [line] = about.as_slice() else { panic!("one line: {log}") };
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!((&line["level"], &line["cause"]), (&json!("ERROR"), &json!("injected at authenticate")), "{line}");
    assert!(line["location"].as_str().is_some_and(|location| location.contains("fault.rs:")), "{line}");
    assert!(line["backtrace"].as_str().is_some_and(|trace| trace.contains("mainstay")), "{line}");
    assert!(line["span"]["id"].is_string() && line["span"]["id"] == request["span"]["id"], "{line} {request}");
    assert!(!log.contains("panicked at"), "{log}");

    let _unread = server.stop_reading_log().await;
    fill_log(&server).await;
    panic().await;
}

/// Returns a program's stderr that blocks until its other end is read.
fn full_stderr() -> (UnixStream, OwnedFd) {
    let (reader, mut writer) = UnixStream::pair().expect("sockets");
    writer.set_nonblocking(true).expect("an option");
    while matches!(writer.write(&[b'\n'; 1024]), Ok(1..)) {}
    writer.set_nonblocking(false).expect("an option");
    (reader, writer.into())
}

/// The program's final message follows its log, and is waited for no longer than the log.
#[tokio::test]
async fn an_unread_error_keeps_no_program_from_ending() {
    let (_reader, stderr) = full_stderr();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.arg("serve").env("DATABASE_POOL_WAIT", "nonsense").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let status = tokio::time::timeout(Duration::from_secs(30), command.status()).await.expect("it ends");
    assert_eq!(status.expect("the binary runs").code(), Some(1));
}

/// A panic of the main thread ends the process, after stderr had a second to accept the line.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_that_ends_the_process_is_written_first() {
    let app = TestApp::start().await;
    let (mut reader, stderr) = full_stderr();
    let email = format!("{}@example.com", unique());
    let own = [("MAINSTAY_FAULTS", "commit.after=panic"), ("MAINSTAY_PASSWORD", "measure twice, cut once")];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["users", "create-admin", email.as_str()]).envs(environment(&app.database, &own).await);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).kill_on_drop(true);
    let mut child = command.spawn().expect("the binary runs");
    // The command holds the socket open, too.
    drop(command);
    let query = format!("SELECT count(*) FROM users WHERE email = '{email}'");
    // Nothing was read from stderr so far, so that the line has waited.
    eventually("it commits, and panics", async || app.database.number(&query).await == 1).await;
    let read = move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    };
    let text = tokio::task::spawn_blocking(read).await.expect("no panic").expect("text");
    assert!(text.contains("injected at commit.after"), "{text}");
    assert_eq!(child.wait().await.expect("our own child").code(), Some(101), "{text}");
}
