//! Logout, revocation and role changes.

use chrono::TimeDelta;
use serde_json::json;

use super::{caller, keep_sessions, new_session, refresh, restore_sessions};
use crate::support::{PROTOCOLS, Protocol, TestApp, unique};

#[tokio::test]
async fn the_list_shows_the_callers_sessions_and_marks_the_current_one() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pairs = [new_session(&app, &cast.customer).await, new_session(&app, &cast.customer).await];
    new_session(&app, &cast.colleague).await;
    for protocol in PROTOCOLS {
        for pair in &pairs {
            let list = caller(&app, pair).call(protocol, "SessionService.ListSessions", json!({})).await.success();
            let sessions = list.data().as_array().expect("a list");
            assert_eq!(sessions.len(), 2, "{list:#?}");
            let current: Vec<_> = sessions.iter().filter(|session| session["current"] == true).collect();
            assert_eq!(current.len(), 1);
            assert_eq!(current[0]["id"], pair.text("/data/sessionId"));
        }
    }
}

#[tokio::test]
async fn revoking_a_session_ends_only_that_session() {
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let (mine, other) = (new_session(&app, &cast.customer).await, new_session(&app, &cast.customer).await);
        let request = json!({ "sessionId": other.text("/data/sessionId") });
        caller(&app, &mine).call(protocol, "SessionService.RevokeSession", request.clone()).await.success();
        refresh(&app, &other, 0).await.failure("SESSION_REVOKED");
        caller(&app, &mine).call(protocol, "SessionService.RevokeSession", request).await.success();
        refresh(&app, &mine, 1).await.success();
    }
}

/// A key that was used for one session ends no other one.
#[tokio::test]
async fn a_reused_key_ends_no_session() {
    const REVOKE: &str = "SessionService.RevokeSession";
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let mine = new_session(&app, &cast.customer).await;
        let (first, second) = (new_session(&app, &cast.customer).await, new_session(&app, &cast.customer).await);
        let [end_first, end_second] =
            [&first, &second].map(|pair| json!({ "sessionId": pair.text("/data/sessionId") }));
        let (me, key) = (caller(&app, &mine), unique());
        me.keyed(protocol, REVOKE, end_first.clone(), &key).await.success();
        me.keyed(protocol, REVOKE, end_second, &key).await.failure("IDEMPOTENCY_KEY_REUSED");
        caller(&app, &second).call(protocol, "UserService.GetMe", json!({})).await.success();
        refresh(&app, &second, 0).await.success();
        me.keyed(protocol, REVOKE, end_first, &key).await.success();
        refresh(&app, &first, 0).await.failure("SESSION_REVOKED");
    }
}

#[tokio::test]
async fn revoke_all_ends_every_session_of_the_user() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (mine, other) = (new_session(&app, &cast.customer).await, new_session(&app, &cast.customer).await);
    let colleague = new_session(&app, &cast.colleague).await;
    caller(&app, &mine).rest("SessionService.RevokeAllSessions", json!({})).await.success();
    for (protocol, pair) in [&mine, &other].into_iter().enumerate() {
        refresh(&app, pair, protocol).await.failure("SESSION_REVOKED");
    }
    refresh(&app, &colleague, 0).await.success();
    refresh(&app, &new_session(&app, &cast.customer).await, 0).await.success();
}

#[tokio::test]
async fn a_new_role_is_in_the_next_token() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    caller(&app, &pair).rest("UserService.ListUsers", json!({})).await.failure("PERMISSION_DENIED");
    let request = json!({ "userId": cast.customer.as_user().id.to_string(), "role": "ROLE_AGENT" });
    cast.admin.call(Protocol::Grpc, "UserService.SetUserRole", request).await.success();
    let refreshed = refresh(&app, &pair, 0).await;
    // Either the session continues with the new role, or the user must sign in again; the old role has ended in both
    // cases.
    let next = if refreshed.reason.is_empty() { refreshed } else { new_session(&app, &cast.customer).await };
    caller(&app, &next).rest("UserService.ListUsers", json!({})).await.success();
}

/// Sessions are rows in Postgres, so that they are listed and end without Redis.
#[tokio::test(flavor = "multi_thread")]
async fn revoke_all_ends_sessions_while_redis_is_unreachable() {
    use mainstay_dev_servers::{Redis, RedisOptions};
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (app, cast) = TestApp::builder().set("REDIS_URL", redis.url()).start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    // Suspended instead of killed, so it resumes with all its data.
    let stopped = nix::unistd::Pid::from_raw(redis.pid().expect("it runs").cast_signed());
    nix::sys::signal::kill(stopped, nix::sys::signal::Signal::SIGSTOP).expect("it runs");
    let list = caller(&app, &pair).rest("SessionService.ListSessions", json!({})).await.success();
    assert_eq!(list.data().as_array().map(Vec::len), Some(1), "{list:#?}");
    caller(&app, &pair).call(Protocol::Grpc, "SessionService.RevokeAllSessions", json!({})).await.success();
    refresh(&app, &pair, 0).await.failure("SESSION_REVOKED");
    nix::sys::signal::kill(stopped, nix::sys::signal::Signal::SIGCONT).expect("it runs");
    refresh(&app, &pair, 1).await.failure("SESSION_REVOKED");
}

/// Postgres forgets the last change of a session: it failed over to a replica that had received the revocation only.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_store_with_older_data_revives_no_session() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (mine, other) = (new_session(&app, &cast.customer).await, new_session(&app, &cast.customer).await);
    keep_sessions(&app.database).await;
    caller(&app, &mine).call(Protocol::Grpc, "AuthService.Logout", json!({})).await.success();
    refresh(&app, &mine, 0).await.failure("SESSION_REVOKED");
    // Long after every access token has expired.
    app.app.clock.advance(TimeDelta::days(2));
    app.database.sql("UPDATE revocations SET revoked_at = revoked_at - interval '2 days'").await;
    app.run_task("expire_revocations").await.expect("a run");
    restore_sessions(&app.database).await;
    refresh(&app, &mine, 0).await.failure("SESSION_REVOKED");
    refresh(&app, &other, 1).await.success();
    // The revocation is removed after the session would have expired.
    app.database.sql("UPDATE revocations SET revoked_at = revoked_at - interval '92 days'").await;
    app.run_task("expire_revocations").await.expect("a run");
    assert_eq!(app.database.number("SELECT count(*) FROM revocations").await, 0);
}
