//! Passkeys beside other factors: how they are added, removed and reset.

use chrono::TimeDelta;
use serde_json::json;

use super::{CONFIRM, add, begin, confirmation, login};
use crate::{
    second_factor::{add as add_app, sign_in_fully, verify},
    session::{caller, email_change, new_session, refresh, reset},
    support::{PROTOCOLS, TestApp, actor::sign_in, authenticator::Authenticator, people::User},
};

const GET: &str = "SecondFactorService.GetSecondFactor";
const REMOVE: &str = "PasskeyService.RemovePasskey";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_factor_ends_other_sessions_and_gives_recovery_codes() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (other, pair) = (new_session(&app, &cast.customer).await, new_session(&app, &cast.customer).await);
    let added = add(&app, &pair).await;
    assert_eq!(added.recovery.len(), 10);
    refresh(&app, &other, 0).await.failure("SESSION_REVOKED");
    let pair = refresh(&app, &pair, 0).await.success();
    let state = caller(&app, &pair).rest(GET, json!({})).await.success();
    assert_eq!((&state.data()["totp"], &state.data()["passkeys"]), (&json!(false), &json!(1)), "{state:#?}");
    assert_eq!(state.data()["recoveryCodesLeft"], 10);
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 41").await, 1);
    let entries = "SELECT count(*) FROM audit_entries WHERE changes::text LIKE '%passkey added%'";
    assert_eq!(app.database.number(entries).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_and_passkeys_are_removed_one_by_one() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    let first = add(&app, &pair).await;
    let pair = refresh(&app, &pair, 0).await.success();
    let app_factor = add_app(&app, &pair).await;
    assert!(app_factor.recovery.is_empty(), "the codes from before stay valid");
    let second = add(&app, &refresh(&app, &pair, 1).await.success()).await;
    assert!(second.recovery.is_empty());
    let me = caller(&app, &sign_in_fully(&app, cast.customer.as_user(), &app_factor).await);
    for protocol in PROTOCOLS {
        let state = me.call(protocol, GET, json!({})).await.success();
        assert_eq!((&state.data()["totp"], &state.data()["passkeys"]), (&json!(true), &json!(2)), "{state:#?}");
    }
    me.rest("SecondFactorService.EnrollTotp", json!({})).await.failure("ALREADY_EXISTS");
    me.rest("SecondFactorService.RemoveTotp", json!({})).await.success();
    me.rest(REMOVE, json!({ "passkeyId": first.id })).await.success();
    me.rest(REMOVE, json!({ "passkeyId": first.id })).await.failure("NOT_FOUND");
    // One is left, and so are the recovery codes of the first.
    let state = me.rest(GET, json!({})).await.success();
    assert_eq!((&state.data()["totp"], &state.data()["recoveryCodesLeft"]), (&json!(false), &json!(10)), "{state:#?}");
    let challenge = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
    verify(&app, &challenge.text("/challenge/token"), &app_factor.code(&app)).await.failure("WRONG_CODE");
    verify(&app, &challenge.text("/challenge/token"), &first.recovery[0]).await.success();
    me.rest(REMOVE, json!({ "passkeyId": second.id })).await.success();
    new_session(&app, &cast.customer).await;
    assert_eq!(app.database.number("SELECT count(*) FROM second_factors").await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 42").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_passkey_ends_the_sessions_that_it_began() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    let mut added = add(&app, &pair).await;
    let stolen = login(&app, &mut added.authenticator).await.success();
    let pair = refresh(&app, &pair, 0).await.success();
    caller(&app, &pair).rest(REMOVE, json!({ "passkeyId": added.id })).await.success();
    refresh(&app, &stolen, 1).await.failure("SESSION_REVOKED");
    refresh(&app, &pair, 1).await.success();
    login(&app, &mut added.authenticator).await.failure("INVALID_PASSKEY");
}

/// The thief of a password may have added a passkey, whose mail the owner answers by a reset.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_reset_removes_new_passkeys_and_keeps_others() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let pair = new_session(&app, &cast.customer).await;
    let mut own = add(&app, &pair).await;
    app.database.sql("UPDATE passkeys SET created_at = now() - interval '8 days'").await;
    let mut later = add(&app, &refresh(&app, &pair, 0).await.success()).await;
    let token = reset::create_token(&app.database, user).await;
    let request = json!({ "token": token, "password": "a brand new password" });
    cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await.success();
    login(&app, &mut later.authenticator).await.failure("INVALID_PASSKEY");
    let moved = User { password: "a brand new password".to_owned(), ..user.clone() };
    let challenge = sign_in(&app.endpoint, &moved).await.success();
    assert!(challenge.body.get("data").is_none_or(serde_json::Value::is_null), "{challenge:#?}");
    login(&app, &mut own.authenticator).await.success();
}

