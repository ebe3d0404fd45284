//! Deletions are scheduled, told by mail and canceled, and an account never loses its last owner.

use std::sync::Arc;

use mainstay_kernel::contract::policy::Role;
use serde_json::json;

use super::{CANCEL, CREATE, hurry, of_account, of_user, request, state, wait_until_done};
use crate::{
    cases::{create_token, grant, join, member_of},
    support::{
        Actor, PROTOCOLS, Protocol, TestApp, TestDatabase,
        database::connect,
        eventually,
        mail::{MailProvider, token},
        people::{self, PASSWORD},
        unique,
    },
};

/// The person is told by mail, is signed out, and cancels from the mail, at the method or on the page.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_scheduled_and_canceled_with_the_token_of_its_mail() {
    let provider = MailProvider::start().await;
    let (app, cast) = TestApp::builder().with_jobs().set_all(provider.variables()).start_with_cast().await;
    for (number, (who, protocol)) in
        [&cast.customer, &cast.stranger, &cast.agent].into_iter().zip(PROTOCOLS).enumerate()
    {
        let user = who.as_user();
        let wrong = json!({ "userId": user.id.to_string(), "currentPassword": "not this one" });
        who.call(protocol, CREATE, wrong).await.failure("WRONG_PASSWORD");
        let without = json!({ "userId": user.id.to_string() });
        who.call(protocol, CREATE, without).await.failure("VALIDATION_FAILED");
        let id = who.call(protocol, CREATE, of_user(who)).await.success().id();
        who.call(protocol, "UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
        let again = Actor::user(&app.endpoint, user.clone());
        let me = again.call(protocol, "UserService.GetMe", json!({})).await.success();
        assert!(!me.text("/data/deletionTime").is_empty(), "{me:?}");
        let mail = provider.wait_for(number + 1).await.pop().expect("a mail");
        assert_eq!(mail["to"], json!([user.email]));
        let token = token(&mail);
        assert!(token.starts_with("mcd_"), "{token}");
        if number == 0 {
            let page = crate::mail::pages::get(&app, &format!("/cancel-deletion?token={token}")).await;
            assert!(page.status == 200 && page.html.contains("Löschung abbrechen"), "{}", page.html);
            assert_eq!(state(&app.database, &id).await, 1, "a GET changes nothing");
            let foreign = crate::mail::pages::post(&app, "/cancel-deletion", &[("token", &token)], "cross-site").await;
            assert_eq!((foreign.status, state(&app.database, &id).await), (403, 1));
            let done = crate::mail::pages::post(&app, "/cancel-deletion", &[("token", &token)], "same-origin").await;
            assert!(done.status == 200 && done.html.contains("The deletion is canceled"), "{}", done.html);
        } else {
            let cancel = json!({ "token": token });
            cast.anonymous.call(protocol, "DeletionService.CancelDeletionByToken", cancel).await.success();
        }
        assert_eq!(state(&app.database, &id).await, 4);
        let me = again.call(protocol, "UserService.GetMe", json!({})).await.success();
        assert!(me.data()["deletionTime"].is_null(), "{me:?}");
        let entries = format!("SELECT count(*) FROM audit_entries WHERE resource_id IN ('{id}', '{}')", user.id);
        assert!(app.database.number(&entries).await >= 2);
        hurry(&app.database).await;
    }
    assert_eq!(app.database.number("SELECT count(*) FROM jobs WHERE kind = 'erase_data'").await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM users WHERE name = 'Deleted user'").await, 0);
}

/// An account without another member goes and returns with its owner; one with members is handed over first.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_leaves_no_account_behind() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.stranger.as_user().account;
    let scheduled = format!("SELECT count(*) FROM accounts WHERE id = '{account}' AND deletion_at IS NOT NULL");
    let id = request(&cast.stranger, of_user(&cast.stranger)).await;
    assert_eq!(app.database.number(&scheduled).await, 1, "the account is scheduled with its only member");
    let stranger = Actor::user(&app.endpoint, cast.stranger.as_user().clone());
    let of_the_account = json!({ "accountId": account.to_string(), "state": "DELETION_STATE_SCHEDULED" });
    let listed = stranger.rest("DeletionService.ListDeletions", of_the_account).await.success();
    let own = json!({ "deletionId": listed.text("/data/0/id") });
    stranger.rest(CANCEL, own).await.failure("LAST_OWNER");
    stranger.rest("AccountService.CreateAccount", json!({ "name": "New" })).await.failure("DELETION_SCHEDULED");
    stranger.rest(CANCEL, json!({ "deletionId": id })).await.success();
    stranger.rest(CANCEL, json!({ "deletionId": id })).await.success();
    assert_eq!(app.database.number(&scheduled).await, 0, "both are canceled");

    let member = join(&app.database, &cast.customer, &stranger, 3).await;
    stranger.rest(CREATE, of_user(&stranger)).await.failure("SOLE_OWNER");
    let transfer = json!({ "accountId": account.to_string(), "memberId": member });
    stranger.rest("AccountService.TransferOwnership", transfer).await.success();
    let stranger = Actor::user(&app.endpoint, cast.stranger.as_user().clone());
    request(&stranger, of_user(&stranger)).await;
    assert_eq!(app.database.number(&scheduled).await, 0);
    let back = json!({ "memberId": member_of(&app.database, &cast.stranger).await, "accountId": account.to_string() });
    let new_owner = Actor::user(&app.endpoint, people::User { account, ..cast.customer.as_user().clone() });
    let tokens = json!({
        "email": new_owner.as_user().email, "password": PASSWORD, "accountId": account.to_string(),
    });
    let tokens = cast.anonymous.rest("AuthService.Login", tokens).await.success();
    let new_owner = Actor::bearer(&app.endpoint, tokens.text("/data/accessToken"));
    new_owner.rest("AccountService.TransferOwnership", back).await.failure("VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_scheduled_takes_no_members_and_the_last_admin_stays() {
    let app = TestApp::start().await;
    let scene = crate::cases::Scene::new(&app).await;
    let cast = &scene.cast;
    let token = create_token(&scene, &cast.stranger.as_user().email).await;
    let id = request(&cast.customer, of_account(&cast.customer)).await;
    let accept = json!({ "token": token });
    cast.stranger.rest("InvitationService.AcceptInvitation", accept.clone()).await.failure("DELETION_SCHEDULED");
    // The other owner cancels it.
    cast.colleague.rest(CANCEL, json!({ "deletionId": id })).await.success();
    cast.stranger.rest("InvitationService.AcceptInvitation", accept).await.success();
    let admins = people::users(&app.database, &[(Role::Admin, None)]).await;
    let other = Actor::user(&app.endpoint, admins.into_iter().next().expect("one"));
    request(&other, of_user(&cast.admin)).await;
    other.rest(CREATE, of_user(&other)).await.failure("LAST_ADMIN");
}

/// The account of a user who is its only member is billed: its erasure waits, and so does that of the user, without whom the
/// account would be billed for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_account_is_billed_is_postponed() {
    let app = TestApp::builder().with_jobs().start().await;
    let scene = crate::cases::Scene::new(&app).await;
    let (stranger, database) = (&scene.cast.stranger, &app.database);
    let user = stranger.as_user();
    let id = request(stranger, of_user(stranger)).await;
    // In the period of grace.
    let again = Actor::user(&app.endpoint, user.clone());
    let product = crate::cases::order::create_recurring_product(&scene, "BILLING_INTERVAL_MONTH").await;
    let subscribe = json!({ "productId": product, "paymentMethod": "pm_card_visa" });
    again.keyed(Protocol::Rest, "SubscriptionService.CreateSubscription", subscribe, &unique()).await.success();
    hurry(database).await;
    let postponed = format!(
        "SELECT count(*) FROM deletions WHERE state = 1 AND erase_at > now() + interval '23 hours'
         AND (user_id = '{}' OR account_id = '{}')",
        user.id, user.account
    );
    eventually("both are postponed by a day", async || database.number(&postponed).await == 2).await;
    let same_time = format!(
        "SELECT count(*) FROM users JOIN deletions ON user_id = users.id WHERE users.id = '{}' AND deletion_at = erase_at",
        user.id
    );
    assert_eq!(database.number(&same_time).await, 1, "the time that the user sees is postponed, too");
    let members = format!("SELECT count(*) FROM members WHERE user_id = '{}'", user.id);
    assert_eq!((database.number(&members).await, state(database, &id).await), (1, 1));
    again.rest("UserService.GetMe", json!({})).await.success();
    again.rest(CANCEL, json!({ "deletionId": id })).await.success();
}

