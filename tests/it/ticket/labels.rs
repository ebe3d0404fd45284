//! The queues and tags by which a list of tickets can be filtered.

use serde_json::{Value, json};

use crate::support::{PROTOCOLS, Protocol, TestApp};

const LABELS: &str = "TicketService.GetTicketLabels";

#[tokio::test]
async fn queues_and_tags_are_those_that_tickets_have() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let labels = async |protocol| cast.agent.call(protocol, LABELS, json!({})).await.success().data().clone();
    assert_eq!(labels(Protocol::Rest).await, json!({ "queues": [], "tags": [] }));
    let create = async |queue: &str, tags: Value| {
        let request = json!({ "subject": "Toner", "body": "It is empty.", "queue": queue, "tags": tags });
        cast.customer.call(Protocol::Rest, "TicketService.CreateTicket", request).await.success().id()
    };
    create("Sales", json!(["toner", "black"])).await;
    create("Billing", json!(["paper"])).await;
    let last = create("Sales", json!(["toner"])).await;
    create("Übersee", json!([])).await;
    for protocol in PROTOCOLS {
        let expected = json!({ "queues": ["Billing", "Sales", "Übersee"], "tags": ["toner", "black", "paper"] });
        assert_eq!(labels(protocol).await, expected, "{protocol:?}");
        cast.customer.call(protocol, LABELS, json!({})).await.failure("PERMISSION_DENIED");
    }
    let masked = cast.agent.call(Protocol::Rest, LABELS, json!({ "readMask": "queues" })).await.success();
    assert_eq!(*masked.data(), json!({ "queues": ["Billing", "Sales", "Übersee"] }));
    // The labels include only those of existing tickets.
    cast.admin.call(Protocol::Rest, "TicketService.DeleteTicket", json!({ "ticketId": last })).await.success();
    app.database.sql("DELETE FROM tickets WHERE queue = 'Sales'").await;
    assert_eq!(labels(Protocol::Grpc).await, json!({ "queues": ["Billing", "Übersee"], "tags": ["paper"] }));
}
