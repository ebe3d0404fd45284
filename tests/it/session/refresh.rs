//! A refresh token is valid for one refresh; using it twice ends the session.

use chrono::TimeDelta;
use mainstay::identity::session::{
    model::{Device, MAX_PER_USER, Refresh, Session, SessionLife},
    store,
};
use mainstay_kernel::id::UserId;
use serde_json::json;

use super::{caller, new_session, refresh};
use crate::support::{Protocol, TestApp};

#[tokio::test]
async fn each_refresh_gives_a_new_pair() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut pair = new_session(&app, &cast.customer).await;
    let session = pair.text("/data/sessionId");
    for turn in 0..4 {
        let next = refresh(&app, &pair, turn).await.success();
        assert_ne!(next.text("/data/refreshToken"), pair.text("/data/refreshToken"));
        assert_eq!(next.text("/data/sessionId"), session, "it stays one session");
        caller(&app, &next).call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
        pair = next;
    }
}

#[tokio::test]
async fn a_reused_token_ends_its_session_and_no_other() {
    let (app, cast) = TestApp::start_with_cast().await;
    let first = new_session(&app, &cast.customer).await;
    let other = new_session(&app, &cast.customer).await;
    // The response of the first refresh is lost, and the client repeats it past the grace period.
    let latest = refresh(&app, &first, 0).await.success();
    app.app.clock.advance(TimeDelta::seconds(12));
    let reused = refresh(&app, &first, 0).await;
    assert!(["SESSION_REVOKED", "INVALID_TOKEN"].contains(&reused.reason.as_str()), "{reused:#?}");
    refresh(&app, &latest, 1).await.failure("SESSION_REVOKED");
    refresh(&app, &first, 1).await.failure("SESSION_REVOKED");
    for pair in [&first, &latest] {
        caller(&app, pair).rest("UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
    }
    // The user's other devices continue.
    caller(&app, &other).call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
    let other = refresh(&app, &other, 0).await.success();
    refresh(&app, &other, 1).await.success();
    refresh(&app, &new_session(&app, &cast.customer).await, 0).await.success();
}

/// A thief uses a token of an earlier generation, within the grace period of concurrent refreshes.
#[tokio::test]
async fn an_older_token_ends_the_session_at_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    let stolen = new_session(&app, &cast.customer).await;
    let other = new_session(&app, &cast.customer).await;
    let latest = refresh(&app, &stolen, 0).await.success();
    let latest = refresh(&app, &latest, 1).await.success();
    refresh(&app, &stolen, 1).await.failure("SESSION_REVOKED");
    refresh(&app, &latest, 0).await.failure("SESSION_REVOKED");
    refresh(&app, &other, 1).await.success();
}

#[tokio::test]
async fn a_session_ends_however_often_it_is_refreshed() {
    let (app, cast) =
        TestApp::builder().set("REFRESH_TOKEN_TTL", "2h").set("SESSION_MAX_AGE", "3h").start_with_cast().await;
    let mut pair = new_session(&app, &cast.customer).await;
    for turn in 0..2 {
        app.app.clock.advance(TimeDelta::minutes(80));
        pair = refresh(&app, &pair, turn).await.success();
    }
    app.app.clock.advance(TimeDelta::minutes(21));
    refresh(&app, &pair, 0).await.failure("SESSION_REVOKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refreshes_of_one_client_get_the_same_pair() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    let answers = futures_util::future::join_all((0..8).map(|turn| refresh(&app, &pair, turn))).await;
    let tokens: std::collections::BTreeSet<_> =
        answers.into_iter().map(|answer| answer.success().text("/data/refreshToken")).collect();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
}

#[tokio::test]
async fn a_forged_token_ends_nothing() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    let token = pair.text("/data/refreshToken");
    let mut forged: String = token[..token.len() - 4].to_owned();
    forged.push_str("AAAA");
    let answer = cast.anonymous.rest("AuthService.Refresh", json!({ "refreshToken": forged })).await;
    assert!(["INVALID_TOKEN", "SESSION_REVOKED"].contains(&answer.reason.as_str()), "{answer:#?}");
    refresh(&app, &pair, 0).await.success();
}

#[tokio::test]
async fn an_access_token_refreshes_nothing() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    let request = json!({ "refreshToken": pair.text("/data/accessToken") });
    cast.anonymous.rest("AuthService.Refresh", request).await.failure("INVALID_TOKEN");
    let refresh = crate::support::Actor::bearer(&app.endpoint, pair.text("/data/refreshToken"));
    refresh.rest("UserService.GetMe", json!({})).await.failure("INVALID_TOKEN");
}

const LIFE: SessionLife = SessionLife { unused: TimeDelta::days(30), whole: TimeDelta::days(90) };

/// Two instances read a session at once, and both decide to rotate it.
#[tokio::test]
async fn only_one_of_two_refreshes_is_stored_and_both_agree() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (user, now) = (UserId(cast.customer.as_user().id), app.app.clock.now());
    let session = Session::begin(user, 0, Device::default(), now, LIFE);
    let run = app.app.database.autocommit(async |connection| {
        store::insert(connection, &session).await?;
        let entry = store::find(connection, user, session.id).await?.expect("stored");
        let Refresh::Rotated(next) = entry.session.clone().refresh(1, now) else { panic!("refused") };
        assert!(store::replace(connection, &entry, &next).await?);
        assert!(!store::replace(connection, &entry, &next).await?, "it is no longer what was read");
        let again = store::find(connection, user, session.id).await?.expect("stored").session;
        assert!(matches!(again.refresh(1, now), Refresh::Again(session) if session.generation == 2));
        Ok(())
    });
    run.await.expect("Postgres");
}

#[tokio::test]
async fn the_session_that_was_refreshed_the_longest_ago_makes_room() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (user, now) = (UserId(cast.customer.as_user().id), app.app.clock.now());
    let run = app.app.database.autocommit(async |connection| {
        let mut ids = Vec::new();
        for second in 0..=MAX_PER_USER {
            let session = Session::begin(user, 0, Device::default(), now + TimeDelta::seconds(second), LIFE);
            store::insert(connection, &session).await?;
            ids.push(session.id);
        }
        let kept = store::list(connection, user).await?;
        assert_eq!(i64::try_from(kept.len()).expect("a count"), MAX_PER_USER);
        assert!(store::find(connection, user, ids[0]).await?.is_none());
        // One that has ended goes first, although it is the newest.
        let last = *ids.last().expect("sessions");
        assert!(store::end(connection, user, last).await?);
        let next = Session::begin(user, 0, Device::default(), now + TimeDelta::hours(1), LIFE);
        store::insert(connection, &next).await?;
        assert!(store::find(connection, user, last).await?.is_none());
        assert!(store::find(connection, user, ids[1]).await?.is_some());
        Ok(())
    });
    run.await.expect("Postgres");
}

#[tokio::test]
async fn expired_sessions_are_removed() {
    let (app, cast) = TestApp::start_with_cast().await;
    new_session(&app, &cast.customer).await;
    assert_eq!(app.run_task("expire_sessions").await.expect("a run"), 0);
    app.app.clock.advance(TimeDelta::days(32));
    assert!(app.run_task("expire_sessions").await.expect("a run") >= 1);
    assert_eq!(app.database.number("SELECT count(*) FROM sessions").await, 0);
}
