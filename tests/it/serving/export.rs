//! An export streams lines over REST, messages over gRPC, and server-sent events on request.

use serde_json::json;

use crate::support::{PROTOCOLS, Protocol, TestApp};

#[tokio::test]
async fn an_export_has_every_ticket_of_the_caller() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let one = |account: String| json!({ "subject": "One", "body": "Text", "accountId": account });
    let mut tickets = vec![one(cast.customer.who().account.to_string()); 480];
    tickets.extend(vec![one(cast.stranger.who().account.to_string()); 20]);
    for _ in 0..2 {
        let request = json!({ "tickets": tickets });
        cast.agent.call(Protocol::Grpc, "TicketService.BatchCreateTickets", request).await.good();
    }
    for protocol in PROTOCOLS {
        let all = cast.agent.call(protocol, "TicketService.ExportTickets", json!({})).await.good();
        let own = cast.customer.call(protocol, "TicketService.ExportTickets", json!({})).await.good();
        let count = |answer: &crate::support::Answer| answer.body.as_array().map_or(0, Vec::len);
        assert_eq!((count(&all), count(&own)), (1000, 960), "{protocol:?}");
        let ids: std::collections::BTreeSet<_> =
            all.body.as_array().into_iter().flatten().map(|line| line["data"]["id"].to_string()).collect();
        assert_eq!(ids.len(), 1000, "each once");
    }
}

#[tokio::test]
async fn an_export_is_sent_as_events_on_request() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    crate::cases::ticket(&cast.customer).await;
    let token = cast.customer.token().await.expect("a token");
    let request = app.endpoint.http.get(format!("{}/api/v1/tickets/export", app.endpoint.base())).bearer_auth(token);
    let response = request.header("accept", "text/event-stream").send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.expect("a text");
    assert!(text.starts_with("data:") && text.ends_with("\n\n"), "{text}");
}
