//! New passwords are checked against those of breaches, by a service that learns a part of their hashes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::json;

use super::reset;
use crate::support::{Response, TestApp, people::Cast, unique};

/// Returns a hash in hexadecimal digits.
fn sha1(text: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

#[derive(Default)]
struct Known {
    /// The lines of all ranges.
    lines: Vec<(String, u32)>,
    /// The prefixes that were asked for.
    asked: Vec<String>,
    status: StatusCode,
    delay: Duration,
    padding: usize,
}

type Shared = Arc<Mutex<Known>>;

async fn range(State(known): State<Shared>, Path(prefix): Path<String>, headers: HeaderMap) -> (StatusCode, String) {
    let (answer, delay) = {
        let mut known = known.lock().expect("no panic");
        assert_eq!(headers.get("add-padding").and_then(|value| value.to_str().ok()), Some("true"));
        assert!(headers.contains_key("user-agent"));
        known.asked.push(prefix.clone());
        let lines = known.lines.iter().filter_map(|(hash, count)| Some((hash.strip_prefix(&*prefix)?, count)));
        let mut lines: Vec<_> = lines.map(|(suffix, count)| format!("{suffix}:{count}")).collect();
        lines.push("0".repeat(known.padding) + ":0");
        ((known.status, lines.join("\r\n")), known.delay)
    };
    tokio::time::sleep(delay).await;
    answer
}

/// Starts a service that knows one password, and an app that asks it.
async fn start(known: &str) -> (TestApp, Shared) {
    let padded = (sha1("correct horse padding staple"), 0);
    let shared = Shared::default();
    shared.lock().expect("no panic").lines = vec![(sha1(known), 3), padded];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let router = Router::new().route("/range/{prefix}", get(range)).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (TestApp::builder().set("BREACHED_PASSWORDS_URL", url).start().await, shared)
}

async fn choose(app: &TestApp, cast: &Cast, password: &str) -> Response {
    let token = reset::create_token(&app.database, cast.customer.as_user()).await;
    let request = json!({ "token": token, "password": password });
    cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_a_breach_is_refused_by_a_part_of_its_hash() {
    let known = format!("correct horse {}", unique());
    let (app, service) = start(&known).await;
    let cast = app.cast().await;
    for _ in 0..2 {
        let refused = choose(&app, &cast, &known).await.failure("VALIDATION_FAILED");
        assert!(refused.body.to_string().contains("is known from a breach"), "{refused:#?}");
    }
    assert_eq!(service.lock().expect("no panic").asked, [sha1(&known)[..5].to_owned()], "a range is kept");
    choose(&app, &cast, "correct horse padding staple").await.success();
    // The built-in list is asked as well.
    choose(&app, &cast, "password12345").await.failure("VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_list_decides_while_the_service_is_away() {
    let known = format!("correct horse {}", unique());
    let (app, service) = start(&known).await;
    let cast = app.cast().await;
    let faults: [fn(&mut Known); 3] = [
        |service| service.status = StatusCode::SERVICE_UNAVAILABLE,
        |service| service.padding = 300 << 10,
        |service| service.delay = Duration::from_secs(60),
    ];
    for fault in faults {
        {
            let mut service = service.lock().expect("no panic");
            (service.status, service.padding, service.delay) = (StatusCode::OK, 1, Duration::ZERO);
            fault(&mut service);
        }
        let began = std::time::Instant::now();
        choose(&app, &cast, &known).await.success();
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        choose(&app, &cast, "password12345").await.failure("VALIDATION_FAILED");
    }
}
