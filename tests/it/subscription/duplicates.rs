//! Concurrent duplicates over two instances.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use serde_json::Value;

use super::{CANCEL, CREATE, FakeGateway, call_until_final, cancel, create_subscription, subscription_request};
use crate::{
    cases::Scene,
    payment::process,
    support::{Actor, PROTOCOLS, Process, Protocol, Response, TestDatabase},
};

const DUPLICATES: usize = 64;

async fn all_at_once(instances: &[Process; 2], token: &str, method: &'static str, request: &Value) -> Vec<Response> {
    let calls = (0..DUPLICATES).map(|number| {
        let (who, request) = (Actor::bearer(&instances[number % 2].endpoint, token), request.clone());
        tokio::spawn(async move { who.keyed(PROTOCOLS[number / 2 % 2], method, request, "one").await })
    });
    join_all(calls).await.into_iter().map(|answer| answer.expect("no panic")).collect()
}

fn one_did_it(answers: Vec<Response>) -> String {
    let (good, failures): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.reason.is_empty());
    for answer in &failures {
        assert_eq!((answer.reason.as_str(), answer.status), ("IDEMPOTENCY_IN_PROGRESS", 409), "{answer:#?}");
    }
    let ids: BTreeSet<_> = good.iter().map(|answer| answer.id()).collect();
    assert_eq!(ids.len(), 1, "every answer is the stored one: {good:#?}");
    assert_eq!(good.iter().filter(|answer| !answer.is_replayed()).count(), 1, "exactly one did the work");
    ids.into_iter().next().expect("one")
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_duplicates_subscribe_once_and_cancel_once() {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let instances = [process(&database, &gateway, &[]).await, process(&database, &gateway, &[]).await];
    let scene = Scene::at(&instances[0], &database).await;
    let request = subscription_request(&scene).await;
    let token = scene.cast.customer.token().await.expect("a token");
    let id = one_did_it(all_at_once(&instances, &token, CREATE, &request).await);
    let late =
        call_until_final(&scene.cast.customer.at(&instances[1].endpoint), Protocol::Grpc, CREATE, &request, "one")
            .await;
    assert!(late.is_replayed() && late.id() == id, "{late:#?}");
    assert_eq!((gateway.settled_books(&database).await, gateway.objects("subscription").len()), (1, 1));

    let other = create_subscription(&scene).await.id();
    assert_eq!(one_did_it(all_at_once(&instances, &token, CANCEL, &cancel(&other, false)).await), other);
    let late =
        call_until_final(&scene.cast.customer, Protocol::Rest, CANCEL, &cancel(&other, false), "one").await.success();
    assert_eq!(late.text("/data/status"), "SUBSCRIPTION_STATUS_CANCELLED");
    assert_eq!(gateway.settled_books(&database).await, 2);
}
