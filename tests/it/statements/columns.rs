//! The read columns: no large value is read unless it is requested.

use std::sync::Arc;

use crate::{
    cases::{self, Scene},
    support::{Protocol, TestApp, TestDatabase, proxy::Proxy},
};

/// The methods that return large values: the field, and the column that it is read from.
const LARGE: [(&str, &str, &str); 14] = [
    ("TicketService.GetTicket", "body", "tickets.body"),
    ("TicketService.ListTickets", "body", "tickets.body"),
    ("TicketService.BatchGetTickets", "body", "tickets.body"),
    ("CommentService.GetComment", "body", "comments.body"),
    ("CommentService.ListComments", "body", "comments.body"),
    ("CannedAnswerService.GetCannedAnswer", "body", "canned_answers.body"),
    ("CannedAnswerService.ListCannedAnswers", "body", "canned_answers.body"),
    ("PostService.GetPost", "body", "posts.body"),
    ("PostService.GetPost", "html", "posts.body"),
    ("PostService.GetPostBySlug", "body", "posts.body"),
    ("InboundEventService.GetInboundEvent", "payload", "inbound_events.payload"),
    ("WebhookDeliveryService.GetWebhookDelivery", "payload", "webhook_deliveries.payload"),
    ("WebhookDeliveryService.ListWebhookDeliveries", "payload", "webhook_deliveries.payload"),
    ("SystemLogService.ListSystemLogs", "line", "system_logs.line"),
];

/// Lists that never return them.
const SMALL: [(&str, &str); 3] = [
    ("PostService.ListPosts", "posts.body"),
    ("PostService.ListDrafts", "posts.body"),
    ("InboundEventService.ListInboundEvents", "inbound_events.payload"),
];

/// Returns a column as statements spell it.
fn quote(column: &str) -> String {
    format!("\"{}\"", column.replace('.', "\".\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unrequested_column_is_not_read() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone()).start().await;
    // Callers who see drafts read posts from the database, not from the cache.
    let admin = app.cast().await.admin;
    let reads = async |method: &str, mask: Option<&str>, column: &str| {
        let mut call = (cases::good_case(method).call)(Scene::new(&app).await).await;
        match mask {
            Some(mask) => call.request["readMask"] = mask.into(),
            None => drop(call.request.as_object_mut().and_then(|request| request.remove("readMask"))),
        }
        proxy.take_texts();
        call.send_as(&admin, Protocol::Rest, method).await.success();
        let texts = proxy.take_texts();
        assert!(!texts.is_empty(), "{method} reads nothing");
        texts.iter().any(|text| text.contains(&quote(column)))
    };
    let mut faults = Vec::new();
    for (method, field, column) in LARGE {
        for (mask, expected) in [(None, true), (Some(field), true), (Some("id"), false)] {
            if reads(method, mask, column).await != expected {
                faults.push(format!("{method} with the mask {mask:?}: {column} is read: {}", !expected));
            }
        }
    }
    for (method, column) in SMALL {
        if reads(method, None, column).await {
            faults.push(format!("{method}: {column} is read"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
