//! One trace from the caller's `traceparent` to the webhook that the request causes.

use std::{pin::pin, sync::Arc};

use futures_util::future::join_all;
use serde_json::json;

use super::otlp::{Collector, Span};
use crate::{
    cases::{Scene, draft, file::upload},
    payment::{self, charge_of},
    support::{
        PROTOCOLS, Process, Protocol, TestDatabase, database::connect, eventually, gateway::FakeGateway,
        mail::MailProvider, people::Cast, process, receiver::Receiver, unique,
    },
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

async fn create_endpoint(cast: &Cast, receiver: &Receiver) {
    let me = cast.customer.rest("UserService.GetMe", json!({})).await.success();
    let request = json!({
        "url": receiver.url(), "eventTypes": ["support.ticket.created"], "accountId": me.text("/accountId"),
    });
    cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", request).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_leads_from_the_caller_to_the_webhook() {
    let (collector, address) = Collector::grpc().await;
    let database = TestDatabase::new().await;
    let server = Process::with(
        &database,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ],
    )
    .await;
    let receiver = Receiver::answering(&[204]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    create_endpoint(&cast, &receiver).await;
    let key = unique().to_string();
    let headers = [("traceparent", traceparent()), ("idempotency-key", key)];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    cast.customer.call_with(Protocol::Rest, "TicketService.CreateTicket", draft(), &headers).await.success();

    let of_trace = |span: &Span| span.trace == TRACE;
    let request = collector.wait_for("request", |span| of_trace(span) && span.parent == CALLER).await;
    assert_eq!(request.name, "POST /api/v1/tickets");
    for (name, value) in [
        ("http.response.status_code", "201"),
        ("http.route", "/api/v1/tickets"),
        ("rpc.method", "mainstay.support.v1.TicketService/CreateTicket"),
        ("enduser.id", &cast.customer.principal().await),
        ("service.name", "shop"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(request.attribute(name), value, "{name}: {request:?}");
    }
    let insert = collector
        .wait_for("statement", |span| {
            of_trace(span) && span.attribute("db.query.text").replace('"', "").starts_with("INSERT INTO tickets")
        })
        .await;
    assert_eq!((insert.parent.as_str(), insert.attribute("db.system.name")), (request.id.as_str(), "postgresql"));
    assert!(insert.attribute("postgresql.process_id").parse::<i32>().is_ok_and(|id| id > 0), "{insert:?}");
    collector.wait_for("command", |span| of_trace(span) && span.attribute("db.system.name") == "redis").await;

    // The job continues the trace, and so do its outgoing requests.
    let [delivery] = &receiver.wait_for(1).await[..] else { panic!("one delivery") };
    let call = collector.wait_for("call", |span| of_trace(span) && !span.attribute("server.address").is_empty()).await;
    let job = collector.wait_for("job", |span| span.id == call.parent).await;
    assert!(job.name.starts_with("job "), "{job:?}");
    assert_eq!(delivery.header("traceparent"), format!("00-{TRACE}-{}-01", call.id));
    // No value of a statement leaves the process, and no path of a receiver.
    for span in collector.spans() {
        assert!(!span.mentions("It burns.") && !span.mentions("/hook"), "{span:?}");
    }
    server.wait_for_log(&format!("\"trace_id\":\"{TRACE}\"")).await;
}

/// An attempt that failed ends neither the trace nor its link to the caller: the next one is in the same trace.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_continues_the_trace_of_its_caller() {
    let (collector, address) = Collector::http().await;
    let database = TestDatabase::new().await;
    let url = format!("http://{address}");
    let own = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("WEBHOOK_FIRST_WAIT", "100ms"),
    ];
    let server = Process::with(&database, &own).await;
    let receiver = Receiver::answering(&[500, 204]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    create_endpoint(&cast, &receiver).await;
    let headers = [("traceparent", traceparent())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    cast.customer.call_with(Protocol::Rest, "TicketService.CreateTicket", draft(), &headers).await.success();
    let deliveries = receiver.wait_for(2).await;
    let traces = [0, 1].map(|number: usize| deliveries[number].header("traceparent").to_owned());
    assert!(traces.iter().all(|trace| trace.starts_with(&format!("00-{TRACE}-"))), "{traces:?}");
    assert_ne!(traces[0], traces[1], "each attempt is a separate call");
    // On a busy machine, one job makes both attempts.
    for trace in &traces {
        let id = trace.split('-').nth(2).expect("the id of a span");
        let call = collector.wait_for("call", |span| span.trace == TRACE && span.id == id).await;
        let job = collector.wait_for("job", |span| span.id == call.parent).await;
        assert_eq!((job.trace.as_str(), job.name.as_str()), (TRACE, "job deliver_webhook"), "{job:?}");
    }
}

/// What the caller does not wait for is in its trace all the same: a charge whose gateway does not answer in time, and the
/// mail about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_charge_is_settled_under_the_trace_of_its_caller() {
    let (collector, address) = Collector::http().await;
    let (database, gateway) = (Arc::new(TestDatabase::new().await), FakeGateway::start().await);
    let provider = MailProvider::start().await;
    let (url, mail) = (format!("http://{address}"), provider.variables());
    let mut own = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    own.extend(mail.iter().map(|(name, value)| (*name, value.as_str())));
    let server = payment::process(&database, &gateway, &own).await;
    let scene = Scene::at(&server, &database).await;
    let (customer, request, key) = (&scene.cast.customer, charge_of(&scene).await, unique().to_string());
    gateway.behave(json!({ "delay_after": 1500 }), 0).await;
    let headers = [("traceparent", traceparent()), ("idempotency-key", key)];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let charge = customer.call_with(Protocol::Rest, "PaymentService.ChargePayment", request, &headers).await.success();
    assert_eq!(charge.status, 202, "{charge:#?}");
    gateway.behave_well().await;
    assert_eq!(gateway.settled_books(&database).await, 1);

    let of_trace = |span: &Span| span.trace == TRACE;
    let settlement = |span: &Span| of_trace(span) && span.name == "job settle_payment";
    collector.wait_for("settlement", settlement).await;
    let call = |span: &Span| {
        let settles = |job: &Span| settlement(job) && job.id == span.parent;
        !span.attribute("server.address").is_empty() && collector.spans().iter().any(settles)
    };
    collector.wait_for("call of the settlement", call).await;
    let mail = collector.wait_for("mail", |span| of_trace(span) && span.attribute("provider") == "mail").await;
    assert_eq!((mail.name.as_str(), mail.attribute("server.address")), ("send mail", "127.0.0.1"), "{mail:?}");
    assert!(!mail.attribute("server.port").is_empty(), "{mail:?}");
}

/// A call to the storage has a span within that of its request, and each run of a scheduled task is a separate trace.
#[tokio::test(flavor = "multi_thread")]
async fn the_storage_and_scheduled_tasks_are_traced() {
    let (collector, address) = Collector::http().await;
    let database = TestDatabase::new().await;
    let url = format!("http://{address}");
    let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let server = Process::with(&database, &own).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let file = upload(&cast.customer).await;
    let put = collector.wait_for("call", |span| span.name == "put object").await;
    assert_eq!(put.attribute("provider"), "files", "{put:?}");
    assert!(!put.mentions(&file), "traces do not contain the key: {put:?}");
    let is_request = |span: &Span| span.trace == put.trace && span.name.starts_with("POST ");
    collector.wait_for("request", is_request).await;

    let run = collector.wait_for("run", |span| span.name == "task sum_ledger").await;
    assert!(run.parent.trim_matches('0').is_empty(), "{run:?}");
    let is_statement = |span: &Span| span.parent == run.id && !span.attribute("db.query.text").is_empty();
    collector.wait_for("statement of the run", is_statement).await;
    // The log line of a failing task has a request id.
    database.sql("ALTER TABLE ledger_unsummed RENAME TO elsewhere").await;
    server.wait_for_log(r#""span":{"name":"task","task":"sum_ledger","id":""#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_go_over_http_too_and_are_sampled_as_configured() {
    let (collector, address) = Collector::http().await;
    let database = TestDatabase::new().await;
    let (mut sampled, mut silent) = {
        let url = format!("http://{address}");
        let common = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
        let silent = [&common[..], &[("OTEL_TRACES_SAMPLER", "always_off")]].concat();
        (Process::with(&database, &common).await, Process::with(&database, &silent).await)
    };
    silent.endpoint.get("/api/v1/nothing-sampled").await;
    sampled.endpoint.get("/api/v1/nothing").await;
    let span = collector.wait_for("request", |span| span.attribute("url.path") == "/api/v1/nothing").await;
    assert_eq!((span.name.as_str(), span.attribute("service.name")), ("GET", "mainstay"));
    // Unsent spans are sent when the server stops.
    silent.signal(nix::sys::signal::Signal::SIGTERM);
    sampled.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(silent.wait().await.success() && sampled.wait().await.success());
    assert!(!collector.spans().iter().any(|span| span.mentions("nothing-sampled")), "{:?}", collector.spans());
}

/// A batch that is not due yet is sent before the process ends.
#[tokio::test(flavor = "multi_thread")]
async fn pending_spans_are_sent_when_the_server_stops() {
    let (collector, address) = Collector::http().await;
    let database = TestDatabase::new().await;
    let url = format!("http://{address}");
    let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    let mut server = Process::with(&database, &own).await;
    server.endpoint.get("/api/v1/the-last-one").await;
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().await.success(), "{}", server.log());
    let is_last = |span: &Span| span.attribute("url.path") == "/api/v1/the-last-one";
    assert!(collector.spans().iter().any(is_last), "{:?}", collector.spans());
}

/// Reads, which share connections otherwise, and writes run in a transaction that is named after the trace.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_knows_the_trace_of_a_sampled_request() {
    let (collector, address) = Collector::http().await;
    let database = Arc::new(TestDatabase::new().await);
    let url = format!("http://{address}");
    let own = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("DATABASE_TRACE_CONTEXT", "true"),
    ];
    let server = Process::with(&database, &own).await;
    let scene = Scene::at(&server, &database).await;
    let (customer, ticket) = (&scene.cast.customer, scene.ticket().await);
    // `own` is the form of the names of the requests: a job may wait, too, under another one.
    let names = async |flags: &str, own: &str| {
        for _ in 0..20 {
            let mut holder = connect(&database.url).await;
            let lock = holder.transaction().await.expect("begun");
            lock.batch_execute("LOCK TABLE tickets").await.expect("locked");
            let traceparent = format!("00-{TRACE}-{CALLER}-{flags}");
            let headers = [("traceparent", traceparent.as_str())];
            let by_id = json!({ "ticketId": ticket });
            let update = json!({ "ticketId": ticket, "ticket": { "subject": format!("It burns {flags}") } });
            let names = async {
                let waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
                let count = format!("SELECT count(*) {waiting} AND application_name LIKE '{own}'");
                // A read that waits on a shared connection is repeated on another one.
                eventually("all wait", async || database.number(&count).await >= 3).await;
                let names = lock.query(&format!("SELECT application_name {waiting}"), &[]).await.expect("names");
                lock.rollback().await.expect("released");
                names.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
            };
            let mut calls = pin!(join_all([
                customer.call_with(Protocol::Rest, "TicketService.GetTicket", by_id, &headers),
                customer.call_with(Protocol::Grpc, "TicketService.ListTickets", json!({}), &headers),
                customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", update, &headers),
            ]));
            // On a busy machine, the deadline of one ends before all of them wait.
            let names = tokio::select! {
                names = names => names,
                _ = &mut calls => continue,
            };
            let answers = calls.await;
            if answers.iter().all(|answer| answer.reason != "DEADLINE_EXCEEDED") {
                answers.into_iter().for_each(|answer| _ = answer.success());
                return names;
            }
        }
        panic!("each time, one of them was too late");
    };
    let mut sampled = names("01", "00-%").await;
    // A job may read tickets, too.
    sampled.retain(|name| !name.starts_with("mainstay"));
    assert_eq!(sampled.len(), 3, "{sampled:?}");
    for name in &sampled {
        let [_, trace, id, "01"] = name.split('-').collect::<Vec<_>>()[..] else { panic!("{name}") };
        assert_eq!(trace, TRACE);
        collector.wait_for("span", |span| span.trace == TRACE && span.id == id).await;
    }
    let others = names("00", "mainstay%").await;
    assert!(others.len() >= 3 && others.iter().all(|name| name.starts_with("mainstay")), "{others:?}");
    let left =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '00-%'";
    assert_eq!(database.number(left).await, 0);
}

