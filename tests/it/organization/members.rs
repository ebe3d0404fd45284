//! Members: what they reach, and what ends with a membership.

use serde_json::{Value, json};

use super::{create_token, grant, join, member, member_of, new_address};
use crate::{
    cases::{Scene, draft, role::role},
    session::{
        caller, keep_sessions, new_session, refresh, restore_sessions,
        revocation::{two_instances, use_token, wait_until_refused},
    },
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, actor::sign_in, database::connect, eventually},
};

const REMOVE: &str = "MemberService.RemoveMember";
const UPDATE: &str = "MemberService.UpdateMember";

/// Signs a user in to the account of another user.
async fn session_of(app: &TestApp, who: &Actor, account_of: &Actor) -> Response {
    let (user, account) = (who.as_user(), account_of.as_user().account.to_string());
    let request = json!({ "email": user.email, "password": user.password, "accountId": account });
    Actor::anonymous(&app.endpoint).rest("AuthService.Login", request).await.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_out_of_the_account_on_every_instance_and_stays_in_others() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let id = join(&here.database, &cast.stranger, &cast.customer, 3).await;
        let ended = session_of(&here, &cast.stranger, &cast.customer).await;
        let kept = session_of(&here, &cast.stranger, &cast.stranger).await;
        for pair in [&ended, &kept] {
            use_token([&here, &there], pair).await;
        }
        let tickets = caller(&there, &ended).call(protocol, "TicketService.CreateTicket", draft()).await.success();
        assert_eq!(tickets.text("/data/accountId"), cast.customer.as_user().account.to_string());

        cast.customer.call(protocol, REMOVE, member(&id)).await.success();
        caller(&here, &ended).call(protocol, "UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
        wait_until_refused(&there, &ended).await;
        refresh(&there, &ended, number).await.failure("SESSION_REVOKED");
        use_token([&here, &there], &kept).await;
        refresh(&there, &kept, number).await.success();
        // The ticket stays with the account.
        let ticket = json!({ "ticketId": tickets.id() });
        cast.colleague.call(protocol, "TicketService.GetTicket", ticket).await.success();
        // Another membership revives no session of the one before.
        join(&here.database, &cast.stranger, &cast.customer, 3).await;
        refresh(&here, &ended, number).await.failure("SESSION_REVOKED");
        let again = member_of_account(&here, &cast.stranger, &cast.customer).await;
        cast.customer.call(protocol, REMOVE, member(&again)).await.success();
    }
}

async fn member_of_account(app: &TestApp, who: &Actor, account_of: &Actor) -> String {
    let (user, account) = (who.as_user().id, account_of.as_user().account);
    let query = format!("SELECT id FROM members WHERE user_id = '{user}' AND account_id = '{account}'");
    app.database.sql(&query).await[0][0].clone().expect("an id")
}

/// Postgres forgets the end of the session: it failed over to a replica that had received the end of the membership only.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_store_with_other_data_revives_no_removed_member() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.colleague).await;
    keep_sessions(&app.database).await;
    let id = member_of(&app.database, &cast.colleague).await;
    cast.customer.rest(REMOVE, member(&id)).await.success();
    caller(&app, &pair).call(Protocol::Grpc, "UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
    restore_sessions(&app.database).await;
    refresh(&app, &pair, 0).await.failure("SESSION_REVOKED");
    // The person signs in without an account, and reaches the own profile only.
    let pair = new_session(&app, &cast.colleague).await;
    assert_eq!(pair.data().get("accountId").and_then(serde_json::Value::as_str), None);
    let alone = caller(&app, &pair);
    let me = alone.rest("UserService.GetMe", json!({})).await.success();
    assert_eq!(me.body["memberships"], json!([]));
    for (method, request) in [("TicketService.ListTickets", json!({})), ("TicketService.CreateTicket", draft())] {
        alone.rest(method, request).await.failure("PERMISSION_DENIED");
    }
    let named =
        json!({ "subject": "Printer", "body": "Text", "accountId": cast.customer.as_user().account.to_string() });
    alone.call(Protocol::Grpc, "TicketService.CreateTicket", named).await.failure("PERMISSION_DENIED");
    // A refresh takes the account that the person has created.
    let account = alone.rest("AccountService.CreateAccount", json!({ "name": "My own" })).await.success();
    let next = refresh(&app, &pair, 1).await.success();
    assert_eq!(next.text("/data/accountId"), account.id());
    caller(&app, &next).rest("TicketService.CreateTicket", draft()).await.success();
}