/// A job that failed too often is given up, and forgotten after a month.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_erasure_without_a_job_is_queued_again() {
    let (app, cast) = TestApp::start_with_cast().await;
    let late = request(&cast.customer, of_user(&cast.customer)).await;
    let begun = request(&cast.agent, of_user(&cast.agent)).await;
    let dead = request(&cast.stranger, of_user(&cast.stranger)).await;
    let another = app.cast().await;
    let soon = request(&another.customer, of_user(&another.customer)).await;
    assert_eq!(app.run_task("resume_erasures").await.expect("a run"), 0, "none is late");
    let sql = format!(
        "UPDATE deletions SET erase_at = now() - interval '2 hours' WHERE id IN ('{late}', '{begun}', '{dead}');
         UPDATE deletions SET erase_at = now() - interval '1 minute' WHERE id = '{soon}';
         UPDATE deletions SET state = 2 WHERE id = '{begun}';
         DELETE FROM jobs WHERE kind = 'erase_data' AND key NOT LIKE '%{dead}';
         UPDATE jobs SET dead_at = now(), lease = NULL WHERE key LIKE 'erase_data:{dead}'"
    );
    app.database.sql(&sql).await;
    let waiting = async |id: &str| {
        let sql = format!("SELECT count(*) FROM jobs WHERE key = 'erase_data:{id}' AND dead_at IS NULL");
        app.database.number(&sql).await
    };
    assert_eq!(app.run_task("resume_erasures").await.expect("a run"), 3);
    for (id, expected) in [(&late, 1), (&begun, 1), (&dead, 1), (&soon, 0)] {
        assert_eq!(waiting(id).await, expected, "{id}");
    }
    assert_eq!(app.run_task("resume_erasures").await.expect("a run"), 0, "their jobs wait");
}

