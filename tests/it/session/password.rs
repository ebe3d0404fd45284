//! The change of a password: it takes the current one, and ends all other sessions.

use futures_util::future::join_all;
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::{Value, json};

use super::{
    caller, keep_sessions, new_session, refresh, reset, restore_sessions,
    revocation::{two_instances, use_token, wait_until_refused},
};
use crate::support::{Actor, PROTOCOLS, Protocol, Response, TestApp, database::connect, people::User, unique};

const CHANGE: &str = "AuthService.ChangePassword";
const WRONG: &str = "a wrong password";

fn change(current: &str, new: &str) -> Value {
    json!({ "currentPassword": current, "password": new })
}

async fn sign_in(app: &TestApp, user: &User, password: &str) -> Response {
    let request = json!({ "email": user.email, "password": password });
    Actor::anonymous(&app.endpoint).rest("AuthService.Login", request).await
}

fn new_password() -> String {
    format!("brand new {}", unique())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_ends_every_session_but_its_own() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let who = [&cast.customer, &cast.agent, &cast.admin][number];
        let (mine, other) = (new_session(&here, who).await, new_session(&here, who).await);
        for pair in [&mine, &other] {
            use_token([&here, &there], pair).await;
        }
        let token = reset::create_token(&here.database, who.as_user()).await;
        let (old, new) = (who.as_user().password.as_str(), new_password());
        let me = caller(&here, &mine);
        let wrong = me.call(protocol, CHANGE, change(WRONG, &new)).await.failure("WRONG_PASSWORD");
        assert_eq!((wrong.status, &wrong.body["error"]["fields"]["currentPassword"]), (422, &json!("is wrong")));
        for weak in ["short", "password1234", &who.as_user().email] {
            me.call(protocol, CHANGE, change(old, weak)).await.failure("VALIDATION_FAILED");
        }
        let version = me.call(protocol, "UserService.GetMe", json!({})).await.success().text("/data/version");
        me.call(protocol, CHANGE, change(old, &new)).await.success();
        for app in [&here, &there] {
            wait_until_refused(app, &other).await;
        }
        refresh(&here, &other, number).await.failure("SESSION_REVOKED");
        // The access token of the session goes on, as does its refresh token.
        use_token([&here, &there], &mine).await;
        let next = refresh(&there, &mine, number).await.success();
        use_token([&here, &there], &next).await;
        let list = caller(&here, &next).call(protocol, "SessionService.ListSessions", json!({})).await.success();
        assert_eq!(list.data().as_array().map(Vec::len), Some(1), "{list:#?}");
        let me = caller(&here, &next).call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!(me.text("/data/version"), version, "a password is no field of the user");
        // Neither the password nor a token from before is of use.
        caller(&here, &next).call(protocol, CHANGE, change(old, &new_password())).await.failure("WRONG_PASSWORD");
        sign_in(&here, who.as_user(), old).await.failure("INVALID_CREDENTIALS");
        let confirm = json!({ "token": token, "password": new_password() });
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", confirm).await.failure("INVALID_TOKEN");
        sign_in(&here, who.as_user(), &new).await.success();
        // The session is kept through that change only.
        caller(&here, &next).call(protocol, "SessionService.RevokeAllSessions", json!({})).await.success();
        wait_until_refused(&there, &next).await;
        refresh(&here, &next, number).await.failure("SESSION_REVOKED");
        refresh(&here, &mine, number).await.failure("SESSION_REVOKED");
    }
    let mails = "SELECT count(*) FROM mails WHERE kind = 11";
    assert_eq!(here.database.number(mails).await, 3);
}

/// Postgres forgets the last change of the sessions.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_store_with_older_data_revives_no_other_session() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let (mine, other) = (new_session(&app, &cast.customer).await, new_session(&app, &cast.customer).await);
    keep_sessions(&app.database).await;
    caller(&app, &mine).rest(CHANGE, change(&user.password, &new_password())).await.success();
    restore_sessions(&app.database).await;
    refresh(&app, &other, 0).await.failure("SESSION_REVOKED");
    refresh(&app, &mine, 1).await.success();
}