/// A client answers `TOKEN_EXPIRED` with a refresh, which yields a token in the present role.
#[tokio::test(flavor = "multi_thread")]
async fn another_role_outdates_the_tokens_and_keeps_the_session() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let id = member_of(&here.database, &cast.colleague).await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let pair = new_session(&here, &cast.colleague).await;
        use_token([&here, &there], &pair).await;
        let role = ["MEMBER_ROLE_VIEWER", "MEMBER_ROLE_BILLING", "MEMBER_ROLE_ADMIN"][number];
        let request = json!({ "memberId": id, "member": { "role": role } });
        let changed = cast.customer.call(protocol, UPDATE, request.clone()).await.success();
        assert_eq!(
            (changed.text("/data/role"), changed.text("/data/version")),
            (role.into(), (number + 2).to_string())
        );
        let same = cast.customer.call(protocol, UPDATE, request).await.success();
        assert_eq!(same.text("/data/version"), changed.text("/data/version"), "nothing changed");
        for app in [&here, &there] {
            eventually("the access token is outdated", async || {
                let answer = caller(app, &pair).call(protocol, "UserService.GetMe", json!({})).await;
                answer.reason == "TOKEN_EXPIRED"
            })
            .await;
        }
        let next = refresh(&there, &pair, number).await.success();
        use_token([&here, &there], &next).await;
        let me = caller(&here, &next).call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!(me.body["memberships"][0]["role"], role);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_lists_the_colleagues_only() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let list = cast.customer.call(protocol, "MemberService.ListMembers", json!({})).await.success();
        let mut emails: Vec<_> =
            list.data().as_array().expect("a list").iter().map(|member| member["email"].clone()).collect();
        emails.sort_by_key(ToString::to_string);
        let mut expected = [&cast.customer, &cast.colleague].map(|who| json!(who.as_user().email));
        expected.sort_by_key(ToString::to_string);
        assert_eq!(emails, expected);
        // Staff find the people of an account, and the accounts of a person.
        let of_account = json!({ "accountId": cast.customer.as_user().account.to_string() });
        let users = cast.agent.call(protocol, "UserService.ListUsers", of_account).await.success();
        assert_eq!(users.data().as_array().map(Vec::len), Some(2));
    }
}

/// The invitations of a member end with the membership, and those that exceed another role with the role.
#[tokio::test(flavor = "multi_thread")]
async fn the_invitations_of_a_member_end_with_the_right_to_invite() {
    let app = TestApp::start().await;
    for (change, expected) in [("demote", "INVALID_TOKEN"), ("remove", "INVALID_TOKEN"), ("promote", "")] {
        let scene = Scene::new(&app).await;
        let cast = &scene.cast;
        let email = new_address();
        let token = create_token(&scene, &email).await;
        let id = member_of(&app.database, &cast.customer).await;
        if change == "promote" {
            grant(&app.database, &cast.customer, 2).await;
        }
        let (method, request) = match change {
            "remove" => (REMOVE, member(&id)),
            "demote" => (UPDATE, json!({ "memberId": id, "member": { "role": "MEMBER_ROLE_MEMBER" } })),
            _ => (UPDATE, json!({ "memberId": id, "member": { "role": "MEMBER_ROLE_OWNER" } })),
        };
        cast.colleague.rest(method, request).await.success();
        let preview = cast.anonymous.rest("InvitationService.PreviewInvitation", json!({ "token": token }));
        assert_eq!(preview.await.reason, expected, "{change}");
    }
}

