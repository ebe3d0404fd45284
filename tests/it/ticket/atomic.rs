//! A change and its activity record are written together or not at all.

use serde_json::json;

use crate::{
    cases::ticket,
    support::{PROTOCOLS, Process, Protocol, TestApp, TestDatabase, people::Cast},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_between_the_writes_leaves_neither() {
    let database = TestDatabase::new().await;
    let healthy = Process::start(&database).await;
    let cast = Cast::new(&healthy.endpoint, &database).await;
    let id = ticket(&cast.customer).await;
    let failing = Process::with(&database, &[("MAINSTAY_FAULTS", "ticket.between_writes=error")]).await;
    let customer = cast.customer.at(&failing.endpoint);
    let before = cast.customer.rest("TicketService.GetTicket", json!({ "ticketId": id })).await.success();
    for protocol in PROTOCOLS {
        for (name, request) in [
            ("TicketService.ResolveTicket", json!({ "ticketId": id })),
            ("TicketService.UpdateTicket", json!({ "ticketId": id, "ticket": { "subject": "Another" } })),
        ] {
            let failed = customer.keyed(protocol, name, request, name).await.failure("INTERNAL_ERROR");
            assert!(!failed.body.to_string().contains("injected"), "nothing else is said: {failed:#?}");
        }
    }
    let after = cast.customer.rest("TicketService.GetTicket", json!({ "ticketId": id })).await.success();
    assert_eq!(after.body, before.body);
    assert_eq!(database.number("SELECT count(*) FROM activities").await, 1);
    assert_eq!(database.number("SELECT count(*) FROM idempotency_keys").await, 0, "a 5xx is not stored");
    let request = json!({ "ticketId": id });
    cast.customer
        .keyed(Protocol::Rest, "TicketService.ResolveTicket", request, "TicketService.ResolveTicket")
        .await
        .success();
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let one = |account: &str| json!({ "subject": "One", "body": "Text", "accountId": account });
    let mut tickets = vec![one(&account); 20];
    tickets.push(one(&crate::cases::unknown_id()));
    let request = json!({ "tickets": tickets });
    cast.agent.call(Protocol::Grpc, "TicketService.BatchCreateTickets", request).await.failure("NOT_FOUND");
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM activities").await, 0);
}

#[tokio::test]
async fn every_change_is_recorded_once_and_permanently() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let step = async |who: &crate::support::Actor, name: &str, request: serde_json::Value| {
        who.call(Protocol::Grpc, &format!("TicketService.{name}"), request).await.success();
    };
    let agent = cast.agent.as_user().id.to_string();
    step(&cast.customer, "UpdateTicket", json!({ "ticketId": id, "ticket": { "subject": "Another" } })).await;
    step(&cast.customer, "UpdateTicket", json!({ "ticketId": id, "ticket": { "subject": "Another" } })).await;
    step(&cast.agent, "AssignTicket", json!({ "ticketId": id, "assigneeId": agent })).await;
    step(&cast.agent, "ResolveTicket", json!({ "ticketId": id })).await;
    step(&cast.customer, "ReopenTicket", json!({ "ticketId": id })).await;
    step(&cast.admin, "DeleteTicket", json!({ "ticketId": id })).await;
    let kinds = app.database.sql("SELECT string_agg(kind::text, ' ' ORDER BY created_at, id) FROM activities").await;
    assert_eq!(kinds[0][0].as_deref(), Some("1 2 3 5 6 9"), "a change to the same is none");
    let client = crate::support::database::connect(&app.database.url).await;
    for change in ["UPDATE activities SET detail = ''", "DELETE FROM activities"] {
        assert!(client.batch_execute(change).await.is_err(), "{change}");
    }
}
