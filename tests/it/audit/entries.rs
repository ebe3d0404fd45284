//! The values of entries, who sees them, and the erasure of personal ones.

use mainstay_kernel::id::UserId;
use serde_json::{Value, json};

use super::{LIST, about, change};
use crate::{
    cases::{Scene, draft, member_of, post::post, ticket},
    support::{PROTOCOLS, Protocol, TestApp, unique},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_has_the_changed_fields_before_and_after() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let id = ticket(&cast.customer).await;
        let request =
            json!({ "ticketId": id, "ticket": { "subject": "Another subject", "priority": "TICKET_PRIORITY_URGENT" } });
        cast.agent.call(protocol, "TicketService.UpdateTicket", request.clone()).await.success();
        // It changes nothing any more.
        cast.agent.call(protocol, "TicketService.UpdateTicket", request).await.success();
        cast.admin.call(protocol, "TicketService.DeleteTicket", json!({ "ticketId": id })).await.success();

        let entries = about(&cast.admin, &id).await;
        let methods: Vec<_> = entries.iter().map(|entry| entry["method"].as_str().expect("a name")).collect();
        assert_eq!(methods, ["TicketService.DeleteTicket", "TicketService.UpdateTicket", "TicketService.CreateTicket"]);
        let [deleted, updated, created] = entries.as_slice() else { panic!("{entries:#?}") };
        for entry in &entries {
            assert_eq!(entry["resourceKind"], "support.ticket");
            assert_eq!(entry["accountId"], cast.customer.as_user().account.to_string());
            assert_eq!(entry["outcome"], "AUDIT_OUTCOME_DONE");
        }
        assert_eq!(updated["actorKind"], "ACTOR_KIND_STAFF");
        assert_eq!(updated["actorId"], cast.agent.as_user().id.to_string());
        assert!(updated["clientAddress"].is_string(), "{updated:#}");
        let names: Vec<_> = updated["changes"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["subject", "priority"]);
        let priority = change(updated, "priority");
        assert_eq!(priority["before"], json!("\"TICKET_PRIORITY_MEDIUM\""), "{updated:#}");
        assert_eq!(priority["after"], json!("\"TICKET_PRIORITY_URGENT\""));
        assert_eq!(change(updated, "subject")["after"], json!("\"Another subject\""));
        assert_eq!(created["actorKind"], "ACTOR_KIND_USER");
        assert_eq!(change(created, "priority")["before"], Value::Null);
        assert_eq!(change(deleted, "priority")["after"], Value::Null);
        assert_eq!(change(deleted, "priority")["before"], json!("\"TICKET_PRIORITY_URGENT\""));

        // The account sees who of the staff acted, and not from where.
        let seen = about(&cast.customer, &id).await;
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[1]["actorId"], updated["actorId"]);
        assert_eq!((&seen[1]["clientAddress"], &seen[1]["userAgent"]), (&Value::Null, &Value::Null));
        assert_eq!(seen[2]["clientAddress"], created["clientAddress"]);
        assert!(about(&cast.stranger, &id).await.is_empty());
    }
}