/// The authority of the inviter is decided at the acceptance, however it ended.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_ends_with_the_authority_of_its_inviter() {
    let app = TestApp::start().await;
    for change in [
        "UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left' WHERE id = ",
        "UPDATE members SET role = 3 WHERE user_id = ",
        "DELETE FROM members WHERE user_id = ",
    ] {
        let scene = Scene::new(&app).await;
        let token = create_token(&scene, &scene.cast.stranger.as_user().email).await;
        scene.cast.stranger.rest("UserService.GetMe", json!({})).await.success();
        app.database.sql(&format!("{change} '{}'", scene.cast.customer.as_user().id)).await;
        let accept = json!({ "token": token });
        for method in ["InvitationService.AcceptInvitation", "InvitationService.PreviewInvitation"] {
            scene.cast.stranger.call(Protocol::Grpc, method, accept.clone()).await.failure("INVALID_TOKEN");
        }
    }
}

/// A deactivated person has no access to any account, and the memberships stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_member_is_out_and_remains_a_member() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = new_session(&app, &cast.colleague).await;
    let request = json!({ "userId": cast.colleague.as_user().id.to_string(), "reason": "Left the company" });
    cast.admin.rest("UserService.DeactivateUser", request).await.success();
    caller(&app, &pair).call(Protocol::Grpc, "TicketService.ListTickets", json!({})).await.failure("SESSION_REVOKED");
    sign_in(&app.endpoint, cast.colleague.as_user()).await.failure("USER_DEACTIVATED");
    let id = member_of(&app.database, &cast.colleague).await;
    cast.customer.rest("MemberService.GetMember", member(&id)).await.success();
    // A deactivated owner does not count.
    let own = member_of(&app.database, &cast.customer).await;
    cast.customer.rest("MemberService.LeaveAccount", member(&own)).await.failure("LAST_OWNER");
}

/// A custom role is of one account, grants its scopes to its members, and is not deleted while a member has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_the_scopes_of_a_custom_role_of_the_account() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let custom = role(&cast.customer, &["support.tickets.read"]).await;
    let id = member_of(&here.database, &cast.colleague).await;
    let assign =
        |role: &str| json!({ "memberId": id, "member": { "role": "MEMBER_ROLE_CUSTOM", "customRoleId": role } });
    let foreign = role(&cast.stranger, &["support.tickets.read"]).await;
    cast.customer.rest(UPDATE, assign(&foreign)).await.failure("NOT_FOUND");
    let changed = cast.customer.call(Protocol::Grpc, UPDATE, assign(&custom)).await.success();
    assert_eq!(changed.text("/data/customRoleId"), custom);
    let pair = new_session(&here, &cast.colleague).await;
    for app in [&here, &there] {
        let who = caller(app, &pair);
        who.rest("TicketService.ListTickets", json!({})).await.success();
        who.call(Protocol::Grpc, "TicketService.CreateTicket", draft()).await.failure("PERMISSION_DENIED");
        let invite = json!({ "email": new_address(), "role": "MEMBER_ROLE_VIEWER" });
        who.rest("InvitationService.CreateInvitation", invite).await.failure("PERMISSION_DENIED");
    }
    let delete = json!({ "roleId": custom });
    cast.customer.rest("RoleService.DeleteRole", delete).await.failure("ROLE_IN_USE");
    let more = json!({ "roleId": custom, "role": { "scopes": ["support.tickets.read", "support.tickets.write"] } });
    cast.customer.rest("RoleService.UpdateRole", more).await.success();
    eventually("the token is outdated", async || {
        caller(&there, &pair).rest("UserService.GetMe", json!({})).await.reason == "TOKEN_EXPIRED"
    })
    .await;
    let next = refresh(&there, &pair, 0).await.success();
    caller(&here, &next).call(Protocol::Grpc, "TicketService.CreateTicket", draft()).await.success();
}

