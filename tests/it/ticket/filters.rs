//! Lists and exports of tickets by queue, tag, kind and time.

use serde_json::{Value, json};

use crate::support::{PROTOCOLS, TestApp};

#[tokio::test]
async fn filters_select_tickets() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let create = async |subject: &str, queue: &str, tags: &[&str], kind: &str| {
        let draft = json!({ "subject": subject, "body": "Text", "queue": queue, "tags": tags, "kind": kind });
        cast.customer.rest("TicketService.CreateTicket", draft).await.success()
    };
    create("one", "Hardware", &["printer", "fire"], "TICKET_KIND_INCIDENT").await;
    let second = create("two", "Hardware", &["printer"], "TICKET_KIND_REQUEST").await.text("/data/createTime");
    create("three", "Billing", &[], "TICKET_KIND_PROBLEM").await;

    let cases: [(Value, &[&str]); 8] = [
        (json!({ "queues": ["Hardware"] }), &["two", "one"]),
        (json!({ "queues": ["Hardware", "Billing"] }), &["three", "two", "one"]),
        (json!({ "tags": ["printer"] }), &["two", "one"]),
        (json!({ "tags": ["printer", "fire"] }), &["one"]),
        (json!({ "kinds": ["TICKET_KIND_REQUEST", "TICKET_KIND_PROBLEM"] }), &["three", "two"]),
        (json!({ "createdFrom": second }), &["three", "two"]),
        (json!({ "createdBefore": second }), &["one"]),
        (json!({ "queues": ["Nowhere"], "tags": ["printer"] }), &[]),
    ];
    for (filter, subjects) in cases {
        for protocol in PROTOCOLS {
            let list = cast.customer.call(protocol, "TicketService.ListTickets", filter.clone()).await.success();
            let actual: Vec<_> =
                list.data().as_array().into_iter().flatten().map(|ticket| &ticket["subject"]).collect();
            assert_eq!(actual, subjects, "{filter} over {protocol:?}");
            assert_eq!(list.text("/meta/total"), subjects.len().to_string(), "{filter} over {protocol:?}");
        }
        let export = cast.customer.rest("TicketService.ExportTickets", filter.clone()).await.success();
        assert_eq!(export.body.as_array().map_or(0, Vec::len), subjects.len(), "{filter}: {export:#?}");
        let file = cast.customer.rest("TicketService.ExportTicketsCsv", filter.clone()).await.success();
        let lines = file.body.as_str().map_or(0, |file| file.lines().count());
        assert_eq!(lines, 1 + subjects.len(), "{filter}: {file:#?}");
    }
    let nonsense = json!({ "createdFrom": "yesterday" });
    cast.customer.rest("TicketService.ListTickets", nonsense).await.failure("MALFORMED_REQUEST");
}
