//! Sample data: the initial contents of a new private database, and their removal.

use std::{collections::BTreeMap, fs::Permissions, os::unix::fs::PermissionsExt as _, time::Duration};

use mainstay::{
    payments::ledger::ops as ledger,
    sample::ops::{self as sample, State},
};
use mainstay_kernel::contract::policy::Role;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    Process, TestApp, TestDatabase,
    actor::{Actor, Protocol::Rest, User},
    eventually, process,
};

/// The server's own limit for adding the sample data.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Returns the text that `serve` prints after a name.
fn printed(server: &Process, name: &str) -> String {
    let log = server.log();
    let value = log.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix("  "));
    value.unwrap_or_else(|| panic!("no {name} in:\n{log}")).trim().to_owned()
}

/// Returns the demo user at a server.
fn demo(server: &Process, password: &str) -> Actor {
    let nil = uuid::Uuid::nil();
    let email = "demo@example.com".to_owned();
    Actor::user(
        &server.endpoint,
        User { id: nil, account: nil, email, password: password.to_owned(), role: Role::Admin },
    )
}

async fn rows(admin: &Actor, method: &str, request: Value) -> Vec<Value> {
    let response = admin.call(Rest, method, request).await.success();
    response.data().as_array().unwrap_or_else(|| panic!("{method} has no list: {response:?}")).clone()
}

/// Returns the number of rows in each list of the console, by its method, and for lists of several kinds by their
/// request.
async fn counts(admin: &Actor) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (name, method, request) in [
        ("tickets", "TicketService.ListTickets", json!({ "pageSize": 100 })),
        ("open", "TicketService.ListTickets", json!({ "statuses": ["TICKET_STATUS_OPEN"] })),
        ("in progress", "TicketService.ListTickets", json!({ "statuses": ["TICKET_STATUS_IN_PROGRESS"] })),
        ("German", "TicketService.ListTickets", json!({ "query": "Schreibtisch" })),
        ("customers", "UserService.ListUsers", json!({ "roles": ["ROLE_CUSTOMER"] })),
        ("agents", "UserService.ListUsers", json!({ "roles": ["ROLE_AGENT"] })),
        ("products", "ProductService.ListProducts", json!({})),
        ("orders", "OrderService.ListOrders", json!({ "pageSize": 100 })),
        ("refunded orders", "OrderService.ListOrders", json!({ "statuses": ["ORDER_STATUS_REFUNDED"] })),
        ("payments", "PaymentService.ListPayments", json!({ "pageSize": 100 })),
        ("declined payments", "PaymentService.ListPayments", json!({ "statuses": ["PAYMENT_STATUS_FAILED"] })),
        ("pending payments", "PaymentService.ListPayments", json!({ "statuses": ["PAYMENT_STATUS_PENDING"] })),
        ("subscriptions", "SubscriptionService.ListSubscriptions", json!({})),
        ("past due", "SubscriptionService.ListSubscriptions", json!({ "statuses": ["SUBSCRIPTION_STATUS_PAST_DUE"] })),
        ("posts", "PostService.ListPosts", json!({})),
        ("drafts", "PostService.ListDrafts", json!({})),
        ("endpoints", "WebhookEndpointService.ListWebhookEndpoints", json!({})),
        ("inbound events", "InboundEventService.ListInboundEvents", json!({})),
        ("operations", "OperationService.ListOperations", json!({})),
        ("deletions", "DeletionService.ListDeletions", json!({})),
        ("service keys", "ServiceKeyService.ListServiceKeys", json!({})),
        ("dead jobs", "DeadJobService.ListDeadJobs", json!({})),
        ("canned answers", "CannedAnswerService.ListCannedAnswers", json!({})),
        ("files", "FileService.ListFiles", json!({})),
    ] {
        counts.insert(name, rows(admin, method, request).await.len());
    }
    counts
}

