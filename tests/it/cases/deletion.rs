//! Deletions of users and accounts.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::membership::{grant, join};
use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Actor, people::PASSWORD, unique};

/// Schedules the deletion of a user, written to the database, with the token of its mail; returns the id and the token.
pub(crate) async fn schedule(scene: &Scene, who: &Actor) -> (String, String) {
    let (user, token) = (who.as_user(), format!("mcd_{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(unique()))));
    let (id, email) = (user.id, &user.email);
    let statement = format!(
        "UPDATE users SET deletion_at = now() + interval '14 days' WHERE id = '{id}';
         INSERT INTO deletions (id, user_id, requested_by, state, erase_at, created_at)
         VALUES (gen_random_uuid(), '{id}', '{id}', 1, now() + interval '14 days', now());
         INSERT INTO deletion_notices (id, deletion_id, user_id, email, language, token_hash)
         SELECT gen_random_uuid(), id, user_id, '{email}', 'en', sha256('{token}') FROM deletions WHERE user_id = '{id}';
         SELECT id FROM deletions WHERE user_id = '{id}'"
    );
    let rows = scene.database.sql(&statement).await;
    (rows[0][0].clone().expect("an id"), token)
}

async fn set_state(scene: &Scene, id: &str, state: i16) {
    let statement = format!("UPDATE deletions SET state = {state} WHERE id = '{id}'");
    scene.database.sql(&statement).await;
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "DeletionService.CreateDeletion" {
            "of the caller" => Status(201), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "currentPassword": PASSWORD,
            }));
            "of an account by an owner" => Status(201), |scene| call(&scene.cast.customer, json!({
                "accountId": scene.account(), "currentPassword": PASSWORD,
            }));
            "of a user by an admin" => Status(201), |scene| call(&scene.cast.admin, json!({
                "userId": scene.cast.stranger.as_user().id.to_string(), "currentPassword": PASSWORD,
            }));
            "with a wrong password" => Reason("WRONG_PASSWORD"), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "currentPassword": "not this one",
            }));
            "of neither" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "currentPassword": PASSWORD }))
            };
            "of both" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "accountId": scene.account(),
                "currentPassword": PASSWORD,
            }));
            "of another user" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.colleague.as_user().id.to_string(), "currentPassword": PASSWORD,
            }));
            "of an account by a member" => Reason("NOT_FOUND"), |scene| {
                grant(&scene.database, &scene.cast.customer, 2).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account(), "currentPassword": PASSWORD }))
            };
            "again" => Reason("DELETION_SCHEDULED"), |scene| {
                schedule(&scene, &scene.cast.customer).await;
                call(&scene.cast.customer, json!({
                    "userId": scene.cast.customer.as_user().id.to_string(), "currentPassword": PASSWORD,
                }))
            };
            "of the only owner of an account with members" => Reason("SOLE_OWNER"), |scene| {
                join(&scene.database, &scene.cast.customer, &scene.cast.stranger, 3).await;
                call(&scene.cast.stranger, json!({
                    "userId": scene.cast.stranger.as_user().id.to_string(), "currentPassword": PASSWORD,
                }))
            };
            "with a subscription" => Reason("ACTIVE_CONTRACTS"), |scene| {
                super::subscription::create_subscription(&scene).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account(), "currentPassword": PASSWORD }))
            };
        }
        "DeletionService.GetDeletion" {
            "the caller's own" => Status(200), |scene| {
                let (id, _) = schedule(&scene, &scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "deletionId": id }))
            };
            "another user's" => Reason("NOT_FOUND"), |scene| {
                let (id, _) = schedule(&scene, &scene.cast.customer).await;
                call(&scene.cast.colleague, json!({ "deletionId": id }))
            };
            "an unknown one" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "deletionId": unknown_id() }));
        }
        "DeletionService.ListDeletions" {
            "the caller's own" => Status(200), |scene| {
                schedule(&scene, &scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "state": "DELETION_STATE_SCHEDULED" }))
            };
            "of a user and an account" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "userId": unknown_id(), "accountId": unknown_id() }))
            };
        }
        "DeletionService.CancelDeletion" {
            "the caller's own" => Status(200), |scene| {
                let (id, _) = schedule(&scene, &scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "deletionId": id }))
            };
            "once it has begun" => Reason("DELETION_BEGUN"), |scene| {
                let (id, _) = schedule(&scene, &scene.cast.customer).await;
                set_state(&scene, &id, 2).await;
                call(&scene.cast.customer, json!({ "deletionId": id }))
            };
        }
        "DeletionService.CancelDeletionByToken" {
            "a valid token" => Status(204), |scene| {
                let (_, token) = schedule(&scene, &scene.cast.customer).await;
                call(&scene.cast.anonymous, json!({ "token": token }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| call(&scene.cast.anonymous, json!({ "token": "nonsense" }));
            "once it has begun" => Reason("DELETION_BEGUN"), |scene| {
                let (id, token) = schedule(&scene, &scene.cast.customer).await;
                set_state(&scene, &id, 2).await;
                call(&scene.cast.anonymous, json!({ "token": token }))
            };
        }
    }
}
