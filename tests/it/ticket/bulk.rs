//! Bulk changes of tickets, and their undo.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    cases::{Scene, add_tickets, unknown_id},
    operation::wait_for_end,
    support::{Actor, Process, TestApp, TestDatabase, database::connect, eventually, people::Cast},
};

/// More than two batches.
const MANY: usize = 450;
/// The tickets of one batch.
const BATCH: i64 = 200;

async fn begin(who: &Actor, request: Value) -> String {
    who.rest("TicketService.BulkChangeTickets", request).await.success().id()
}

async fn change(who: &Actor, request: Value) -> Value {
    wait_for_end(who, &begin(who, request).await).await
}

async fn undo(who: &Actor, operation: &Value) -> Value {
    let request = json!({ "operationId": operation["id"] });
    let undo = who.rest("TicketService.UndoBulkChange", request).await.success().id();
    wait_for_end(who, &undo).await
}

async fn errors(who: &Actor, operation: &Value) -> Vec<(String, String)> {
    let request = json!({ "operationId": operation["id"] });
    let response = who.rest("OperationService.ListOperationErrors", request).await.success();
    let rows = response.data().as_array().expect("rows").clone();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (text(row, "code"), text(row, "message"))).collect()
}

fn progress(total: usize, changed: usize, unchanged: usize, skipped: usize) -> Value {
    let [total, done] = [total, changed + unchanged + skipped].map(|rows| rows.to_string());
    json!({
        "rowsTotal": total, "rowsDone": done, "rowsCreated": changed.to_string(), "rowsKnown": unchanged.to_string(),
        "rowsFailed": skipped.to_string(),
    })
}

/// The tickets of [`add_tickets`].
fn of_queue() -> Value {
    json!({ "queues": ["Other"] })
}

