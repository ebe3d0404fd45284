//! Admins list and end the sessions of others.

use serde_json::{Value, json};

use super::{
    caller, new_session, refresh,
    revocation::{two_instances, use_token, wait_until_refused},
};
use crate::{
    cases::unknown_id,
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, unique},
};

const LIST: &str = "SessionService.ListUserSessions";
const REVOKE: &str = "SessionService.RevokeUserSession";
const REVOKE_ALL: &str = "SessionService.RevokeAllUserSessions";

fn of(who: &Actor) -> Value {
    json!({ "userId": who.as_user().id.to_string() })
}

fn one_of(who: &Actor, pair: &Response) -> Value {
    json!({ "userId": who.as_user().id.to_string(), "sessionId": pair.text("/data/sessionId") })
}

async fn ids(admin: &Actor, protocol: Protocol, of_user: Value) -> Vec<Value> {
    let list = admin.call(protocol, LIST, of_user).await.success();
    let sessions = list.data().as_array().expect("a list");
    assert!(sessions.iter().all(|session| session["current"] == false), "{list:#?}");
    sessions.iter().map(|session| session["id"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_ends_a_session_of_another_user_on_every_instance() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    for protocol in PROTOCOLS {
        let (one, other) = (new_session(&here, &cast.agent).await, new_session(&here, &cast.agent).await);
        let foreign = new_session(&here, &cast.customer).await;
        for pair in [&one, &other] {
            use_token([&here, &there], pair).await;
        }
        let expected = [&other, &one].map(|pair| json!(pair.text("/data/sessionId")));
        assert_eq!(ids(&cast.admin, protocol, of(&cast.agent)).await, expected, "the newest first");
        // The user of the path is the session's.
        cast.admin.call(protocol, REVOKE, one_of(&cast.agent, &foreign)).await.failure("NOT_FOUND");
        let key = unique();
        cast.admin.keyed(protocol, REVOKE, one_of(&cast.agent, &one), &key).await.success();
        cast.admin.keyed(protocol, REVOKE, one_of(&cast.agent, &other), &key).await.failure("IDEMPOTENCY_KEY_REUSED");
        for app in [&here, &there] {
            wait_until_refused(app, &one).await;
        }
        refresh(&there, &one, 0).await.failure("SESSION_REVOKED");
        use_token([&here, &there], &other).await;
        assert_eq!(ids(&cast.admin, protocol, of(&cast.agent)).await, expected[..1]);
        cast.admin.call(protocol, REVOKE, one_of(&cast.agent, &one)).await.success();

        cast.admin.call(protocol, REVOKE_ALL, of(&cast.agent)).await.success();
        for app in [&here, &there] {
            wait_until_refused(app, &other).await;
        }
        assert!(ids(&cast.admin, protocol, of(&cast.agent)).await.is_empty());
        caller(&here, &foreign).call(protocol, "UserService.GetMe", json!({})).await.success();
        let unknown = json!({ "userId": unknown_id() });
        for method in [LIST, REVOKE_ALL] {
            cast.admin.call(protocol, method, unknown.clone()).await.failure("NOT_FOUND");
        }
    }
    let own = cast.admin.rest(LIST, of(&cast.admin)).await.success();
    assert_eq!(own.data()[0]["current"], true, "{own:#?}");
}

/// Without their rows, sessions can't be listed, but their access tokens end.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_ends_sessions_that_were_removed() {
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let pair = new_session(&app, &cast.customer).await;
        app.database.sql("DELETE FROM sessions").await;
        caller(&app, &pair).call(protocol, "UserService.GetMe", json!({})).await.success();
        assert!(ids(&cast.admin, protocol, of(&cast.customer)).await.is_empty());
        cast.admin.call(protocol, REVOKE, one_of(&cast.customer, &pair)).await.failure("NOT_FOUND");
        cast.admin.call(protocol, REVOKE_ALL, of(&cast.customer)).await.success();
        caller(&app, &pair).call(protocol, "UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
    }
}
