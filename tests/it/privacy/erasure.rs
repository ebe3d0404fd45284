//! An erasure leaves nothing personal, keeps the books, and ends in the same state after a crash.

use std::{os::unix::process::ExitStatusExt as _, sync::Arc};

use nix::sys::signal::Signal;
use serde_json::json;

use super::{hurry, of_account, of_user, request, state, wait_until_done};
use crate::{
    cases::{Scene, file, order},
    operation::wait_for_end,
    support::{Actor, Process, Protocol, TestApp, TestDatabase, eventually, mail::MailProvider},
};

/// The tables that hold an address for the last mail, or that the logs fill.
const LATER: [&str; 1] = ["deletion_notices"];

/// Returns the tables in which a row contains a text.
async fn tables_with(database: &TestDatabase, text: &str) -> Vec<String> {
    let tables = database
        .sql(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
             AND NOT relispartition ORDER BY 1",
        )
        .await;
    let mut found = Vec::new();
    for table in tables.into_iter().filter_map(|row| row[0].clone()) {
        let count = format!("SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%{text}%'");
        if database.number(&count).await > 0 && !LATER.contains(&table.as_str()) {
            found.push(table);
        }
    }
    found
}

/// A life with data in many tables.
async fn live(scene: &Scene) {
    let who = &scene.cast.customer;
    let user = who.as_user();
    let (id, name) = (user.id.to_string(), format!("Ada {}", user.id.simple()));
    // The reason is written by another person. The sessions end, and the next one begins with the next call.
    let deactivation = json!({ "userId": id, "reason": format!("{name} was dismissed") });
    scene.cast.admin.rest("UserService.DeactivateUser", deactivation).await.success();
    scene.cast.admin.rest("UserService.ReactivateUser", json!({ "userId": id })).await.success();
    for name in [name.as_str(), "An organization"] {
        let account = json!({ "accountId": scene.account(), "account": { "name": name } });
        who.rest("AccountService.UpdateAccount", account).await.success();
    }
    let key = json!({
        "name": format!("Laptop of {name}"), "kind": "SERVICE_KEY_KIND_PERSON", "scopes": ["support.tickets.read"],
        "allowedNetworks": ["203.0.113.7/32"],
    });
    who.rest("ServiceKeyService.CreateServiceKey", key).await.success();
    let patch = json!({ "userId": id, "user": { "name": name } });
    who.rest("UserService.UpdateUser", patch).await.success();
    let wrong = json!({ "email": user.email, "password": "not this password" });
    scene.cast.anonymous.rest("AuthService.Login", wrong).await.failure("INVALID_CREDENTIALS");
    let ticket = scene.ticket().await;
    scene.comment(&ticket).await;
    file::upload(who).await;
    let order = order::order(scene).await;
    let address = format!("UPDATE orders SET confirmation_email = '{}' WHERE id = '{order}'", user.email);
    scene.database.sql(&address).await;
    let items = json!([{ "productId": order::product(scene, 150, "EUR").await, "quantity": 1 }]);
    let of_agent =
        json!({ "items": items, "accountId": scene.account(), "confirmationEmail": user.email.to_uppercase() });
    scene.cast.agent.rest("OrderService.CreateOrder", of_agent).await.success();
    let change = json!({ "currentPassword": user.password, "email": format!("new-{}", user.email) });
    who.rest("AuthService.RequestEmailChange", change).await.success();
    for method in ["AuthService.RequestPasswordReset", "AuthService.BeginMailLogin"] {
        scene.cast.anonymous.rest(method, json!({ "email": user.email })).await.success();
    }
}

