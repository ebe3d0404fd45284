//! The outcome of each row in an imported file.

use serde_json::json;

use super::{begin, wait_for_end};
use crate::{
    cases::file,
    support::{Protocol, TestApp},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_recognized_in_either_format() {
    let (_app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let csv = "tag_2,body,subject,extra,priority,tag_1\nb,\"Line one\\nline \"\"two\"\"\r\nthree\",,x,HIGH,\"a,a\"\n";
    let request = json!({ "accountId": account, "file": file(csv), "unescape": "newlines" });
    let first = cast.agent.keyed(Protocol::Rest, "TicketService.ImportTickets", request, "csv").await.success().id();
    assert_eq!(wait_for_end(&cast.agent, &first).await["progress"]["rowsCreated"], "1");
    let list = cast.agent.call(Protocol::Grpc, "TicketService.ListTickets", json!({})).await.success();
    let ticket = &list.data()[0];
    assert_eq!(ticket["subject"], "Line one line \"two\" three");
    assert_eq!(ticket["body"], "Line one\nline \"two\"\nthree");
    assert_eq!(ticket["tags"], json!(["b", "a"]));
    assert_eq!(ticket["priority"], "TICKET_PRIORITY_HIGH");
    assert!(ticket["requesterId"].is_null(), "{ticket}");

    let line = json!({
        "body": "Line one\nline \"two\"\nthree", "priority": "HIGH", "tags": ["b", "a"], "subject": null, "extra": 1,
    });
    let text = base64(&format!("{line}\n{{\"body\":"));
    let request = json!({ "accountId": account, "file": { "contentType": "application/x-ndjson", "data": text } });
    let second =
        cast.agent.keyed(Protocol::Grpc, "TicketService.ImportTickets", request, "ndjson").await.success().id();
    let result = wait_for_end(&cast.agent, &second).await;
    assert_eq!((&result["progress"]["rowsKnown"], &result["progress"]["rowsFailed"]), (&json!("1"), &json!("1")));
    let request = json!({ "operationId": second });
    let errors = cast.agent.rest("OperationService.ListOperationErrors", request).await.success();
    assert_eq!(errors.data()[0]["message"], "line ends in the middle");
    assert_eq!(errors.data()[0]["line"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_fails_as_a_whole() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let operation = begin(&cast.agent, &account, "subject,answer\nOne,Two\n", "one").await;
    let result = wait_for_end(&cast.agent, &operation).await;
    assert_eq!(result["state"], "OPERATION_STATE_FAILED");
    assert_eq!(result["failure"]["code"], "VALIDATION_FAILED");
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM upload_chunks").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_rows_are_listed_in_pages() {
    let (_app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let rows: String = (0..7).map(|_| "x,\n").collect();
    let account = cast.customer.as_user().account.to_string();
    let operation = begin(&cast.agent, &account, &format!("subject,body\n{rows}"), "one").await;
    wait_for_end(&cast.agent, &operation).await;
    let (mut lines, mut token) = (Vec::new(), String::new());
    loop {
        let request = json!({ "operationId": operation, "pageSize": 3, "pageToken": token });
        let page = cast.agent.rest("OperationService.ListOperationErrors", request).await.success();
        lines.extend(page.data().as_array().expect("a list").iter().map(|error| error["line"].clone()));
        match page.body["meta"]["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(json!(lines), json!(["2", "3", "4", "5", "6", "7", "8"]));
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(text)
}