/// Checks details that the lists above do not show.
async fn check_details(admin: &Actor) {
    for endpoint in rows(admin, "WebhookEndpointService.ListWebhookEndpoints", json!({})).await {
        let of =
            |state: &str| json!({ "endpointId": endpoint["id"], "state": format!("WEBHOOK_DELIVERY_STATE_{state}") });
        let is_down = endpoint["failingSinceTime"].is_string();
        let state = if is_down { "FAILED" } else { "DELIVERED" };
        let deliveries = rows(admin, "WebhookDeliveryService.ListWebhookDeliveries", of(state)).await;
        assert!(!deliveries.is_empty(), "{endpoint}: {state}");
    }
    let revenue = admin.call(Rest, "RevenueService.GetRevenue", json!({ "interval": "REVENUE_INTERVAL_WEEK" })).await;
    let revenue = revenue.success();
    let currencies = revenue.data()["currencies"].as_array().cloned().unwrap_or_default();
    assert_eq!(currencies.len(), 2, "{revenue:?}");
    let euros = currencies.iter().find(|one| one["currencyCode"] == "EUR").expect("euros");
    let weeks = euros["periods"].as_array().expect("periods");
    let sold = weeks.iter().filter(|week| week["figures"]["gross"]["amountMinor"] != "0").count();
    assert!(sold >= 10, "of 12 weeks, {sold} had sales");
    let operation = rows(admin, "OperationService.ListOperations", json!({})).await.remove(0);
    assert_eq!(operation["progress"]["rowsFailed"], "2", "{operation}");
    assert_eq!(operation["progress"]["rowsCreated"], "6", "{operation}");
    let sample_people = rows(admin, "UserService.ListUsers", json!({ "roles": ["ROLE_CUSTOMER"] })).await;
    let is_marked = |user: &Value| user["email"].as_str().is_some_and(|email| email.ends_with("@sample.invalid"));
    assert!(sample_people.iter().all(is_marked), "{sample_people:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_private_database_begins_with_sample_data_that_one_command_removes() {
    let directory = tempfile::tempdir().expect("a directory");
    // As root, Postgres runs as another user, who needs access.
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).expect("ours");
    let data = directory.path().to_str().expect("text");
    // Like `make run`, with in-process dependencies only.
    let own = [("MAINSTAY_DATA_DIR", data), ("FILES_URL", ""), ("REDIS_URL", "")];
    let private = TestDatabase::foreign("");

    let mut server = Process::with(&private, &own).await;
    assert_eq!(server.endpoint.get("/readyz").await.status, 200);
    server.wait_for_log_within(SAMPLE_TIMEOUT, "the sample data is complete").await;
    let password = printed(&server, "password");
    let admin = demo(&server, &password);
    let first = counts(&admin).await;
    for (name, least) in [
        ("tickets", 100),
        ("open", 3),
        ("in progress", 5),
        ("German", 1),
        ("orders", 90),
        ("refunded orders", 2),
        ("payments", 75),
        ("declined payments", 4),
        ("past due", 1),
    ] {
        assert!(first[name] >= least, "{name}: {first:?}");
    }
    for (name, exactly) in [
        ("customers", 15),
        ("agents", 4),
        ("products", 11),
        ("pending payments", 0),
        ("subscriptions", 9),
        ("posts", 4),
        ("drafts", 3),
        ("endpoints", 2),
        ("inbound events", 3),
        ("operations", 1),
        ("deletions", 1),
        ("service keys", 1),
        ("dead jobs", 1),
        ("canned answers", 3),
        ("files", 1),
    ] {
        assert_eq!(first[name], exactly, "{name}: {first:?}");
    }
    check_details(&admin).await;
    for mail in std::fs::read_dir(directory.path().join("outbox")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(mail.path()).expect("a text");
        assert!(!text.contains("@sample.invalid"), "mail to a sample person:\n{text}");
    }
    server.signal(Signal::SIGTERM);
    assert!(server.wait().await.success());

    let (agrees, text) = process::run(&["ledger", "check"], &private, &own).await;
    assert!(agrees && text.contains("The ledger agrees with the gateway."), "{text}");

    let mut again = Process::with(&private, &own).await;
    again.wait_for_log("sample remove` removes the sample data").await;
    assert_eq!(counts(&demo(&again, &password)).await, first, "a restart adds nothing");
    again.signal(Signal::SIGTERM);
    assert!(again.wait().await.success());

    let (is_removed, text) = process::run(&["sample", "remove"], &private, &own).await;
    assert!(is_removed && text.contains("Removed 19 accounts"), "{text}");
    let (agrees, text) = process::run(&["ledger", "check"], &private, &own).await;
    assert!(agrees && text.contains("0 movements are booked"), "{text}");
    let mut empty = Process::with(&private, &own).await;
    let counts = counts(&demo(&empty, &password)).await;
    assert!(counts.values().all(|count| *count == 0), "{counts:?}");
    assert!(!empty.log().contains("ample data"), "it is gone for good: {}", empty.log());
    empty.signal(Signal::SIGTERM);
    assert!(empty.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_completes_the_sample_data_until_a_person_has_signed_in() {
    let directory = tempfile::tempdir().expect("a directory");
    // As root, Postgres runs as another user, who needs access.
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).expect("ours");
    let data = directory.path().to_str().expect("text");
    let own = [("MAINSTAY_DATA_DIR", data), ("FILES_URL", ""), ("REDIS_URL", "")];
    let private = TestDatabase::foreign("");

    let mut first = Process::with(&private, &own).await;
    assert_eq!(first.endpoint.get("/readyz").await.status, 200);
    // Posts are public, and among the first parts of the sample data.
    eventually("a post", async || first.endpoint.get("/api/v1/posts").await.body["meta"]["total"] != "0").await;
    let post = first.endpoint.get("/api/v1/posts").await.body["data"][0]["id"].clone();
    first.signal(Signal::SIGTERM);
    assert!(first.wait().await.success());
    assert!(!first.log().contains("the sample data is complete"), "{}", first.log());
    let password = printed(&first, "password");

    let mut second = Process::with(&private, &own).await;
    second.wait_for_log("Sample data is being added").await;
    rows(&demo(&second, &password), "UserService.ListUsers", json!({})).await;
    // Between the removal of the incomplete part and the new people, there is no sample data.
    eventually("a post of this start", async || {
        let id = second.endpoint.get("/api/v1/posts").await.body["data"][0]["id"].clone();
        id.is_string() && id != post
    })
    .await;
    second.signal(Signal::SIGTERM);
    assert!(second.wait().await.success());
    assert!(!second.log().contains("the sample data is complete"), "{}", second.log());

    let mut third = Process::with(&private, &own).await;
    third.wait_for_log("sample add` completes it").await;
    third.signal(Signal::SIGTERM);
    assert!(third.wait().await.success());
    let (is_added, text) = process::run(&["sample", "add"], &private, &own).await;
    assert!(is_added && text.contains("The sample data is added."), "{text}");
    let mut fourth = Process::with(&private, &own).await;
    let first = counts(&demo(&fourth, &password)).await;
    assert_eq!((first["customers"], first["agents"], first["posts"]), (15, 4, 4), "{first:?}");
    fourth.signal(Signal::SIGTERM);
    assert!(fourth.wait().await.success());
}

/// The first start ends before any job has run, so that the next one would add the data again.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_before_the_first_job_is_final() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).expect("ours");
    let data = directory.path().to_str().expect("text");
    let own = [("MAINSTAY_DATA_DIR", data), ("FILES_URL", ""), ("REDIS_URL", "")];
    let private = TestDatabase::foreign("");
    let mut first = Process::with(&private, &own).await;
    assert_eq!(first.endpoint.get("/readyz").await.status, 200);
    eventually("a post", async || first.endpoint.get("/api/v1/posts").await.body["meta"]["total"] != "0").await;
    first.signal(Signal::SIGTERM);
    assert!(first.wait().await.success());
    assert!(!first.log().contains("the sample data is complete"), "{}", first.log());
    let (is_removed, text) = process::run(&["sample", "remove"], &private, &own).await;
    assert!(is_removed && text.contains("Removed"), "{text}");
    let mut second = Process::with(&private, &own).await;
    assert_eq!(second.endpoint.get("/readyz").await.status, 200);
    assert!(!second.log().contains("ample data"), "{}", second.log());
    second.signal(Signal::SIGTERM);
    assert!(second.wait().await.success());
}