async fn assert_erased(database: &TestDatabase, scene: &Scene) {
    let user = scene.cast.customer.as_user();
    for text in [user.email.as_str(), &user.email.to_uppercase(), &format!("Ada {}", user.id.simple()), "203.0.113.7"] {
        assert_eq!(tables_with(database, text).await, Vec::<String>::new(), "{text}");
    }
    let id = user.id;
    let row = database.sql(&format!("SELECT email, name, role, avatar_id FROM users WHERE id = '{id}'")).await;
    let kept =
        [Some(format!("erased-{id}@erased.invalid")), Some("Deleted user".to_owned()), Some("1".to_owned()), None];
    assert_eq!(row[0], kept);
    assert_eq!(database.number(&format!("SELECT count(*) FROM members WHERE user_id = '{id}'")).await, 0);
    let orders = format!("SELECT count(*) FROM orders WHERE placed_by = '{id}' AND confirmation_email IS NULL");
    assert_eq!(database.number(&orders).await, 1, "the books stay");
    assert_eq!(database.number(&format!("SELECT count(*) FROM tickets WHERE requester_id = '{id}'")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_erased_and_the_books_stay() {
    let provider = MailProvider::start().await;
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs().set_all(provider.variables())).await;
    live(&scene).await;
    let (who, admin) = (&scene.cast.customer, &scene.cast.admin);
    let id = request(who, of_user(who)).await;
    wait_until_done(&app.database, &id).await;
    assert_erased(&app.database, &scene).await;
    let report = admin.call(Protocol::Grpc, "DeletionService.GetDeletion", json!({ "deletionId": id })).await.success();
    let tables = report.body["data"]["tables"].as_array().expect("a report").clone();
    let has = |table: &str, action: &str| {
        tables.iter().any(|row| row["table"] == table && row["action"] == format!("ERASURE_ACTION_{action}"))
    };
    for table in ["members", "email_changes", "mail_logins"] {
        assert!(has(table, "ERASED"), "{table}: {tables:#?}");
    }
    assert!(has("users", "ANONYMIZED") && has("orders", "ANONYMIZED") && has("tickets", "KEPT"), "{tables:#?}");
    assert!(!report.body.to_string().contains(&who.as_user().email));
    eventually("the last mail arrives", async || {
        provider
            .mails()
            .iter()
            .any(|mail| mail["to"] == json!([who.as_user().email]) && mail.to_string().contains("were deleted"))
    })
    .await;
    // The user does not return.
    let reactivate = json!({ "userId": who.as_user().id.to_string() });
    admin.rest("UserService.ReactivateUser", reactivate).await.failure("DELETION_BEGUN");
    // The address of the last mail goes a day later, and can register again.
    app.app.clock.advance(chrono::TimeDelta::hours(25));
    assert_eq!(app.run_task("forget_deletion_addresses").await.expect("a run"), 1);
    assert_eq!(app.database.number("SELECT count(*) FROM deletion_notices").await, 0);
    let verified =
        mainstay_kernel::schedule::run_now(&app.app, crate::support::modules().work().tasks, "chain_audit_log").await;
    verified.expect("the chain of the audit log goes on");
}

/// The key is cached by then, and an upload that was admitted before is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_an_account_end_when_its_erasure_begins() {
    const KEY: &str = "ServiceKeyService.CreateServiceKey";
    const LIST: &str = "TicketService.ListTickets";
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let account = scene.account();
    let draft = json!({ "accountId": account, "name": "A key", "scopes": ["support.tickets.read"] });
    let created = scene.cast.customer.rest(KEY, draft.clone()).await.success();
    let key = Actor::bearer(&app.endpoint, created.text("/secret"));
    key.rest(LIST, json!({})).await.success();
    let client = json!({
        "accountId": account, "name": "A client", "grantTypes": ["OAUTH_GRANT_TYPE_CLIENT_CREDENTIALS"],
        "scopes": ["support.tickets.read"], "confidential": true,
    });
    let client = scene.cast.admin.rest("OauthClientService.CreateOauthClient", client).await.success().id();
    let id = request(&scene.cast.customer, of_account(&scene.cast.customer)).await;
    scene.cast.admin.rest(KEY, draft).await.failure("DELETION_SCHEDULED");
    key.rest(LIST, json!({})).await.success();
    eventually("the erasure begins", async || {
        app.database.sql("UPDATE deletions SET erase_at = now() WHERE state = 1 AND erase_at > now()").await;
        app.database
            .sql("UPDATE jobs SET due_at = now() WHERE kind = 'erase_data' AND due_at > now() + interval '1 hour'")
            .await;
        state(&app.database, &id).await == 2
    })
    .await;
    let revoked = format!(
        "SELECT count(*) FROM service_keys JOIN revocations ON subject = service_keys.id
         WHERE account_id = '{account}' AND service_keys.revoked_at IS NOT NULL AND epoch IS NULL"
    );
    assert_eq!(app.database.number(&revoked).await, 1);
    let ended = format!(
        "SELECT count(*) FROM revocations WHERE subject = '{client}' AND NOT EXISTS (SELECT FROM oauth_clients WHERE id = subject)"
    );
    assert_eq!(app.database.number(&ended).await, 1);
    let since = std::time::Instant::now();
    eventually("the key is refused", async || key.rest(LIST, json!({})).await.reason == "INVALID_TOKEN").await;
    assert!(since.elapsed() < std::time::Duration::from_secs(15), "before the cache asks Postgres by itself");
    let waits = "SELECT count(*) FROM jobs WHERE kind = 'erase_data' AND due_at > now() + interval '2 minutes'";
    assert_eq!(app.database.number(waits).await, 1, "longer than an upload takes");
    wait_until_done(&app.database, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_erased_while_others_write() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    live(&scene).await;
    let (owner, writer, account) = (&scene.cast.customer, scene.cast.colleague.clone(), scene.account());
    let tagged = json!({ "subject": "Tagged", "body": "It burns.", "tags": ["personal"] });
    let tagged = owner.rest("TicketService.CreateTicket", tagged).await.success().id();
    let change = json!({ "ids": [tagged], "action": "TICKET_BULK_ACTION_UPDATE", "patch": { "addTags": ["storm"] } });
    let change = scene.cast.agent.rest("TicketService.BulkChangeTickets", change).await.success().id();
    wait_for_end(&scene.cast.agent, &change).await;
    let restorable = "SELECT count(*) FROM changed_tickets WHERE tags = '{personal}'";
    assert_eq!(app.database.number(restorable).await, 1);
    writer.token().await;
    let id = request(owner, of_account(owner)).await;
    let writing = tokio::spawn(async move {
        let mut tickets = 0;
        loop {
            let ticket = json!({ "subject": "Still here", "body": "It burns." });
            let answer = writer.rest("TicketService.CreateTicket", ticket).await;
            match answer.reason.as_str() {
                "" => tickets += 1,
                "OPEN_TICKET_LIMIT_REACHED" => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                other => return (tickets, other.to_owned()),
            }
        }
    });
    hurry(&app.database).await;
    let (tickets, reason) = writing.await.expect("no panic");
    assert!(
        tickets > 0 && ["SESSION_REVOKED", "TOKEN_EXPIRED", "PERMISSION_DENIED"].contains(&reason.as_str()),
        "{reason}"
    );
    wait_until_done(&app.database, &id).await;
    for table in ["tickets", "files", "members", "invitations", "roles", "webhook_endpoints", "posts", "operations"] {
        let left = format!("SELECT count(*) FROM {table} WHERE account_id = '{account}'");
        assert_eq!(app.database.number(&left).await, 0, "{table}");
    }
    assert_eq!(app.database.number(restorable).await, 0, "an undo has nothing to restore");
    assert_eq!(app.database.number(&format!("SELECT count(*) FROM orders WHERE account_id = '{account}'")).await, 2);
    let name = app.database.sql(&format!("SELECT name FROM accounts WHERE id = '{account}'")).await;
    assert_eq!(name[0][0].as_deref(), Some("Deleted account"));
    // The people stay.
    let me = Actor::user(&app.endpoint, owner.as_user().clone());
    me.rest("UserService.GetMe", json!({})).await.success();
}

/// A server is killed after each of the first steps; the next one goes on, and the end is the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_goes_on_after_a_crash() {
    let database = Arc::new(TestDatabase::new().await);
    let (_app, scene) = Scene::start_with(TestApp::builder().on(&database)).await;
    live(&scene).await;
    let id = request(&scene.cast.customer, of_user(&scene.cast.customer)).await;
    for round in 0..3 {
        let faults = [("MAINSTAY_FAULTS", "erasure.step=kill"), ("JOBS_IN_SERVE", "true")];
        let mut doomed = Process::with(&database, &faults).await;
        database.sql("UPDATE jobs SET due_at = now(), lease = NULL WHERE kind = 'erase_data'").await;
        let hurrying = async {
            loop {
                hurry(&database).await;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let status = tokio::select! {
            status = doomed.wait() => status,
            () = hurrying => unreachable!("it never ends"),
        };
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{round}: {}", doomed.log());
        assert_eq!(state(&database, &id).await, 2, "{round}: begun, and not done");
    }
    database.sql("UPDATE jobs SET due_at = now(), lease = NULL WHERE kind = 'erase_data'").await;
    let _healthy = Process::start(&database).await;
    wait_until_done(&database, &id).await;
    assert_erased(&database, &scene).await;
    let twice = "SELECT count(*) FROM erased_rows WHERE table_name = 'users' AND rows <> 1";
    assert_eq!(database.number(twice).await, 0, "no row is counted twice");
}
