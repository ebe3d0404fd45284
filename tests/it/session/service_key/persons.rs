//! Personal access tokens: never more than the member has, and no longer than the membership.

use serde_json::{Value, json};

use super::{CREATE, LIST, PERSON, again, draft, key_of, wait_until};
use crate::{
    cases::{grant, member_of},
    session::revocation::two_instances,
    support::{Actor, PROTOCOLS, TestApp, database::connect, eventually},
};

const WRITE: &str = "TicketService.CreateTicket";

fn personal(scopes: &[&str]) -> Value {
    let mut request = draft(scopes);
    request["kind"] = PERSON.into();
    request
}

/// A token of a user with the scopes to read and to write tickets.
async fn token(who: &Actor) -> Actor {
    key_of(who, personal(&["support.tickets.read", "support.tickets.write"])).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_acts_as_the_member() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let token = token(&cast.customer).await;
    let user = cast.customer.as_user();
    for protocol in PROTOCOLS {
        let ticket = token.call(protocol, WRITE, crate::cases::draft()).await.success();
        assert_eq!(ticket.text("/data/requesterId"), user.id.to_string());
        assert_eq!(ticket.text("/data/accountId"), user.account.to_string());
        let me = token.call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!(me.id(), user.id.to_string());
        // It has fewer scopes than the owner.
        token.call(protocol, "OrderService.ListOrders", json!({})).await.failure("PERMISSION_DENIED");
        // It reads nothing about credentials.
        for list in [
            "ServiceKeyService.ListServiceKeys",
            "LinkedIdentityService.ListLinkedIdentities",
            "PasskeyService.ListPasskeys",
            "PasskeyService.EnrollPasskey",
            "SecondFactorService.ListRememberedDevices",
            "AuthService.BeginPasskeyReauthentication",
        ] {
            token.call(protocol, list, json!({})).await.failure("PERMISSION_DENIED");
        }
        // It neither proves who the user is, nor creates another token.
        let proof = json!({ "currentPassword": user.password });
        token.call(protocol, "AuthService.Reauthenticate", proof).await.failure("PERMISSION_DENIED");
        token.call(protocol, CREATE, personal(&["support.tickets.read"])).await.failure("PERMISSION_DENIED");
    }
}

/// The policy of an account is changed with a recent sign-in, which the creation of the token is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_does_not_count_as_a_recent_sign_in() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (_, token) = key_of(&cast.customer, personal(&["identity.account.manage"])).await;
    let update =
        |account: Value| json!({ "accountId": cast.customer.as_user().account.to_string(), "account": account });
    for protocol in PROTOCOLS {
        let policy = update(json!({ "requireSecondFactor": true }));
        token.call(protocol, "AccountService.UpdateAccount", policy).await.failure("PERMISSION_DENIED");
        let rename = update(json!({ "name": "Analytical Engines" }));
        token.call(protocol, "AccountService.UpdateAccount", rename).await.success();
    }
}

