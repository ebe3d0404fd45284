//! How long sessions last: of people and the staff, in a role, and in an account.

use chrono::{DateTime, TimeDelta};
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::{Value, json};

use super::{caller, new_session, refresh};
use crate::{
    cases::{grant, join, role::role_draft},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, people::Cast},
};

const LATE: &str = "REAUTHENTICATION_REQUIRED";
const READ: &str = "support.tickets.read";

/// Creates a role with limits: of the customer's account, or of the staff.
async fn limited_role(who: &Actor, limits: &Value) -> String {
    let mut draft = role_draft(&[READ]);
    for (name, seconds) in limits.as_object().expect("limits") {
        draft[name] = seconds.clone();
    }
    who.rest("RoleService.CreateRole", draft).await.success().id()
}

/// Makes the stranger a member of the customer's account in a role with limits; returns the role.
async fn join_in_role(app: &TestApp, cast: &Cast, limits: Value) -> String {
    let (member, role) =
        (join(&app.database, &cast.stranger, &cast.customer, 3).await, limited_role(&cast.customer, &limits).await);
    let assign = format!("UPDATE members SET role = NULL, custom_role_id = '{role}' WHERE id = '{member}'");
    app.database.sql(&assign).await;
    role
}

/// Signs the stranger in to the customer's account.
async fn sign_in_as_member(app: &TestApp, cast: &Cast) -> Response {
    let (user, account) = (cast.stranger.as_user(), cast.customer.as_user().account.to_string());
    let login = json!({ "email": user.email, "password": user.password, "accountId": account });
    Actor::anonymous(&app.endpoint).rest("AuthService.Login", login).await.success()
}

/// Switches to the account of a user.
async fn switch(app: &TestApp, pair: &Response, account_of: &Actor, protocol: Protocol) -> Response {
    let account = account_of.as_user().account.to_string();
    let request = json!({ "refreshToken": pair.text("/data/refreshToken"), "accountId": account });
    Actor::anonymous(&app.endpoint).call(protocol, "AuthService.SwitchAccount", request).await
}

async fn reauthenticate(app: &TestApp, pair: &Response, who: &Actor) {
    let proof = json!({ "currentPassword": who.as_user().password });
    caller(app, pair).rest("AuthService.Reauthenticate", proof).await.success();
}

