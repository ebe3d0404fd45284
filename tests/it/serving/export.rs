//! An export streams lines over REST, messages over gRPC, server-sent events on request, and a CSV file.

use std::io::Read as _;

use mainstay::proto::support::v1::{ExportTicketsCsvRequest, ticket_service_client::TicketServiceClient};
use serde_json::json;
use tonic::Request;

use crate::{
    cases::{add_tickets, file},
    support::{Endpoint, PROTOCOLS, Process, Protocol, TestApp, TestDatabase, eventually, people::Cast},
};

#[tokio::test]
async fn an_export_has_every_ticket_of_the_caller() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let one = |account: String| json!({ "subject": "One", "body": "Text", "accountId": account });
    let mut tickets = vec![one(cast.customer.as_user().account.to_string()); 480];
    tickets.extend(vec![one(cast.stranger.as_user().account.to_string()); 20]);
    for _ in 0..2 {
        let request = json!({ "tickets": tickets });
        cast.agent.call(Protocol::Grpc, "TicketService.BatchCreateTickets", request).await.success();
    }
    for protocol in PROTOCOLS {
        let all = cast.agent.call(protocol, "TicketService.ExportTickets", json!({})).await.success();
        let own = cast.customer.call(protocol, "TicketService.ExportTickets", json!({})).await.success();
        let count = |answer: &crate::support::Response| answer.body.as_array().map_or(0, Vec::len);
        assert_eq!((count(&all), count(&own)), (1000, 960), "{protocol:?}");
        let ids: std::collections::BTreeSet<_> =
            all.body.as_array().into_iter().flatten().map(|line| line["data"]["id"].to_string()).collect();
        assert_eq!(ids.len(), 1000, "each once");
    }
}

