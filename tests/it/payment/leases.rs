//! A worker that is so slow that another one takes over, and workers that fail repeatedly.

use chrono::TimeDelta;
use mainstay::payments::{
    payment::model::Payment,
    settlement::ops::{finish, run_detached},
};
use serde_json::{Value, json};

use super::{
    CHARGE, FakeGateway, WITHOUT_RETRIES, alerts, charge_of, is_theirs, overtaken, start_app_with, start_configured,
};
use crate::{
    cases::Scene,
    support::{Protocol, TestApp, modules, unique},
};

/// Returns an app with a payment whose outcome is unknown, because the gateway behaves like this.
async fn app_with_pending_payment(gateway: &FakeGateway, behaviour: Value, times: u32) -> (TestApp, Scene) {
    let (app, scene) = start_app_with(gateway, &WITHOUT_RETRIES).await;
    gateway.behave(behaviour, times).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, &unique()).await.success();
    assert_eq!(charge.status, 202, "{charge:#?}");
    (app, scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_overtaken_postpones_nothing() {
    let gateway = FakeGateway::start().await;
    let (app, _scene) = app_with_pending_payment(&gateway, json!({ "refuse": 503 }), 0).await;
    let slow = overtaken::<Payment>(&app, "payments").await;
    assert!(run_detached(&app.app, slow).await.is_none());
    assert!(is_theirs(&app, "payments").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_overtaken_begins_no_attempt() {
    let gateway = FakeGateway::start().await;
    let (app, _scene) = app_with_pending_payment(&gateway, json!("break"), 1).await;
    assert_eq!(app.database.number("SELECT count(*) FROM payments WHERE key_abandoned_at IS NOT NULL").await, 1);
    app.app.clock.advance(TimeDelta::seconds(2));
    let slow = overtaken::<Payment>(&app, "payments").await;
    assert!(run_detached(&app.app, slow).await.is_none());
    assert!(is_theirs(&app, "payments").await);
    assert_eq!(gateway.movements().len(), 0);
}

/// From the tenth failure on, an alert is raised, and the next attempt is an hour later.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_workers_keep_failing_is_put_off() {
    let gateway = FakeGateway::start().await;
    let (app, _scene) = app_with_pending_payment(&gateway, json!({ "refuse": 503 }), 0).await;
    gateway.behave_well().await;
    // No outcome can be committed.
    app.database.sql("ALTER TABLE ledger_transactions ADD CHECK (false) NOT VALID").await;
    let id = app.database.sql("SELECT id FROM payments").await[0][0].clone().expect("an id");
    let id = id.parse().expect("an id");
    let put_off = "SELECT count(*) FROM payments WHERE due_at > now() + interval '50 minutes'";
    for leases in [9, 10] {
        let failed = format!("UPDATE payments SET leases = {leases}, leased_until = now() - interval '1 second'");
        app.database.sql(&failed).await;
        finish::<Payment>(&app.app, id).await.expect("a lease");
        let is_hopeless = leases == 10;
        let outcome = (app.database.number(put_off).await == 1, alerts("unsettled") == 1);
        assert_eq!(outcome, (is_hopeless, is_hopeless), "after {leases}");
    }
}

/// Postponements release the lease, so only the workers that failed since then count.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_often_postponed_is_not_put_off_for_one_failed_worker() {
    let gateway = FakeGateway::start().await;
    let (app, _scene) = app_with_pending_payment(&gateway, json!({ "refuse": 503 }), 0).await;
    let id = app.database.sql("SELECT id FROM payments").await[0][0].clone().expect("an id");
    let id = id.parse().expect("an id");
    for _ in 0..10 {
        finish::<Payment>(&app.app, id).await.expect("postponed");
    }
    // A worker is killed during its lease, and the next one takes over.
    let killed = "UPDATE payments SET leases = leases + 1, leased_until = now() - interval '1 second'";
    app.database.sql(killed).await;
    finish::<Payment>(&app.app, id).await.expect("postponed");
    assert_eq!(alerts("unsettled"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_oldest_payment_without_an_outcome_is_measured() {
    let gateway = FakeGateway::start().await;
    let (app, _scene) = app_with_pending_payment(&gateway, json!({ "refuse": 503 }), 0).await;
    let age = async || {
        for measure in modules().work().measures {
            measure(app.app.clone()).await.expect("measured");
        }
        let metrics = mainstay_kernel::telemetry::metrics().render();
        let value = metrics.lines().find_map(|line| line.strip_prefix("mainstay_payments_oldest_unsettled_seconds "));
        value.expect("a series").parse::<f64>().expect("a number")
    };
    assert!((0.0..60.0).contains(&age().await), "{}", age().await);
    app.app.clock.advance(TimeDelta::minutes(20));
    assert!((1200.0..1260.0).contains(&age().await), "{}", age().await);
    gateway.behave_well().await;
    let id = app.database.sql("SELECT id FROM payments").await[0][0].clone().expect("an id");
    finish::<Payment>(&app.app, id.parse().expect("an id")).await.expect("settled");
    assert_eq!(app.database.number("SELECT count(*) FROM payments WHERE status = 2").await, 1);
    assert!(age().await < f64::EPSILON, "{}", age().await);
}

/// Workers look for what is due by the clock of Postgres, so the wait must not begin at another time.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_waits_by_the_clock_of_postgres() {
    // The first lease is written by the clock of the process: behind that of Postgres, another worker would take it over.
    for skew in [TimeDelta::seconds(90), TimeDelta::minutes(4)] {
        let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
        gateway.behave(json!({ "refuse": 503 }), 0).await;
        let charge = charge_of(&scene).await;
        app.app.clock.advance(skew);
        let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge, &unique()).await;
        assert_eq!(charge.status, 202, "{charge:#?}");
        let hour = "SELECT count(*) FROM payments WHERE leased_until IS NULL
                    AND due_at BETWEEN now() + interval '59 minutes' AND now() + interval '61 minutes'";
        assert_eq!(app.database.number(hour).await, 1, "{skew}");
    }
}
