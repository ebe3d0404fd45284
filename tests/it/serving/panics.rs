//! A panic, wherever it happens, costs its caller one request: the error is an error like any other, over both
//! protocols, and it is counted.

use serde_json::json;

use crate::{
    cases::ticket,
    support::{Actor, Process, Protocol, TestDatabase, people::Cast},
};

async fn server(point: &str) -> (TestDatabase, Process, Cast) {
    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[("MAINSTAY_FAULTS", &format!("{point}=panic"))]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    (database, server, cast)
}

/// Asserts that the server has counted the panics and goes on.
async fn survived(server: &Process, panics: usize) {
    let metrics = server.private.get("/metrics").await.body.to_string();
    assert!(metrics.contains(&format!("mainstay_panics_total {panics}\\n")), "{metrics}");
    assert_eq!(server.private.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_handler() {
    let (database, server, cast) = server("ticket.between_writes").await;
    let id = ticket(&cast.customer).await;
    for protocol in [Protocol::Rest, Protocol::Grpc] {
        let answer = cast.customer.call(protocol, "TicketService.ResolveTicket", json!({ "ticketId": id })).await;
        assert_eq!(answer.refused("INTERNAL_ERROR").status, 500, "{protocol:?}");
        cast.customer.call(protocol, "TicketService.GetTicket", json!({ "ticketId": id })).await.good();
    }
    assert_eq!(database.number("SELECT count(*) FROM tickets WHERE status <> 1").await, 0, "nothing is half done");
    survived(&server, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_middleware_of_method_calls() {
    let (_database, server, cast) = server("authenticate").await;
    let caller = Actor::bearer(&server.endpoint, "x");
    for protocol in [Protocol::Rest, Protocol::Grpc] {
        let answer = caller.call(protocol, "UserService.GetMe", json!({})).await;
        assert_eq!(answer.refused("INTERNAL_ERROR").status, 500, "{protocol:?}");
    }
    drop(cast);
    survived(&server, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_middleware_of_every_request() {
    for point in ["shed", "trace"] {
        let (_database, server, cast) = server(point).await;
        for protocol in [Protocol::Rest, Protocol::Grpc] {
            let answer = cast.anonymous.call(protocol, "UserService.GetMe", json!({})).await;
            assert_eq!(answer.refused("INTERNAL_ERROR").status, 500, "{point}, {protocol:?}");
        }
        survived(&server, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_stream() {
    let (_database, server, cast) = server("export.page").await;
    ticket(&cast.customer).await;
    let export = "TicketService.ExportTickets";
    cast.agent.call(Protocol::Grpc, export, json!({})).await.refused("INTERNAL_ERROR");
    let token = cast.agent.token().await.expect("a token");
    let url = format!("{}/api/v1/tickets/export", server.endpoint.base());
    let answer = server.endpoint.http.get(url).bearer_auth(token).send().await.expect("an answer");
    let text = answer.text().await.expect("a whole response");
    assert!(text.contains("INTERNAL_ERROR"), "{text}");
    cast.agent.call(Protocol::Grpc, "TicketService.ExportTicketsCsv", json!({})).await.refused("INTERNAL_ERROR");
    survived(&server, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_body() {
    let (_database, server, cast) = server("response.piece").await;
    let grpc = cast.anonymous.call(Protocol::Grpc, "UserService.GetMe", json!({})).await;
    grpc.refused("UNAUTHENTICATED");
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.endpoint.channel.clone());
    let status = health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect_err("no message");
    assert_eq!(status.code(), tonic::Code::Internal, "{status}");
    let answer = server.endpoint.http.get(format!("{}/docs", server.endpoint.base())).send().await;
    let text = match answer {
        Ok(answer) => answer.text().await,
        Err(error) => Err(error),
    };
    assert!(text.is_err(), "a part must not be taken for the whole");
    survived(&server, 2).await;
}
