//! Responses that exceed the client's limit: gRPC libraries accept 4 MiB by default.

use serde_json::{Value, json};

use crate::{
    cases::add_tickets,
    support::{Protocol, TestApp, grpc, method},
};

const CREATE: &str = "TicketService.BatchCreateTickets";
const LIST: &str = "TicketService.ListTickets";

fn batch(account: Value, count: usize, bytes: usize) -> Value {
    let ticket = json!({ "accountId": account, "subject": "Large", "body": "x".repeat(bytes) });
    json!({ "tickets": vec![ticket; count] })
}

/// A committed change whose response can't be received would be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_response_grpc_would_refuse_changes_nothing() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = json!(cast.customer.as_user().account);
    let count = async || app.database.number("SELECT count(*) FROM tickets").await;
    for key in [None, Some("one")] {
        let request = batch(account.clone(), 500, 9000);
        let refusal = match key {
            None => cast.agent.call(Protocol::Grpc, CREATE, request).await,
            Some(key) => cast.agent.keyed(Protocol::Grpc, CREATE, request, key).await,
        };
        assert_eq!(refusal.failure("PAYLOAD_TOO_LARGE").status, 413);
        assert_eq!(count().await, 0);
    }
    // The idempotency key is unused, and REST has no such limit.
    cast.agent.keyed(Protocol::Rest, CREATE, batch(account.clone(), 500, 9000), "one").await.success();
    assert_eq!(count().await, 500);
    let repeated = cast.agent.keyed(Protocol::Grpc, CREATE, batch(account.clone(), 500, 9000), "one").await;
    assert!(repeated.failure("PAYLOAD_TOO_LARGE").text("/error/message").contains("over REST"));
    // Through Envoy it is REST.
    cast.agent.keyed(Protocol::Envoy, CREATE, batch(account.clone(), 500, 9000), "one").await.success();
    cast.agent.call(Protocol::Envoy, CREATE, batch(account.clone(), 500, 9000)).await.success();
    assert_eq!(count().await, 1000);
    let message = grpc::encode(method(CREATE), &batch(account.clone(), 500, 9000));
    let length = u32::try_from(message.len()).expect("a length").to_be_bytes();
    let web = app.endpoint.http.post(format!("{}{}", app.endpoint.base(), method(CREATE).path));
    let web = web.bearer_auth(cast.agent.token().await.expect("a token"));
    let web = web.header("content-type", "application/grpc-web+proto");
    let web = web.body([&[0][..], &length, &message].concat()).send().await.expect("a response");
    assert_eq!(web.headers()["grpc-status"], "8", "{web:?}");
    assert!(web.headers()["grpc-message"].to_str().is_ok_and(|text| text.contains("4194304")), "{web:?}");
    assert_eq!(count().await, 1000);
    cast.agent.call(Protocol::Grpc, CREATE, batch(account, 400, 9000)).await.success();
    assert_eq!(count().await, 1400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_grpc_would_refuse_says_what_to_do() {
    let (app, cast) = TestApp::start_with_cast().await;
    add_tickets(&app.database, cast.customer.as_user(), 100, 1).await;
    // Three bytes each.
    app.database.sql("UPDATE tickets SET body = repeat('烟', 19000)").await;
    let list = |request: Value| cast.agent.call(Protocol::Grpc, LIST, request);
    let refusal = list(json!({ "pageSize": 100 })).await.failure("PAYLOAD_TOO_LARGE");
    assert!(refusal.text("/error/message").contains("4194304"), "{refusal:#?}");
    for request in [json!({ "pageSize": 50 }), json!({ "pageSize": 100, "readMask": "id,subject" })] {
        list(request).await.success();
    }
    let rest = cast.agent.rest(LIST, json!({ "pageSize": 100 })).await.success();
    assert_eq!(rest.data().as_array().map(Vec::len), Some(100));
    let ids: Vec<_> = rest.data().as_array().expect("a list").iter().map(|ticket| ticket["id"].clone()).collect();
    let get = json!({ "ids": ids });
    cast.agent.call(Protocol::Grpc, "TicketService.BatchGetTickets", get.clone()).await.failure("PAYLOAD_TOO_LARGE");
    cast.agent.rest("TicketService.BatchGetTickets", get).await.success();
}