/// The staff names an account, and the access of its members has ended.
#[tokio::test(flavor = "multi_thread")]
async fn no_one_stores_data_in_an_account_that_is_erased() {
    let app = TestApp::start().await;
    let scene = crate::cases::Scene::new(&app).await;
    let (agent, account) = (&scene.cast.agent, scene.account());
    let product = crate::cases::order::product(&scene, 100, "EUR").await;
    let monthly = crate::cases::order::create_recurring_product(&scene, "BILLING_INTERVAL_MONTH").await;
    let ticket = json!({ "accountId": account, "subject": "Smoke", "body": "It burns." });
    let file = crate::cases::file::body("text/plain", "a text");
    let csv = crate::cases::file::body("text/csv", "subject,body\nOne,Text\n");
    let requests = [
        ("TicketService.CreateTicket", ticket.clone()),
        ("TicketService.BatchCreateTickets", json!({ "tickets": [ticket] })),
        ("TicketService.ImportTickets", json!({ "accountId": account, "file": csv })),
        ("FileService.UploadFile", json!({ "accountId": account, "name": "a.txt", "file": file })),
        (
            "OrderService.CreateOrder",
            json!({ "accountId": account, "items": [{ "productId": product, "quantity": 1 }] }),
        ),
        (
            "SubscriptionService.CreateSubscription",
            json!({ "accountId": account, "productId": monthly, "paymentMethod": "pm_card_visa" }),
        ),
    ];
    let at = async |time: &str| {
        let sql = format!("UPDATE accounts SET deletion_at = {time} WHERE id = '{account}'");
        app.database.sql(&sql).await;
    };
    for (time, refusal) in [("now() - interval '1 s'", Some("DELETION_BEGUN")), ("now() + interval '1 day'", None)] {
        at(time).await;
        for (method, request) in &requests {
            let response = agent.keyed(Protocol::Rest, method, request.clone(), &unique()).await;
            match refusal {
                Some(reason) => drop(response.failure(reason)),
                None => drop(response.success()),
            }
        }
    }
    at("now() - interval '1 s'").await;
    let admin = &scene.cast.admin;
    let name = json!({ "accountId": account, "account": { "name": "A name" } });
    admin.rest("AccountService.UpdateAccount", name).await.failure("DELETION_BEGUN");
    let mut role = crate::cases::role::role_draft(&["support.tickets.read"]);
    role["accountId"] = account.clone().into();
    admin.rest("RoleService.CreateRole", role).await.failure("DELETION_BEGUN");
    let key = json!({ "accountId": account, "name": "A key", "scopes": ["support.tickets.read"] });
    admin.rest("ServiceKeyService.CreateServiceKey", key).await.failure("DELETION_SCHEDULED");
    let user = scene.cast.colleague.as_user().id;
    app.database.sql(&format!("UPDATE users SET deletion_at = now() - interval '1 s' WHERE id = '{user}'")).await;
    let name = json!({ "userId": user.to_string(), "user": { "name": "A name" } });
    admin.rest("UserService.UpdateUser", name).await.failure("DELETION_BEGUN");
    at("now() + interval '1 day'").await;
    let invite = json!({ "accountId": account, "email": "new@example.com", "role": "MEMBER_ROLE_MEMBER" });
    scene.cast.customer.rest("InvitationService.CreateInvitation", invite).await.failure("DELETION_SCHEDULED");
}

