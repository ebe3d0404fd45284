//! The built-in gateway renews subscriptions by the clock and sends no events.

use chrono::TimeDelta;
use serde_json::json;

use super::{CANCEL, CREATE, cancel, create_subscription, idle, stored_state, subscription_request};
use crate::{
    cases::Scene,
    support::{Protocol, TestApp, unique},
};

async fn count_transactions(app: &TestApp, id: &str) -> i64 {
    app.database.number(&format!("SELECT count(*) FROM ledger_transactions WHERE subscription_id = '{id}'")).await
}

/// Advances the clock by days, then runs due work.
async fn pass(app: &TestApp, days: i64) {
    app.app.clock.advance(TimeDelta::days(days));
    app.run_task("ask_about_subscriptions").await.expect("done");
    idle(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_renewed_monthly_until_it_ends() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let [goes_on, ends] = [create_subscription(&scene).await.id(), create_subscription(&scene).await.id()];
    scene.cast.customer.rest(CANCEL, cancel(&ends, true)).await.success();
    let mut fails = subscription_request(&scene).await;
    fails["paymentMethod"] = "pm_sandbox_renewal_declined".into();
    let fails = scene.cast.customer.keyed(Protocol::Rest, CREATE, fails, &unique()).await.success().id();
    let first = stored_state(&app.database, &goes_on).await.1;

    pass(&app, 32).await;
    let (status, second) = stored_state(&app.database, &goes_on).await;
    assert_eq!((status, count_transactions(&app, &goes_on).await), (2, 2));
    assert!((28..=31).contains(&((second - first) / 86_400)), "{first} {second}");
    assert_eq!((stored_state(&app.database, &ends).await.0, count_transactions(&app, &ends).await), (4, 1));
    assert_eq!((stored_state(&app.database, &fails).await.0, count_transactions(&app, &fails).await), (3, 1));

    let entries = format!(
        "SELECT changes->'status'->>'before', changes->'status'->>'after' FROM audit_entries \
         WHERE method = 'job sync_subscription' AND resource_id = '{ends}'"
    );
    let [before, after] = ["ACTIVE", "CANCELLED"].map(|status| Some(format!("SUBSCRIPTION_STATUS_{status}")));
    assert_eq!(app.database.sql(&entries).await, [vec![before, after]], "the gateway's change is in the audit log");

    // Half a year without a query, then a single one.
    pass(&app, 180).await;
    assert_eq!((stored_state(&app.database, &goes_on).await.0, count_transactions(&app, &goes_on).await), (2, 8));
    assert_eq!(
        (stored_state(&app.database, &fails).await.0, count_transactions(&app, &fails).await),
        (4, 1),
        "an unpaid subscription ends"
    );
    let report = mainstay::payments::ledger::ops::check(&app.app).await.expect("checked");
    assert_eq!((report.booked, report.moved, report.unsettled, report.faults), (10, 10, 0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_recovers_a_lost_answer() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs().set("PAYMENT_RETRY_WAIT", "100ms")).await;
    let mut request = subscription_request(&scene).await;
    request["paymentMethod"] = json!("pm_sandbox_error");
    let response = scene.cast.customer.keyed(Protocol::Grpc, CREATE, request, "one").await.success();
    assert_eq!(response.status, 202);
    idle(&app).await;
    assert_eq!(
        (stored_state(&app.database, &response.id()).await.0, count_transactions(&app, &response.id()).await),
        (2, 1)
    );
}

/// One run queues a query for each due subscription, and the next run queues none twice.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_are_due_are_queried_in_one_run() {
    const MAKE_DUE: &str = "
        INSERT INTO subscriptions (id, account_id, product_id, product_name, currency, price_minor, billing_interval,
            subscribed_by, gateway, method, status, gateway_id, period_start, period_end, next_sync_at, attempt_since,
            created_at, updated_at)
        SELECT gen_random_uuid(), account_id, product_id, product_name, currency, price_minor, billing_interval,
            subscribed_by, gateway, method, status, gateway_id || n, period_start, period_end,
            created_at - interval '1 hour', attempt_since, created_at, updated_at
        FROM subscriptions, generate_series(1, 1200) AS n";
    let (app, scene) = Scene::start().await;
    create_subscription(&scene).await;
    app.database.sql(MAKE_DUE).await;
    let run = async || app.run_task("ask_about_subscriptions").await.expect("done");
    assert_eq!((run().await, run().await), (1200, 0));
}