/// Without a receiver, the trace of a caller is propagated unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_exports_nothing_passes_the_trace_on() {
    let (collector, address) = Collector::http().await;
    let database = TestDatabase::new().await;
    let url = format!("http://{address}");
    let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_SDK_DISABLED", "true")];
    let server = Process::with(&database, &own).await;
    let receiver = Receiver::answering(&[204]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    create_endpoint(&cast, &receiver).await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let key = unique().to_string();
        let headers = [("traceparent", traceparent()), ("idempotency-key", key)];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        cast.customer.call_with(protocol, "TicketService.CreateTicket", draft(), &headers).await.success();
        let deliveries = receiver.wait_for(number + 1).await;
        assert_eq!(deliveries[number].header("traceparent"), traceparent(), "{protocol:?}");
    }
    eventually("the job has a log line of its own", async || {
        server.log().lines().any(|line| line.contains("job completed") && line.contains(TRACE))
    })
    .await;
    assert!(collector.spans().is_empty(), "{:?}", collector.spans());
}

/// Telemetry settings are read before the configuration, but reported together with it.
#[tokio::test(flavor = "multi_thread")]
async fn variables_that_cant_be_used_are_named_all_at_once() {
    let database = TestDatabase::foreign("postgres://localhost/mainstay");
    let bad = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("RUST_LOG", "info,mainstay=loud"),
        ("INSTANCES", "0"),
    ];
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let own: Vec<_> = bad.into_iter().chain([endpoint]).collect();
    for command in [&["config", "check"][..], &["serve"], &["worker"], &["migrate"]] {
        let (good, text) = process::run(command, &database, &own).await;
        assert!(!good, "{command:?}: {text}");
        for (name, _) in bad {
            assert!(text.contains(&format!("  {name}: must be ")), "{command:?} does not name {name}:\n{text}");
        }
    }
    // Each is a fault individually as well, and so are faults that the library detects.
    for (name, value) in bad.into_iter().chain([("OTEL_EXPORTER_OTLP_ENDPOINT", "no URL")]) {
        let (good, text) = process::run(&["config", "check"], &database, &[endpoint, (name, value)]).await;
        assert!(!good && text.contains(&format!(" {name}: ")), "{name}: {text}");
    }
    let (good, text) = process::run(&["config", "check"], &database, &[("RUST_LOG", "warn,mainstay=debug")]).await;
    assert!(good, "{text}");
}