/// Returns the rows of every table with callers' data, as one hash per table.
async fn tables(database: &TestDatabase) -> BTreeMap<String, i64> {
    // Tables with temporary records of any event and of contents that a job deletes, and tables that are compared by their sums.
    const PASSING: &str =
        "'changes', 'jobs', 'stored_objects', 'system_logs', 'system_log_ring', 'scheduled_tasks', 'ticket_counts'";
    let names = format!(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') \
         AND NOT relispartition AND relname NOT IN ({PASSING}) ORDER BY relname"
    );
    let mut rows = BTreeMap::new();
    for name in database.sql(&names).await.into_iter().flatten().flatten() {
        let count = database.number(&format!("SELECT count(*) FROM {name}")).await;
        rows.insert(name, count);
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_leaves_what_is_no_sample() {
    let (app, cast) = TestApp::start_with_cast().await;
    let ticket = json!({ "subject": "Mine", "body": "It stays." });
    let ticket = cast.customer.call(Rest, "TicketService.CreateTicket", ticket).await.success().id();
    let before = tables(&app.database).await;

    sample::add(&app.app).await.expect("added");
    let full = tables(&app.database).await;
    assert!(full["tickets"] > 100 && full["ledger_transactions"] > 90, "{full:?}");
    for (table, count) in [("ticket_links", 1), ("roles", 2), ("invitations", 1), ("file_links", 1), ("deletions", 1)] {
        assert_eq!(full[table] - before[table], count, "{table}: {full:?}");
    }
    let notes = "SELECT count(*) FROM comments WHERE is_internal";
    assert!(app.database.number(notes).await >= 5, "agents write notes");
    assert_eq!(full["mails"], before["mails"], "mail about what happened long ago");
    sample::add(&app.app).await.expect("nothing to do");
    assert_eq!(tables(&app.database).await, full);
    let days = "SELECT count(DISTINCT created_at::date) FROM ledger_transactions";
    assert!(app.database.number(days).await > 30, "money moves when it is earned");
    let report = ledger::check(&app.app).await.expect("a report");
    assert!(report.faults.is_empty() && report.unsettled == 0, "{report:?}");
    let stamped = "SELECT count(*) FROM orders WHERE left(replace(id::text, '-', ''), 12) \
                   <> lpad(to_hex(floor(extract(epoch FROM created_at) * 1000)::bigint), 12, '0')";
    assert_eq!(app.database.number(stamped).await, 0, "the ids match the times");

    // Simulates a process that ended in the middle.
    app.database.sql("DELETE FROM users WHERE email = 'oliver.grant@sample.invalid'").await;
    app.database.sql("DELETE FROM accounts WHERE name = 'Grant Studio (sample)'").await;
    assert_eq!(sample::state(&app.app).await.expect("a state"), State::Partial);
    sample::add(&app.app).await.expect("added again");
    assert_eq!(tables(&app.database).await, full);

    // A sample agent works for another account, and another account buys a sample product.
    let agent = app.database.sql("SELECT id::text FROM users WHERE email = 'tom.hayes@sample.invalid'").await;
    let assignee = agent[0][0].clone().expect("an id");
    let assign = json!({ "ticketId": ticket, "assigneeId": assignee });
    cast.agent.call(Rest, "TicketService.AssignTicket", assign).await.success();
    let product = app.database.sql("SELECT id::text FROM products WHERE name = 'Headset (sample)'").await;
    let order = json!({ "items": [{ "productId": product[0][0], "quantity": 1 }] });
    cast.customer.call(Rest, "OrderService.CreateOrder", order).await.success();

    // An agent of the database has the sample role of the staff.
    let role = "UPDATE users SET staff_role_id = (SELECT id FROM roles WHERE name = 'Refunds (sample)') \
                WHERE role = 2 AND email NOT LIKE '%@sample.invalid'";
    app.database.sql(role).await;

    // The erasure of a sample account has begun, and has ended the memberships.
    app.database
        .sql(
            "INSERT INTO deletions (id, account_id, requested_by, state, erase_at, created_at)
                 SELECT gen_random_uuid(), id, id, 2, now(), now() FROM accounts WHERE name = 'Fjord Media (sample)';
             INSERT INTO deletion_notices (id, deletion_id, user_id, email, language)
                 SELECT gen_random_uuid(), deletions.id, members.user_id, 'owner@sample.invalid', 'en'
                 FROM deletions JOIN members USING (account_id) WHERE deletions.state = 2;
             DELETE FROM members WHERE account_id IN (SELECT account_id FROM deletions WHERE state = 2);",
        )
        .await;

    let removal = sample::remove(&app.app).await.expect("removed");
    assert_eq!((removal.accounts, removal.archived_products, removal.is_role_kept), (19, 1, true), "{removal:?}");
    let mut after = tables(&app.database).await;
    let added = [
        ("orders", 1),
        ("order_items", 1),
        ("products", 1),
        ("roles", 1),
        ("activities", 1),
        ("mails", 1),
        ("audit_entries", 2),
        // The agent's first call signs in.
        ("sessions", 1),
    ];
    for (table, additions) in added {
        let count = after.get_mut(table).expect("a table");
        *count -= additions;
    }
    assert_eq!(after, before);
    let mine = cast.customer.call(Rest, "TicketService.GetTicket", json!({ "ticketId": ticket })).await.success();
    assert_eq!((&mine.data()["status"], &mine.data()["assigneeId"]), (&json!("TICKET_STATUS_OPEN"), &Value::Null));
    let open = "SELECT sum(tickets)::bigint FROM ticket_counts WHERE account_id = assignee_id";
    assert_eq!(app.database.number(open).await, 1, "the counters agree");
    assert_eq!(app.database.number("SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL").await, 0);
    assert_eq!(sample::state(&app.app).await.expect("a state"), State::Absent);
}

/// The start that creates the schema of a database which was given.
#[tokio::test(flavor = "multi_thread")]
async fn a_given_database_that_a_start_migrates_begins_empty() {
    let database = TestDatabase::empty().await;
    let server = Process::with(&database, &[("MAINSTAY_MIGRATE", "true")]).await;
    assert_eq!(server.endpoint.get("/readyz").await.status, 200);
    // Jobs and scheduled tasks begin once the sample data is complete.
    let begun = "SELECT count(*) FROM scheduled_tasks WHERE last_succeeded_at IS NOT NULL";
    eventually("a scheduled task has run", async || database.number(begun).await > 0).await;
    for table in ["users", "accounts", "tickets", "products", "orders"] {
        assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    assert!(!server.log().contains("ample data"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_given_gets_no_sample_data() {
    let database = TestDatabase::new().await;
    for action in ["add", "remove"] {
        let (good, text) = process::run(&["sample", action], &database, &[]).await;
        assert!(!good && text.contains("unset DATABASE_URL"), "{text}");
    }
    assert_eq!(database.number("SELECT count(*) FROM users").await, 0);
}
