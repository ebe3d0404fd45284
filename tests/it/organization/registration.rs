//! Who may register without an invitation.

use serde_json::json;

use super::{create_token, new_address};
use crate::{
    cases::Scene,
    mail::pages::post,
    session::registration,
    support::{PROTOCOLS, Protocol, TestApp, people::PASSWORD, unique},
};

const REGISTER: &str = "AuthService.Register";

#[tokio::test(flavor = "multi_thread")]
async fn only_addresses_of_the_configured_domains_register() {
    let (app, cast) = TestApp::builder().set("REGISTRATION", "Shop.example,bücher.example").start_with_cast().await;
    for protocol in PROTOCOLS {
        for domain in ["shop.example", "xn--bcher-kva.example"] {
            let request = json!({ "email": format!("{}@{domain}", unique()) });
            cast.anonymous.call(protocol, REGISTER, request).await.success();
        }
        // Also for the address of a user, so that the response tells nothing about it.
        for email in [new_address(), cast.customer.as_user().email.clone()] {
            let answer = cast.anonymous.call(protocol, REGISTER, json!({ "email": email })).await;
            assert_eq!(answer.failure("REGISTRATION_CLOSED").status, 422);
        }
    }
    // A token from before the configuration does not count either.
    let token = registration::create_token(&app.database, &new_address()).await;
    let confirm = json!({ "token": token, "password": PASSWORD, "name": "Zoë" });
    cast.anonymous.rest("AuthService.ConfirmRegistration", confirm).await.failure("REGISTRATION_CLOSED");
    let page = post(&app, "/register", &[("email", &new_address())], "same-origin").await;
    assert!(page.status == 422 && page.html.contains("with an invitation"), "{}", page.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_address_needs_no_registration() {
    let (_app, scene) = Scene::start_with(TestApp::builder().set("REGISTRATION", "invitation")).await;
    let email = new_address();
    let request = json!({ "email": email });
    scene.cast.anonymous.rest(REGISTER, request).await.failure("REGISTRATION_CLOSED");
    let accept = json!({ "token": create_token(&scene, &email).await, "password": PASSWORD, "name": "Zoë" });
    let method = "InvitationService.AcceptInvitationAsNewUser";
    scene.cast.anonymous.rest(method, accept).await.success();
    let login = json!({ "email": email, "password": PASSWORD });
    let pair = scene.cast.anonymous.call(Protocol::Grpc, "AuthService.Login", login).await.success();
    assert_eq!(pair.text("/data/accountId"), scene.account());
}
