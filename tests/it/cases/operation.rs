//! Long-running operations.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    Scene, ask, cases, nothing,
};
use crate::support::Door;

async fn cancelled(scene: &Scene) -> String {
    let request = json!({ "operationId": scene.operation().await });
    scene.cast.agent.call(Door::Rest, "OperationService.CancelOperation", request).await.good().id()
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "OperationService.CancelOperation" {
            "the caller's own" => With(200), |scene| {
                ask(&scene.cast.agent, json!({ "operationId": scene.operation().await })).header("if-match", "\"1\"")
            };
            "one that was cancelled" => With(200), |scene| {
                ask(&scene.cast.agent, json!({ "operationId": cancelled(&scene).await })).header("if-match", "\"2\"")
            };
            "with an old tag" => For("ETAG_MISMATCH"), |scene| {
                ask(&scene.cast.agent, json!({ "operationId": cancelled(&scene).await })).header("if-match", "\"1\"")
            };
            "one that ended" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                let id = scene.operation().await;
                let end = format!("UPDATE operations SET state = 3, finished_at = now() WHERE id = '{id}'");
                scene.database.sql(&end).await;
                ask(&scene.cast.agent, json!({ "operationId": id }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.agent, json!({ "operationId": nothing() }));
            "a customer may not" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.customer, json!({ "operationId": nothing() }));
        }
        "OperationService.GetOperation" {
            "the caller's own" => With(200), |scene| ask(&scene.cast.agent, json!({ "operationId": scene.operation().await }));
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.agent, json!({ "operationId": nothing() }));
            "a customer may not" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.customer, json!({ "operationId": nothing() }));
        }
        "OperationService.ListOperations" {
            "the caller's own" => With(200), |scene| {
                scene.operation().await;
                ask(&scene.cast.agent, json!({}))
            };
        }
        "OperationService.ListOperationErrors" {
            "of the caller's own" => With(200), |scene| ask(&scene.cast.agent, json!({ "operationId": scene.operation().await }));
            "of an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.agent, json!({ "operationId": nothing() }));
        }
    }
}
