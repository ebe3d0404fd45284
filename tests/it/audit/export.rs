//! The export to a receiver: every entry, in the order of the chain, at least once.

use std::{sync::Arc, time::Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mainstay_kernel::error::Reason;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::{LIST, chain::chain};
use crate::{
    cases::ticket,
    support::{
        TestApp,
        receiver::Receiver,
        syslog::{Behavior, SyslogServer},
        webhook::signature,
    },
    tls::certificates::Authority,
};

const TASK: &str = "export_audit_log";

/// Starts an app with a receiver, and a few chained entries.
async fn start(url: &str) -> TestApp {
    let (app, cast) = TestApp::builder().set("AUDIT_EXPORT_URL", url).start_with_cast().await;
    for _ in 0..3 {
        ticket(&cast.customer).await;
    }
    chain(&app).await;
    app
}

fn url(server: &SyslogServer) -> String {
    format!("syslog+tcp://{}", server.address)
}

/// Returns the entries of messages.
fn entries(server: &SyslogServer) -> Vec<Value> {
    let json = |message: &String| {
        let json = message.split_once("] ").expect("the end of the header").1;
        serde_json::from_str(json).expect("JSON")
    };
    server.messages().iter().map(json).collect()
}

fn numbers(entries: &[Value]) -> Vec<i64> {
    entries.iter().map(|entry| entry["number"].as_str().expect("a number").parse().expect("a number")).collect()
}

async fn links(app: &TestApp) -> i64 {
    app.database.number("SELECT max(number) FROM audit_links").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syslog_server_gets_each_entry_as_the_api_has_it() {
    let server = SyslogServer::start(None).await;
    let app = start(&url(&server)).await;
    app.run_task(TASK).await.expect("sent");
    let sent = entries(&server);
    assert_eq!(numbers(&sent), (1..=links(&app).await).collect::<Vec<_>>(), "in the order of the chain, without a gap");
    assert_eq!(app.run_task(TASK).await.expect("nothing is left"), 0);

    let admin = app.cast().await.admin;
    let list = admin.rest(LIST, json!({ "pageSize": 100 })).await.success();
    let listed = list.data().as_array().expect("entries").clone();
    for mut entry in sent {
        let object = entry.as_object_mut().expect("an object");
        for name in ["number", "hash"] {
            object.remove(name).expect("the link");
        }
        let own = listed.iter().find(|other| other["id"] == entry["id"]).expect("it is in the API");
        for (name, value) in entry.as_object().expect("an object") {
            if name == "recordTime" {
                continue;
            }
            assert_eq!(value, &own[name], "{name} of {entry:#}");
        }
    }
    // RFC 5424, 6: priority and version, time, host, program, process, kind, structured data.
    let messages = server.messages();
    let created = messages.iter().find(|message| message.contains("TicketService.CreateTicket")).expect("a ticket");
    let header: Vec<_> = created.split(' ').take(6).collect();
    assert_eq!((header[0], header[3], header[4], header[5]), ("<110>1", "mainstay", "-", "TicketService.CreateTicket"));
    assert!(header[1].ends_with('Z') && header[1].contains('T'), "{created}");
}

/// A worker dies after the receiver has taken a batch, or the receiver dies before: the entries arrive, some of them twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_loses_nothing() {
    let server = SyslogServer::start(None).await;
    let app = start(&url(&server)).await;
    server.set(Behavior::Break);
    let error = app.run_task(TASK).await.expect_err("the receiver died");
    assert_eq!(error.reason(), Reason::UpstreamFailed);
    assert_eq!(app.database.number("SELECT number FROM audit_export").await, 0);
    server.set(Behavior::Take);
    app.run_task(TASK).await.expect("sent");
    let first = links(&app).await;

    // Another process continues, also one that has lost the last step.
    let cast = app.cast().await;
    ticket(&cast.customer).await;
    chain(&app).await;
    let again = TestApp::builder().set("AUDIT_EXPORT_URL", url(&server)).on(&app.database).start().await;
    again.run_task(TASK).await.expect("sent");
    let all = links(&app).await;
    assert!(all > first);
    assert_eq!(numbers(&entries(&server)), (1..=all).collect::<Vec<_>>());
    let step = "UPDATE audit_export SET (link_id, number) = (SELECT id, number FROM audit_links WHERE number = 2)";
    app.database.sql(step).await;
    again.run_task(TASK).await.expect("sent");
    let mut seen = numbers(&entries(&server));
    assert_eq!(seen.split_off(usize::try_from(all).expect("a few")), (3..=all).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_runs_leave_no_gap() {
    let server = SyslogServer::start(None).await;
    let app = start(&url(&server)).await;
    let other = TestApp::builder().set("AUDIT_EXPORT_URL", url(&server)).on(&app.database).start().await;
    let (a, b) = futures_util::future::join(app.run_task(TASK), other.run_task(TASK)).await;
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    let mut seen = numbers(&entries(&server));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (1..=links(&app).await).collect::<Vec<_>>());
}

/// A receiver that accepts a connection and reads nothing holds the task for its time limit, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_receiver_holds_nothing_else() {
    let server = SyslogServer::start(None).await;
    let app = start(&url(&server)).await;
    server.set(Behavior::Stall);
    let began = Instant::now();
    let other = async {
        let cast = app.cast().await;
        for _ in 0..5 {
            ticket(&cast.customer).await;
        }
        app.run_task("chain_audit_log").await.expect("another task");
        // No session of Postgres waits for the receiver.
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '1 second'";
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        assert_eq!(app.database.number(waiting).await, 0);
        began.elapsed()
    };
    let (sent, took) = futures_util::future::join(app.run_task(TASK), other).await;
    assert_eq!(sent.expect_err("the receiver stalls").reason(), Reason::UpstreamTimeout);
    assert!(began.elapsed().as_secs() < 20 && took < began.elapsed(), "{took:?} of {:?}", began.elapsed());
    app.app.clock.advance(chrono::TimeDelta::minutes(20));
    mainstay::audit::export::ops::measure(app.app.clone()).await.expect("measured");
    let metrics = mainstay_kernel::telemetry::metrics().render();
    let behind = metrics.lines().find_map(|line| line.strip_prefix("mainstay_audit_export_behind_seconds "));
    let behind: f64 = behind.expect("the gauge").parse().expect("a number");
    assert!(behind >= 1200.0, "{behind}");
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_over_tls_checks_the_certificate() {
    let authority = Authority::new();
    let pair = authority.server();
    let chain_of = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain_of.expect("certificates"), key)
        .expect("a certificate");
    let server = SyslogServer::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let url = format!("syslog+tls://localhost:{}", server.address.port());
    let folder = tempfile::tempdir().expect("a folder");
    let trusted = |authority: &Authority, name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, &authority.certificate).expect("a file");
        path.to_str().expect("a path that is text").to_owned()
    };
    let builder = |file: String| TestApp::builder().set("AUDIT_EXPORT_URL", &url).set("AUDIT_EXPORT_CA", file);
    let stranger = builder(trusted(&Authority::new(), "other.pem")).start().await;
    ticket(&stranger.cast().await.customer).await;
    chain(&stranger).await;
    let error = stranger.run_task(TASK).await.expect_err("another authority");
    assert_eq!(error.reason(), Reason::UpstreamFailed);
    assert!(server.messages().is_empty());
    let app = builder(trusted(&authority, "own.pem")).on(&stranger.database).start().await;
    app.run_task(TASK).await.expect("sent");
    assert_eq!(numbers(&entries(&server)), (1..=links(&app).await).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_signed_batches_until_it_takes_them() {
    let receiver = Receiver::answering(&[503, 204]).await;
    let key = [7_u8; 32];
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(key));
    let app = TestApp::builder().set("AUDIT_EXPORT_URL", receiver.url()).set("AUDIT_EXPORT_SECRET", &secret);
    let app = app.start().await;
    ticket(&app.cast().await.customer).await;
    chain(&app).await;
    app.run_task(TASK).await.expect_err("503");
    app.run_task(TASK).await.expect("204");
    let deliveries = receiver.wait_for(2).await;
    let [refused, taken] = &deliveries[..] else { panic!("{deliveries:?}") };
    assert_eq!((&refused.body, refused.header("webhook-id")), (&taken.body, taken.header("webhook-id")));
    let (id, time) = (taken.header("webhook-id"), taken.header("webhook-timestamp"));
    let signed = signature(&key, &format!("{id}.{time}.{}", taken.body));
    assert_eq!(taken.header("webhook-signature"), format!("v1,{signed}"));
    let body: Value = serde_json::from_str(&taken.body).expect("JSON");
    assert_eq!(body["type"], "audit.entries");
    assert_eq!(numbers(body["data"].as_array().expect("a list")), (1..=links(&app).await).collect::<Vec<_>>());
    assert_eq!(app.run_task(TASK).await.expect("nothing is left"), 0);
}