/// Staff is staff by its sessions: a token of an admin is one of a member.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_staff_reaches_only_the_account_of_the_membership() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let ticket = json!({ "ticketId": crate::cases::ticket(&cast.customer).await });
    cast.admin.rest("TicketService.GetTicket", ticket.clone()).await.success();
    let token = token(&cast.admin).await;
    token.rest("TicketService.GetTicket", ticket).await.failure("NOT_FOUND");
    token.rest("UserService.ListUsers", json!({})).await.failure("PERMISSION_DENIED");
    let refused = cast.admin.rest(CREATE, personal(&["payments.refunds.create"])).await;
    refused.failure("VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_no_more_than_the_role_has_at_the_time() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let mine = token(&cast.colleague).await;
    let elsewhere = mine.at(&there.endpoint);
    for who in [&mine, &elsewhere] {
        who.rest(WRITE, crate::cases::draft()).await.success();
    }
    let member = member_of(&here.database, &cast.colleague).await;
    let change = json!({ "memberId": member, "member": { "role": "MEMBER_ROLE_VIEWER" } });
    cast.customer.rest("MemberService.UpdateMember", change).await.success();
    for who in [&mine, &elsewhere] {
        eventually("the token only reads", async || {
            who.rest(WRITE, crate::cases::draft()).await.reason == "PERMISSION_DENIED"
        })
        .await;
        who.rest(LIST, json!({})).await.success();
    }
    // A viewer creates a token that reads, and no token that writes.
    let viewer = again(&cast.colleague);
    viewer.rest(CREATE, personal(&["support.tickets.read"])).await.success();
    viewer.rest(CREATE, personal(&["support.tickets.write"])).await.failure("PERMISSION_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_the_membership_on_every_instance() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let mine = token(&cast.colleague).await;
    let elsewhere = mine.at(&there.endpoint);
    for who in [&mine, &elsewhere] {
        who.rest(LIST, json!({})).await.success();
    }
    let member = json!({ "memberId": member_of(&here.database, &cast.colleague).await });
    cast.customer.rest("MemberService.RemoveMember", member).await.success();
    // By the clock of the apps no time has passed: the feed of revocations has ended the cached use.
    for who in [&mine, &elsewhere] {
        wait_until(who, "INVALID_TOKEN").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_a_deactivation_and_is_not_revived() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let mine = token(&cast.colleague).await;
    let elsewhere = mine.at(&there.endpoint);
    for who in [&mine, &elsewhere] {
        who.rest(LIST, json!({})).await.success();
    }
    let user = cast.colleague.as_user().id.to_string();
    let request = json!({ "userId": user, "reason": "Left" });
    cast.admin.rest("UserService.DeactivateUser", request).await.success();
    for who in [&mine, &elsewhere] {
        wait_until(who, "INVALID_TOKEN").await;
    }
    cast.admin.rest("UserService.ReactivateUser", json!({ "userId": user })).await.success();
    elsewhere.rest(LIST, json!({})).await.failure("INVALID_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_rests_while_the_deletion_of_its_user_is_scheduled() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let token = token(&cast.colleague).await;
    token.rest(LIST, json!({})).await.success();
    let user = cast.colleague.as_user();
    let request = json!({ "userId": user.id.to_string(), "currentPassword": user.password });
    let deletion = cast.colleague.rest("DeletionService.CreateDeletion", request).await.success();
    wait_until(&token, "SESSION_REVOKED").await;
    let cancel = json!({ "deletionId": deletion.id() });
    again(&cast.colleague).rest("DeletionService.CancelDeletion", cancel).await.success();
    eventually("the token is accepted", async || token.rest(LIST, json!({})).await.reason.is_empty()).await;
}

/// The policy of an account is that of sessions: without the factor, the token has no scope.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_needs_the_second_factor_that_the_account_requires() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = token(&cast.colleague).await;
    let account = cast.colleague.as_user().account;
    app.database.sql(&format!("UPDATE accounts SET requires_second_factor = true WHERE id = '{account}'")).await;
    token.rest(LIST, json!({})).await.failure("SECOND_FACTOR_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_the_own_tokens_and_a_manager_those_of_the_account() {
    let (app, cast) = TestApp::start_with_cast().await;
    grant(&app.database, &cast.colleague, 3).await;
    let (of_owner, _) = key_of(&cast.customer, personal(&["support.tickets.read"])).await;
    let (of_member, _) = key_of(&cast.colleague, personal(&["support.tickets.read"])).await;
    let (of_account, _) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    key_of(&cast.stranger, draft(&["support.tickets.read"])).await;
    for protocol in PROTOCOLS {
        let ids = async |who: &Actor, request: Value| -> Vec<String> {
            let list = who.call(protocol, "ServiceKeyService.ListServiceKeys", request).await.success();
            let keys = list.data().as_array().expect("a list").iter();
            keys.map(|key| key["id"].as_str().expect("an id").to_owned()).collect()
        };
        assert_eq!(ids(&cast.colleague, json!({})).await, std::slice::from_ref(&of_member));
        let all = [of_account.clone(), of_member.clone(), of_owner.clone()];
        assert_eq!(ids(&cast.customer, json!({})).await, all);
        let account = json!({ "accountId": cast.customer.as_user().account.to_string() });
        assert_eq!(ids(&cast.admin, account.clone()).await, all);
        assert!(ids(&cast.stranger, account).await.is_empty());
        let creator = json!({ "createdBy": cast.customer.as_user().id.to_string() });
        assert_eq!(ids(&cast.customer, creator).await, [of_account.clone(), of_owner.clone()]);
    }
}

/// The deactivation revokes the tokens of its snapshot, and commits while the creation waits for the user's row.
#[tokio::test(flavor = "multi_thread")]
async fn a_deactivation_at_once_leaves_no_token() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user().id;
    cast.customer.token().await;
    let outside = connect(&app.database.url).await;
    let deactivate =
        format!("BEGIN; UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left' WHERE id = '{user}'");
    outside.batch_execute(&deactivate).await.expect("the lock");
    let customer = cast.customer.clone();
    let create = tokio::spawn(async move { customer.rest(CREATE, personal(&["support.tickets.read"])).await.reason });
    app.database.locks_waited_for(1).await;
    outside.batch_execute("COMMIT").await.expect("the lock goes");
    assert_eq!(create.await.expect("no panic"), "SESSION_REVOKED");
    let tokens = format!("SELECT count(*) FROM service_keys WHERE user_id = '{user}'");
    assert_eq!(app.database.number(&tokens).await, 0);
}
