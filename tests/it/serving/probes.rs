//! The signals of an instance for operators and load balancers: health over gRPC during the drain, and the listener of
//! a worker.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use mainstay_dev_servers::{Redis, RedisOptions};
use nix::sys::signal::Signal;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::support::{Process, TestApp, TestDatabase, eventually, process::ChildProcess, proxy::Proxy};

/// Envoy checks health over gRPC, and a draining instance still accepts connections during the delay.
#[tokio::test(flavor = "multi_thread")]
async fn a_draining_instance_is_not_serving_over_grpc() {
    let database = TestDatabase::new().await;
    let mut server = Process::with(&database, &[("DRAIN_DELAY", "10s")]).await;
    let mut client = HealthClient::new(server.endpoint.channel.clone());
    let mut status = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        client.check(request).await.expect("an answer").into_inner().status()
    };
    for service in ["", "mainstay.support.v1.TicketService"] {
        assert_eq!(status(service).await, ServingStatus::Serving, "{service:?}");
    }
    server.signal(Signal::SIGTERM);
    server.wait_for_log("shutting down").await;
    for service in ["", "mainstay.support.v1.TicketService"] {
        assert_eq!(status(service).await, ServingStatus::NotServing, "{service:?}");
    }
    let ready = reqwest::get(format!("http://{}/readyz", server.endpoint.address)).await.expect("an answer");
    assert_eq!(ready.status(), 503);
    assert!(server.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_has_metrics_and_health_on_a_listener_of_its_own() {
    let database = TestDatabase::new().await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let address = address.to_string();
    let mut worker = ChildProcess::worker(&database, &[("METRICS_LISTEN_ADDR", &address)]).await;
    worker.wait_for_log("running background jobs").await;
    let since = Instant::now();
    let metrics = loop {
        if let Ok(answer) = reqwest::get(format!("http://{address}/metrics")).await {
            let text = answer.text().await.expect("a text");
            if text.contains("mainstay_scheduled_task_last_success_timestamp_seconds") {
                break text;
            }
        }
        assert!(since.elapsed() < Duration::from_secs(30), "no task is measured: {}", worker.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(metrics.contains("mainstay_postgres_connections"), "{metrics}");
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/health", 200), ("/docs", 404)] {
        let answer = reqwest::get(format!("http://{address}{path}")).await.expect("an answer");
        assert_eq!(answer.status(), status, "{path}");
    }
    worker.signal(Signal::SIGTERM);
    assert!(worker.wait().await.success(), "{}", worker.log());
}

/// Many clients request a report, and Postgres is queried at most once per second, over a separate connection.
#[tokio::test(flavor = "multi_thread")]
async fn the_report_costs_the_pool_nothing() {
    let app = TestApp::builder().set("DATABASE_POOL_SIZE", "1").set("DATABASE_POOL_WAIT", "200ms").start().await;
    // Its own connection is open, and the report is made anew.
    eventually("a report is good", async || app.private.get("/health").await.status == 200).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let database = app.app.database.clone();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let (signal, is_taken) = tokio::sync::oneshot::channel::<()>();
    let holder = tokio::spawn(async move {
        database
            .autocommit(async |_| {
                signal.send(()).ok();
                released.await.ok();
                Ok(())
            })
            .await
    });
    is_taken.await.expect("the only connection");
    let calls = (0..200).map(|_| app.private.get("/health"));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!((answer.status, &answer.body["dependencies"]["postgres"]), (200, &"ok".into()), "{answer:#?}");
    }
    release.send(()).expect("held until now");
    holder.await.expect("no panic").expect("no error");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT 1'";
    assert_eq!(app.database.number(sessions).await, 1, "one connection of its own");
}

/// A report is cached for a second from its end, on a machine of any speed, so at most one per elapsed second is made,
/// plus the first. Without caching, every call would make a report.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_made_once_a_second_at_most() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone()).start().await;
    let count = || proxy.take_texts().iter().filter(|text| *text == "SELECT 1").count();
    proxy.take_texts();
    let since = Instant::now();
    for _ in 0..100 {
        let answer = app.private.get("/health").await;
        assert_eq!((answer.status, &answer.body["dependencies"]["postgres"]), (200, &"ok".into()), "{answer:#?}");
    }
    let (reports, seconds) = (count(), usize::try_from(since.elapsed().as_secs()).expect("few"));
    assert!((1..=1 + seconds).contains(&reports), "{reports} reports in {seconds} seconds");
    // It is not cached for longer.
    tokio::time::sleep(Duration::from_secs(1)).await;
    app.private.get("/health").await;
    assert_eq!(count(), 1, "a report that is a second old is made anew");
}

