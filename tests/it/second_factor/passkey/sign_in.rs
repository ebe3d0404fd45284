//! Sign-in with a passkey alone, and after a password.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::{Value, json};

use super::{LOGIN, add, begin_login, login};
use crate::{
    second_factor::{VERIFY, verify},
    session::{caller, new_session, refresh},
    support::{Actor, PROTOCOLS, Response, TestApp, actor::sign_in, authenticator::Authenticator},
};

/// Returns the claims of an access token.
fn claims(pair: &Response) -> Value {
    let token = pair.text("/data/accessToken");
    let body = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a body")).expect("base64");
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_signs_in_alone_and_counts_as_two_factors() {
    let (app, cast) = TestApp::builder().set("SECOND_FACTOR_STAFF", "required").start_with_cast().await;
    for (who, protocol) in [&cast.customer, &cast.agent, &cast.admin].into_iter().zip(PROTOCOLS) {
        let mut added = add(&app, &new_session(&app, who).await).await;
        let (token, options) = begin_login(&app).await;
        let shown: Value = serde_json::from_str(&options).expect("JSON");
        assert_eq!(
            (&shown["userVerification"], &shown["rpId"]),
            (&json!("required"), &json!("localhost")),
            "{shown:#}"
        );
        assert_eq!(shown["allowCredentials"], json!([]), "no user is named: {shown:#}");
        let request = json!({ "token": token, "credential": added.authenticator.get(&options) });
        let pair = Actor::anonymous(&app.endpoint).call(protocol, LOGIN, request).await.success();
        assert_eq!(pair.data()["secondFactorRequired"], false, "{pair:#?}");
        assert_eq!(claims(&pair)["amr"], json!(["pop", "mfa"]));
        let me = caller(&app, &pair).call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!(me.id(), who.as_user().id.to_string());
        caller(&app, &pair).call(protocol, "TicketService.ListTickets", json!({})).await.success();
        // A refresh keeps the method, and the passkey is used again.
        assert_eq!(claims(&refresh(&app, &pair, 0).await.success())["amr"], json!(["pop", "mfa"]));
        login(&app, &mut added.authenticator).await.success();
        let list = caller(&app, &pair).call(protocol, "PasskeyService.ListPasskeys", json!({})).await.success();
        assert_eq!(list.text("/data/0/id"), added.id);
        assert_eq!(list.text("/data/0/name"), "Phone");
        assert!(list.data()[0]["useTime"].is_string(), "{list:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_a_second_factor_after_the_password() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    for protocol in PROTOCOLS {
        let first = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
        let options = first.text("/challenge/passkeyOptions");
        let shown: Value = serde_json::from_str(&options).expect("JSON");
        assert_eq!(shown["allowCredentials"][0]["transports"], json!(["internal"]), "{shown:#}");
        let token = first.text("/challenge/token");
        let anonymous = Actor::anonymous(&app.endpoint);
        let request = json!({ "challengeToken": token, "passkey": added.authenticator.get(&options) });
        let pair = anonymous.call(protocol, VERIFY, request.clone()).await.success();
        assert_eq!(claims(&pair)["amr"], json!(["pop", "mfa"]));
        anonymous.call(protocol, VERIFY, request).await.failure("INVALID_TOKEN");
    }
    // A recovery code takes its place.
    let first = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
    verify(&app, &first.text("/challenge/token"), &added.recovery[0]).await.success();
    // A code of no app does not.
    let first = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
    verify(&app, &first.text("/challenge/token"), "123456").await.failure("WRONG_CODE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_proves_the_user_again() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.admin).await;
    let mut added = add(&app, &pair).await;
    let key = json!({ "name": "A key", "scopes": ["support.tickets.read"] });
    app.app.clock.advance(chrono::TimeDelta::hours(1));
    let pair = refresh(&app, &pair, 0).await.success();
    for protocol in PROTOCOLS {
        let me = caller(&app, &pair);
        me.call(protocol, "ServiceKeyService.CreateServiceKey", key.clone()).await.failure("REAUTHENTICATION_REQUIRED");
        let begun = me.call(protocol, "AuthService.BeginPasskeyReauthentication", json!({})).await.success();
        let (token, options) = (begun.text("/data/token"), begun.text("/data/options"));
        let proof = |credential: String| json!({ "passkey": { "token": token, "credential": credential } });
        // The ceremony of a sign-in is none of this session.
        let (other, other_options) = begin_login(&app).await;
        let foreign = json!({ "passkey": { "token": other, "credential": added.authenticator.get(&other_options) } });
        me.call(protocol, "AuthService.Reauthenticate", foreign).await.failure("INVALID_PASSKEY");
        let proof = proof(added.authenticator.get(&options));
        let renewed = me.call(protocol, "AuthService.Reauthenticate", proof.clone()).await.success();
        me.call(protocol, "AuthService.Reauthenticate", proof).await.failure("INVALID_PASSKEY");
        let renewed = Actor::bearer(&app.endpoint, renewed.text("/data/accessToken"));
        renewed.call(protocol, "ServiceKeyService.CreateServiceKey", key.clone()).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_user_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    let request = json!({ "userId": cast.customer.as_user().id.to_string(), "reason": "Left" });
    cast.admin.rest("UserService.DeactivateUser", request).await.success();
    login(&app, &mut added.authenticator).await.failure("USER_DEACTIVATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passkeys_are_limited_per_network() {
    // The network is that of all tests.
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (app, cast) =
        TestApp::builder().set("REDIS_URL", redis.url()).set("RATE_LIMIT_LOGIN", "3/15m").start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    for _ in 0..40 {
        login(&app, &mut added.authenticator).await.success();
    }
    let mut outcomes = Vec::new();
    for _ in 0..40 {
        outcomes.push(login(&app, &mut Authenticator::new()).await.reason);
    }
    let refused = outcomes.iter().filter(|reason| *reason == "INVALID_PASSKEY").count();
    assert!((30..40).contains(&refused), "ten times the quota: {outcomes:?}");
    assert_eq!(outcomes.last().map(String::as_str), Some("RATE_LIMIT_EXCEEDED"), "{outcomes:?}");
}