/// The row of the member is gone. The ids of the entry lead to the person, whose name and address it does not copy.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_sees_whom_staff_changed_and_removed() {
    let (app, scene) = Scene::start().await;
    let (admin, colleague) = (&scene.cast.admin, scene.cast.colleague.as_user());
    let id = member_of(&app.database, &scene.cast.colleague).await;
    for _ in 0..2 {
        let demote = json!({ "memberId": id, "member": { "role": "MEMBER_ROLE_VIEWER" } });
        admin.rest("MemberService.UpdateMember", demote).await.success();
    }
    admin.rest("MemberService.RemoveMember", json!({ "memberId": id })).await.success();
    let entries = about(&scene.cast.customer, &id).await;
    let [removed, changed] = entries.as_slice() else { panic!("{entries:#?}") };
    let role = change(changed, "role");
    let roles = (&json!("\"MEMBER_ROLE_OWNER\""), &json!("\"MEMBER_ROLE_VIEWER\""));
    assert_eq!((&role["before"], &role["after"]), roles, "{changed:#}");
    assert_eq!(changed["changes"].as_array().map(Vec::len), Some(1), "{changed:#}");
    assert_eq!(change(removed, "userId")["before"], json!(format!("\"{}\"", colleague.id)), "{removed:#}");
    assert_eq!(change(removed, "role")["before"], json!("\"MEMBER_ROLE_VIEWER\""));
    assert!(!format!("{entries:?}").contains(&colleague.email), "{entries:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_repeated_request_adds_no_entry() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (key, request) = (unique(), draft());
    let create = || cast.customer.keyed(Protocol::Rest, "TicketService.CreateTicket", request.clone(), &key);
    let id = create().await.success().id();
    create().await.success();
    assert_eq!(about(&cast.customer, &id).await.len(), 1);
    cast.agent.rest("TicketService.ReopenTicket", json!({ "ticketId": id })).await.failure("TICKET_NOT_RESOLVED");
    assert_eq!(about(&cast.customer, &id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_sees_nothing_of_internal_notes() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let note = json!({ "ticketId": id, "body": "They pay late", "internal": true });
    let note = cast.agent.rest("CommentService.CreateComment", note).await.success().id();
    let edit = json!({ "ticketId": id, "commentId": note, "comment": { "body": "They always pay late" } });
    cast.agent.rest("CommentService.UpdateComment", edit).await.success();
    let delete = json!({ "ticketId": id, "commentId": note });
    cast.agent.rest("CommentService.DeleteComment", delete).await.success();
    assert_eq!(about(&cast.admin, &note).await.len(), 3);
    assert!(about(&cast.customer, &note).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_and_a_role_are_in_the_entry() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let id = cast.agent.as_user().id.to_string();
    let role = json!({ "userId": id, "role": "ROLE_ADMIN" });
    cast.admin.rest("UserService.SetUserRole", role).await.success();
    let deactivate = json!({ "userId": id, "reason": "Left the company" });
    cast.admin.rest("UserService.DeactivateUser", deactivate).await.success();
    let entries = about(&cast.admin, &id).await;
    let find = |method: &str| entries.iter().find(|entry| entry["method"] == method).expect("an entry");
    assert_eq!(find("UserService.DeactivateUser")["reason"], "Left the company");
    let change = change(find("UserService.SetUserRole"), "role");
    assert_eq!((&change["before"], &change["after"]), (&json!("\"ROLE_AGENT\""), &json!("\"ROLE_ADMIN\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_values_are_erased_and_entries_stay() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let stored = "SELECT count(*) FROM audit_entries WHERE personal IS NOT NULL AND actor_id = ";
    let stored = format!("{stored}'{}'", cast.customer.as_user().id);
    assert!(app.database.number(&stored).await > 0);
    let erased =
        mainstay::audit::entry::ops::erase(&app.app, UserId(cast.customer.as_user().id)).await.expect("erased");
    assert!(erased > 0);
    assert_eq!(app.database.number(&stored).await, 0);
    let [entry] = <[Value; 1]>::try_from(about(&cast.admin, &id).await).expect("one entry");
    assert_eq!(entry["clientAddress"], Value::Null);
    assert_eq!(change(&entry, "subject"), &json!({ "name": "subject", "isWithheld": true }));
    assert_eq!(change(&entry, "queue")["isWithheld"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_sign_ins_with_the_address_of_a_user_are_erased() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (customer, stranger) = (cast.customer.as_user(), cast.stranger.as_user());
    for user in [customer, stranger] {
        let request = json!({ "email": user.email, "password": "a wrong password" });
        cast.anonymous.rest("AuthService.Login", request).await.failure("INVALID_CREDENTIALS");
    }
    let addresses = async || {
        let rows = "SELECT personal #>> '{fields,email,after}' FROM audit_entries WHERE outcome = 2 ORDER BY id";
        app.database.sql(rows).await.into_iter().map(|mut row| row.remove(0)).collect::<Vec<_>>()
    };
    assert_eq!(addresses().await, [Some(customer.email.clone()), Some(stranger.email.clone())]);
    let erase = async |id| mainstay::audit::entry::ops::erase(&app.app, UserId(id)).await;
    erase(customer.id).await.expect("erased");
    assert_eq!(addresses().await, [None, Some(stranger.email.clone())]);
    assert_eq!(erase(customer.id).await.expect("again"), 0, "the user exists");
    let unknown = erase(uuid::Uuid::nil()).await.expect_err("a mistyped id");
    assert!(unknown.reason() == mainstay_kernel::error::Reason::NotFound, "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_the_entries_of_the_account_oldest_first() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ticket(&cast.customer).await);
    }
    ticket(&cast.stranger).await;
    let request = json!({ "method": "TicketService.CreateTicket" });
    for protocol in PROTOCOLS {
        let export = cast.customer.call(protocol, "AuditService.ExportAuditEntries", request.clone()).await.success();
        let messages = export.body.as_array().expect("messages").clone();
        let found: Vec<_> =
            messages.iter().map(|message| message["data"]["resourceId"].as_str().unwrap_or("")).collect();
        assert_eq!(found, ids);
    }
    // Pages by key, with the filters of an index each.
    let first = cast.customer.rest(LIST, json!({ "pageSize": 2 })).await.success();
    let next = json!({ "pageSize": 2, "pageToken": first.text("/meta/nextPageToken") });
    let second = cast.customer.rest(LIST, next).await.success();
    let id = |list: &crate::support::Response, at: usize| list.data()[at]["id"].clone();
    assert!(id(&first, 1).as_str() > id(&second, 0).as_str());
}

/// The page tells the entries of a job from those of a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_the_actor_of_its_changes() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let id = post(&cast.agent).await;
    let soon = app.app.clock.now() + chrono::TimeDelta::seconds(1);
    let schedule = json!({ "postId": id, "publishTime": soon.to_rfc3339() });
    cast.agent.rest("PostService.SchedulePost", schedule).await.success();
    crate::support::eventually("the job has an entry", async || {
        let entries = about(&cast.admin, &id).await;
        entries.iter().any(|entry| {
            entry["actorKind"] == "ACTOR_KIND_SYSTEM"
                && entry["method"] == "job publish_post"
                && entry["actorId"].is_null()
        })
    })
    .await;
}