/// Callers that request a report while one is being made share it, even if the first caller has disconnected.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_share_a_report() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone()).start().await;
    // A report about unavailable dependencies is not an error, so it has no envelope.
    let http = reqwest::Client::new();
    let health = async || {
        let answer = http.get(format!("http://{}/health", app.private.address)).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json::<serde_json::Value>().await.expect("a report")["dependencies"]["postgres"].clone())
    };
    assert_eq!(health().await, (200, "ok".into()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The next report waits for its connection for a second. A further one would open a new connection, which answers.
    proxy.freeze();
    tokio::time::timeout(Duration::from_millis(300), health()).await.expect_err("it waits for Postgres");
    for answer in futures_util::future::join_all((0..5).map(|_| health())).await {
        assert_eq!(answer, (503, "unavailable".into()));
    }
    eventually("a report is made anew", async || health().await.0 == 200).await;
}

/// A load balancer's probes are exempt from limits and logging; all other requests count.
#[tokio::test(flavor = "multi_thread")]
async fn only_probes_are_exempt() {
    // All tests have the same address, so a small limit needs a separate Redis.
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = TestApp::builder().set("REDIS_URL", redis.url()).set("RATE_LIMIT_ADDRESS", "10/1h").start().await;
    let mut health = HealthClient::new(app.endpoint.channel.clone());
    for _ in 0..20 {
        assert_eq!(app.endpoint.get("/livez").await.status, 200);
        assert_eq!(app.endpoint.get("/readyz").await.status, 200);
        health.check(HealthCheckRequest::default()).await.expect("never limited");
    }
    let watched = async |health: &mut HealthClient<_>| health.watch(HealthCheckRequest::default()).await.is_ok();
    let mut count = 0;
    while watched(&mut health).await {
        count += 1;
        assert!(count < 20, "Watch is not limited");
    }
    assert_eq!(app.endpoint.get("/docs").await.status, 429);
}

/// An endless stream must not delay a drain, and its last message announces the drain.
#[tokio::test(flavor = "multi_thread")]
async fn watchers_are_told_of_the_drain_and_do_not_hold_it_up() {
    let database = TestDatabase::new().await;
    let mut server = Process::with(&database, &[("DRAIN_TIMEOUT", "10m")]).await;
    let mut health = HealthClient::new(server.endpoint.channel.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    let mut reflection = ServerReflectionClient::new(server.endpoint.channel.clone());
    let silent = futures_util::stream::pending::<ServerReflectionRequest>();
    let mut reflection = reflection.server_reflection_info(silent).await.expect("a stream").into_inner();
    let first = watch.message().await.expect("an answer").expect("a message");
    assert_eq!(first.status(), ServingStatus::Serving);
    server.signal(Signal::SIGTERM);
    let last = watch.message().await.expect("an answer").expect("a message");
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert_eq!(watch.message().await.expect_err("the end").code(), tonic::Code::Unavailable);
    assert_eq!(reflection.message().await.expect_err("the end").code(), tonic::Code::Unavailable);
    assert!(server.wait().await.success(), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_reflection_counts() {
    // All tests have the same address, so a small limit needs a separate Redis.
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = TestApp::builder().set("REDIS_URL", redis.url()).set("RATE_LIMIT_ADDRESS", "200/1h").start().await;
    let list = || ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(app.endpoint.channel.clone());
    let asks = futures_util::stream::repeat_with(list).take(1000);
    let mut answers = client.server_reflection_info(asks).await.expect("a stream").into_inner();
    let mut count = 0;
    let status = loop {
        match answers.message().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => panic!("{count} answers"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
    // The burst is a quarter of the quota.
    assert!((40..=52).contains(&count), "{count} answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_few_watchers() {
    let app = TestApp::start().await;
    let mut health = HealthClient::new(app.endpoint.channel.clone());
    let mut watchers = Vec::new();
    let status = loop {
        match health.watch(HealthCheckRequest::default()).await {
            Ok(watcher) => watchers.push(watcher),
            Err(status) => break status,
        }
        assert!(watchers.len() < 200, "they are not bounded");
    };
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    drop(watchers);
    let since = Instant::now();
    while health.watch(HealthCheckRequest::default()).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(30), "a place is given back");
    }
}