#[tokio::test]
async fn an_export_is_sent_as_events_on_request() {
    let (app, cast) = TestApp::start_with_cast().await;
    crate::cases::ticket(&cast.customer).await;
    let token = cast.customer.token().await.expect("a token");
    let request = app.endpoint.http.get(format!("{}/api/v1/tickets/export", app.endpoint.base())).bearer_auth(token);
    let response = request.header("accept", "text/event-stream").send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.expect("a text");
    assert!(text.starts_with("data:") && text.ends_with("\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_file_of_any_protocol_is_imported_again() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let draft = json!({
        "subject": "=HYPERLINK(\"http://evil.example\")", "body": "-1,\n\"two\"", "kind": "TICKET_KIND_PROBLEM",
        "priority": "TICKET_PRIORITY_URGENT", "queue": "@home", "language": "de-AT", "tags": ["a", "b c"],
    });
    cast.customer.rest("TicketService.CreateTicket", draft.clone()).await.success();
    let second = json!({
        "subject": "＝1+1", "body": " \\\\server\\new\r\n\"x\"; y\t\u{2028} ", "kind": "TICKET_KIND_REQUEST",
        "priority": "TICKET_PRIORITY_LOW", "queue": "C:\\new", "language": "ja", "tags": ["＠a"],
    });
    cast.customer.rest("TicketService.CreateTicket", second.clone()).await.success();
    let mut first = None;
    for protocol in PROTOCOLS {
        let export = cast.agent.call(protocol, "TicketService.ExportTicketsCsv", json!({ "accountId": account }));
        let export = export.await.success();
        let text = export.body.as_str().expect("a text").to_owned();
        assert!(text.starts_with("\u{feff}id,account_id,") && !text[3..].contains('\u{feff}'), "{text}");
        assert!(
            text.contains(",\"'=HYPERLINK(\"\"http://evil.example\"\")\",\"'-1,\n\"\"two\"\"\",Problem,'@home,"),
            "{text}"
        );
        assert_eq!(*first.get_or_insert_with(|| text.clone()), text, "{protocol:?}");
        if protocol != Protocol::Grpc {
            let header = |name| export.header(name).expect("a header").to_owned();
            assert_eq!(header("content-type"), "text/csv; charset=utf-8; header=present", "{protocol:?}");
            assert_eq!(header("content-disposition"), "attachment; filename=\"tickets.csv\"", "{protocol:?}");
        }
    }
    let url = format!("{}/api/v1/tickets/export.csv?accountId={account}", app.endpoint.base());
    let token = cast.agent.token().await.expect("a token");
    let export = app.endpoint.http.get(url).bearer_auth(token).header("accept-encoding", "gzip").send().await;
    let export = export.expect("an answer");
    assert_eq!(export.headers()["content-encoding"], "gzip");
    let (compressed, mut text) = (export.bytes().await.expect("a body"), String::new());
    flate2::read::GzDecoder::new(&compressed[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(Some(&text), first.as_ref());
    let other = cast.stranger.as_user().account.to_string();
    let request = json!({ "accountId": other, "file": file(&first.expect("a file")) });
    cast.agent.rest("TicketService.ImportTickets", request).await.success();
    let mut list = None;
    eventually("the import", async || {
        let tickets = cast.stranger.rest("TicketService.ListTickets", json!({})).await.success();
        let has_one = tickets.data().as_array().is_some_and(|tickets| tickets.len() == 2);
        list = Some(tickets);
        has_one
    })
    .await;
    let list = list.expect("a list");
    for (ticket, draft) in list.data().as_array().expect("a list").iter().rev().zip([&draft, &second]) {
        for (name, value) in draft.as_object().expect("an object") {
            assert_eq!(ticket[name], *value, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_are_imported_again() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let draft = json!({
        "subject": "One", "body": "a\r\n=b;\"c\"", "kind": "TICKET_KIND_CHANGE", "priority": "TICKET_PRIORITY_HIGH",
        "queue": "IT", "language": "de-AT", "tags": ["Smith, John", "\"c\""],
    });
    cast.customer.rest("TicketService.CreateTicket", draft.clone()).await.success();
    let (token, base) = (cast.agent.token().await.expect("a token"), app.endpoint.base());
    let http = &app.endpoint.http;
    let export = http.get(format!("{base}/api/v1/tickets/export")).bearer_auth(&token).send().await.expect("an answer");
    let lines = export.text().await.expect("a text");
    let account = cast.stranger.as_user().account;
    let import = http.post(format!("{base}/api/v1/tickets/import?accountId={account}")).bearer_auth(&token);
    let began = import.header("content-type", "application/x-ndjson").body(lines).send().await.expect("an answer");
    assert_eq!(began.status(), 202);
    let mut ticket = serde_json::Value::Null;
    eventually("the import", async || {
        let list = cast.stranger.rest("TicketService.ListTickets", json!({})).await.success();
        ticket = list.data()[0].clone();
        ticket.is_object()
    })
    .await;
    for (name, value) in draft.as_object().expect("an object") {
        assert_eq!(ticket[name], *value, "{name}");
    }
}

/// CSV has no place for an error: a client that mistakes a part for the whole would lose tickets unnoticed.
#[tokio::test(flavor = "multi_thread")]
async fn a_csv_file_that_fails_in_the_middle_breaks_off() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    // Several pages: a reader that stops reading gets the first ones.
    add_tickets(&database, cast.customer.as_user(), 4000, 18_000).await;
    let token = cast.agent.token().await.expect("a token");
    let envoy = Endpoint::new(server.endpoint.envoy().await.address());
    let mut files = Vec::new();
    for endpoint in [&server.endpoint, &envoy] {
        let url = format!("{}/api/v1/tickets/export.csv", endpoint.base());
        let response = endpoint.http.get(url).bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        files.push(response);
    }
    let mut streams = Vec::new();
    for endpoint in [&server.endpoint, &envoy] {
        let mut request = Request::new(ExportTicketsCsvRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
        let answer = TicketServiceClient::new(endpoint.channel.clone()).export_tickets_csv(request).await;
        streams.push(answer.expect("a stream").into_inner());
    }
    database.sql("ALTER TABLE tickets RENAME TO tickets_elsewhere").await;
    for file in files {
        file.bytes().await.expect_err("the file broke off");
    }
    for mut stream in streams {
        let status = loop {
            match stream.message().await {
                Ok(message) => assert!(message.is_some(), "the stream has an end without an error"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), tonic::Code::Internal, "{status}");
    }
}
