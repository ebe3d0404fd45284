//! Exports of data.

use serde_json::json;

use super::membership::grant;
use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::Actor;

/// Stores exports of a user that ended just now; returns the id of the last one.
pub(crate) async fn insert(scene: &Scene, who: &Actor, count: usize) -> String {
    let user = who.as_user().id;
    let statement = format!(
        "INSERT INTO data_exports (id, user_id, state, created_at, finished_at)
         SELECT gen_random_uuid(), '{user}', 4, now(), now() FROM generate_series(1, {count}) RETURNING id"
    );
    let rows = scene.database.sql(&statement).await;
    rows.last().and_then(|row| row[0].clone()).expect("an id")
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "DataExportService.CreateDataExport" {
            "of the caller" => Status(202), |scene| call(&scene.cast.customer, json!({}));
            "of an account by an owner" => Status(202), |scene| {
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "of an account by an admin of it" => Reason("NOT_FOUND"), |scene| {
                grant(&scene.database, &scene.cast.customer, 2).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, json!({ "accountId": scene.account() }))
            };
            "beyond the limit" => Reason("DATA_EXPORT_LIMIT_REACHED"), |scene| {
                insert(&scene, &scene.cast.customer, 3).await;
                call(&scene.cast.customer, json!({}))
            };
        }
        "DataExportService.GetDataExport" {
            "the caller's own" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "dataExportId": insert(&scene, &scene.cast.customer, 1).await }))
            };
            "another user's" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.colleague, json!({ "dataExportId": insert(&scene, &scene.cast.customer, 1).await }))
            };
            "an unknown one" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "dataExportId": unknown_id() }))
            };
        }
        "DataExportService.ListDataExports" {
            "the caller's own" => Status(200), |scene| {
                insert(&scene, &scene.cast.customer, 1).await;
                call(&scene.cast.customer, json!({}))
            };
        }
    }
}
