//! Impersonations: what staff may do in the name of a user, and how they end.

use std::time::Instant;

use chrono::TimeDelta;
use mainstay_kernel::contract::policy::{Effect, Role};
use serde_json::{Value, json};

use super::{revocation::two_instances, service_key::MAX_NEWS_DELAY};
use crate::{
    cases::{
        self, Scene, draft as ticket,
        impersonation::{draft, of},
        member_of,
        role::role,
    },
    support::{
        Actor, PROTOCOLS, Process, Protocol, Response, TestApp, TestDatabase, eventually, methods, people::Cast,
    },
};

const START: &str = "ImpersonationService.StartImpersonation";
const END: &str = "ImpersonationService.EndImpersonation";
const LIST: &str = "TicketService.ListTickets";
const WRITE: &str = "TicketService.CreateTicket";

async fn start(scene: &Scene, who: &Actor, more: Value) -> Response {
    who.rest(START, draft(scene, more)).await.success()
}

fn holder(scene: &Scene, started: &Response) -> Actor {
    Actor::bearer(&scene.endpoint, started.text("/accessToken"))
}

/// Waits until a token is refused, before the cache would ask Postgres by itself.
async fn wait_until_refused(who: &Actor) {
    let since = Instant::now();
    eventually("the token is refused", async || who.rest(LIST, json!({})).await.reason == "SESSION_REVOKED").await;
    assert!(since.elapsed() < MAX_NEWS_DELAY, "after {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_sees_what_the_user_sees_and_changes_nothing() {
    let (_app, scene) = Scene::start().await;
    let started = start(&scene, &scene.cast.admin, json!({})).await;
    assert!(started.body.get("refreshToken").is_none(), "{started:#?}");
    let me = holder(&scene, &started);
    let (user, foreign) = (scene.cast.customer.as_user(), cases::ticket(&scene.cast.stranger).await);
    for protocol in PROTOCOLS {
        let own = me.call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!((own.id(), own.text("/accountId")), (user.id.to_string(), user.account.to_string()));
        me.call(protocol, LIST, json!({})).await.success();
        me.call(protocol, "TicketService.GetTicket", json!({ "ticketId": foreign })).await.failure("NOT_FOUND");
        me.call(protocol, "UserService.ListUsers", json!({})).await.failure("PERMISSION_DENIED");
        me.call(protocol, WRITE, ticket()).await.failure("PERMISSION_DENIED");
    }
}

/// Every method that a customer may call, by the policy: methods that need a session are refused even with writes, and methods
/// that write are refused without.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_refuses_what_needs_the_user_in_person_and_what_writes() {
    let app = TestApp::start().await;
    let of_customers = methods().into_iter().filter(|method| method.grant(Role::Customer).is_some());
    let (mut checked, mut faults) = (0, Vec::new());
    for method in of_customers {
        let writes = method.effect == Effect::Write && !method.watch;
        if !method.needs_session() && !writes {
            continue;
        }
        let call = (cases::good_case(&method.name).call)(Scene::new(&app).await).await;
        // The user has no part in the case, which may end the sessions of its users.
        let scene = Scene::new(&app).await;
        let allow_writes = json!({ "allowWrites": method.needs_session() });
        let me = holder(&scene, &start(&scene, &scene.cast.admin, allow_writes).await);
        let answer = call.send_as(&me, Protocol::Grpc, &method.name).await;
        if answer.reason != "PERMISSION_DENIED" {
            faults.push(format!("{}: {} {}", method.name, answer.status, answer.body));
        }
        checked += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 30, "only {checked} methods were checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_has_the_actor_and_the_impersonator() {
    let (_app, scene) = Scene::start().await;
    let (user, admin) = (scene.cast.customer.as_user(), scene.cast.admin.as_user());
    let started = start(&scene, &scene.cast.admin, json!({ "allowWrites": true })).await;
    let me = holder(&scene, &started);
    let entries = async |who: &Actor, id: &str| -> Value {
        let list = who.rest("AuditService.ListAuditEntries", json!({ "resourceId": id })).await;
        list.success().data().clone()
    };
    for protocol in PROTOCOLS {
        let id = me.call(protocol, WRITE, ticket()).await.success().id();
        for who in [&scene.cast.admin, &scene.cast.customer] {
            let seen = entries(who, &id).await;
            assert_eq!(seen[0]["actorId"], user.id.to_string(), "{seen:#}");
            assert_eq!(seen[0]["actorKind"], "ACTOR_KIND_USER");
            assert_eq!(seen[0]["impersonatorId"], admin.id.to_string());
            let changes = seen[0]["changes"].as_array().expect("a list");
            assert!(changes.iter().all(|change| change["name"] != "impersonator"), "{seen:#}");
        }
    }
    let start = entries(&scene.cast.admin, &started.id()).await;
    assert_eq!(start[0]["method"], START);
    assert_eq!(start[0]["reason"], "Ticket 4711: the list is empty");
    assert_eq!(start[0]["actorId"], admin.id.to_string());
}

/// Gives the agent of a scene a custom role of the staff with these scopes; returns the agent with a new session.
async fn specialist(scene: &Scene, scopes: &[&str]) -> Actor {
    let (role, agent) = (role(&scene.cast.admin, scopes).await, scene.cast.agent.as_user().clone());
    let assign = json!({ "userId": agent.id.to_string(), "role": "ROLE_AGENT", "staffRoleId": role });
    scene.cast.admin.rest("UserService.SetUserRole", assign).await.success();
    Actor::user(&scene.endpoint, agent)
}

/// A line has the user and the staff, and no line has the token.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_the_user_and_the_impersonator() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let (user, admin) = (cast.customer.as_user(), cast.admin.as_user().id);
    let request = of(&cast.customer, &user.account.to_string(), json!({}));
    let token = cast.admin.rest(START, request).await.success().text("/accessToken");
    Actor::bearer(&server.endpoint, token.clone()).rest(LIST, json!({})).await.success();
    let (principal, impersonator) = (format!("\"principal\":\"{}\"", user.id), format!("\"impersonator\":\"{admin}\""));
    eventually("the line is written", async || {
        server.log().lines().any(|line| [&principal, &impersonator].iter().all(|field| line.contains(field.as_str())))
    })
    .await;
    assert!(!server.log().contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_need_a_second_scope() {
    let (_app, scene) = Scene::start().await;
    let agent = specialist(&scene, &["identity.users.impersonate"]).await;
    for protocol in PROTOCOLS {
        agent.call(protocol, START, draft(&scene, json!({ "allowWrites": true }))).await.failure("PERMISSION_DENIED");
        agent.call(protocol, START, draft(&scene, json!({}))).await.success();
    }
}

/// The token neither starts an impersonation, nor renews itself, nor proves who the user is.
#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_starts_and_renews_nothing() {
    let (_app, scene) = Scene::start().await;
    let started = start(&scene, &scene.cast.admin, json!({ "allowWrites": true })).await;
    let (me, password) = (holder(&scene, &started), scene.cast.customer.as_user().password.clone());
    let other = of(&scene.cast.stranger, &scene.cast.stranger.as_user().account.to_string(), json!({}));
    let proof = json!({ "currentPassword": password });
    let refresh = json!({ "refreshToken": started.text("/accessToken") });
    let account = json!({ "accountId": scene.account(), "account": { "requireSecondFactor": true } });
    for protocol in PROTOCOLS {
        me.call(protocol, START, other.clone()).await.failure("PERMISSION_DENIED");
        me.call(protocol, "AuthService.Reauthenticate", proof.clone()).await.failure("PERMISSION_DENIED");
        me.call(protocol, "AccountService.UpdateAccount", account.clone()).await.failure("PERMISSION_DENIED");
        for method in
            ["PasskeyService.ListPasskeys", "PasskeyService.EnrollPasskey", "SecondFactorService.ListRememberedDevices"]
        {
            me.call(protocol, method, json!({})).await.failure("PERMISSION_DENIED");
        }
        // A long token is longer than a refresh token may be.
        let answer = scene.cast.anonymous.call(protocol, "AuthService.Refresh", refresh.clone()).await;
        assert!(["INVALID_TOKEN", "VALIDATION_FAILED"].contains(&answer.reason.as_str()), "{answer:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_ends_on_every_instance() {
    let (here, there) = two_instances().await;
    let scene = Scene::new(&here).await;
    let started = start(&scene, &scene.cast.admin, json!({})).await;
    let mine = holder(&scene, &started);
    let elsewhere = mine.at(&there.endpoint);
    for who in [&mine, &elsewhere] {
        who.rest(LIST, json!({})).await.success();
    }
    let lasting = async || {
        let list = scene.cast.admin.rest("ImpersonationService.ListImpersonations", json!({})).await;
        list.success().data().as_array().expect("a list").iter().any(|one| one["id"] == started.id())
    };
    assert!(lasting().await);
    let end = json!({ "impersonationId": started.id() });
    scene.cast.admin.rest(END, end).await.success();
    assert!(!lasting().await);
    mine.rest(LIST, json!({})).await.failure("SESSION_REVOKED");
    wait_until_refused(&elsewhere).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_expires() {
    let (app, scene) = Scene::start().await;
    let me = holder(&scene, &start(&scene, &scene.cast.admin, json!({ "minutes": 30 })).await);
    app.app.clock.advance(TimeDelta::minutes(29));
    me.rest(LIST, json!({})).await.success();
    app.app.clock.advance(TimeDelta::minutes(3));
    me.rest(LIST, json!({})).await.failure("TOKEN_EXPIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_lasts_no_longer_than_the_session_of_the_staff() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("STAFF_SESSION_MAX_AGE", "20m")).await;
    let me = holder(&scene, &start(&scene, &scene.cast.admin, json!({ "minutes": 60 })).await);
    app.app.clock.advance(TimeDelta::minutes(19));
    me.rest(LIST, json!({})).await.success();
    app.app.clock.advance(TimeDelta::minutes(2));
    me.rest(LIST, json!({})).await.failure("TOKEN_EXPIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_ends_with_the_session_and_the_role_of_the_staff() {
    let app = TestApp::start().await;
    for ending in ["logout", "role", "deactivation"] {
        let (scene, others) = (Scene::new(&app).await, app.cast().await);
        let me = holder(&scene, &start(&scene, &scene.cast.admin, json!({})).await);
        me.rest(LIST, json!({})).await.success();
        let admin = scene.cast.admin.as_user().id.to_string();
        let (who, method, request) = match ending {
            "logout" => (&scene.cast.admin, "AuthService.Logout", json!({})),
            "role" => (&others.admin, "UserService.SetUserRole", json!({ "userId": admin, "role": "ROLE_AGENT" })),
            _ => (&others.admin, "UserService.DeactivateUser", json!({ "userId": admin, "reason": "Left" })),
        };
        who.rest(method, request).await.success();
        wait_until_refused(&me).await;
    }
}

/// What ends the access tokens of the user ends that of the staff, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_ends_with_the_membership_and_the_user() {
    let (here, there) = two_instances().await;
    for ending in ["membership", "deactivation"] {
        let scene = Scene::new(&here).await;
        let colleague = scene.cast.colleague.as_user().id.to_string();
        let request = of(&scene.cast.colleague, &scene.account(), json!({}));
        let started = scene.cast.admin.rest(START, request).await.success();
        let mine = holder(&scene, &started);
        let elsewhere = mine.at(&there.endpoint);
        for who in [&mine, &elsewhere] {
            who.rest(LIST, json!({})).await.success();
        }
        let (who, method, request) = match ending {
            "membership" => {
                let member = member_of(&scene.database, &scene.cast.colleague).await;
                (&scene.cast.customer, "MemberService.RemoveMember", json!({ "memberId": member }))
            }
            _ => (&scene.cast.admin, "UserService.DeactivateUser", json!({ "userId": colleague, "reason": "Left" })),
        };
        who.rest(method, request).await.success();
        for who in [&mine, &elsewhere] {
            wait_until_refused(who).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_receives_a_mail_if_it_is_configured() {
    for (is_configured, count) in [("false", 0), ("true", 1)] {
        let (app, scene) = Scene::start_with(TestApp::builder().set("IMPERSONATION_MAIL", is_configured)).await;
        start(&scene, &scene.cast.admin, json!({})).await;
        let user = scene.cast.customer.as_user().id;
        let mails = format!("SELECT count(*) FROM mails WHERE kind = 31 AND parent_id = '{user}'");
        assert_eq!(app.database.number(&mails).await, count, "{is_configured}");
    }
}
