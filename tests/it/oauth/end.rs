//! The end of an application's access.

use serde_json::{Value, json};

use super::{
    Stage, agree, ask, authorize, decision_of, exchange, pass, refresh, result, send, submit_during_deletion, text,
    userinfo,
};
use crate::support::eventually;

/// Waits until the tokens are refused: the access token on each instance within a second, the refresh token at once.
async fn assert_ended(stage: &Stage, tokens: &Value) {
    assert_eq!(refresh(&stage.app, &stage.client, tokens).await.expect_err("ended"), "invalid_grant");
    let token = text(tokens, "access_token");
    eventually("the access token is refused", async || userinfo(&stage.app, &token).await.0 == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_and_ends_the_session_of_an_application() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let sessions = stage.cast.customer.rest("SessionService.ListSessions", json!({})).await.success();
    let of_client = |session: &&Value| session["oauthClientId"] == stage.client.id.as_str();
    let listed = sessions.data().as_array().expect("a list").iter().find(of_client).expect("it is listed").clone();
    assert_eq!(listed["userAgent"], "Ticket reports");
    let end = json!({ "sessionId": listed["id"] });
    stage.cast.customer.rest("SessionService.RevokeSession", end).await.success();
    assert_ended(&stage, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_consent_ends_the_access() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let path = authorize(&stage.client, &[("prompt", "consent")]);
    let code = result(&agree(&mut stage.browser, &path).await, "code");
    let withdraw = json!({ "oauthClientId": stage.client.id });
    stage.cast.customer.rest("OauthConsentService.DeleteOauthConsent", withdraw).await.success();
    assert_eq!(exchange(&stage.app, &stage.client, &code).await.expect_err("withdrawn"), "invalid_grant");
    assert_ended(&stage, &tokens).await;
    // The person is asked again.
    let again = stage.tokens().await;
    assert_eq!(userinfo(&stage.app, &text(&again, "access_token")).await.0, 200);
}

/// The deletion locks the client, and then its consents. A decision does so in the same order.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_during_the_deletion_of_a_client_does_not_deadlock() {
    let mut stage = Stage::new().await;
    stage.tokens().await;
    // The consent of before is changed, which needs no lock of the client by itself.
    let html = ask(&mut stage.browser, &authorize(&stage.client, &[("prompt", "consent")])).await;
    let decided = submit_during_deletion(&mut stage, "/session/authorize", &decision_of(&html, "allow")).await;
    assert!(decided.status == 400 && decided.html.contains("The application is not registered"), "{decided:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_the_access() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let user = stage.cast.customer.as_user();
    let change = json!({ "currentPassword": user.password, "password": "measure twice, cut once" });
    stage.cast.customer.rest("AuthService.ChangePassword", change).await.success();
    assert_ended(&stage, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivation_ends_the_access() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let user = stage.cast.customer.as_user().id.to_string();
    let deactivate = json!({ "userId": user, "reason": "Left" });
    stage.cast.admin.rest("UserService.DeactivateUser", deactivate).await.success();
    assert_ended(&stage, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_client_has_no_access() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let delete = json!({ "oauthClientId": stage.client.id });
    stage.cast.admin.rest("OauthClientService.DeleteOauthClient", delete).await.success();
    assert_eq!(refresh(&stage.app, &stage.client, &tokens).await.expect_err("gone"), "invalid_client");
    let token = text(&tokens, "access_token");
    eventually("the access token is refused", async || userinfo(&stage.app, &token).await.0 == 401).await;
}

/// An application is as old as the last proof of the person who gave it access.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_obeys_the_limits_of_the_account() {
    let mut stage = Stage::new().await;
    let account = stage.cast.customer.as_user().account.to_string();
    let policy = json!({ "accountId": account, "account": { "sessionMaxAgeSeconds": 900 } });
    stage.cast.customer.rest("AccountService.UpdateAccount", policy).await.success();
    stage.app.app.clock.advance(chrono::TimeDelta::minutes(9));
    let tokens = stage.tokens().await;
    assert_eq!(tokens["expires_in"], 300);
    let tokens = refresh(&stage.app, &stage.client, &tokens).await.expect("within the limit");
    stage.app.app.clock.advance(chrono::TimeDelta::seconds(325));
    let code = result(&pass(&mut stage.browser, &authorize(&stage.client, &[])).await, "code");
    stage.app.app.clock.advance(chrono::TimeDelta::seconds(40));
    assert_eq!(refresh(&stage.app, &stage.client, &tokens).await.expect_err("too old"), "invalid_grant");
    assert_eq!(exchange(&stage.app, &stage.client, &code).await.expect_err("too old"), "invalid_grant");
    // The person signs in again.
    let refused = pass(&mut stage.browser, &authorize(&stage.client, &[("prompt", "none")])).await;
    assert_eq!(result(&refused, "error"), "login_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_ends_its_own_session() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let other = super::client(&stage.cast, crate::cases::oauth::client_draft()).await;
    let token = text(&tokens, "refresh_token");
    assert_eq!(send(&stage.app, &other, "/oauth2/revoke", &[("token", &token)]).await.0, 200);
    let tokens = refresh(&stage.app, &stage.client, &tokens).await.expect("another client ends nothing");
    let token = text(&tokens, "refresh_token");
    for text in ["unknown", token.as_str()] {
        assert_eq!(send(&stage.app, &stage.client, "/oauth2/revoke", &[("token", text)]).await.0, 200);
    }
    assert_ended(&stage, &tokens).await;
}

/// Otherwise it would displace the sign-ins of the person, whose number is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_has_few_sessions_with_a_person() {
    let mut stage = Stage::new().await;
    let first = stage.tokens().await;
    for _ in 0..20 {
        let back = pass(&mut stage.browser, &authorize(&stage.client, &[])).await;
        exchange(&stage.app, &stage.client, &result(&back, "code")).await.expect("tokens");
    }
    assert_eq!(stage.app.database.number("SELECT count(*) FROM sessions WHERE client_id IS NOT NULL").await, 20);
    assert_eq!(refresh(&stage.app, &stage.client, &first).await.expect_err("displaced"), "invalid_grant");
    stage.browser.access_token().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_codes_are_removed() {
    let mut stage = Stage::new().await;
    let code = stage.code().await;
    stage.app.app.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(exchange(&stage.app, &stage.client, &code).await.expect_err("it has expired"), "invalid_grant");
    assert_eq!(stage.app.run_task("expire_oauth_codes").await.expect("it runs"), 0);
    stage.app.app.clock.advance(chrono::TimeDelta::days(1));
    assert_eq!(stage.app.run_task("expire_oauth_codes").await.expect("it runs"), 1);
}
