//! Paging through a list by token returns every ticket once, in order, even while others are added.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    cases::ticket,
    support::{PROTOCOLS, Protocol, TestApp},
};

#[tokio::test]
async fn paging_returns_every_ticket_once() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let drafts: Vec<_> = (0..23)
        .map(|number| {
            let priority = ["LOW", "MEDIUM", "HIGH", "URGENT"][number % 4];
            json!({ "subject": format!("Number {number}"), "body": "Text", "accountId": account, "priority": format!("TICKET_PRIORITY_{priority}") })
        })
        .collect();
    cast.agent.rest("TicketService.BatchCreateTickets", json!({ "tickets": drafts })).await.success();
    for order in
        ["CREATE_TIME_DESC", "CREATE_TIME_ASC", "UPDATE_TIME_DESC", "UPDATE_TIME_ASC", "PRIORITY_DESC", "PRIORITY_ASC"]
    {
        for protocol in PROTOCOLS {
            let mut request = json!({ "pageSize": 5, "order": format!("TICKET_ORDER_{order}"), "readMask": "id" });
            let (mut met, mut pages) = (Vec::new(), 0);
            loop {
                let page = cast.customer.call(protocol, "TicketService.ListTickets", request.clone()).await.success();
                met.extend(page.data().as_array().into_iter().flatten().map(|ticket| ticket["id"].clone()));
                pages += 1;
                let meta = &page.body["meta"];
                assert_eq!(meta.get("total").is_some(), pages == 1, "the token skips the count: {meta}");
                let Some(token) = meta.get("nextPageToken") else { break };
                request["pageToken"] = token.clone();
            }
            let different: BTreeSet<_> = met.iter().map(Value::to_string).collect();
            assert_eq!((met.len(), different.len(), pages), (23, 23, 5), "{order} over {protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_token_is_valid_only_for_its_own_list() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for _ in 0..3 {
        ticket(&cast.customer).await;
    }
    let page = cast.customer.rest("TicketService.ListTickets", json!({ "pageSize": 1 })).await.success();
    let token = page.text("/meta/nextPageToken");
    let other = json!({ "pageSize": 1, "pageToken": token, "statuses": ["TICKET_STATUS_RESOLVED"] });
    cast.customer.rest("TicketService.ListTickets", other).await.failure("VALIDATION_FAILED");
    let both = json!({ "page": 2, "pageToken": token });
    cast.customer.rest("TicketService.ListTickets", both).await.failure("VALIDATION_FAILED");
    // A page token encodes a position, not permissions.
    let theirs = cast.stranger.rest("TicketService.ListTickets", json!({ "pageSize": 1, "pageToken": token })).await;
    assert!(theirs.data().as_array().is_none_or(Vec::is_empty), "{theirs:#?}");
}

/// Only the server issues tokens: a token with a changed position is rejected and never reaches Postgres.
#[tokio::test]
async fn a_forged_token_is_refused() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for _ in 0..2 {
        ticket(&cast.customer).await;
    }
    for order in ["TICKET_ORDER_CREATE_TIME_DESC", "TICKET_ORDER_PRIORITY_ASC"] {
        let list = async |request: Value| cast.customer.rest("TicketService.ListTickets", request).await;
        let token = list(json!({ "pageSize": 1, "order": order })).await.success().text("/meta/nextPageToken");
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'7' { b'8' } else { b'7' };
            let forged = String::from_utf8(forged).expect("letters");
            let answer = list(json!({ "pageSize": 1, "order": order, "pageToken": forged })).await;
            answer.failure("VALIDATION_FAILED");
        }
        list(json!({ "pageSize": 7, "order": order, "pageToken": token, "readMask": "id" })).await.success();
    }
}

#[tokio::test]
async fn totals_are_exact() {
    let (app, cast) = TestApp::start_with_cast().await;
    let first = ticket(&cast.customer).await;
    ticket(&cast.colleague).await;
    ticket(&cast.stranger).await;
    cast.customer.rest("TicketService.ResolveTicket", json!({ "ticketId": first })).await.success();
    let total = async |who: &crate::support::Actor, request: Value| {
        who.call(Protocol::Grpc, "TicketService.ListTickets", request).await.success().text("/meta/total")
    };
    assert_eq!(total(&cast.agent, json!({})).await, "3");
    assert_eq!(total(&cast.customer, json!({})).await, "2");
    assert_eq!(total(&cast.customer, json!({ "statuses": ["TICKET_STATUS_OPEN"] })).await, "1");
    assert_eq!(total(&cast.agent, json!({ "priorities": ["TICKET_PRIORITY_LOW"] })).await, "0");
    app.database.sql("SELECT fold_ticket_counts()").await;
    assert_eq!(total(&cast.agent, json!({})).await, "3", "folding loses nothing");
}

/// The last numbered page begins at row 10,000; the error for deeper pages names the alternative.
#[tokio::test]
async fn a_page_that_is_too_deep_points_to_the_token() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let page = async |page: u32| {
            let request = json!({ "page": page, "pageSize": 100 });
            cast.agent.call(protocol, "TicketService.ListTickets", request).await
        };
        page(101).await.success();
        let response = page(102).await.failure("VALIDATION_FAILED");
        let fields = json!({ "page": "is too deep; use pageToken instead" });
        assert_eq!((response.status, &response.body["error"]["fields"]), (422, &fields), "{protocol:?}");
    }
}
