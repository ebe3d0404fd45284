//! The metrics do not reveal which addresses belong to users.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_kernel::telemetry;
use serde_json::{Value, json};

use crate::{
    cases::Scene,
    support::{
        Protocol, TestApp, eventually,
        mail::{MailProvider, well},
        unique,
    },
};

/// More requests than an address gets mails of a kind.
const REQUESTS: u64 = 6;
const PROTOCOLS: [Protocol; 2] = [Protocol::Rest, Protocol::Grpc];
const DONE: &str = "mainstay_jobs_total{kind=\"send_urgent_mail\",outcome=\"done\"}";
/// Resource metrics, which are too coarse to attribute to a single mail.
const MACHINERY: [&str; 2] = ["mainstay_postgres_", "process_"];

/// Counters, and the number of observations of each histogram, by series.
type Counts = BTreeMap<String, u64>;

/// Returns the series of the scheduled tasks, which run at their own times.
async fn scheduled(app: &TestApp) -> Vec<String> {
    let rows = app.database.sql("SELECT name FROM scheduled_tasks").await;
    rows.into_iter().flatten().flatten().map(|name| format!("kind=\"{name}\"")).collect()
}

async fn counts(app: &TestApp) -> Counts {
    let scheduled = scheduled(app).await;
    // The listener caches a rendering for a second.
    let metrics = telemetry::metrics().render();
    let counters = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"));
    let counters: BTreeSet<&str> = counters.collect();
    let count = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let name = series.split('{').next().unwrap_or_default();
        let is_count = counters.contains(name) || name.ends_with("_count");
        let is_machinery = MACHINERY.iter().any(|start| name.starts_with(start))
            || scheduled.iter().any(|label| series.contains(label.as_str()));
        Some((series.to_owned(), value.parse::<u64>().ok()?)).filter(|_| is_count && !is_machinery)
    };
    metrics.lines().filter(|line| !line.starts_with('#')).filter_map(count).collect()
}

/// Returns the counts once this many mails were processed and the counts are stable.
async fn settled_counts(app: &TestApp, least: u64) -> Counts {
    let mut last = counts(app).await;
    eventually("every mail is dealt with", async || {
        let now = counts(app).await;
        let is_settled = now == last && now.get(DONE).copied().unwrap_or_default() >= least;
        last = now;
        is_settled
    })
    .await;
    last
}

/// Returns the growth of each count by requests about an address.
async fn growth(app: &TestApp, scene: &Scene, method: &str, request: &Value, mails: u64) -> Counts {
    let before = settled_counts(app, 0).await;
    let base = before.get(DONE).copied().unwrap_or_default();
    for protocol in PROTOCOLS.into_iter().cycle().take(REQUESTS as usize) {
        scene.cast.anonymous.call(protocol, method, request.clone()).await;
    }
    let after = settled_counts(app, base + mails).await;
    let grown = after.into_iter().map(|(series, count)| {
        let before = before.get(&series).copied().unwrap_or_default();
        (series, count - before)
    });
    grown.filter(|(_, growth)| *growth > 0).collect()
}

/// Asserts that the counts grow equally for the address of a user and for an unknown one.
async fn assert_alike(app: &TestApp, scene: &Scene, user: &str, case: &str) {
    for (method, kind) in [
        ("AuthService.RequestPasswordReset", Some("password_reset")),
        ("AuthService.Register", Some("registration")),
        ("AuthService.BeginMailLogin", Some("mail_login")),
        ("AuthService.Login", None),
    ] {
        let request = |email: &str| match kind {
            Some(_) => json!({ "email": email }),
            None => json!({ "email": email, "password": "a wrong password" }),
        };
        let mails = if kind.is_some() { REQUESTS } else { 0 };
        let reference = growth(app, scene, method, &request(user), mails).await;
        let nobody = format!("{}@example.com", unique());
        let unknown = growth(app, scene, method, &request(&nobody), mails).await;
        assert_eq!(reference, unknown, "{method}, {case}");
        if let Some(kind) = kind {
            let series = format!("mainstay_mails_total{{kind=\"{kind}\",outcome=\"sent\"}}");
            assert_eq!(reference.get(&series), Some(&REQUESTS), "{method}, {case}: {reference:#?}");
        } else {
            assert!(!reference.is_empty(), "{method}, {case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_do_not_tell_whether_an_address_has_a_user() {
    for transport in ["smtp", "resend"] {
        let (provider, rejecting) = match transport {
            "smtp" => (MailProvider::start().await, json!({ "rcpt": "550 5.1.1 there is no such mailbox" })),
            _ => (MailProvider::api().await, json!({ "status": 422, "body": { "message": "no such mailbox" } })),
        };
        let variables = match transport {
            "smtp" => provider.variables(),
            _ => provider.api_variables(transport),
        };
        let (app, scene) = Scene::start_with(TestApp::builder().with_jobs().set_all(variables)).await;
        let users = [&scene.cast.customer, &scene.cast.colleague].map(|actor| actor.as_user().email.clone());
        for (user, (behaviour, case)) in users.iter().zip([(well(), "accepted"), (rejecting, "rejected")]) {
            provider.behave(&behaviour);
            assert_alike(&app, &scene, user, &format!("{case} by {transport}")).await;
        }
    }
}
