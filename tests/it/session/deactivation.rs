//! A deactivated user is out everywhere, and stays out until an admin reactivates the user.

use mainstay_kernel::contract::policy::Role;
use serde_json::{Value, json};

use super::{
    caller, keep_sessions, new_session, refresh, reset, restore_sessions,
    revocation::{two_instances, use_token, wait_until_refused},
};
use crate::support::{Actor, PROTOCOLS, Protocol, TestApp, actor::sign_in, database::connect, people, unique};

const DEACTIVATE: &str = "UserService.DeactivateUser";
const REACTIVATE: &str = "UserService.ReactivateUser";

fn of(who: &Actor) -> Value {
    json!({ "userId": who.as_user().id.to_string() })
}

fn deactivation(who: &Actor) -> Value {
    json!({ "userId": who.as_user().id.to_string(), "reason": "Left the company" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_user_is_out_on_every_instance() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let who = [&cast.customer, &cast.colleague, &cast.agent][number];
        let user = who.as_user();
        let pair = new_session(&here, who).await;
        use_token([&here, &there], &pair).await;
        let token = reset::create_token(&here.database, user).await;

        let answer = cast.admin.call(protocol, DEACTIVATE, deactivation(who)).await.success();
        assert_eq!(answer.text("/data/state"), "USER_STATE_DEACTIVATED");
        let read = cast.agent.call(protocol, "UserService.GetUser", of(who)).await;
        if number < 2 {
            let read = read.success();
            assert_eq!(read.text("/data/deactivationReason"), "Left the company");
            assert!(read.data()["deactivateTime"].is_string() && read.text("/data/version") == "2", "{read:#?}");
        }
        caller(&here, &pair).call(protocol, "UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
        wait_until_refused(&there, &pair).await;
        refresh(&there, &pair, number).await.failure("SESSION_REVOKED");

        let login = json!({ "email": user.email, "password": user.password });
        let refusal = cast.anonymous.call(protocol, "AuthService.Login", login.clone()).await;
        assert_eq!(refusal.failure("USER_DEACTIVATED").status, 401);
        // Only the right password reveals the state.
        let wrong = json!({ "email": user.email, "password": "a wrong password" });
        cast.anonymous.call(protocol, "AuthService.Login", wrong).await.failure("INVALID_CREDENTIALS");
        cast.anonymous
            .call(protocol, "AuthService.RequestPasswordReset", json!({ "email": user.email }))
            .await
            .success();
        for token in [token, reset::create_token(&here.database, user).await] {
            let confirm = json!({ "token": token, "password": format!("brand new {}", unique()) });
            cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", confirm).await.failure("INVALID_TOKEN");
        }

        let answer = cast.admin.call(protocol, REACTIVATE, of(who)).await.success();
        assert_eq!(
            (answer.text("/data/state"), answer.text("/data/version")),
            ("USER_STATE_ACTIVE".into(), "3".into())
        );
        assert!(answer.data().get("deactivationReason").is_none_or(Value::is_null), "{answer:#?}");
        refresh(&here, &pair, number).await.failure("SESSION_REVOKED");
        let next = cast.anonymous.call(protocol, "AuthService.Login", login).await.success();
        caller(&there, &next).call(protocol, "UserService.GetMe", json!({})).await.success();
    }
}

/// The mail of a reset that was requested before the deactivation is composed after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_reaches_no_deactivated_user() {
    let (app, cast) = TestApp::start_with_cast().await;
    let request = json!({ "email": cast.customer.as_user().email });
    cast.anonymous.rest("AuthService.RequestPasswordReset", request).await.success();
    cast.admin.rest(DEACTIVATE, deactivation(&cast.customer)).await.success();
    mainstay_kernel::queue::worker::run_due(crate::support::modules().work(), &app.app).await.expect("the queue");
    let withheld = "SELECT count(*) FROM mails WHERE failure = 'there is no recipient'";
    assert_eq!(app.database.number(withheld).await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM password_resets").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_store_with_older_data_revives_no_deactivated_user() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    keep_sessions(&app.database).await;
    cast.admin.rest(DEACTIVATE, deactivation(&cast.customer)).await.success();
    restore_sessions(&app.database).await;
    refresh(&app, &pair, 0).await.failure("SESSION_REVOKED");
    cast.admin.rest(REACTIVATE, of(&cast.customer)).await.success();
    refresh(&app, &pair, 1).await.failure("SESSION_REVOKED");
}

#[tokio::test]
async fn the_first_reason_is_kept_and_versions_are_compared() {
    let (app, cast) = TestApp::start_with_cast().await;
    for (protocol, who) in PROTOCOLS.into_iter().zip([&cast.customer, &cast.colleague, &cast.stranger]) {
        let old = [("if-match", "\"9\"")];
        cast.admin.call_with(protocol, DEACTIVATE, deactivation(who), &old).await.failure("ETAG_MISMATCH");
        let key = unique();
        let first = cast.admin.keyed(protocol, DEACTIVATE, deactivation(who), &key).await.success();
        assert_eq!(first.header("etag"), Some("\"2\""));
        let other = json!({ "userId": who.as_user().id.to_string(), "reason": "Another\u{2003}reason" });
        cast.admin.keyed(protocol, DEACTIVATE, other.clone(), &key).await.failure("IDEMPOTENCY_KEY_REUSED");
        let again = cast.admin.call(protocol, DEACTIVATE, other).await.success();
        assert_eq!(again.comparable(), first.comparable(), "nothing changed");
        cast.admin.call_with(protocol, REACTIVATE, of(who), &old).await.failure("ETAG_MISMATCH");
        let back = cast.admin.keyed(protocol, REACTIVATE, of(who), &key).await.success();
        let again = cast.admin.call(protocol, REACTIVATE, of(who)).await.success();
        assert_eq!(again.comparable(), back.comparable(), "nothing changed");
        // A repetition does not deactivate the user once more.
        let replayed = cast.admin.keyed(protocol, DEACTIVATE, deactivation(who), &key).await.success();
        assert!(replayed.is_replayed());
        sign_in(&app.endpoint, who.as_user()).await.success();
        for reason in ["", "  ", "a\nb", &"a".repeat(301)] {
            let request = json!({ "userId": who.as_user().id.to_string(), "reason": reason });
            cast.admin.call(protocol, DEACTIVATE, request).await.failure("VALIDATION_FAILED");
        }
    }
}

#[tokio::test]
async fn the_list_is_filtered_by_state() {
    let (_app, cast) = TestApp::start_with_cast().await;
    cast.admin.rest(DEACTIVATE, deactivation(&cast.colleague)).await.success();
    for protocol in PROTOCOLS {
        let list = async |request| {
            let response = cast.agent.call(protocol, "UserService.ListUsers", request).await.success();
            let ids = response.data().as_array().expect("a list").iter().map(|user| user["id"].clone());
            (ids.collect::<Vec<_>>(), response.body["meta"]["total"].clone())
        };
        let colleague = json!(cast.colleague.as_user().id.to_string());
        let (deactivated, total) = list(json!({ "state": "USER_STATE_DEACTIVATED" })).await;
        assert_eq!((deactivated, total), (vec![colleague.clone()], json!("1")));
        let (active, _) = list(json!({ "state": "USER_STATE_ACTIVE" })).await;
        assert!(active.len() == 4 && !active.contains(&colleague), "{active:?}");
        let none = json!({ "state": "USER_STATE_DEACTIVATED", "roles": ["ROLE_ADMIN"] });
        assert!(list(none).await.0.is_empty());
        let wrong = json!({ "state": "USER_STATE_UNSPECIFIED" });
        cast.agent.call(protocol, "UserService.ListUsers", wrong).await.failure("VALIDATION_FAILED");
    }
}

/// A method, and the request about another user.
type Act = (&'static str, fn(&Actor) -> Value);

/// Two admins act on each other on two instances. An external lock ensures that both have begun.
async fn at_once(acts: [Act; 2]) {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let admins = people::users(&here.database, &[(Role::Admin, None), (Role::Admin, None)]).await;
    let [one, two] = <[_; 2]>::try_from(admins).expect("two").map(|user| Actor::user(&here.endpoint, user));
    let two = two.at(&there.endpoint);
    for admin in [&one, &two] {
        admin.call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
    }
    let outside = connect(&here.database.url).await;
    outside.batch_execute("BEGIN; SELECT id FROM users ORDER BY id FOR UPDATE").await.expect("the locks");
    let [(first, on), (second, back)] = acts;
    let calls = [(one.clone(), first, on(&two)), (two.clone(), second, back(&one))];
    let calls = calls
        .map(|(admin, method, request)| tokio::spawn(async move { admin.call(Protocol::Grpc, method, request).await }));
    here.database.locks_waited_for(2).await;
    outside.batch_execute("COMMIT").await.expect("the locks go");
    let mut reasons = Vec::new();
    for call in calls {
        reasons.push(call.await.expect("no panic").reason);
    }
    reasons.sort();
    // The second one has lost its role or its access by then.
    assert_eq!(reasons[0], "", "{reasons:?}");
    assert!(["LAST_ADMIN", "PERMISSION_DENIED", "SESSION_REVOKED"].contains(&reasons[1].as_str()), "{reasons:?}");
    let active = "SELECT count(*) FROM users WHERE role = 3 AND deactivated_at IS NULL";
    assert_eq!(here.database.number(active).await, 1);
}

fn demotion(who: &Actor) -> Value {
    json!({ "userId": who.as_user().id.to_string(), "role": "ROLE_AGENT" })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_cannot_deactivate_each_other() {
    at_once([(DEACTIVATE, deactivation), (DEACTIVATE, deactivation)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_cannot_be_deactivated_while_deposing_the_other_one() {
    at_once([(DEACTIVATE, deactivation), ("UserService.SetUserRole", demotion)]).await;
}

#[tokio::test]
async fn a_deactivated_admin_does_not_count_as_an_admin() {
    let app = TestApp::start().await;
    let admins = people::users(&app.database, &[(Role::Admin, None), (Role::Admin, None)]).await;
    let [one, two] = <[_; 2]>::try_from(admins).expect("two").map(|user| Actor::user(&app.endpoint, user));
    one.rest(DEACTIVATE, deactivation(&two)).await.success();
    for protocol in PROTOCOLS {
        one.call(protocol, DEACTIVATE, deactivation(&one)).await.failure("LAST_ADMIN");
        one.call(protocol, "UserService.SetUserRole", demotion(&one)).await.failure("LAST_ADMIN");
    }
    one.rest("UserService.SetUserRole", demotion(&two)).await.success();
    one.rest(REACTIVATE, of(&two)).await.success();
    one.rest(DEACTIVATE, deactivation(&one)).await.failure("LAST_ADMIN");
}
