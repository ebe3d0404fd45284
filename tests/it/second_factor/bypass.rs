//! Neither a mail nor an earlier session takes the place of the code.

use serde_json::json;

use super::{add, add_to, challenge};
use crate::{
    cases::{self, Scene, create_token as invitation_token},
    session::{email_change, new_session, refresh, registration, reset},
    support::{Protocol, TestApp, people::User},
};

const NEW: &str = "a brand new password";

/// A sign-in of the user still needs a code.
async fn assert_challenged(app: &TestApp, user: &User, password: &str) {
    challenge(app, &User { password: password.to_owned(), ..user.clone() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_reset_keeps_the_second_factor() {
    let (app, cast) = TestApp::start_with_cast().await;
    add_to(&app, &cast.customer).await;
    let user = cast.customer.as_user();
    let token = reset::create_token(&app.database, user).await;
    let request = json!({ "token": token, "password": NEW });
    let done = cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await.success();
    assert!(!done.body.to_string().contains("oken"), "a reset begins no session: {done:#?}");
    assert_challenged(&app, user, NEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_and_its_undo_keep_the_second_factor() {
    let (app, cast) = TestApp::start_with_cast().await;
    add_to(&app, &cast.customer).await;
    let (user, email) = (cast.customer.as_user(), email_change::new_address());
    let token = email_change::create_token(&app.database, user, &email).await;
    cast.anonymous.rest("AuthService.ConfirmEmailChange", json!({ "token": token })).await.success();
    let moved = User { email, ..user.clone() };
    assert_challenged(&app, &moved, &user.password).await;
    let undo = email_change::create_undo_token(&app.database, user, &user.email, 5).await;
    cast.anonymous.rest("AuthService.UndoEmailChange", json!({ "token": undo })).await.success();
    // The undo voids the password, and sends a reset.
    let reset = json!({ "token": reset::create_token(&app.database, user).await, "password": NEW });
    cast.anonymous.rest("AuthService.ConfirmPasswordReset", reset).await.success();
    assert_challenged(&app, user, NEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_and_a_registration_begin_no_session() {
    let (app, scene) = Scene::start().await;
    add_to(&app, &scene.cast.stranger).await;
    let user = scene.cast.stranger.as_user();
    let token = invitation_token(&scene, &user.email).await;
    let accept = json!({ "token": token });
    let done = scene.cast.stranger.rest("InvitationService.AcceptInvitation", accept).await.success();
    assert!(!done.body.to_string().contains("Token"), "an invitation begins no session: {done:#?}");
    assert_challenged(&app, user, &user.password).await;
    let token = registration::create_token(&app.database, &user.email).await;
    let request = json!({ "token": token, "password": NEW, "name": "Zoë" });
    scene.cast.anonymous.rest("AuthService.ConfirmRegistration", request).await.failure("ALREADY_EXISTS");
    assert_challenged(&app, user, &user.password).await;
    for name in ["AuthService.ConfirmRegistration", "InvitationService.AcceptInvitationAsNewUser"] {
        let case = cases::good_case(name);
        let call = (case.call)(Scene::new(&app).await).await;
        let done = call.send(Protocol::Rest, name).await.success();
        assert!(!done.body.to_string().contains("Token"), "{name} begins no session: {done:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_sessions_end_when_the_factor_is_added() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (own, other) = (new_session(&app, &cast.customer).await, new_session(&app, &cast.customer).await);
    add(&app, &own).await;
    refresh(&app, &other, 0).await.failure("SESSION_REVOKED");
    let account = cast.customer.as_user().account.to_string();
    let switch = json!({ "refreshToken": other.text("/data/refreshToken"), "accountId": account });
    let switched = cast.anonymous.rest("AuthService.SwitchAccount", switch).await;
    assert_eq!(switched.reason, "SESSION_REVOKED", "{switched:#?}");
    refresh(&app, &own, 0).await.success();
}