/// A user with the tokens of a new sign-in.
fn afresh(app: &TestApp, who: &Actor) -> Actor {
    Actor::user(&app.endpoint, who.as_user().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_its_age_in_one_account_and_continues_in_another() {
    let (app, cast) = TestApp::start_with_cast().await;
    join_in_role(&app, &cast, json!({ "sessionMaxAgeSeconds": 3600 })).await;
    let mut pair = sign_in_as_member(&app, &cast).await;
    assert_eq!(pair.data()["expiresIn"], 300);
    for turn in 0..3 {
        app.app.clock.advance(TimeDelta::minutes(19));
        pair = refresh(&app, &pair, turn).await.success();
    }
    // The access token and the list end with the session in this account.
    let expires_in = pair.data()["expiresIn"].as_i64().expect("seconds");
    assert!((100..=180).contains(&expires_in), "{expires_in}");
    let sessions = caller(&app, &pair).rest("SessionService.ListSessions", json!({})).await.success();
    let listed = sessions.data().as_array().and_then(|all| all.iter().find(|one| one["current"] == true)).cloned();
    let listed = listed.expect("the session");
    let time = |name: &str| DateTime::parse_from_rfc3339(listed[name].as_str().expect("a time")).expect("RFC 3339");
    assert_eq!(time("expireTime") - time("createTime"), TimeDelta::hours(1));
    app.app.clock.advance(TimeDelta::minutes(4));
    caller(&app, &pair).rest("UserService.GetMe", json!({})).await.failure("TOKEN_EXPIRED");
    for turn in 0..2 {
        // The refusal consumes no token.
        let refused = refresh(&app, &pair, turn).await.failure(LATE);
        assert_eq!(refused.status, 401, "{refused:#?}");
    }
    for protocol in PROTOCOLS {
        let own = switch(&app, &pair, &cast.stranger, protocol).await.success();
        switch(&app, &own, &cast.customer, protocol).await.failure(LATE);
        reauthenticate(&app, &own, &cast.stranger).await;
        pair = switch(&app, &own, &cast.customer, protocol).await.success();
        app.app.clock.advance(TimeDelta::minutes(61));
    }
}

/// Otherwise a session that was left alone for days would be refreshed in an account without a limit first.
#[tokio::test(flavor = "multi_thread")]
async fn a_use_in_another_account_makes_up_for_no_pause() {
    let (app, cast) = TestApp::start_with_cast().await;
    join_in_role(&app, &cast, json!({ "sessionIdleSeconds": 900 })).await;
    let mut pair = sign_in_as_member(&app, &cast).await;
    for turn in 0..3 {
        app.app.clock.advance(TimeDelta::minutes(14));
        pair = refresh(&app, &pair, turn).await.success();
    }
    let own = switch(&app, &pair, &cast.stranger, Protocol::Rest).await.success();
    app.app.clock.advance(TimeDelta::minutes(16));
    let own = refresh(&app, &own, 0).await.success();
    switch(&app, &own, &cast.customer, Protocol::Grpc).await.failure(LATE);
    let own = refresh(&app, &own, 1).await.success();
    switch(&app, &own, &cast.customer, Protocol::Rest).await.failure(LATE);
    reauthenticate(&app, &own, &cast.stranger).await;
    let pair = switch(&app, &own, &cast.customer, Protocol::Rest).await.success();
    app.app.clock.advance(TimeDelta::minutes(16));
    refresh(&app, &pair, 0).await.failure(LATE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_role_applies_to_existing_sessions() {
    let (app, cast) = TestApp::start_with_cast().await;
    let role = join_in_role(&app, &cast, json!({})).await;
    let pair = sign_in_as_member(&app, &cast).await;
    app.app.clock.advance(TimeDelta::minutes(20));
    let pair = refresh(&app, &pair, 0).await.success();
    caller(&app, &pair).rest("UserService.GetMe", json!({})).await.success();
    let owner = afresh(&app, &cast.customer);
    let change = json!({ "roleId": role, "role": { "sessionMaxAgeSeconds": 900 } });
    let changed = owner.rest("RoleService.UpdateRole", change).await.success();
    assert_eq!(changed.data()["sessionMaxAgeSeconds"], 900);
    caller(&app, &pair).rest("UserService.GetMe", json!({})).await.failure("TOKEN_EXPIRED");
    refresh(&app, &pair, 1).await.failure(LATE);
    let clear = json!({ "roleId": role, "role": {}, "updateMask": "sessionMaxAgeSeconds" });
    let cleared = owner.rest("RoleService.UpdateRole", clear).await.success();
    assert_eq!(cleared.data().get("sessionMaxAgeSeconds"), None);
    refresh(&app, &pair, 0).await.success();
    for seconds in [0, 899, 31_536_001] {
        let change = json!({ "roleId": role, "role": { "sessionIdleSeconds": seconds } });
        owner.rest("RoleService.UpdateRole", change).await.failure("VALIDATION_FAILED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_shortens_the_sessions_of_all_members() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let policy = json!({ "accountId": account, "account": { "sessionIdleSeconds": 900 } });
    grant(&app.database, &cast.colleague, 2).await;
    cast.colleague.rest("AccountService.UpdateAccount", policy.clone()).await.failure("PERMISSION_DENIED");
    let mine = new_session(&app, &cast.customer).await;
    let theirs = new_session(&app, &cast.colleague).await;
    let other = new_session(&app, &cast.stranger).await;
    let old = new_session(&app, &cast.customer).await;
    let changed = cast.customer.rest("AccountService.UpdateAccount", policy.clone()).await.success();
    assert_eq!(changed.data()["sessionIdleSeconds"], 900);
    app.app.clock.advance(TimeDelta::minutes(14));
    let old = refresh(&app, &old, 0).await.success();
    let lift = json!({ "accountId": account, "account": {}, "updateMask": "sessionIdleSeconds" });
    caller(&app, &old).rest("AccountService.UpdateAccount", lift).await.failure(LATE);
    app.app.clock.advance(TimeDelta::minutes(2));
    for (pair, expected) in [(&mine, LATE), (&theirs, LATE), (&old, ""), (&other, "")] {
        assert_eq!(refresh(&app, pair, 0).await.reason, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staff_has_shorter_sessions_than_people() {
    let builder = TestApp::builder().set("STAFF_SESSION_IDLE", "1h").set("STAFF_SESSION_MAX_AGE", "2h");
    let (app, cast) = builder.start_with_cast().await;
    let (unused, other) = (new_session(&app, &cast.agent).await, new_session(&app, &cast.customer).await);
    let mut pair = new_session(&app, &cast.admin).await;
    for turn in 0..2 {
        app.app.clock.advance(TimeDelta::minutes(59));
        pair = refresh(&app, &pair, turn).await.success();
    }
    let expires_in = pair.data()["expiresIn"].as_i64().expect("seconds");
    assert!((1..=120).contains(&expires_in), "{expires_in}");
    refresh(&app, &unused, 0).await.failure("SESSION_REVOKED");
    app.app.clock.advance(TimeDelta::minutes(3));
    refresh(&app, &pair, 0).await.failure("SESSION_REVOKED");
    refresh(&app, &other, 1).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_the_staff_shortens_the_sessions_of_its_agents() {
    let (app, cast) = TestApp::start_with_cast().await;
    let role = limited_role(&cast.admin, &json!({ "sessionMaxAgeSeconds": 1800, "sessionIdleSeconds": 900 })).await;
    let request = json!({ "userId": cast.agent.as_user().id.to_string(), "role": "ROLE_AGENT", "staffRoleId": role });
    cast.admin.rest("UserService.SetUserRole", request).await.success();
    let (unused, mut pair) = (new_session(&app, &cast.agent).await, new_session(&app, &cast.agent).await);
    for turn in 0..2 {
        app.app.clock.advance(TimeDelta::minutes(14));
        pair = refresh(&app, &pair, turn).await.success();
    }
    refresh(&app, &unused, 0).await.failure(LATE);
    app.app.clock.advance(TimeDelta::minutes(3));
    refresh(&app, &pair, 0).await.failure(LATE);
    new_session(&app, &cast.agent).await;
}

/// A sign-in goes on until the configured end, also if that was later at the start of the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_joins_the_staff_has_its_lifetime() {
    let (app, cast) = TestApp::builder().set("STAFF_SESSION_IDLE", "1h").start_with_cast().await;
    let pair = new_session(&app, &cast.customer).await;
    app.app.clock.advance(TimeDelta::minutes(61));
    let user = cast.customer.as_user().id;
    app.database.sql(&format!("UPDATE users SET role = 2 WHERE id = '{user}'")).await;
    refresh(&app, &pair, 0).await.failure("SESSION_REVOKED");
    app.database.sql(&format!("UPDATE users SET role = 1 WHERE id = '{user}'")).await;
    refresh(&app, &pair, 1).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_in_time_without_redis() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let builder = TestApp::builder().set("REDIS_URL", redis.url()).set("STAFF_SESSION_IDLE", "1h");
    let (app, cast) = builder.start_with_cast().await;
    join_in_role(&app, &cast, json!({ "sessionIdleSeconds": 900 })).await;
    let (member, staff) = (sign_in_as_member(&app, &cast).await, new_session(&app, &cast.admin).await);
    redis.crash();
    app.app.clock.advance(TimeDelta::minutes(14));
    let member = refresh(&app, &member, 0).await.success();
    app.app.clock.advance(TimeDelta::minutes(16));
    refresh(&app, &member, 1).await.failure(LATE);
    let own = switch(&app, &member, &cast.stranger, Protocol::Rest).await.success();
    switch(&app, &own, &cast.customer, Protocol::Grpc).await.failure(LATE);
    app.app.clock.advance(TimeDelta::minutes(31));
    refresh(&app, &staff, 0).await.failure("SESSION_REVOKED");
}
