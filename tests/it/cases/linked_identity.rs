//! Identities at sign-in providers.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Actor, unique};

/// Links an identity to a user, and returns its id.
async fn link(scene: &Scene, who: &Actor) -> String {
    let (id, user, subject) = (unknown_id(), who.as_user().id, unique());
    let insert = format!(
        "INSERT INTO linked_identities (id, user_id, issuer, subject, email, created_at) \
         VALUES ('{id}', '{user}', 'https://id.example', '{subject}', 'ada@example.org', now())"
    );
    scene.database.sql(&insert).await;
    id
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "AuthService.ListSignInProviders" {
            "of the configuration" => Status(200), |scene| call(&scene.cast.anonymous, json!({}));
        }
        "LinkedIdentityService.ListLinkedIdentities" {
            "the caller's own" => Status(200), |scene| {
                link(&scene, &scene.cast.customer).await;
                call(&scene.cast.customer, json!({}))
            };
            "a service has none" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.service, json!({}));
        }
        "LinkedIdentityService.DeleteLinkedIdentity" {
            "the caller's own" => Status(204), |scene| {
                let id = link(&scene, &scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "linkedIdentityId": id }))
            };
            "of another user" => Reason("NOT_FOUND"), |scene| {
                let id = link(&scene, &scene.cast.stranger).await;
                call(&scene.cast.customer, json!({ "linkedIdentityId": id }))
            };
            "the last way to sign in" => Reason("LAST_SIGN_IN_METHOD"), |scene| {
                let id = link(&scene, &scene.cast.customer).await;
                let user = scene.cast.customer.as_user().id;
                scene.database.sql(&format!("UPDATE users SET has_password = false WHERE id = '{user}'")).await;
                call(&scene.cast.customer, json!({ "linkedIdentityId": id }))
            };
        }
        "LinkedIdentityService.ListUserLinkedIdentities" {
            "a customer's" => Status(200), |scene| {
                link(&scene, &scene.cast.customer).await;
                call(&scene.cast.admin, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
            "an unknown user's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "userId": unknown_id() }));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.agent, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
        }
    }
}
