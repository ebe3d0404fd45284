//! Tickets whose assignees have left the staff go back to the queue.

use std::{os::unix::process::ExitStatusExt as _, sync::Arc};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    cases::{Scene, add_tickets},
    support::{Actor, ChildProcess, PROTOCOLS, Protocol, TestApp, TestDatabase},
};

const TASK: &str = "return_tickets";
/// More than two transactions.
const MANY: usize = 250;

async fn call(who: &Actor, method: &str, request: Value) -> Value {
    who.call(Protocol::Grpc, method, request).await.success().data().clone()
}

async fn get(scene: &Scene, id: &str) -> Value {
    call(&scene.cast.admin, "TicketService.GetTicket", json!({ "ticketId": id })).await
}

fn id_of(who: &Actor) -> String {
    who.as_user().id.to_string()
}

/// Inserts tickets in progress.
async fn add_in_progress(database: &TestDatabase, scene: &Scene, assignee: &Actor) {
    add_tickets(database, scene.cast.customer.as_user(), MANY, 10).await;
    let id = id_of(assignee);
    database.sql(&format!("UPDATE tickets SET status = 2, assignee_id = '{id}' WHERE assignee_id IS NULL")).await;
}

async fn in_progress(database: &TestDatabase, assignee: &Actor) -> i64 {
    let id = id_of(assignee);
    database.number(&format!("SELECT count(*) FROM tickets WHERE status = 2 AND assignee_id = '{id}'")).await
}

async fn deactivate(scene: &Scene, who: &Actor) {
    let request = json!({ "userId": id_of(who), "reason": "Left the company" });
    call(&scene.cast.admin, "UserService.DeactivateUser", request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_of_a_deactivated_agent_go_back_to_the_queue() {
    let (app, scene) = Scene::start().await;
    let (admin, agent) = (&scene.cast.admin, &scene.cast.agent);
    let (resolved, kept) = (scene.ticket().await, scene.ticket().await);
    for (ticket, assignee) in [(&resolved, agent), (&kept, admin)] {
        let assign = json!({ "ticketId": ticket, "assigneeId": id_of(assignee) });
        call(admin, "TicketService.AssignTicket", assign).await;
    }
    call(admin, "TicketService.ResolveTicket", json!({ "ticketId": resolved })).await;
    add_in_progress(&app.database, &scene, agent).await;
    let endpoint = json!({ "url": "https://example.com/hooks", "eventTypes": ["support.ticket.assigned"] });
    admin.rest("WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.success();
    assert_eq!(app.run_task(TASK).await.expect("a run"), 0, "the agent works");

    deactivate(&scene, agent).await;
    assert_eq!(app.run_task(TASK).await.expect("a run"), MANY);
    assert_eq!(in_progress(&app.database, agent).await, 0);
    for (promise, sql) in [
        ("they are open, in their next version", "tickets WHERE status = 1 AND assignee_id IS NULL AND version = 2"),
        ("the history has it", "activities WHERE kind = 4 AND actor_id IS NULL AND actor_role = 0"),
        (
            "watches are told",
            "changes WHERE topic = 'support.ticket' AND version = 2 AND resource_id IN (SELECT id FROM tickets WHERE status = 1)",
        ),
        ("webhooks are told", "webhook_deliveries WHERE kind = 'support.ticket.assigned'"),
    ] {
        let count = app.database.number(&format!("SELECT count(*) FROM {sql}")).await;
        assert_eq!(usize::try_from(count).expect("a few"), MANY, "{promise}");
    }
    let entries = format!(
        "SELECT count(*) FROM audit_entries WHERE resource_kind = 'support.ticket' AND actor_id IS NULL \
         AND account_id = '{}' AND changes->'assigneeId'->>'before' = '{}'",
        scene.account(),
        id_of(agent)
    );
    assert_eq!(usize::try_from(app.database.number(&entries).await).expect("a few"), MANY, "the audit log has it");
    assert_eq!(get(&scene, &resolved).await["assigneeId"], json!(id_of(agent)), "who resolved it");
    assert_eq!(get(&scene, &kept).await["assigneeId"], json!(id_of(admin)));
    assert_eq!(app.run_task(TASK).await.expect("a run"), 0, "nothing is left");

    // A reopened ticket has the last assignee, who is gone.
    call(admin, "TicketService.ReopenTicket", json!({ "ticketId": resolved })).await;
    assert_eq!(app.run_task(TASK).await.expect("a run"), 1);
    assert_eq!(get(&scene, &resolved).await["status"], "TICKET_STATUS_OPEN");
    let assign = json!({ "ticketId": resolved, "assigneeId": id_of(agent) });
    for protocol in PROTOCOLS {
        admin.call(protocol, "TicketService.AssignTicket", assign.clone()).await.failure("VALIDATION_FAILED");
    }
    // Nothing is taken back.
    call(admin, "UserService.ReactivateUser", json!({ "userId": id_of(agent) })).await;
    assert_eq!(app.run_task(TASK).await.expect("a run"), 0);
    assert_eq!(in_progress(&app.database, agent).await, 0);
    call(admin, "TicketService.AssignTicket", assign).await;
    assert_eq!(app.run_task(TASK).await.expect("a run"), 0);
    assert_eq!(get(&scene, &resolved).await["status"], "TICKET_STATUS_IN_PROGRESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_of_an_agent_who_becomes_a_customer_go_back_to_the_queue() {
    let (app, scene) = Scene::start().await;
    let (admin, agent) = (&scene.cast.admin, &scene.cast.agent);
    add_in_progress(&app.database, &scene, agent).await;
    let role = |role: &str| json!({ "userId": id_of(agent), "role": role });
    call(admin, "UserService.SetUserRole", role("ROLE_ADMIN")).await;
    assert_eq!(app.run_task(TASK).await.expect("a run"), 0, "an admin works on tickets, too");
    call(admin, "UserService.SetUserRole", role("ROLE_CUSTOMER")).await;
    assert_eq!(app.run_task(TASK).await.expect("a run"), MANY);
    call(admin, "UserService.SetUserRole", role("ROLE_AGENT")).await;
    assert_eq!(in_progress(&app.database, agent).await, 0, "nothing is taken back");
}

/// A worker is killed after each of the first transactions; the next one finds the rest.
#[tokio::test(flavor = "multi_thread")]
async fn the_return_goes_on_after_a_crash() {
    let database = Arc::new(TestDatabase::new().await);
    let (app, scene) = Scene::start_with(TestApp::builder().on(&database)).await;
    let agent = &scene.cast.agent;
    add_in_progress(&database, &scene, agent).await;
    deactivate(&scene, agent).await;
    for left in [150, 50] {
        let mut doomed = ChildProcess::worker(&database, &[("MAINSTAY_FAULTS", "tickets.returned=kill")]).await;
        let status = doomed.wait().await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
        assert_eq!(in_progress(&database, agent).await, left);
        // The lease of the dead worker is over.
        let over = "UPDATE scheduled_tasks SET last_started_at = now() - interval '1 h' WHERE name = 'return_tickets'";
        database.sql(over).await;
    }
    assert_eq!(app.run_task(TASK).await.expect("a run"), 50);
    let once = "SELECT count(*) FROM tickets WHERE version = 2 AND 1 = ( \
                SELECT count(*) FROM activities WHERE ticket_id = tickets.id AND kind = 4)";
    assert_eq!(usize::try_from(database.number(once).await).expect("a few"), MANY);
}
