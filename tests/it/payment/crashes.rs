//! `kill -9` before or after each phase, then a restart, after which either the retry or the job finishes the work.

use std::{os::unix::process::ExitStatusExt as _, sync::Arc};

use nix::sys::signal::Signal;
use serde_json::json;

use super::{CHARGE, FakeGateway, REFUND, call_until_final, charge_of, pay, process};
use crate::{
    cases::Scene,
    support::{Protocol, TestDatabase, euro},
};

/// The first process to run after the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Retry,
    Job,
}

/// Kills a server at `point` of a charge. `intended`: whether the intent is committed by then.
async fn kill_charge_at(point: &str, intended: bool, first: First) {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let healthy = process(&database, &gateway, &[("JOBS_IN_SERVE", "false")]).await;
    let scene = Scene::at(&healthy, &database).await;
    let request = charge_of(&scene).await;
    scene.cast.customer.token().await;
    let fault = format!("{point}=kill");
    let mut doomed = process(&database, &gateway, &[("MAINSTAY_FAULTS", &fault), ("JOBS_IN_SERVE", "false")]).await;
    let response = scene.cast.customer.at(&doomed.endpoint).keyed(Protocol::Rest, CHARGE, request.clone(), "one").await;
    assert_eq!(response.status, 0, "the caller got a response: {response:#?}");
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    let payments = database.number("SELECT count(*) FROM payments").await;
    assert_eq!(payments, i64::from(intended), "after the kill at {point}");

    let restarted = process(&database, &gateway, &[]).await;
    if first == First::Job {
        assert_eq!(gateway.settled_books(&database).await, usize::from(intended), "the job alone, after {point}");
    }
    let customer = scene.cast.customer.at(&restarted.endpoint);
    let retried = call_until_final(&customer, Protocol::Grpc, CHARGE, &request, "one").await.success();
    assert_eq!(retried.status, 201);
    assert_eq!(retried.is_replayed(), intended, "the retry after {point}");
    assert_eq!(retried.text("/data/status"), "PAYMENT_STATUS_SUCCEEDED");
    let again = customer.keyed(Protocol::Rest, CHARGE, request, "one").await.success();
    assert_eq!((again.status, again.is_replayed(), &again.body), (201, true, &retried.body));
    assert_eq!(gateway.settled_books(&database).await, 1, "one charge after {point}");
    assert_eq!(database.number("SELECT count(*) FROM orders WHERE status = 3").await, 1);
}

/// Does the same as [`kill_charge_at`], for a refund.
async fn kill_refund_at(point: &str, first: First) {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let healthy = process(&database, &gateway, &[("JOBS_IN_SERVE", "false")]).await;
    let scene = Scene::at(&healthy, &database).await;
    let request = json!({ "paymentId": pay(&scene).await.id(), "amount": euro("450") });
    scene.cast.admin.token().await;
    let fault = format!("{point}=kill");
    let mut doomed = process(&database, &gateway, &[("MAINSTAY_FAULTS", &fault), ("JOBS_IN_SERVE", "false")]).await;
    let response = scene.cast.admin.at(&doomed.endpoint).keyed(Protocol::Grpc, REFUND, request.clone(), "one").await;
    assert!(!response.reason.is_empty(), "{response:#?}");
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());

    let restarted = process(&database, &gateway, &[]).await;
    if first == First::Job {
        assert_eq!(gateway.settled_books(&database).await, 2, "the job alone, after {point}");
    }
    let admin = scene.cast.admin.at(&restarted.endpoint);
    let retried = call_until_final(&admin, Protocol::Rest, REFUND, &request, "one").await.success();
    assert_eq!((retried.status, retried.text("/data/status").as_str()), (201, "REFUND_STATUS_SUCCEEDED"));
    assert_eq!(gateway.settled_books(&database).await, 2, "one charge and one refund after {point}");
    assert_eq!(database.number("SELECT count(*) FROM orders WHERE status = 5").await, 1, "fully refunded");
}

macro_rules! kills {
    ($($name:ident: $kill:ident($($argument:expr),*);)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $kill($($argument),*).await;
        }
    )*};
}

kills! {
    charge_after_the_claim: kill_charge_at("claim.after", false, First::Retry);
    charge_after_the_effect: kill_charge_at("effect.after", false, First::Retry);
    charge_before_the_intent_commits: kill_charge_at("commit.before", false, First::Retry);
    charge_after_the_intent_committed: kill_charge_at("commit.after", true, First::Retry);
    charge_before_the_gateway: kill_charge_at("gateway.before", true, First::Retry);
    charge_before_the_gateway_and_nobody_asks_again: kill_charge_at("gateway.before", true, First::Job);
    charge_after_the_gateway: kill_charge_at("gateway.after", true, First::Retry);
    charge_after_the_gateway_and_nobody_asks_again: kill_charge_at("gateway.after", true, First::Job);
    charge_before_the_outcome_commits: kill_charge_at("outcome.before_commit", true, First::Retry);
    charge_before_the_outcome_commits_and_nobody_asks_again: kill_charge_at("outcome.before_commit", true, First::Job);
    charge_after_the_outcome_committed: kill_charge_at("outcome.after", true, First::Retry);
    refund_before_the_gateway: kill_refund_at("gateway.before", First::Job);
    refund_after_the_gateway: kill_refund_at("gateway.after", First::Retry);
    refund_after_the_gateway_and_nobody_asks_again: kill_refund_at("gateway.after", First::Job);
    refund_before_the_outcome_commits: kill_refund_at("outcome.before_commit", First::Retry);
    refund_after_the_outcome_committed: kill_refund_at("outcome.after", First::Retry);
}
