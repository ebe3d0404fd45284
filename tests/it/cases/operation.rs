//! Work that goes on after its request was answered.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    ask, cases, nothing,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "OperationService.GetOperation" {
            "the own one" => With(200), |scene| ask(&scene.cast.agent, json!({ "operationId": scene.operation().await }));
            "one that is not there" => For("NOT_FOUND"), |scene| ask(&scene.cast.agent, json!({ "operationId": nothing() }));
            "a customer may not" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.customer, json!({ "operationId": nothing() }));
        }
        "OperationService.ListOperations" {
            "the own ones" => With(200), |scene| {
                scene.operation().await;
                ask(&scene.cast.agent, json!({}))
            };
        }
        "OperationService.ListOperationErrors" {
            "of the own one" => With(200), |scene| ask(&scene.cast.agent, json!({ "operationId": scene.operation().await }));
            "of one that is not there" => For("NOT_FOUND"), |scene| ask(&scene.cast.agent, json!({ "operationId": nothing() }));
        }
    }
}
