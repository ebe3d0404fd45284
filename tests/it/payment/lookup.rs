//! Where the key can't tell any more: answers the gateway keeps for good, and keys it has forgotten.

use chrono::TimeDelta;
use serde_json::json;

use super::{CHARGE, FakeGateway, charge_of, house, insist};
use crate::support::Door;

/// A 500 that is kept under the key says nothing of the money; only a look-up does.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_failure_that_moved_the_money_is_found() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = house(&gateway).await;
    let request = charge_of(&scene).await;
    gateway.behave(json!("move_and_break"), 1).await;
    let charge = scene.cast.customer.keyed(Door::Rest, CHARGE, request.clone(), "one").await.good();
    assert_eq!(charge.status, 202, "{charge:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    assert_eq!(app.database.number("SELECT attempt FROM payments").await, 1, "found, not made again");
    insist(&scene.cast.customer, Door::Grpc, CHARGE, &request, "one").await.good();
}

/// And one that moved none gets another attempt, under another key.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_failure_that_moved_nothing_gets_another_attempt() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = house(&gateway).await;
    let request = charge_of(&scene).await;
    gateway.behave(json!("break"), 1).await;
    let charge = scene.cast.customer.keyed(Door::Rest, CHARGE, request.clone(), "one").await.good();
    assert_eq!(charge.status, 202, "{charge:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    assert_eq!(app.database.number("SELECT attempt FROM payments").await, 2);
    let again = insist(&scene.cast.customer, Door::Grpc, CHARGE, &request, "one").await.good();
    assert_eq!(again.id(), charge.id());
}

/// A day later the gateway has forgotten the key: it is looked up, and never charged again blindly.
#[tokio::test(flavor = "multi_thread")]
async fn past_the_window_of_its_key_a_payment_is_looked_up() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = house(&gateway).await;
    let (moved, lost) = (charge_of(&scene).await, charge_of(&scene).await);
    gateway.behave(json!("hang_up_after"), 0).await;
    let moved = scene.cast.customer.keyed(Door::Rest, CHARGE, moved, "moved").await.good();
    gateway.behave(json!("hang_up_before"), 0).await;
    let lost = scene.cast.customer.keyed(Door::Rest, CHARGE, lost, "lost").await;
    // The circuit may have opened by now; then there is but the one.
    let lost = (lost.status == 202).then(|| lost.id());
    app.app.clock.turn(TimeDelta::hours(23) + TimeDelta::minutes(1));
    // The queue's clock is Postgres' own, so what is due by ours is due by its.
    let (database, clock) = (app.database.clone(), tokio_util::sync::CancellationToken::new());
    let turned = clock.clone().drop_guard();
    tokio::spawn(clock.run_until_cancelled_owned(async move {
        loop {
            database.sql("UPDATE graphile_worker._private_jobs SET run_at = now() WHERE run_at > now() AND locked_at IS NULL").await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }));
    assert_eq!(gateway.settled_books(&app.database).await, 1, "nothing was moved a second time");
    let status = |id: &str| {
        let statement = format!("SELECT status FROM payments WHERE id = '{id}'");
        let database = app.database.clone();
        async move { database.number(&statement).await }
    };
    assert_eq!(status(&moved.id()).await, 2);
    if let Some(lost) = lost {
        assert_eq!(status(&lost).await, 3);
        assert_eq!(app.database.number("SELECT count(*) FROM payments WHERE failure_code = 'no_answer'").await, 1);
    }
    assert_eq!(app.database.number("SELECT count(*) FROM orders WHERE status = 2").await, 0);
    drop(turned);
}
