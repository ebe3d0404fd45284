//! Custom roles: what they grant, who may give it, and how fast a change takes effect.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    caller, new_session, refresh,
    revocation::{assert_within_a_second, two_instances, use_token, wait_until_both_poll},
};
use crate::{
    cases::{
        new_address,
        role::{role, role_draft},
    },
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, eventually, people::Cast},
};

const READ: &str = "support.tickets.read";
const REFUND: &str = "payments.refunds.create";

async fn set_role(who: &Actor, user: &Actor, name: &str, custom: Option<&str>) -> Response {
    let request = json!({ "userId": user.as_user().id.to_string(), "role": name, "staffRoleId": custom });
    who.rest("UserService.SetUserRole", request).await
}

/// Gives the agent of a cast a custom role of the staff with these scopes; returns its id.
async fn specialize(cast: &Cast, scopes: &[&str]) -> String {
    let role = role(&cast.admin, scopes).await;
    let assigned = set_role(&cast.admin, &cast.agent, "ROLE_AGENT", Some(&role)).await.success();
    assert_eq!(assigned.data()["staffRoleId"], json!(role));
    role
}

async fn scopes(app: &TestApp, pair: &Response) -> Value {
    let access = caller(app, pair).rest("RoleService.GetMyAccess", json!({})).await.success();
    access.data()["scopes"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_role_takes_effect_on_every_instance() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let role = specialize(&cast, &[READ]).await;
    let (pair, other) = (new_session(&here, &cast.agent).await, new_session(&here, &cast.customer).await);
    assert_eq!(scopes(&here, &pair).await, json!([READ]));
    for pair in [&pair, &other] {
        use_token([&here, &there], pair).await;
    }
    let request = json!({ "roleId": role, "role": { "scopes": [READ, REFUND] } });
    cast.admin.rest("RoleService.UpdateRole", request).await.success();
    let get_me = async |app: &TestApp| caller(app, &pair).rest("UserService.GetMe", json!({})).await;
    get_me(&here).await.failure("TOKEN_EXPIRED");
    eventually("the other instance refuses the token", async || get_me(&there).await.reason == "TOKEN_EXPIRED").await;
    wait_until_both_poll(&there).await;
    // The session goes on, with the new scopes.
    let next = refresh(&there, &pair, 0).await.success();
    for app in [&here, &there] {
        assert_eq!(scopes(app, &next).await, json!([REFUND, READ]));
    }
    use_token([&here, &there], &other).await;
    // Another name ends no token.
    let request = json!({ "roleId": role, "role": { "description": "Refunds" } });
    cast.admin.call(Protocol::Grpc, "RoleService.UpdateRole", request).await.success();
    tokio::time::sleep(Duration::from_secs(1)).await;
    use_token([&here, &there], &next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_role_takes_effect_within_a_second() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let role = specialize(&cast, &[READ]).await;
    let mut pair = new_session(&here, &cast.agent).await;
    let every = [&[READ, REFUND][..], &[READ]];
    assert_within_a_second(&there, async |number| {
        use_token([&there, &here], &pair).await;
        let request = json!({ "roleId": role, "role": { "scopes": every[number % 2] } });
        cast.admin.rest("RoleService.UpdateRole", request).await.success();
        eventually("the other instance refuses the token", async || {
            caller(&there, &pair).rest("UserService.GetMe", json!({})).await.reason == "TOKEN_EXPIRED"
        })
        .await;
        pair = refresh(&here, &pair, 0).await.success();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_role_replaces_the_scopes_of_agents() {
    let (app, cast) = TestApp::start_with_cast().await;
    specialize(&cast, &[READ]).await;
    for protocol in PROTOCOLS {
        cast.agent.call(protocol, "TicketService.ListTickets", json!({})).await.success();
        let refused = cast.agent.call(protocol, "PostService.ListDrafts", json!({})).await;
        let message = refused.failure("PERMISSION_DENIED").body.to_string();
        assert!(protocol == Protocol::Grpc || message.contains("content.posts.read"), "{message}");
    }
    // The built-in role again.
    let assigned = set_role(&cast.admin, &cast.agent, "ROLE_AGENT", None).await.success();
    assert_eq!(assigned.data().get("staffRoleId"), None);
    let again = Actor::user(&app.endpoint, cast.agent.as_user().clone());
    again.rest("PostService.ListDrafts", json!({})).await.success();
    let wrong = set_role(&cast.admin, &cast.agent, "ROLE_ADMIN", Some(&role(&cast.admin, &[READ]).await)).await;
    wrong.failure("VALIDATION_FAILED");
}

/// The caller may change roles, but holds few scopes.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gives_and_takes_only_what_it_holds() {
    let app = TestApp::start().await;
    let (cast, others) = (app.cast().await, app.cast().await);
    let more = role(&cast.admin, &[READ, REFUND]).await;
    let managing = [
        READ,
        "identity.roles.manage",
        "identity.staff_roles.manage",
        "identity.service_keys.manage",
        "identity.users.manage",
    ];
    specialize(&cast, &managing).await;
    let lead = &cast.agent;
    let refused = |response: Response, scope: &str| {
        let text = response.failure("PERMISSION_DENIED").body.to_string();
        assert!(text.contains(scope), "{text}");
    };
    let call = async |method: &str, request: Value| lead.rest(method, request).await;
    refused(call("RoleService.CreateRole", role_draft(&[READ, REFUND])).await, REFUND);
    let own = role(lead, &[READ]).await;
    refused(call("RoleService.UpdateRole", json!({ "roleId": own, "role": { "scopes": [REFUND] } })).await, REFUND);
    refused(call("RoleService.UpdateRole", json!({ "roleId": more, "role": { "scopes": [READ] } })).await, REFUND);
    refused(call("RoleService.DeleteRole", json!({ "roleId": more })).await, REFUND);
    refused(
        call("ServiceKeyService.CreateServiceKey", json!({ "name": "Key", "scopes": [READ, REFUND] })).await,
        REFUND,
    );
    call("ServiceKeyService.CreateServiceKey", json!({ "name": "Key", "scopes": [READ] })).await.success();
    // Roles of users: given and taken.
    refused(set_role(lead, &others.customer, "ROLE_AGENT", Some(&more)).await, REFUND);
    refused(set_role(lead, &others.customer, "ROLE_AGENT", None).await, "scope");
    refused(set_role(lead, lead, "ROLE_ADMIN", None).await, "scope");
    refused(set_role(lead, &others.admin, "ROLE_CUSTOMER", None).await, "scope");
    set_role(lead, &others.customer, "ROLE_AGENT", Some(&own)).await.success();
    // Nor does a caller act on a user of the staff who holds more.
    let pair = new_session(&app, &others.admin).await;
    let admin = others.admin.as_user().id.to_string();
    for (method, request) in [
        ("UserService.DeactivateUser", json!({ "userId": admin, "reason": "Because" })),
        ("UserService.ReactivateUser", json!({ "userId": admin })),
        ("UserService.UpdateUser", json!({ "userId": admin, "user": { "name": "Another name" } })),
        ("UserService.DeleteUserAvatar", json!({ "userId": admin })),
        ("SessionService.RevokeUserSession", json!({ "userId": admin, "sessionId": pair.text("/data/sessionId") })),
        ("SessionService.RevokeAllUserSessions", json!({ "userId": admin })),
    ] {
        for protocol in PROTOCOLS {
            lead.call(protocol, method, request.clone()).await.failure("PERMISSION_DENIED");
        }
    }
    refresh(&app, &pair, 0).await.success();
    let customer = others.stranger.as_user().id.to_string();
    for (method, request) in [
        ("UserService.UpdateUser", json!({ "userId": customer, "user": { "name": "Another name" } })),
        ("SessionService.RevokeAllUserSessions", json!({ "userId": customer })),
        ("UserService.UpdateUser", json!({ "userId": lead.as_user().id.to_string(), "user": { "name": "Lead" } })),
    ] {
        call(method, request).await.success();
    }
    // An owner changes the roles of the account, and never those of the staff.
    let of_staff = json!({ "roleId": own, "role": { "name": "Mine" } });
    others.colleague.rest("RoleService.UpdateRole", of_staff).await.failure("NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_roles_holds_for_concurrent_requests() {
    let (app, cast) = TestApp::start_with_cast().await;
    let fill = format!(
        "INSERT INTO roles (id, account_id, name, description, scopes, created_at, updated_at)
         SELECT gen_random_uuid(), account, 'Role ' || n, '', '{{orders.read}}', now(), now()
         FROM generate_series(1, 48) AS n, (VALUES ('{}'::uuid), (NULL)) AS owners (account)",
        cast.customer.as_user().account
    );
    app.database.sql(&fill).await;
    for who in [&cast.customer, &cast.admin] {
        who.token().await;
        let created = (0..8).map(|number| {
            let who = who.clone();
            async move { who.call(PROTOCOLS[number % 2], "RoleService.CreateRole", role_draft(&[READ])).await }
        });
        let answers = futures_util::future::join_all(created).await;
        let good = answers.iter().filter(|answer| answer.reason.is_empty()).count();
        let full = answers.iter().filter(|answer| answer.reason == "ROLE_LIMIT_REACHED").count();
        assert_eq!((good, full), (2, 6));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_service_keys_keep_what_they_may_do() {
    let (app, cast) = TestApp::start_with_cast().await;
    let request = json!({ "name": "A key", "scopes": ["payments.write", READ, "support.tickets.write"] });
    let key = cast.admin.rest("ServiceKeyService.CreateServiceKey", request).await.success().id();
    app.database.sql(include_str!("../../../migrations/2026-11-26-000502_split_scopes/up.sql")).await;
    let request = json!({ "serviceKeyId": key });
    let read = cast.admin.rest("ServiceKeyService.GetServiceKey", request).await.success();
    let added = ["payments.payments.charge_any", REFUND, "support.tickets.export", "support.tickets.delete"];
    let expected: Vec<_> = ["payments.write", READ, "support.tickets.write"].into_iter().chain(added).collect();
    assert_eq!(read.data()["scopes"], json!(expected));
}

/// An open invitation is a use of a role; an expired one, which waits for its removal, is not.
#[tokio::test]
async fn an_expired_invitation_does_not_keep_a_role() {
    let (app, cast) = TestApp::start_with_cast().await;
    let role = role(&cast.customer, &[READ]).await;
    let request = json!({ "email": new_address(), "role": "MEMBER_ROLE_CUSTOM", "customRoleId": role });
    cast.customer.rest("InvitationService.CreateInvitation", request).await.success();
    let delete = async || cast.customer.rest("RoleService.DeleteRole", json!({ "roleId": role })).await;
    delete().await.failure("ROLE_IN_USE");
    app.app.clock.advance(chrono::TimeDelta::days(7));
    let again = Actor::user(&app.endpoint, cast.customer.as_user().clone());
    again.rest("RoleService.DeleteRole", json!({ "roleId": role })).await.success();
    assert_eq!(app.database.number("SELECT count(*) FROM invitations").await, 0);
}
