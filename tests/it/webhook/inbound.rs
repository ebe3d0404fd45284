//! Inbound events: stored once, processed once, given up after a number of attempts, and retried on request.

use std::{
    os::unix::process::ExitStatusExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use mainstay::{
    orders::product::store as product,
    webhooks::{
        inbound::handlers::{Handlers, InboundEventHandler},
        inbound_event::model::InboundEvent,
    },
};
use mainstay_kernel::{
    error::{Error, Result},
    unit_of_work::Work,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    cases::webhook::webhook_request,
    support::{
        Actor, PROTOCOLS, Process, Protocol, Raw, Response, TestApp, TestDatabase, eventually, modules, people::Cast,
        unique, webhook,
    },
};

const RECEIVE: &str = "InboundEventService.ReceiveWebhook";

/// A handler with a countable effect that fails as long as the test requests it.
#[derive(Debug, Default)]
struct Maker {
    fails: AtomicBool,
    /// Whether it fails because it finds nothing.
    finds_nothing: AtomicBool,
    attempts: AtomicU32,
}

impl InboundEventHandler for Maker {
    fn provider(&self) -> &'static str {
        "stripe"
    }

    fn kinds(&self) -> &[&'static str] {
        &["thing.wanted"]
    }

    fn handle<'c>(&'c self, work: &'c mut Work, _: &'c InboundEvent) -> BoxFuture<'c, Result<()>> {
        async move {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            let euro = mainstay_kernel::money::Currency::parse("EUR").expect("a currency");
            let price = mainstay_kernel::money::Money::new(1, euro)?;
            let thing = mainstay::orders::product::model::Product::new("A thing".to_owned(), price, None, work.now());
            product::insert(work.connection().await?, &thing).await?;
            if self.finds_nothing.load(Ordering::SeqCst) {
                return Err(Error::not_found("thing"));
            }
            if self.fails.load(Ordering::SeqCst) {
                return Err(Error::unavailable(anyhow::anyhow!("no more things")));
            }
            Ok(())
        }
        .boxed()
    }
}

/// Starts an app with this handler.
async fn start_app(maker: &Arc<Maker>) -> TestApp {
    TestApp::builder()
        .handlers(Handlers::new([maker.clone() as Arc<dyn InboundEventHandler>]).expect("one handler"))
        .with_jobs()
        .start()
        .await
}

pub(crate) async fn deliver(who: &Actor, protocol: Protocol, body: &str) -> Response {
    who.call_with(
        protocol,
        RECEIVE,
        webhook_request("stripe", body),
        &[("stripe-signature", &webhook::stripe(body, 0))],
    )
    .await
}

async fn event(admin: &Actor, id: &str) -> Value {
    admin
        .call(Protocol::Grpc, "InboundEventService.GetInboundEvent", json!({ "eventId": id }))
        .await
        .success()
        .data()
        .clone()
}

/// The id under which a test's only event is stored.
pub(crate) async fn stored_event_id(database: &TestDatabase) -> String {
    let rows = database.sql("SELECT id FROM inbound_events").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0][0].clone().expect("an id")
}

