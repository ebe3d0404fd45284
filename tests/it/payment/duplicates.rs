//! Concurrent duplicates, and concurrent payments of one order under different keys.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use mainstay_dev_servers::{Redis, RedisOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{CHARGE, FakeGateway, call_until_final, charge_of, process};
use crate::{
    cases::Scene,
    support::{Actor, PROTOCOLS, Process, Protocol, Response, TestDatabase},
};

const DUPLICATES: usize = 64;

async fn all_at_once(
    instances: &[Process; 2],
    token: &str,
    request: &Value,
    key: impl Fn(usize) -> String,
) -> Vec<Response> {
    let calls = (0..DUPLICATES).map(|number| {
        let (who, request) = (Actor::bearer(&instances[number % 2].endpoint, token), request.clone());
        let key = key(number);
        tokio::spawn(async move { who.keyed(PROTOCOLS[number / 2 % 2], CHARGE, request, &key).await })
    });
    join_all(calls).await.into_iter().map(|answer| answer.expect("no panic")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_duplicates_charge_once() {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let instances = [process(&database, &gateway, &[]).await, process(&database, &gateway, &[]).await];
    let scene = Scene::at(&instances[0], &database).await;
    let request = charge_of(&scene).await;
    let token = scene.cast.customer.token().await.expect("a token");
    let answers = all_at_once(&instances, &token, &request, |_| "one".to_owned()).await;

    let (good, failures): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.reason.is_empty());
    for answer in &failures {
        assert_eq!((answer.reason.as_str(), answer.status), ("IDEMPOTENCY_IN_PROGRESS", 409), "{answer:#?}");
        assert!(answer.header("retry-after").is_some(), "{answer:#?}");
    }
    let ids: BTreeSet<_> = good.iter().map(|answer| answer.id()).collect();
    assert_eq!(ids.len(), 1, "every answer is the stored one: {good:#?}");
    let fresh = good.iter().filter(|answer| !answer.is_replayed()).count();
    assert_eq!(fresh, 1, "one of {} good answers did the work", good.len());
    let late =
        call_until_final(&scene.cast.customer.at(&instances[1].endpoint), Protocol::Grpc, CHARGE, &request, "one")
            .await;
    assert!(late.is_replayed() && ids.contains(&late.id()), "{late:#?}");
    assert_eq!(gateway.settled_books(&database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_once_whatever_the_keys() {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let instances = [process(&database, &gateway, &[]).await, process(&database, &gateway, &[]).await];
    let scene = Scene::at(&instances[0], &database).await;
    let request = charge_of(&scene).await;
    let token = scene.cast.customer.token().await.expect("a token");
    let answers = all_at_once(&instances, &token, &request, |number| format!("key-{number}")).await;
    let good = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    let late = answers
        .iter()
        .filter(|answer| ["ORDER_PAYMENT_PENDING", "ORDER_ALREADY_PAID"].contains(&&*answer.reason))
        .count();
    assert_eq!((good, late), (1, DUPLICATES - 1), "{answers:#?}");
    assert_eq!(gateway.settled_books(&database).await, 1);
}

/// Redis dies during the requests, or hangs, which is worse.
async fn duplicates_without_redis(go: impl FnOnce(&mut Redis)) {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let url = redis.url();
    let own = [("REDIS_URL", url.as_str())];
    let instances = [process(&database, &gateway, &own).await, process(&database, &gateway, &own).await];
    let scene = Scene::at(&instances[0], &database).await;
    let request = charge_of(&scene).await;
    let token = scene.cast.customer.token().await.expect("a token");
    let calls = all_at_once(&instances, &token, &request, |_| "one".to_owned());
    let (answers, ()) = tokio::join!(calls, async { go(&mut redis) });
    let wrong: Vec<_> = answers
        .iter()
        .filter(|answer| !answer.reason.is_empty() && answer.reason != "IDEMPOTENCY_IN_PROGRESS")
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let late = call_until_final(&scene.cast.customer, Protocol::Rest, CHARGE, &request, "one").await.success();
    assert!(late.is_replayed(), "{late:#?}");
    assert_eq!(gateway.settled_books(&database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_charge_once_while_redis_dies() {
    duplicates_without_redis(Redis::crash).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_charge_once_while_redis_hangs() {
    let hang = |redis: &mut Redis| {
        let pid = i32::try_from(redis.pid().expect("it runs")).expect("a pid fits");
        kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("our own child");
    };
    duplicates_without_redis(hang).await;
}
