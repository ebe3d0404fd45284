//! Remembered devices: which sign-ins need no code there, and what ends it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Factor, VERIFY, add_to, passkey, sign_in_fully, verify};
use crate::{
    session::{caller, mail_login, refresh, reset},
    support::{
        Actor, PROTOCOLS, Protocol, Response, TestApp,
        oidc::Browser,
        people::{PASSWORD, User},
    },
};

const LIST: &str = "SecondFactorService.ListRememberedDevices";
const FORGET: &str = "SecondFactorService.ForgetRememberedDevice";
const NEW: &str = "a brand new password";
const STORED: &str = "SELECT count(*) FROM remembered_devices";

/// Signs a user in with the password, on a device with a token.
async fn login(app: &TestApp, protocol: Protocol, user: &User, token: Option<&str>) -> Response {
    let request = json!({ "email": user.email, "password": user.password, "deviceToken": token });
    Actor::anonymous(&app.endpoint).call(protocol, "AuthService.Login", request).await.success()
}

/// Checks that a sign-in awaits the second factor. Returns the challenge.
#[track_caller]
fn challenged(answer: &Response) -> String {
    assert_eq!(answer.body.get("data").filter(|data| !data.is_null()), None, "{answer:#?}");
    answer.text("/challenge/token")
}

/// Answers a challenge, and asks to remember the device. Returns the token of the device.
async fn remember(app: &TestApp, protocol: Protocol, challenge: &str, code: &str) -> String {
    let request = json!({ "challengeToken": challenge, "code": code, "rememberDevice": true });
    let pair = Actor::anonymous(&app.endpoint).call(protocol, VERIFY, request).await.success();
    pair.text("/data/deviceToken")
}

/// Remembers a new device of a user.
async fn remembered(app: &TestApp, user: &User, factor: &Factor) -> String {
    let challenge = challenged(&login(app, Protocol::Rest, user, None).await);
    remember(app, Protocol::Rest, &challenge, &factor.code(app)).await
}

fn claims(pair: &Response) -> Value {
    let token = pair.text("/data/accessToken");
    let body = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a body")).expect("base64");
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_device_needs_no_code_and_others_do() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    add_to(&app, &cast.stranger).await;
    for protocol in PROTOCOLS {
        let first = login(&app, protocol, user, None).await;
        assert_eq!(first.body["challenge"]["rememberSeconds"], 2_592_000, "{first:#?}");
        let token = remember(&app, protocol, &challenged(&first), &factor.code(&app)).await;
        let pair = login(&app, protocol, user, Some(&token)).await;
        assert_eq!(claims(&pair)["amr"], json!(["pwd"]), "no second factor was proved");
        caller(&app, &pair).call(protocol, "TicketService.ListTickets", json!({})).await.success();
        let again = login(&app, protocol, user, Some(&pair.text("/data/deviceToken"))).await;
        again.text("/data/accessToken");
        let devices = caller(&app, &pair).call(protocol, LIST, json!({})).await.success();
        let newest = &devices.data()[0];
        assert!(newest["useTime"].is_string() && newest["expireTime"].is_string(), "{devices:#?}");
        // Neither another device of the user, nor another user on the device.
        challenged(&login(&app, protocol, user, None).await);
        challenged(&login(&app, protocol, cast.stranger.as_user(), Some(&token)).await);
        let wrong = json!({ "email": user.email, "password": "a wrong password", "deviceToken": token });
        cast.anonymous.call(protocol, "AuthService.Login", wrong).await.failure("INVALID_CREDENTIALS");
    }
    for (fact, count) in [("device remembered", 3), ("rememberedDevice", 6)] {
        let entries = format!("SELECT count(*) FROM audit_entries WHERE changes::text LIKE '%{fact}%'");
        assert_eq!(app.database.number(&entries).await, count, "{fact}");
    }
}