async fn two_apps() -> (TestApp, TestApp) {
    let database = Arc::new(TestDatabase::new().await);
    (TestApp::builder().on(&database).start().await, TestApp::builder().on(&database).start().await)
}

/// An owner transfers the ownership while the new owner is deleted, and while the owner is deleted: an account with members
/// keeps an owner who stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_at_once_with_a_deletion_leaves_an_owner() {
    let (here, there) = two_apps().await;
    for of_new_owner in [true, false] {
        let cast = here.cast().await;
        let account = cast.customer.as_user().account.to_string();
        grant(&here.database, &cast.colleague, 2).await;
        let member = member_of(&here.database, &cast.colleague).await;
        let leaver = if of_new_owner { cast.colleague.at(&there.endpoint) } else { cast.customer.at(&there.endpoint) };
        leaver.token().await;
        cast.customer.token().await;
        let outside = connect(&here.database.url).await;
        let users = format!("BEGIN; SELECT id FROM users WHERE id = '{}' FOR UPDATE", leaver.as_user().id);
        outside.batch_execute(&users).await.expect("the lock");
        let transfer = json!({ "accountId": account, "memberId": member });
        let (owner, deletion) = (cast.customer.clone(), of_user(&leaver));
        let first = tokio::spawn(async move {
            owner.call(Protocol::Grpc, "AccountService.TransferOwnership", transfer).await.reason
        });
        let second = tokio::spawn(async move { leaver.rest(CREATE, deletion).await.reason });
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        outside.batch_execute("COMMIT").await.expect("the lock goes");
        let reasons = [first.await.expect("no panic"), second.await.expect("no panic")];
        let staying = format!(
            "SELECT count(*) FROM members JOIN users ON users.id = user_id
             WHERE account_id = '{account}' AND members.role = 1 AND deletion_at IS NULL"
        );
        assert!(here.database.number(&staying).await >= 1, "{of_new_owner}: {reasons:?}");
        assert!(reasons.iter().any(String::is_empty), "{of_new_owner}: {reasons:?}");
        let known = [
            "",
            "SOLE_OWNER",
            "CONFLICT",
            "VALIDATION_FAILED",
            "SESSION_REVOKED",
            "TOKEN_EXPIRED",
            "PERMISSION_DENIED",
        ];
        assert!(reasons.iter().all(|reason| known.contains(&reason.as_str())), "{of_new_owner}: {reasons:?}");
    }
}

/// The job and the cancellation meet at the lock on the user: either nothing is erased, or everything is.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_at_once_with_the_job_is_all_or_nothing() {
    let app = TestApp::builder().with_jobs().start().await;
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let cast = app.cast().await;
        let user = cast.customer.as_user().clone();
        let id = request(&cast.customer, of_user(&cast.customer)).await;
        let again = Actor::user(&app.endpoint, user.clone());
        again.token().await;
        let outside = connect(&app.database.url).await;
        let lock = format!("BEGIN; SELECT id FROM users WHERE id = '{}' FOR UPDATE", user.id);
        outside.batch_execute(&lock).await.expect("the lock");
        hurry(&app.database).await;
        let cancel = json!({ "deletionId": id });
        let call = tokio::spawn(async move { again.rest(CANCEL, cancel).await.reason });
        app.database.locks_waited_for(2).await;
        outside.batch_execute("COMMIT").await.expect("the lock goes");
        let reason = call.await.expect("no panic");
        let sign_in = json!({ "email": user.email, "password": PASSWORD });
        match reason.as_str() {
            "" => {
                assert_eq!(state(&app.database, &id).await, 4);
                cast.anonymous.rest("AuthService.Login", sign_in).await.success();
            }
            // The begun job has ended the session.
            "DELETION_BEGUN" | "SESSION_REVOKED" => {
                wait_until_done(&app.database, &id).await;
                cast.anonymous.rest("AuthService.Login", sign_in).await.failure("INVALID_CREDENTIALS");
            }
            other => panic!("{other}"),
        }
        outcomes.push(reason);
    }
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
}