/// The thief of a password can add a passkey, and change the address before or after.
#[tokio::test(flavor = "multi_thread")]
async fn the_undo_of_an_address_removes_new_passkeys() {
    let (app, cast) = TestApp::start_with_cast().await;
    let undo = async |old: &str| {
        let token = email_change::create_undo_token(&app.database, cast.customer.as_user(), old, 0).await;
        cast.anonymous.rest("AuthService.UndoEmailChange", json!({ "token": token })).await.success();
    };
    let pair = new_session(&app, &cast.customer).await;
    let mut own = add(&app, &pair).await;
    app.database.sql("UPDATE passkeys SET created_at = now() - interval '8 days'").await;
    let mut later = add(&app, &refresh(&app, &pair, 0).await.success()).await;
    undo("new@example.com").await;
    login(&app, &mut later.authenticator).await.failure("INVALID_PASSKEY");
    let pair = login(&app, &mut own.authenticator).await.success();
    let state = caller(&app, &pair).rest(GET, json!({})).await.success();
    assert_eq!((&state.data()["passkeys"], &state.data()["recoveryCodesLeft"]), (&json!(1), &json!(10)), "{state:#?}");
    // Without the last factor, its recovery codes end, too.
    app.database.sql("UPDATE passkeys SET created_at = now() - interval '6 days'").await;
    undo("old@example.com").await;
    login(&app, &mut own.authenticator).await.failure("INVALID_PASSKEY");
    assert_eq!(app.database.number("SELECT count(*) FROM second_factors").await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM users WHERE second_factor_at IS NOT NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_by_the_staff_removes_passkeys_unless_one_is_used() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    let request = json!({ "userId": cast.customer.as_user().id.to_string() });
    for is_used in [true, false] {
        let admin = caller(&app, &new_session(&app, &cast.admin).await);
        let reset = admin.rest("UserService.ResetSecondFactor", request.clone()).await.success();
        assert_eq!(reset.data()["passkeys"], 1, "{reset:#?}");
        if is_used {
            login(&app, &mut added.authenticator).await.success();
        }
        app.app.clock.advance(TimeDelta::hours(25));
        let count = app.run_task("reset_second_factors").await.expect("runs");
        assert_eq!(count, usize::from(!is_used), "{is_used}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM passkeys").await, 0);
    login(&app, &mut added.authenticator).await.failure("INVALID_PASSKEY");
    new_session(&app, &cast.customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_twenty_passkeys_at_most() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    let me = caller(&app, &pair);
    let (token, options) = begin(&me).await;
    let last = confirmation(&token, &Authenticator::new().create(&options));
    let user = cast.customer.as_user().id;
    let insert = format!(
        "INSERT INTO passkeys (id, user_id, name, credential_id, public_key, algorithm, counter, transports, is_synced, \
         created_at) SELECT gen_random_uuid(), '{user}', 'One', int4send(n), '', -7, 0, '{{}}', false, now() \
         FROM generate_series(1, 20) AS n"
    );
    app.database.sql(&insert).await;
    for protocol in PROTOCOLS {
        me.call(protocol, "PasskeyService.EnrollPasskey", json!({})).await.failure("BUSINESS_RULE_VIOLATION");
    }
    me.rest(CONFIRM, last).await.failure("BUSINESS_RULE_VIOLATION");
}