/// An access token outlives its session for a moment, and its session after a loss of the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_changes_no_password() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (here, there) = two_instances_on(&redis).await;
    let cast = here.cast().await;
    let user = cast.customer.as_user();
    for protocol in PROTOCOLS {
        let pair = new_session(&here, &cast.customer).await;
        use_token([&here, &there], &pair).await;
        caller(&there, &pair).call(Protocol::Grpc, "SessionService.RevokeAllSessions", json!({})).await.success();
        let request = change(&user.password, &new_password());
        caller(&here, &pair).call(protocol, CHANGE, request).await.failure("SESSION_REVOKED");
    }
    let pair = new_session(&here, &cast.customer).await;
    here.database.sql("DELETE FROM sessions").await;
    let request = change(&user.password, &new_password());
    caller(&here, &pair).rest(CHANGE, request).await.failure("SESSION_REVOKED");
    sign_in(&here, user, &user.password).await.success();
}

async fn two_instances_on(redis: &Redis) -> (TestApp, TestApp) {
    let here = TestApp::builder().set("REDIS_URL", redis.url()).start().await;
    let there = TestApp::builder().set("REDIS_URL", redis.url()).on(&here.database).start().await;
    (here, there)
}

/// A thief of an access token guesses the password.
#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_permits_no_more_guesses_than_an_address() {
    const TRIES: usize = 2;
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (_app, cast) =
        TestApp::builder().set("REDIS_URL", redis.url()).set("RATE_LIMIT_LOGIN", "2/15m").start_with_cast().await;
    for (protocol, who) in PROTOCOLS.into_iter().zip([&cast.customer, &cast.colleague, &cast.agent]) {
        let user = who.as_user();
        // Right passwords do not count, however often.
        let mut password = user.password.clone();
        for _ in 0..=TRIES {
            let new = new_password();
            who.call(protocol, CHANGE, change(&password, &new)).await.success();
            password = new;
        }
        let guesses = (0..10).map(|_| who.call(protocol, CHANGE, change(WRONG, "a brand new password")));
        let reasons: Vec<_> = join_all(guesses).await.into_iter().map(|answer| answer.reason).collect();
        let wrong = reasons.iter().filter(|reason| *reason == "WRONG_PASSWORD").count();
        let refused = reasons.iter().filter(|reason| *reason == "RATE_LIMIT_EXCEEDED").count();
        assert_eq!((wrong, refused), (TRIES, 10 - TRIES), "{reasons:?}");
        let right = who.call(protocol, CHANGE, change(&password, "a brand new password")).await;
        right.failure("RATE_LIMIT_EXCEEDED");
        let email = json!({ "currentPassword": password, "email": format!("{}@example.com", unique()) });
        who.call(protocol, "AuthService.RequestEmailChange", email).await.failure("RATE_LIMIT_EXCEEDED");
        who.call(protocol, "UserService.GetMe", json!({})).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_at_once_one_takes_effect() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let who = cast.customer.clone();
    let user = who.as_user().clone();
    let changers =
        [who.clone(), Actor::bearer(&there.endpoint, new_session(&there, &who).await.text("/data/accessToken"))];
    for changer in &changers {
        changer.rest("UserService.GetMe", json!({})).await.success();
    }
    let outside = connect(&here.database.url).await;
    outside
        .batch_execute(&format!("BEGIN; SELECT FROM users WHERE id = '{}' FOR UPDATE", user.id))
        .await
        .expect("a lock");
    let passwords = [new_password(), new_password()];
    let calls = changers.into_iter().zip(passwords.clone()).map(|(changer, password)| {
        let request = change(&user.password, &password);
        tokio::spawn(async move { changer.call(Protocol::Grpc, CHANGE, request).await })
    });
    let calls: Vec<_> = calls.collect();
    here.database.locks_waited_for(2).await;
    outside.batch_execute("COMMIT").await.expect("the lock goes");
    let mut reasons = Vec::new();
    for call in calls {
        reasons.push(call.await.expect("no panic").reason);
    }
    let winner = reasons.iter().position(String::is_empty).unwrap_or_else(|| panic!("{reasons:?}"));
    assert_eq!(reasons[1 - winner], "CONFLICT");
    sign_in(&here, &user, &passwords[winner]).await.success();
    sign_in(&here, &user, &passwords[1 - winner]).await.failure("INVALID_CREDENTIALS");
}
