//! The recorded changes that a watch reports, and how often.

use serde_json::Value;

use super::{Reader, TICKETS, change_of, token};
use crate::{
    cases::{Scene, ticket, unknown_id},
    support::{PROTOCOLS, Protocol},
};

/// Records changes in one transaction: the topic, the resource, its version, and whether it was deleted.
async fn record_changes(scene: &Scene, changes: &[(&str, &str, i64, bool)]) {
    let account = scene.account();
    let values = changes.iter().map(|(topic, resource, version, is_deleted)| {
        format!("('{topic}', '{resource}', '{account}', {version}, {is_deleted})")
    });
    let values = values.collect::<Vec<_>>().join(", ");
    let columns = "topic, resource_id, account_id, version, is_deleted";
    scene.database.sql(&format!("INSERT INTO changes ({columns}) VALUES {values}")).await;
}

/// Returns the changes that a reader receives, up to a ticket that is created now.
async fn changes_until_now(reader: &mut Reader, scene: &Scene) -> Vec<(String, Option<String>)> {
    let last = ticket(&scene.cast.customer).await;
    let mut all = Vec::new();
    loop {
        let next = change_of(&reader.item().await);
        if next.0 == last {
            return all;
        }
        all.push(next);
    }
}

/// A change is not reported twice if the resource has changed again meanwhile: it is reported with its last change.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_other_resources_and_of_earlier_versions_are_not_told() {
    let (_app, scene) = Scene::start().await;
    let resolved = scene.resolved_ticket().await;
    for protocol in PROTOCOLS {
        let mut reader = Reader::open(&scene.cast.customer, protocol, TICKETS, "").await;
        reader.message().await;
        record_changes(
            &scene,
            &[("support.macro", unknown_id().as_str(), 1, true), ("support.ticket", resolved.as_str(), 1, false)],
        )
        .await;
        let changes = changes_until_now(&mut reader, &scene).await;
        assert!(changes.is_empty(), "{protocol:?}: {changes:?}");
    }
}

/// For example, several users comment on a ticket at once.
#[tokio::test(flavor = "multi_thread")]
async fn several_changes_that_leave_the_version_are_one_message() {
    let (_app, scene) = Scene::start().await;
    let id = scene.ticket().await;
    for protocol in PROTOCOLS {
        let mut reader = Reader::open(&scene.cast.customer, protocol, TICKETS, "").await;
        reader.message().await;
        record_changes(&scene, &[("support.ticket", id.as_str(), 1, false); 3]).await;
        assert_eq!(changes_until_now(&mut reader, &scene).await, [(id.clone(), Some("1".to_owned()))], "{protocol:?}");
    }
}

/// More changes than a batch, for a connected reader and for one that resumes.
#[tokio::test(flavor = "multi_thread")]
async fn all_changes_of_a_large_transaction_are_told() {
    let (_app, scene) = Scene::start().await;
    let mut there = Reader::open(&scene.cast.customer, Protocol::Grpc, TICKETS, "").await;
    let before: Value = there.message().await;
    let ids: Vec<_> = (0..450).map(|_| unknown_id()).collect();
    let deletions: Vec<_> = ids.iter().map(|id| ("support.ticket", id.as_str(), 1, true)).collect();
    record_changes(&scene, &deletions).await;
    let expected: Vec<_> = ids.iter().map(|id| (id.clone(), None)).collect();
    assert!(changes_until_now(&mut there, &scene).await == expected);
    let mut resumed = Reader::open(&scene.cast.customer, Protocol::Rest, TICKETS, &token(&before)).await;
    assert!(changes_until_now(&mut resumed, &scene).await[..450] == expected);
}