/// The first factor may be a mail, and a passkey may be the second one.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_remembered_for_each_first_factor() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let mut added = passkey::add_to(&app, &cast.customer).await;
    let first = login(&app, Protocol::Grpc, user, None).await;
    let credential = added.authenticator.get(&first.text("/challenge/passkeyOptions"));
    let request = json!({ "challengeToken": challenged(&first), "passkey": credential, "rememberDevice": true });
    let pair = cast.anonymous.rest(VERIFY, request).await.success();
    let token = pair.text("/data/deviceToken");
    for protocol in PROTOCOLS {
        for (device, is_remembered) in [(Some(&token), true), (None, false)] {
            let (binding, link) = mail_login::begin(&app.database, &cast.anonymous, &cast.customer).await;
            let request = json!({ "binding": binding, "token": link, "deviceToken": device });
            let answer = cast.anonymous.call(protocol, "AuthService.LoginWithMail", request).await.success();
            assert_eq!(answer.body.pointer("/data/accessToken").is_some(), is_remembered, "{answer:#?}");
        }
        login(&app, protocol, user, Some(&token)).await.text("/data/accessToken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_after_the_code_is_remembered() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    // Without the choice, nothing is remembered.
    let before = sign_in_fully(&app, user, &factor).await.text("/data/deviceToken");
    let challenge = challenged(&login(&app, Protocol::Grpc, user, Some(&before)).await);
    assert_eq!(app.database.number(STORED).await, 0);
    // A thief may have a copy of the token from before.
    let after = remember(&app, Protocol::Grpc, &challenge, &factor.code(&app)).await;
    challenged(&login(&app, Protocol::Rest, user, Some(&before)).await);
    login(&app, Protocol::Rest, user, Some(&after)).await.text("/data/accessToken");
    // The table has a hash of the id alone, which the token has in front of its expiry and its MAC.
    let id = URL_SAFE_NO_PAD.decode(&after[4..]).expect("base64")[..16].to_vec();
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let hashed = format!("{STORED} WHERE device_hash = sha256('\\x{hex}')");
    assert_eq!(app.database.number(&hashed).await, 1);
    assert_eq!(app.database.number(STORED).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_device_is_no_recent_authentication() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let token = remembered(&app, user, &factor).await;
    for protocol in PROTOCOLS {
        let me = caller(&app, &login(&app, protocol, user, Some(&token)).await);
        for method in ["SecondFactorService.RemoveTotp", "SecondFactorService.RegenerateRecoveryCodes"] {
            me.call(protocol, method, json!({})).await.failure("REAUTHENTICATION_REQUIRED");
        }
        let change = json!({ "currentPassword": PASSWORD, "password": NEW });
        me.call(protocol, "AuthService.ChangePassword", change).await.failure("REAUTHENTICATION_REQUIRED");
        let proof = json!({ "currentPassword": PASSWORD });
        me.call(protocol, "AuthService.Reauthenticate", proof).await.failure("VALIDATION_FAILED");
        let proof = json!({ "currentPassword": PASSWORD, "code": factor.code(&app) });
        let renewed = me.call(protocol, "AuthService.Reauthenticate", proof).await.success();
        assert_eq!(claims(&renewed)["amr"], json!(["pwd", "otp", "mfa"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_sessions_and_changes_factors_forgets_devices() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut factor = add_to(&app, &cast.customer).await;
    let mut user = cast.customer.as_user().clone();
    for what in ["sessions", "password", "reset", "deactivation", "passkey", "app", "address"] {
        let token = remembered(&app, &user, &factor).await;
        login(&app, Protocol::Rest, &user, Some(&token)).await.text("/data/accessToken");
        let me = caller(&app, &sign_in_fully(&app, &user, &factor).await);
        match what {
            "sessions" => drop(me.rest("SessionService.RevokeAllSessions", json!({})).await.success()),
            "password" => {
                let change = json!({ "currentPassword": user.password, "password": NEW });
                me.rest("AuthService.ChangePassword", change).await.success();
                user.password = NEW.to_owned();
            }
            "reset" => {
                let request = json!({ "token": reset::create_token(&app.database, &user).await, "password": PASSWORD });
                cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await.success();
                user.password = PASSWORD.to_owned();
            }
            "deactivation" => {
                let leave = json!({ "userId": user.id.to_string(), "reason": "Left the company" });
                cast.admin.rest("UserService.DeactivateUser", leave).await.success();
                let back = json!({ "userId": user.id.to_string() });
                cast.admin.rest("UserService.ReactivateUser", back).await.success();
            }
            "passkey" => drop(passkey::add_as(&me).await),
            "app" => {
                // The passkey is left, and the sessions continue.
                me.rest("SecondFactorService.RemoveTotp", json!({})).await.success();
                challenged(&login(&app, Protocol::Rest, &user, Some(&token)).await);
                factor = super::add_as(&app, &me).await;
            }
            _ => {
                let email = crate::session::email_change::new_address();
                let change = crate::session::email_change::create_token(&app.database, &user, &email).await;
                cast.anonymous.rest("AuthService.ConfirmEmailChange", json!({ "token": change })).await.success();
                user.email = email;
            }
        }
        challenged(&login(&app, Protocol::Rest, &user, Some(&token)).await);
        let me = caller(&app, &sign_in_fully(&app, &user, &factor).await);
        let devices = me.rest(LIST, json!({})).await.success();
        assert_eq!(devices.data(), &json!([]), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lists_and_forgets_devices() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    for protocol in PROTOCOLS {
        let token = remembered(&app, user, &factor).await;
        let me = caller(&app, &login(&app, protocol, user, Some(&token)).await);
        let devices = me.call(protocol, LIST, json!({})).await.success();
        assert_eq!(devices.data().as_array().map(Vec::len), Some(1), "{devices:#?}");
        let device = json!({ "deviceId": devices.text("/data/0/id") });
        assert_eq!(cast.stranger.call(protocol, LIST, json!({})).await.success().data(), &json!([]));
        cast.stranger.call(protocol, FORGET, device.clone()).await.failure("NOT_FOUND");
        me.call(protocol, FORGET, device.clone()).await.success();
        me.call(protocol, FORGET, device).await.failure("NOT_FOUND");
        challenged(&login(&app, protocol, user, Some(&token)).await);
        // The session goes on.
        me.call(protocol, "UserService.GetMe", json!({})).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_forgotten_after_30_days() {
    let (app, cast) = TestApp::builder().set("REFRESH_TOKEN_TTL", "60d").start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let token = remembered(&app, user, &factor).await;
    app.app.clock.advance(TimeDelta::days(30) - TimeDelta::minutes(1));
    let pair = login(&app, Protocol::Rest, user, Some(&token)).await;
    assert_eq!(app.run_task("forget_devices").await.expect("a run"), 0);
    // A use does not prolong it, although it prolongs the token.
    app.app.clock.advance(TimeDelta::minutes(1));
    challenged(&login(&app, Protocol::Rest, user, Some(&pair.text("/data/deviceToken"))).await);
    assert_eq!(app.run_task("forget_devices").await.expect("a run"), 1);
    assert_eq!(app.database.number(STORED).await, 0);
}

/// The token of the device outlives the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_may_be_remembered_for_longer_than_a_session() {
    let builder = TestApp::builder().set("SECOND_FACTOR_REMEMBERED", "40d").set("REFRESH_TOKEN_TTL", "1d");
    let (app, cast) = builder.start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let token = remembered(&app, user, &factor).await;
    app.app.clock.advance(TimeDelta::days(39));
    login(&app, Protocol::Rest, user, Some(&token)).await.text("/data/accessToken");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_of_the_staff_and_none_by_a_recovery_code_is_remembered() {
    let (app, cast) = TestApp::start_with_cast().await;
    for who in [&cast.agent, &cast.admin] {
        let (factor, user) = (add_to(&app, who).await, who.as_user());
        let first = login(&app, Protocol::Rest, user, None).await;
        assert_eq!(first.body["challenge"].get("rememberSeconds").filter(|value| !value.is_null()), None, "{first:#?}");
        let token = remember(&app, Protocol::Rest, &challenged(&first), &factor.code(&app)).await;
        challenged(&login(&app, Protocol::Rest, user, Some(&token)).await);
    }
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let challenge = challenged(&login(&app, Protocol::Rest, user, None).await);
    let token = remember(&app, Protocol::Rest, &challenge, &factor.recovery[0]).await;
    challenged(&login(&app, Protocol::Rest, user, Some(&token)).await);
    assert_eq!(app.database.number(STORED).await, 0);
    // A customer who joins the staff proves the factor each time.
    let token = remembered(&app, user, &factor).await;
    let promote = format!("UPDATE users SET role = 2 WHERE id = '{}'", user.id);
    app.database.sql(&promote).await;
    challenged(&login(&app, Protocol::Rest, user, Some(&token)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_turns_it_off() {
    let (app, cast) = TestApp::builder().set("SECOND_FACTOR_REMEMBERED", "0s").start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let token = remembered(&app, user, &factor).await;
    challenged(&login(&app, Protocol::Rest, user, Some(&token)).await);
    assert_eq!(app.database.number(STORED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_requires_the_factor_takes_it_each_time() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let token = remembered(&app, user, &factor).await;
    let pair = login(&app, Protocol::Rest, user, Some(&token)).await;
    let owner = caller(&app, &sign_in_fully(&app, user, &factor).await);
    let require = json!({ "accountId": user.account.to_string(), "account": { "requireSecondFactor": true } });
    owner.rest("AccountService.UpdateAccount", require).await.success();
    // Neither the next sign-in on the device nor the session that began there.
    let first = login(&app, Protocol::Grpc, user, Some(&token)).await;
    let challenge = challenged(&first);
    assert_eq!(first.body["challenge"].get("rememberSeconds").filter(|value| !value.is_null()), None, "{first:#?}");
    let next = refresh(&app, &pair, 0).await.success();
    assert_eq!(next.body["data"]["secondFactorRequired"], true, "{next:#?}");
    let full = verify(&app, &challenge, &factor.code(&app)).await.success();
    assert_eq!(full.body["data"]["secondFactorRequired"], false, "{full:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_of_too_many_devices_is_forgotten() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let first = remembered(&app, user, &factor).await;
    let others = format!(
        "INSERT INTO remembered_devices (id, user_id, device_hash, session_epoch, user_agent, ip_address, created_at, expires_at)
         SELECT gen_random_uuid(), user_id, sha256(number::text::bytea), session_epoch, '', '',
             created_at + interval '1 millisecond', expires_at
         FROM remembered_devices, generate_series(1, 19) AS number WHERE user_id = '{}'",
        user.id
    );
    app.database.sql(&others).await;
    login(&app, Protocol::Rest, user, Some(&first)).await.text("/data/accessToken");
    let last = remembered(&app, user, &factor).await;
    challenged(&login(&app, Protocol::Rest, user, Some(&first)).await);
    login(&app, Protocol::Rest, user, Some(&last)).await.text("/data/accessToken");
    assert_eq!(app.database.number(STORED).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_the_device_in_a_cookie() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let mut browser = Browser::new(&app.endpoint);
    let credentials = json!({ "email": user.email, "password": user.password });
    let first = browser.post("/session", &credentials).await;
    let token = first.body["challenge"]["token"].as_str().expect("a challenge").to_owned();
    let options = browser.post("/session/second-factor/options", &json!({ "challengeToken": token })).await;
    assert_eq!(options.body["data"], json!({ "options": null, "rememberSeconds": 2_592_000 }), "{options:#?}");
    let answer = json!({ "challengeToken": token, "code": factor.code(&app), "rememberDevice": true });
    let done = browser.post("/session/second-factor", &answer).await;
    let line = done.set_cookies.iter().find(|line| line.starts_with("mainstay_device=")).expect("a cookie");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Max-Age=2592000"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // After a sign-out, too.
    browser.cookies.remove("mainstay_session");
    let again = browser.post("/session", &credentials).await;
    assert!(again.body["data"]["accessToken"].is_string(), "{again:#?}");
    let other = Browser::new(&app.endpoint).post("/session", &credentials).await;
    assert!(other.body["challenge"]["token"].is_string(), "{other:#?}");
}