/// A proxy in front of the receiver has a limit on the size of requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_is_halved() {
    let receiver = Receiver::answering(&[413, 413, 204]).await;
    let secret = format!("whsec_{}", BASE64_STANDARD.encode([7_u8; 32]));
    let app = TestApp::builder().set("AUDIT_EXPORT_URL", receiver.url()).set("AUDIT_EXPORT_SECRET", &secret);
    let app = app.start().await;
    let cast = app.cast().await;
    for _ in 0..5 {
        ticket(&cast.customer).await;
    }
    chain(&app).await;
    let all = links(&app).await;
    assert_eq!(app.run_task(TASK).await.expect("sent"), usize::try_from(all).expect("a few"));
    let sizes_of = |body: &str| {
        let body: Value = serde_json::from_str(body).expect("JSON");
        numbers(body["data"].as_array().expect("a list"))
    };
    let batches: Vec<_> = receiver.wait_for(3).await.iter().map(|delivery| sizes_of(&delivery.body)).collect();
    let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
    assert_eq!(sizes[..3], [sizes[0], sizes[0] / 2, sizes[0] / 4]);
    assert_eq!(batches[2..].concat(), (1..=all).collect::<Vec<_>>(), "in order, without a gap");

    // An entry that is too large alone is an error.
    let receiver = Receiver::answering(&[413]).await;
    let refusing = TestApp::builder().set("AUDIT_EXPORT_URL", receiver.url()).set("AUDIT_EXPORT_SECRET", &secret);
    let refusing = refusing.on(&app.database).start().await;
    app.database.sql("UPDATE audit_export SET link_id = '00000000-0000-0000-0000-000000000000', number = 0").await;
    assert_eq!(refusing.run_task(TASK).await.expect_err("413").reason(), Reason::UpstreamFailed);
    assert_eq!(app.database.number("SELECT number FROM audit_export").await, 0);
}

/// Entries whose months were dropped leave links without an entry, and erased values are absent.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_value_is_not_sent() {
    let server = SyslogServer::start(None).await;
    let app = start(&url(&server)).await;
    app.database.sql("UPDATE audit_entries SET salt = NULL, personal = NULL").await;
    app.run_task(TASK).await.expect("sent");
    let sent = entries(&server);
    assert!(!sent.is_empty() && sent.iter().all(|entry| entry.get("clientAddress").is_none()), "{sent:#?}");
}