/// A session that leaves the account in time continues in the other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_spares_a_session_that_is_switched_meanwhile() {
    let (app, cast) = TestApp::start_with_cast().await;
    let own = cast.stranger.as_user().account.to_string();
    for round in 0..20 {
        let id = join(&app.database, &cast.stranger, &cast.customer, 3).await;
        let pair = session_of(&app, &cast.stranger, &cast.customer).await;
        let request = json!({ "refreshToken": pair.text("/data/refreshToken"), "accountId": own });
        let switch = cast.anonymous.call(Protocol::Grpc, "AuthService.SwitchAccount", request);
        let (switched, removed) = tokio::join!(switch, cast.customer.call(Protocol::Grpc, REMOVE, member(&id)));
        removed.success();
        if switched.reason.is_empty() {
            refresh(&app, &switched, round).await.success();
        } else {
            switched.failure("SESSION_REVOKED");
        }
    }
}

/// An admin's request waits while the admin is deactivated: it acts before that, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_runs_during_the_deactivation_of_its_user_is_refused() {
    let (app, scene) = Scene::start().await;
    let (cast, account) = (&scene.cast, scene.account());
    cast.colleague.call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
    let outside = connect(&app.database.url).await;
    let lock = format!("BEGIN; SELECT id FROM accounts WHERE id = '{account}' FOR UPDATE");
    outside.batch_execute(&lock).await.expect("the lock");
    let who = cast.colleague.clone();
    let invite = tokio::spawn(async move {
        let invite = json!({ "email": "friend@example.com", "role": "MEMBER_ROLE_VIEWER" });
        who.call(Protocol::Grpc, "InvitationService.CreateInvitation", invite).await
    });
    app.database.locks_waited_for(1).await;
    let deactivate = json!({ "userId": cast.colleague.as_user().id.to_string(), "reason": "Left the company" });
    cast.admin.call(Protocol::Grpc, "UserService.DeactivateUser", deactivate).await.success();
    outside.batch_execute("COMMIT").await.expect("the lock goes");
    invite.await.expect("no panic").failure("SESSION_REVOKED");
    assert_eq!(app.database.number("SELECT count(*) FROM invitations").await, 0);
}

/// An admin's request waits while an owner removes the admin: it acts before the removal, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_runs_during_the_removal_of_its_member_is_refused() {
    let (app, scene) = Scene::start().await;
    let (cast, account) = (&scene.cast, scene.account());
    grant(&app.database, &cast.colleague, 2).await;
    let id = member_of(&app.database, &cast.colleague).await;
    for who in [&cast.customer, &cast.colleague] {
        who.call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
    }
    let outside = connect(&app.database.url).await;
    let lock = format!("BEGIN; SELECT id FROM accounts WHERE id = '{account}' FOR UPDATE");
    outside.batch_execute(&lock).await.expect("the lock");
    let call = |who: &Actor, method: &'static str, request: Value| {
        let who = who.clone();
        tokio::spawn(async move { who.call(Protocol::Grpc, method, request).await })
    };
    // Postgres grants the lock in this order.
    let remove = call(&cast.customer, "MemberService.RemoveMember", member(&id));
    app.database.locks_waited_for(1).await;
    let invite = json!({ "email": "friend@example.com", "role": "MEMBER_ROLE_VIEWER" });
    let invite = call(&cast.colleague, "InvitationService.CreateInvitation", invite);
    app.database.locks_waited_for(2).await;
    outside.batch_execute("COMMIT").await.expect("the lock goes");
    remove.await.expect("no panic").success();
    invite.await.expect("no panic").failure("SESSION_REVOKED");
    assert_eq!(app.database.number("SELECT count(*) FROM invitations").await, 0);
}
