//! Passkeys, and sign-in with them.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Actor, actor::sign_in, authenticator::Authenticator};

/// Begins adding a passkey. Returns the request that adds it.
async fn begin(who: &Actor, authenticator: &mut Authenticator) -> Value {
    let begun = who.rest("PasskeyService.EnrollPasskey", json!({})).await.success();
    let credential = authenticator.create(&begun.text("/data/options"));
    json!({ "token": begun.text("/data/token"), "credential": credential, "name": "Phone" })
}

/// Adds a passkey. Returns the authenticator, and the id of the passkey.
async fn add(who: &Actor) -> (Authenticator, String) {
    let mut authenticator = Authenticator::new();
    let request = begin(who, &mut authenticator).await;
    let added = who.rest("PasskeyService.ConfirmPasskey", request).await.success();
    (authenticator, added.text("/data/passkey/id"))
}

/// Returns the request that signs in with a passkey.
async fn login(scene: &Scene, authenticator: &mut Authenticator) -> Value {
    let begun = scene.cast.anonymous.rest("AuthService.BeginPasskeyLogin", json!({})).await.success();
    json!({ "token": begun.text("/data/token"), "credential": authenticator.get(&begun.text("/data/options")) })
}

/// Returns the request that proves the customer again.
async fn prove(scene: &Scene, authenticator: &mut Authenticator) -> Value {
    let method = "AuthService.BeginPasskeyReauthentication";
    let begun = scene.cast.customer.rest(method, json!({})).await.success();
    let credential = authenticator.get(&begun.text("/data/options"));
    json!({ "passkey": { "token": begun.text("/data/token"), "credential": credential } })
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "PasskeyService.ListPasskeys" {
            "of the caller" => Status(200), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "readMask": "name,synced" }))
            };
            "a service has none" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.service, json!({}));
        }
        "PasskeyService.EnrollPasskey" {
            "the first" => Status(200), |scene| call(&scene.cast.customer, json!({}));
        }
        "PasskeyService.ConfirmPasskey" {
            "the first" => Status(200), |scene| {
                let request = begin(&scene.cast.customer, &mut Authenticator::new()).await;
                call(&scene.cast.customer, request)
            };
            "once more" => Reason("INVALID_PASSKEY"), |scene| {
                let request = begin(&scene.cast.customer, &mut Authenticator::new()).await;
                let first = request.clone();
                scene.cast.customer.rest("PasskeyService.ConfirmPasskey", first).await.success();
                call(&scene.cast.customer, request)
            };
            "a passkey that is there" => Reason("ALREADY_EXISTS"), |scene| {
                let (mut authenticator, _) = add(&scene.cast.customer).await;
                let request = begin(&scene.cast.customer, &mut authenticator).await;
                call(&scene.cast.customer, request)
            };
            "of another origin" => Reason("INVALID_PASSKEY"), |scene| {
                let mut authenticator = Authenticator::new();
                authenticator.origin = "https://evil.example".to_owned();
                let request = begin(&scene.cast.customer, &mut authenticator).await;
                call(&scene.cast.customer, request)
            };
            "no response" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "token": "nonsense", "credential": "nonsense", "name": "Phone" }))
            };
        }
        "PasskeyService.RenamePasskey" {
            "the caller's own" => Status(200), |scene| {
                let (_, id) = add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "passkeyId": id, "name": "Security key" }))
            };
            "of another user" => Reason("NOT_FOUND"), |scene| {
                let (_, id) = add(&scene.cast.stranger).await;
                call(&scene.cast.customer, json!({ "passkeyId": id, "name": "Security key" }))
            };
            "without a name" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "passkeyId": unknown_id(), "name": " " }))
            };
        }
        "PasskeyService.RemovePasskey" {
            "the caller's own" => Status(204), |scene| {
                let (_, id) = add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "passkeyId": id }))
            };
            "of another user" => Reason("NOT_FOUND"), |scene| {
                let (_, id) = add(&scene.cast.stranger).await;
                call(&scene.cast.customer, json!({ "passkeyId": id }))
            };
            "the last way to sign in" => Reason("LAST_SIGN_IN_METHOD"), |scene| {
                let (_, id) = add(&scene.cast.customer).await;
                let user = scene.cast.customer.as_user().id;
                scene.database.sql(&format!("UPDATE users SET has_password = false WHERE id = '{user}'")).await;
                call(&scene.cast.customer, json!({ "passkeyId": id }))
            };
        }
        "AuthService.BeginPasskeyLogin" {
            "for any user" => Status(200), |scene| call(&scene.cast.anonymous, json!({}));
        }
        "AuthService.LoginWithPasskey" {
            "of a customer" => Status(200), |scene| {
                let (mut authenticator, _) = add(&scene.cast.customer).await;
                let request = login(&scene, &mut authenticator).await;
                call(&scene.cast.anonymous, request)
            };
            "an unknown passkey" => Reason("INVALID_PASSKEY"), |scene| {
                let request = login(&scene, &mut Authenticator::new()).await;
                call(&scene.cast.anonymous, request)
            };
            "without a ceremony" => Reason("INVALID_TOKEN"), |scene| {
                let request = login(&scene, &mut Authenticator::new()).await;
                call(&scene.cast.anonymous, json!({ "token": "nonsense", "credential": request["credential"] }))
            };
            "to an account of others" => Reason("NOT_FOUND"), |scene| {
                let (mut authenticator, _) = add(&scene.cast.customer).await;
                let mut request = login(&scene, &mut authenticator).await;
                request["accountId"] = scene.cast.stranger.as_user().account.to_string().into();
                call(&scene.cast.anonymous, request)
            };
            "no response" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.anonymous, json!({ "token": "nonsense", "credential": "{}" }))
            };
        }
        "AuthService.VerifySecondFactor" {
            "with a passkey" => Status(200), |scene| {
                let (mut authenticator, _) = add(&scene.cast.customer).await;
                let challenge = sign_in(&scene.endpoint, scene.cast.customer.as_user()).await.success();
                let passkey = authenticator.get(&challenge.text("/challenge/passkeyOptions"));
                call(&scene.cast.anonymous, json!({ "challengeToken": challenge.text("/challenge/token"), "passkey": passkey }))
            };
            "with neither" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.anonymous, json!({ "challengeToken": "nonsense" }))
            };
        }
        "AuthService.BeginPasskeyReauthentication" {
            "with a passkey" => Status(200), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({}))
            };
            "without one" => Reason("NO_SECOND_FACTOR"), |scene| call(&scene.cast.customer, json!({}));
        }
        "AuthService.Reauthenticate" {
            "with a passkey" => Status(200), |scene| {
                let (mut authenticator, _) = add(&scene.cast.customer).await;
                let request = prove(&scene, &mut authenticator).await;
                call(&scene.cast.customer, request)
            };
            "with a wrong passkey" => Reason("INVALID_PASSKEY"), |scene| {
                add(&scene.cast.customer).await;
                let request = prove(&scene, &mut Authenticator::new()).await;
                call(&scene.cast.customer, request)
            };
            "with nothing" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({}));
        }
    }
}
