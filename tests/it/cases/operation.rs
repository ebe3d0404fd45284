//! Long-running operations.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};

async fn cancel_operation(scene: &Scene) -> String {
    let request = json!({ "operationId": scene.operation().await });
    scene.cast.agent.rest("OperationService.CancelOperation", request).await.success().id()
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "DeadJobService.ListDeadJobs" {
            "an admin may" => Status(200), |scene| call(&scene.cast.admin, json!({ "kind": "sync_refunds", "readMask": "id" }));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
        "DeadJobService.RedriveDeadJobs" {
            "by their ids" => Status(200), |scene| call(&scene.cast.admin, json!({ "ids": ["1", "2"] }));
            "all of a kind" => Status(200), |scene| call(&scene.cast.admin, json!({ "kind": "sync_refunds" }));
            "neither ids nor a kind" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({}));
            "both" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({ "ids": ["1"], "kind": "sync_refunds" }));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({ "ids": ["1"] }));
        }
        "OperationService.CancelOperation" {
            "the caller's own" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "operationId": scene.operation().await })).header("if-match", "\"1\"")
            };
            "one that was cancelled" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "operationId": cancel_operation(&scene).await })).header("if-match", "\"2\"")
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.agent, json!({ "operationId": cancel_operation(&scene).await })).header("if-match", "\"1\"")
            };
            "one that ended" => Reason("OPERATION_ENDED"), |scene| {
                let id = scene.operation().await;
                let end = format!("UPDATE operations SET state = 3, finished_at = now() WHERE id = '{id}'");
                scene.database.sql(&end).await;
                call(&scene.cast.agent, json!({ "operationId": id }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({ "operationId": unknown_id() }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({ "operationId": unknown_id() }));
        }
        "OperationService.GetOperation" {
            "the caller's own" => Status(200), |scene| call(&scene.cast.agent, json!({ "operationId": scene.operation().await }));
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({ "operationId": unknown_id() }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({ "operationId": unknown_id() }));
        }
        "OperationService.ListOperations" {
            "the caller's own" => Status(200), |scene| {
                scene.operation().await;
                call(&scene.cast.agent, json!({}))
            };
        }
        "OperationService.WatchOperations" {
            "for a second" => Status(200), |scene| call(&scene.cast.agent, json!({})).header("x-request-timeout", "1");
            "a token of something else" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "resumeToken": "AAAA" })).header("x-request-timeout", "1")
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({}));
        }
        "OperationService.ListOperationErrors" {
            "of the caller's own" => Status(200), |scene| call(&scene.cast.agent, json!({ "operationId": scene.operation().await }));
            "of an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({ "operationId": unknown_id() }));
        }
    }
}
