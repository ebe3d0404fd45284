//! The queues and tags by which a list of tickets can be filtered.

use serde_json::{Value, json};

use crate::support::{PROTOCOLS, Protocol, TestApp};

const LABELS: &str = "TicketService.GetTicketLabels";

#[tokio::test]
async fn queues_and_tags_are_those_that_tickets_have() {
    let (app, cast) = TestApp::start_with_cast().await;
    let labels = async |protocol| cast.agent.call(protocol, LABELS, json!({})).await.success().data().clone();
    assert_eq!(labels(Protocol::Rest).await, json!({ "queues": [], "tags": [] }));
    let create = async |queue: &str, tags: Value| {
        let request = json!({ "subject": "Toner", "body": "It is empty.", "queue": queue, "tags": tags });
        cast.customer.rest("TicketService.CreateTicket", request).await.success().id()
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
    let masked = cast.agent.rest(LABELS, json!({ "readMask": "queues" })).await.success();
    assert_eq!(*masked.data(), json!({ "queues": ["Billing", "Sales", "Übersee"] }));
    // The labels include only those of existing tickets.
    cast.admin.rest("TicketService.DeleteTicket", json!({ "ticketId": last })).await.success();
    app.database.sql("DELETE FROM tickets WHERE queue = 'Sales'").await;
    assert_eq!(labels(Protocol::Grpc).await, json!({ "queues": ["Billing", "Übersee"], "tags": ["paper"] }));
}

/// Customers choose queues and tags freely, so one of them must not displace those of all others.
#[tokio::test]
async fn labels_of_many_accounts_come_before_those_of_one() {
    let (app, cast) = TestApp::start_with_cast().await;
    for who in [&cast.customer, &cast.stranger] {
        let request = json!({ "subject": "Toner", "body": "It is empty.", "queue": "Sales", "tags": ["toner"] });
        who.rest("TicketService.CreateTicket", request).await.success();
    }
    let user = cast.customer.as_user();
    let flood = format!(
        "INSERT INTO tickets (id, account_id, requester_id, subject, body, kind, status, priority, queue, language, tags,
             created_at, updated_at)
         SELECT gen_random_uuid(), '{}', '{}', 'S', 'B', 1, 1, 1, label, 'en', ARRAY[label, label || 'a'], now(), now()
         FROM (SELECT '!!' || to_char(n % 250, 'FM0000') AS label FROM generate_series(1, 1000) AS n) AS labels",
        user.account, user.id
    );
    app.database.sql(&flood).await;
    for protocol in PROTOCOLS {
        let labels = cast.agent.call(protocol, LABELS, json!({})).await.success().data().clone();
        let [queues, tags] = ["queues", "tags"].map(|field| labels[field].as_array().expect("a list"));
        assert_eq!((queues.len(), tags.len()), (200, 200), "{protocol:?}");
        assert_eq!((queues.last(), tags.first()), (Some(&json!("Sales")), Some(&json!("toner"))), "{protocol:?}");
        assert!(queues.is_sorted_by_key(|queue| queue.as_str()), "{protocol:?}: {queues:?}");
    }
}