fn urgent() -> Value {
    let patch = json!({ "priority": "TICKET_PRIORITY_URGENT", "addTags": ["storm"] });
    json!({ "filter": of_queue(), "action": "TICKET_BULK_ACTION_UPDATE", "patch": patch })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_change_does_what_its_preview_says() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let agent = &scene.cast.agent;
    let endpoint =
        json!({ "url": "https://hooks.example.invalid/mainstay", "eventTypes": ["support.ticket.resolved"] });
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(scene.ticket().await);
    }
    let (resolved, unknown) = (scene.resolved_ticket().await, unknown_id());
    scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.success();
    ids.extend([resolved.clone(), unknown.clone()]);
    let request = json!({ "ids": ids, "action": "TICKET_BULK_ACTION_RESOLVE" });
    let mut dry = request.clone();
    dry["validateOnly"] = json!(true);
    let preview = agent.rest("TicketService.BulkChangeTickets", dry).await.success();
    assert!(preview.data().is_null(), "{preview:?}");
    let expected = json!({
        "ticketsChanged": "3", "ticketsUnchanged": "0", "undoable": true,
        "skipped": [
            { "code": "TICKET_RESOLVED", "tickets": "1", "exampleIds": [resolved] },
            { "code": "NOT_FOUND", "tickets": "1", "exampleIds": [unknown] },
        ],
    });
    assert_eq!(preview.body["preview"], expected);
    for nothing in ["SELECT count(*) FROM operations", "SELECT count(*) - 1 FROM tickets WHERE status = 3"] {
        assert_eq!(app.database.number(nothing).await, 0, "{nothing}");
    }
    let done = change(agent, request).await;
    assert_eq!((&done["state"], &done["kindName"]), (&json!("OPERATION_STATE_SUCCEEDED"), &json!("change_tickets")));
    assert_eq!(done["progress"], progress(5, 3, 0, 2));
    let mut skipped = errors(agent, &done).await;
    skipped.sort();
    assert_eq!((skipped[0].0.as_str(), skipped[1].0.as_str()), ("NOT_FOUND", "TICKET_RESOLVED"));
    assert!(skipped[0].1.contains(&unknown) && skipped[1].1.contains(&resolved), "{skipped:?}");
    let agent_id = agent.as_user().id;
    for (what, count) in [
        ("SELECT count(*) FROM tickets WHERE status = 3 AND version = 2".to_owned(), 4),
        (format!("SELECT count(*) FROM activities WHERE kind = 5 AND actor_id = '{agent_id}'"), 4),
        ("SELECT count(*) FROM webhook_deliveries".to_owned(), 3),
        (
            format!(
                "SELECT count(*) FROM audit_entries WHERE method = 'job change_tickets' AND actor_id = '{agent_id}'"
            ),
            3,
        ),
    ] {
        assert_eq!(app.database.number(&what).await, count, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_filter_is_undone_once() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let agent = &scene.cast.agent;
    let other = scene.ticket().await;
    add_tickets(&app.database, scene.cast.customer.as_user(), MANY, 10).await;
    let done = change(agent, urgent()).await;
    assert_eq!(done["progress"], progress(MANY, MANY, 0, 0));
    let many = i64::try_from(MANY).expect("few");
    let urgent_ones = "SELECT count(*) FROM tickets WHERE priority = 4 AND tags = '{storm}' AND version = 2";
    assert_eq!(app.database.number(urgent_ones).await, many);
    let again = change(agent, urgent()).await;
    assert_eq!(again["progress"], progress(MANY, 0, MANY, 0), "they have the values already");
    assert_eq!(undo(agent, &done).await["progress"], progress(MANY, MANY, 0, 0));
    let restored = "SELECT count(*) FROM tickets WHERE priority = 1 AND tags = '{}' AND version = 3";
    assert_eq!(app.database.number(restored).await, many);
    let list = json!({ "priorities": ["TICKET_PRIORITY_LOW"], "pageSize": 1 });
    let listed = agent.rest("TicketService.ListTickets", list).await.success();
    assert_eq!(listed.body["meta"]["total"], many.to_string());
    for operation in [&done, &again] {
        let request = json!({ "operationId": operation["id"] });
        agent.rest("TicketService.UndoBulkChange", request).await.failure("BULK_CHANGE_FINAL");
    }
    let untouched = agent.rest("TicketService.GetTicket", json!({ "ticketId": other })).await.success();
    assert_eq!(untouched.data()["version"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_leaves_what_was_changed_since() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let agent = &scene.cast.agent;
    let (first, second, third) = (scene.ticket().await, scene.ticket().await, scene.ticket().await);
    let assignee = agent.as_user().id.to_string();
    let ids = json!([first, second, third]);
    let assign = json!({ "ids": ids, "action": "TICKET_BULK_ACTION_ASSIGN", "assigneeId": assignee });
    let done = change(agent, assign).await;
    agent.rest("TicketService.ResolveTicket", json!({ "ticketId": second })).await.success();
    scene.cast.admin.rest("TicketService.DeleteTicket", json!({ "ticketId": third })).await.success();
    let undone = undo(agent, &done).await;
    assert_eq!(undone["progress"], progress(3, 1, 0, 2));
    let mut kept = errors(agent, &undone).await;
    kept.sort();
    assert_eq!(kept.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["CONFLICT", "NOT_FOUND"]);
    assert!(kept[0].1.contains(&second) && kept[1].1.contains(&third), "{kept:?}");
    let open = agent.rest("TicketService.GetTicket", json!({ "ticketId": first })).await.success();
    assert_eq!(open.text("/data/status"), "TICKET_STATUS_OPEN");
    // After a day, there is nothing to undo with.
    let resolve = json!({ "ids": [first], "action": "TICKET_BULK_ACTION_RESOLVE" });
    let late = change(agent, resolve).await;
    app.database.sql("UPDATE operations SET finished_at = finished_at - interval '25 hours'").await;
    let request = json!({ "operationId": late["id"] });
    agent.rest("TicketService.UndoBulkChange", request).await.failure("BULK_CHANGE_FINAL");
    app.run_task("forget_changed_tickets").await.expect("a run");
    assert_eq!(app.database.number("SELECT count(*) FROM changed_tickets").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_undo_leaves_its_tickets_to_the_next_one() {
    let (app, scene) = Scene::start().await;
    let agent = &scene.cast.agent;
    // Two ids that differ in case are one ticket.
    let id = scene.ticket().await;
    let resolve = json!({ "ids": [id, id.to_uppercase()], "action": "TICKET_BULK_ACTION_RESOLVE" });
    let change = begin(agent, resolve).await;
    assert_eq!(app.database.number("SELECT count(*) FROM changed_tickets").await, 1);
    // As after its end.
    let end = format!(
        "UPDATE operations SET state = 3, finished_at = now() WHERE id = '{change}';
         UPDATE changed_tickets SET outcome = 1, version = 2, status = 1, kind = 2, priority = 2, queue = 'Other',
             tags = '{{}}'"
    );
    app.database.sql(&end).await;
    let request = json!({ "operationId": change });
    let undo = agent.rest("TicketService.UndoBulkChange", request.clone()).await.success().id();
    agent.rest("TicketService.UndoBulkChange", request.clone()).await.failure("BULK_CHANGE_FINAL");
    agent.rest("OperationService.CancelOperation", json!({ "operationId": undo })).await.success();
    agent.rest("TicketService.UndoBulkChange", request).await.success();
    let of_none = "SELECT count(*) FROM audit_entries WHERE account_id = '00000000-0000-0000-0000-000000000000'";
    assert_eq!(app.database.number(of_none).await, 0, "the operations belong to no account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_final_and_needs_its_scope() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let (agent, admin) = (&scene.cast.agent, &scene.cast.admin);
    let tickets = [scene.ticket().await, scene.ticket().await];
    scene.comment(&tickets[0]).await;
    let request = json!({ "ids": tickets, "action": "TICKET_BULK_ACTION_DELETE" });
    agent.rest("TicketService.BulkChangeTickets", request.clone()).await.failure("PERMISSION_DENIED");
    let mut dry = request.clone();
    dry["validateOnly"] = json!(true);
    let preview = admin.rest("TicketService.BulkChangeTickets", dry).await.success();
    assert_eq!(preview.body["preview"]["undoable"], false);
    let done = change(admin, request).await;
    assert_eq!((&done["kindName"], &done["progress"]), (&json!("delete_tickets"), &progress(2, 2, 0, 0)));
    for (what, count) in [
        ("SELECT count(*) FROM tickets", 0),
        ("SELECT count(*) FROM comments", 0),
        ("SELECT count(*) FROM activities WHERE kind = 9", 2),
    ] {
        assert_eq!(app.database.number(what).await, count, "{what}");
    }
    let request = json!({ "operationId": done["id"] });
    admin.rest("TicketService.UndoBulkChange", request).await.failure("BULK_CHANGE_FINAL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_its_tickets_and_its_change() {
    let (app, scene) = Scene::start().await;
    let agent = &scene.cast.agent;
    let ids = json!([scene.ticket().await]);
    let resolve = "TICKET_BULK_ACTION_RESOLVE";
    for request in [
        json!({ "action": resolve }),
        json!({ "ids": ids, "filter": {}, "action": resolve }),
        json!({ "ids": ids }),
        json!({ "ids": ids, "action": "TICKET_BULK_ACTION_UPDATE" }),
        json!({ "ids": ids, "action": "TICKET_BULK_ACTION_UPDATE", "patch": {} }),
        json!({ "ids": ids, "action": "TICKET_BULK_ACTION_UPDATE", "patch": { "addTags": ["a"], "removeTags": ["a"] } }),
        json!({ "ids": ids, "action": resolve, "patch": { "queue": "Other" } }),
        json!({ "ids": ids, "action": resolve, "assigneeId": unknown_id() }),
        json!({ "ids": ids, "action": "TICKET_BULK_ACTION_ASSIGN", "assigneeId": unknown_id() }),
    ] {
        agent.rest("TicketService.BulkChangeTickets", request).await.failure("VALIDATION_FAILED");
    }
    add_tickets(&app.database, scene.cast.customer.as_user(), 10_001, 1).await;
    let too_many = agent.rest("TicketService.BulkChangeTickets", urgent()).await.failure("VALIDATION_FAILED");
    assert!(too_many.body["error"]["fields"]["filter"].is_string(), "{too_many:?}");
    // Whether a ticket exists is no secret from staff, and others learn nothing.
    for stranger in [&scene.cast.customer, &scene.cast.stranger] {
        for ids in [ids.clone(), json!([unknown_id()])] {
            let request = json!({ "ids": ids, "action": resolve });
            stranger.rest("TicketService.BulkChangeTickets", request).await.failure("PERMISSION_DENIED");
        }
    }
    // The operation of another caller, and one of another kind.
    let own = begin(&scene.cast.admin, json!({ "ids": ids, "action": resolve })).await;
    for operation in [own, scene.operation().await] {
        let request = json!({ "operationId": operation });
        agent.rest("TicketService.UndoBulkChange", request).await.failure("NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_change_keeps_its_batches_which_can_be_undone() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let agent = &scene.cast.agent;
    add_tickets(&app.database, scene.cast.customer.as_user(), MANY, 10).await;
    // The second batch changes its tickets, then waits for a lock that this test holds.
    let gate = "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT rows_done FROM operations) > 0 THEN PERFORM pg_advisory_xact_lock(7); END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER gate AFTER UPDATE ON tickets FOR EACH STATEMENT EXECUTE FUNCTION gate()";
    app.database.sql(gate).await;
    let lock_holder = connect(&app.database.url).await;
    lock_holder.batch_execute("SELECT pg_advisory_lock(7)").await.expect("locked");
    let operation = begin(agent, urgent()).await;
    app.database.locks_waited_for(1).await;
    let cancel = json!({ "operationId": operation });
    let cancelled = agent.rest("OperationService.CancelOperation", cancel).await.success();
    lock_holder.batch_execute("SELECT pg_advisory_unlock(7)").await.expect("unlocked");
    eventually("the job has ended", async || app.database.number("SELECT count(*) FROM jobs").await == 0).await;
    assert_eq!(app.database.number("SELECT count(*) FROM tickets WHERE priority = 4").await, BATCH);
    app.database.sql("DROP TRIGGER gate ON tickets").await;
    let batch = usize::try_from(BATCH).expect("few");
    assert_eq!(undo(agent, cancelled.data()).await["progress"], progress(batch, batch, 0, 0));
    assert_eq!(app.database.number("SELECT count(*) FROM tickets WHERE priority = 4").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_batches_neither_loses_nor_repeats_a_change() {
    let database = TestDatabase::new().await;
    let idle = Process::with(&database, &[("JOBS_IN_SERVE", "false")]).await;
    let cast = Cast::new(&idle.endpoint, &database).await;
    add_tickets(&database, cast.customer.as_user(), MANY, 10).await;
    let operation = begin(&cast.agent, urgent()).await;
    let mut doomed = Process::with(&database, &[("MAINSTAY_FAULTS", "bulk.batch=kill")]).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    assert_eq!(database.number("SELECT count(*) FROM tickets WHERE version = 2").await, BATCH, "one batch is stored");

    let _next = Process::start(&database).await;
    let done = wait_for_end(&cast.agent, &operation).await;
    assert_eq!(done["progress"], progress(MANY, MANY, 0, 0));
    let many = i64::try_from(MANY).expect("few");
    for what in ["tickets WHERE version = 2 AND tags = '{storm}'", "activities WHERE kind = 2"] {
        assert_eq!(database.number(&format!("SELECT count(*) FROM {what}")).await, many, "{what}");
    }
}