/// Waits until the event is in a state, and returns it. Makes pending retries due immediately.
pub(crate) async fn event_in_state(database: &TestDatabase, admin: &Actor, id: &str, state: &str) -> Value {
    let since = Instant::now();
    loop {
        let event = event(admin, id).await;
        if event["state"] == format!("INBOUND_EVENT_STATE_{state}") {
            return event;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "not {state}: {event}");
        database.sql("UPDATE jobs SET due_at = now() WHERE lease IS NULL").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn things(database: &TestDatabase) -> i64 {
    database.number("SELECT count(*) FROM products").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_received_a_hundred_times_is_processed_once() {
    let maker = Arc::<Maker>::default();
    let app = start_app(&maker).await;
    let cast = app.cast().await;
    let body = webhook::event("thing.wanted");
    let answers = stream::iter(0..100).map(|n| deliver(&cast.anonymous, PROTOCOLS[n % 2], &body)).buffer_unordered(100);
    let answers: Vec<_> = answers.collect().await;
    assert!(answers.iter().all(|answer| answer.status == 204), "{answers:#?}");
    let id = stored_event_id(&app.database).await;
    let event = event_in_state(&app.database, &cast.admin, &id, "PROCESSED").await;
    assert_eq!((&event["attempts"], &event["payload"]), (&json!(1), &json!(body)), "byte for byte");
    // A completed job is removed together with the next ones.
    let jobs = async || app.database.number("SELECT count(*) FROM jobs").await;
    eventually("the job is removed", async || jobs().await == 0).await;
    // The same event again, long after it was processed.
    deliver(&cast.anonymous, Protocol::Rest, &body).await.success();
    stored_event_id(&app.database).await;
    eventually("no job is left", async || jobs().await == 0).await;
    assert_eq!((things(&app.database).await, maker.attempts.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_covers_the_raw_bytes_on_every_protocol() {
    let app = TestApp::start().await;
    let anonymous = app.cast().await.anonymous;
    for protocol in PROTOCOLS {
        let body = webhook::event("ping");
        let value: Value = serde_json::from_str(&body).expect("JSON");
        let mut fields: Vec<_> = value.as_object().expect("an object").clone().into_iter().collect();
        fields.reverse();
        let reordered = Value::Object(fields.into_iter().collect()).to_string();
        let signature = webhook::stripe(&body, 0);
        for other in [reordered, format!("{body}\n"), body.replace(':', ": ")] {
            let headers = [("stripe-signature", signature.as_str())];
            let answer = anonymous.call_with(protocol, RECEIVE, webhook_request("stripe", &other), &headers).await;
            answer.failure("INVALID_SIGNATURE");
        }
        let spaced = format!("\n\t{} \r\n", body.replace(':', " :\t"));
        deliver(&anonymous, protocol, &spaced).await.success();
        let query =
            format!("SELECT count(*) FROM inbound_events WHERE payload = convert_to({}, 'UTF8')", quote(&spaced));
        assert_eq!(app.database.number(&query).await, 1, "over {protocol:?}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM inbound_events").await, 3, "a refusal stores nothing");
}

/// Senders name JSON in many ways, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_event_may_have_any_media_type_of_json_or_none() {
    let app = TestApp::start().await;
    let mut received = 0;
    for address in [app.endpoint.address, app.endpoint.envoy().await.address()] {
        let posts = |content_type: Option<&str>| {
            let (body, id) = (webhook::event("ping"), unique());
            let [timestamp, signature] = webhook::standard(&id, &body);
            let post = |provider: &str| {
                let raw = Raw { body: body.clone().into(), ..Raw::new("POST", format!("/webhooks/{provider}")) };
                content_type.into_iter().fold(raw, |raw, content_type| raw.header("content-type", content_type))
            };
            let standard = post("standard").header("webhook-id", id).header("webhook-timestamp", timestamp);
            let standard = standard.header("webhook-signature", signature);
            [standard, post("generic").header("x-signature", webhook::generic(&body))]
        };
        for content_type in [
            None,
            Some("application/octet-stream"),
            Some("application/json; charset=utf-8"),
            Some("application/vnd.x+json"),
            Some("application/cloudevents+json"),
            Some("text/json"),
            Some("text/plain; charset=utf-8"),
        ] {
            for raw in posts(content_type) {
                let answer = raw.send(address).await;
                assert_eq!(answer.status, 204, "{raw}: {answer:#?}");
                received += 1;
            }
        }
        for content_type in ["text/xml", "application/x-www-form-urlencoded"] {
            for raw in posts(Some(content_type)) {
                raw.send(address).await.failure("UNSUPPORTED_MEDIA_TYPE");
            }
        }
    }
    assert_eq!(app.database.number("SELECT count(*) FROM inbound_events").await, received);
}

/// A browser or a monitor that opens the address of a provider forges nothing, so that no alert follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_challenge_does_not_count_as_refused() {
    let app = TestApp::start().await;
    let refused = || {
        let series = "mainstay_webhooks_received_total{provider=\"generic\",outcome=\"refused\"} ";
        let metrics = mainstay_kernel::telemetry::metrics().render();
        metrics.lines().find_map(|line| line.strip_prefix(series)?.parse::<u64>().ok()).expect("the series exists")
    };
    let before = refused();
    let forged = "?hub.mode=subscribe&hub.verify_token=another_token_of_16&hub.challenge=repeat_this";
    for (query, counted) in [("", 0), ("?hub.mode=subscribe", 0), (forged, 1)] {
        let visit = Raw::new("GET", format!("/webhooks/generic{query}"));
        visit.send(app.endpoint.address).await.failure("INVALID_SIGNATURE");
        assert_eq!(refused() - before, counted, "{query}");
    }
}

/// GitHub's events have up to 25 MB, and few have more than 8 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_may_have_megabytes() {
    let app = TestApp::start().await;
    let anonymous = app.cast().await.anonymous;
    for protocol in PROTOCOLS {
        let commits = format!("{{\"commits\":\"{}\",", "x".repeat(7 << 20));
        deliver(&anonymous, protocol, &webhook::event("ping").replacen('{', &commits, 1)).await.success();
    }
    let large = "SELECT count(*) FROM inbound_events WHERE length(payload) > 7 * 1024 * 1024";
    assert_eq!(app.database.number(large).await, 3);
}

fn quote(text: &str) -> String {
    format!("E'{}'", text.replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_keeps_failing_is_dead_and_can_be_redriven() {
    let maker = Arc::new(Maker { fails: AtomicBool::new(true), ..Maker::default() });
    let app = start_app(&maker).await;
    let cast = app.cast().await;
    deliver(&cast.anonymous, Protocol::Rest, &webhook::event("thing.wanted")).await.success();
    let id = stored_event_id(&app.database).await;
    let dead = event_in_state(&app.database, &cast.admin, &id, "DEAD").await;
    assert_eq!((&dead["attempts"], maker.attempts.load(Ordering::SeqCst)), (&json!(8), 8), "{dead}");
    assert!(dead["failure"].as_str().expect("why").contains("no more things"), "{dead}");
    assert_eq!(things(&app.database).await, 0, "a failed attempt leaves nothing");

    maker.fails.store(false, Ordering::SeqCst);
    let redrive = "InboundEventService.RedriveInboundEvent";
    let again = cast.admin.keyed(Protocol::Rest, redrive, json!({ "eventId": id }), "again").await.success();
    assert_eq!((again.status, again.text("/data/state")), (202, "INBOUND_EVENT_STATE_PENDING".to_owned()));
    assert_eq!(again.body["data"].get("payload"), None, "it may be longer than a gRPC message: {again:#?}");
    let polled = format!("/api/v1/inbound-events/{id}");
    assert_eq!((again.header("location"), again.header("retry-after")), (Some(&*polled), Some("1")), "{again:#?}");
    let event = event_in_state(&app.database, &cast.admin, &id, "PROCESSED").await;
    assert_eq!((&event["attempts"], &event["failure"]), (&json!(1), &Value::Null));
    assert_eq!(things(&app.database).await, 1);
    for protocol in PROTOCOLS {
        let now = cast.admin.keyed(protocol, redrive, json!({ "eventId": id }), "again").await.success();
        assert!(now.is_replayed(), "{now:#?}");
        // A 202 response is updated to its current state.
        assert_eq!((now.status, now.text("/data/state")), (200, "INBOUND_EVENT_STATE_PROCESSED".to_owned()));
        assert_eq!((now.header("location"), now.header("retry-after")), (None, None), "{now:#?}");
    }
    cast.admin.rest(redrive, json!({ "eventId": id })).await.failure("EVENT_PROCESSED");
    assert_eq!(things(&app.database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_dead_events_are_redriven_in_batches() {
    let maker = Arc::<Maker>::default();
    let app = start_app(&maker).await;
    let cast = app.cast().await;
    let dead = "INSERT INTO inbound_events SELECT gen_random_uuid(), CASE WHEN n > 700 THEN 3 ELSE 1 END, 'evt_' || n, \
                'thing.wanted', '{}', 4, 8, 'UNAVAILABLE', 9, now() - n * interval '1 minute', now(), now() \
                FROM generate_series(1, 703) AS n";
    app.database.sql(dead).await;
    let redrive = json!({ "provider": "WEBHOOK_PROVIDER_STRIPE" });
    for (count, more) in [(500, true), (200, false), (0, false)] {
        let answer = cast.admin.rest("InboundEventService.RedriveInboundEvents", redrive.clone()).await.success();
        assert_eq!(answer.data(), &json!({ "count": count, "more": more }));
    }
    let query = "SELECT count(*) FROM inbound_events WHERE state = 4";
    assert_eq!(app.database.number(query).await, 3, "another provider's");
    let processed = "SELECT count(*) FROM inbound_events WHERE state = 2";
    eventually("all events are processed", async || app.database.number(processed).await >= 700).await;
    assert_eq!((things(&app.database).await, maker.attempts.load(Ordering::SeqCst)), (700, 700));
}

/// A job whose own subject is gone is done, but an event whose handler finds nothing still exists.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_handler_finds_nothing_is_retried_and_given_up() {
    let maker = Arc::new(Maker { finds_nothing: true.into(), ..Maker::default() });
    let app = start_app(&maker).await;
    let cast = app.cast().await;
    deliver(&cast.anonymous, Protocol::Rest, &webhook::event("thing.wanted")).await.success();
    let id = stored_event_id(&app.database).await;
    let dead = event_in_state(&app.database, &cast.admin, &id, "DEAD").await;
    assert_eq!((&dead["attempts"], maker.attempts.load(Ordering::SeqCst)), (&json!(8), 8), "{dead}");
    assert!(dead["failure"].as_str().is_some_and(|failure| failure.contains("NOT_FOUND")), "{dead}");
    assert_eq!(things(&app.database).await, 0);
}

/// A worker may end before it counts a dead event, so the dead events are also measured in the database.
#[tokio::test(flavor = "multi_thread")]
async fn dead_events_are_measured() {
    let app = TestApp::start().await;
    let dead = async || {
        for measure in modules().work().measures {
            measure(app.app.clone()).await.expect("measured");
        }
        let metrics = mainstay_kernel::telemetry::metrics().render();
        let value = metrics.lines().find_map(|line| line.strip_prefix("mainstay_inbound_events_dead "));
        value.expect("a series").parse::<f64>().expect("a number")
    };
    assert!(dead().await < f64::EPSILON);
    let insert = "INSERT INTO inbound_events SELECT gen_random_uuid(), 1, 'evt_' || n, 'ping', '{}', n, 8, 'failed', 1, now(), \
                  now(), CASE WHEN n > 1 THEN now() END FROM generate_series(1, 4) AS n";
    app.database.sql(insert).await;
    assert!((dead().await - 1.0).abs() < f64::EPSILON, "one of four states is dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_handler_is_ignored_and_can_be_redriven_later() {
    let maker = Arc::<Maker>::default();
    let app = start_app(&maker).await;
    let cast = app.cast().await;
    deliver(&cast.anonymous, Protocol::Grpc, &webhook::event("nobody.knows")).await.success();
    let id = stored_event_id(&app.database).await;
    let ignored = event_in_state(&app.database, &cast.admin, &id, "IGNORED").await;
    assert_eq!((&ignored["failure"], things(&app.database).await), (&Value::Null, 0));
    app.database.sql("UPDATE inbound_events SET kind = 'thing.wanted'").await;
    cast.admin.rest("InboundEventService.RedriveInboundEvent", json!({ "eventId": id })).await.success();
    event_in_state(&app.database, &cast.admin, &id, "PROCESSED").await;
    assert_eq!(things(&app.database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_processing_an_event_loses_nothing() {
    let database = TestDatabase::new().await;
    let idle = Process::with(&database, &[("JOBS_IN_SERVE", "false")]).await;
    let cast = Cast::new(&idle.endpoint, &database).await;
    deliver(&cast.anonymous, Protocol::Rest, &webhook::event("ping")).await.success();
    let id = stored_event_id(&database).await;
    let mut doomed = Process::with(&database, &[("MAINSTAY_FAULTS", "inbound_event.handle=kill")]).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    assert_eq!(event(&cast.admin, &id).await["state"], "INBOUND_EVENT_STATE_PENDING");
    let next = Process::start(&database).await;
    event_in_state(&database, &cast.admin, &id, "IGNORED").await;
    eventually("the log says so", async || next.log().contains("\"state\":\"ignored\"")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_kills_its_workers_is_given_up() {
    let database = TestDatabase::new().await;
    let idle = Process::with(&database, &[("JOBS_IN_SERVE", "false")]).await;
    let cast = Cast::new(&idle.endpoint, &database).await;
    deliver(&cast.anonymous, Protocol::Rest, &webhook::event("ping")).await.success();
    let id = stored_event_id(&database).await;
    database.sql("UPDATE jobs SET max_attempts = 1").await;
    Process::with(&database, &[("MAINSTAY_FAULTS", "inbound_event.handle=kill")]).await.wait().await;
    let _next = Process::start(&database).await;
    let dead = event_in_state(&database, &cast.admin, &id, "DEAD").await;
    assert!(dead["failure"].is_string(), "it says why: {dead}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_workers_process_an_event_once() {
    let maker = Arc::<Maker>::default();
    let app = TestApp::builder()
        .handlers(Handlers::new([maker.clone() as Arc<dyn InboundEventHandler>]).expect("one handler"))
        .start()
        .await;
    let anonymous = app.cast().await.anonymous;
    deliver(&anonymous, Protocol::Rest, &webhook::event("thing.wanted")).await.success();
    let id = mainstay::webhooks::id::InboundEventId::parse(&stored_event_id(&app.database).await).expect("an id");
    let runs =
        futures_util::future::join_all((0..4).map(|_| mainstay::webhooks::inbound_event::ops::process(&app.app, id)))
            .await;
    let did = runs.into_iter().filter(|run| run.as_ref().expect("no failure").is_some()).count();
    assert_eq!((did, things(&app.database).await, maker.attempts.load(Ordering::SeqCst)), (1, 1, 1));
}

#[tokio::test]
async fn old_events_are_removed_unless_they_wait_or_died_recently() {
    let app = TestApp::start().await;
    app.database
        .sql(
            "INSERT INTO inbound_events SELECT gen_random_uuid(), 1, 'evt_' || n, 'ping', '{}', least(n, 4), 0, NULL, \
             1, now() - interval '99 days', now(), CASE n WHEN 1 THEN NULL WHEN 5 THEN now() - interval '91 days' \
             ELSE now() END FROM generate_series(1, 5) AS n",
        )
        .await;
    app.run_task("forget_inbound_events").await.expect("done");
    let rows = app.database.sql("SELECT provider_event_id, state FROM inbound_events ORDER BY 1").await;
    let row = |id: &str, state: &str| vec![Some(id.to_owned()), Some(state.to_owned())];
    assert_eq!(rows, [row("evt_1", "1"), row("evt_4", "4")]);
}
