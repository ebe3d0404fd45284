//! A panic at any place costs its caller one request: the error has the usual form, over both protocols, it is counted,
//! and its connection continues.

mod connection;

use http::Method;
use serde_json::json;

use crate::{
    cases::ticket,
    support::{Actor, Process, Protocol, TestDatabase, eventually, people::Cast},
};
use connection::{Call, Http2, assert_http1_survives, assert_http2_survives};

const GET_ME: &str = "/mainstay.identity.v1.UserService/GetMe";

async fn server(point: &str) -> (TestDatabase, Process, Cast) {
    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[("MAINSTAY_FAULTS", &format!("{point}=panic"))]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    (database, server, cast)
}

/// Asserts that the server has counted the panics and continues.
async fn assert_survived(server: &Process, panics: usize) {
    let line = format!("mainstay_panics_total {panics}\\n");
    let is_counted = async || server.private.get("/metrics").await.body.to_string().contains(&line);
    eventually("the panics are counted", is_counted).await;
    assert_eq!(server.private.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_handler() {
    let (database, server, cast) = server("ticket.between_writes").await;
    let id = ticket(&cast.customer).await;
    for protocol in [Protocol::Rest, Protocol::Grpc] {
        let answer = cast.customer.call(protocol, "TicketService.ResolveTicket", json!({ "ticketId": id })).await;
        assert_eq!(answer.failure("INTERNAL_ERROR").status, 500, "{protocol:?}");
        cast.customer.call(protocol, "TicketService.GetTicket", json!({ "ticketId": id })).await.success();
    }
    let token = cast.customer.token().await.expect("a token");
    let rest = Call::rest(Method::POST, format!("/api/v1/tickets/{id}/resolve"), &token, "{}");
    // Its only field, an id of 36 bytes.
    let message = [&[0x0a, 36][..], id.as_bytes()].concat();
    let grpc = Call::grpc("/mainstay.support.v1.TicketService/ResolveTicket", &token, &message);
    let panics =
        2 + assert_http2_survives(&server, &[&rest, &grpc]).await + assert_http1_survives(&server, &rest).await;
    assert_eq!(database.number("SELECT count(*) FROM tickets WHERE status <> 1").await, 0, "nothing is half done");
    assert_survived(&server, panics).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_middleware_of_method_calls() {
    let (_database, server, cast) = server("authenticate").await;
    let caller = Actor::bearer(&server.endpoint, "x");
    for protocol in [Protocol::Rest, Protocol::Grpc] {
        let answer = caller.call(protocol, "UserService.GetMe", json!({})).await;
        assert_eq!(answer.failure("INTERNAL_ERROR").status, 500, "{protocol:?}");
    }
    drop(cast);
    let (rest, grpc) = (Call::rest(Method::GET, "/api/v1/me", "x", ""), Call::grpc(GET_ME, "x", &[]));
    let panics =
        2 + assert_http2_survives(&server, &[&rest, &grpc]).await + assert_http1_survives(&server, &rest).await;
    assert_survived(&server, panics).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_middleware_of_every_request() {
    for point in ["shed", "trace"] {
        let (_database, server, cast) = server(point).await;
        for protocol in [Protocol::Rest, Protocol::Grpc] {
            let answer = cast.anonymous.call(protocol, "UserService.GetMe", json!({})).await;
            assert_eq!(answer.failure("INTERNAL_ERROR").status, 500, "{point}, {protocol:?}");
        }
        // All requests of this server panic, so the only observation is that the connection continues.
        let (rest, grpc) = (Call::rest(Method::GET, "/api/v1/me", "", ""), Call::grpc(GET_ME, "", &[]));
        let connection = Http2::connect(&server).await;
        for call in [&rest, &grpc, &rest] {
            let outcome = connection.call(call).await.expect("a response");
            assert!(outcome.is_internal(), "{point}, {call:?}: {outcome:?}");
        }
        assert!(!connection.has_ended(), "{point}");
        assert_survived(&server, 5 + assert_http1_survives(&server, &rest).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_stream() {
    let (_database, server, cast) = server("export.page").await;
    ticket(&cast.customer).await;
    let export = "TicketService.ExportTickets";
    cast.agent.call(Protocol::Grpc, export, json!({})).await.failure("INTERNAL_ERROR");
    let token = cast.agent.token().await.expect("a token");
    let url = format!("{}/api/v1/tickets/export", server.endpoint.base());
    let answer = server.endpoint.http.get(url).bearer_auth(&token).send().await.expect("an answer");
    let text = answer.text().await.expect("a whole response");
    assert!(text.contains("INTERNAL_ERROR"), "{text}");
    cast.agent.call(Protocol::Grpc, "TicketService.ExportTicketsCsv", json!({})).await.failure("INTERNAL_ERROR");
    let rest = Call::rest(Method::GET, "/api/v1/tickets/export", &token, "");
    let grpc = Call::grpc("/mainstay.support.v1.TicketService/ExportTickets", &token, &[]);
    assert_survived(&server, 3 + assert_http2_survives(&server, &[&rest, &grpc]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_body() {
    let (_database, server, cast) = server("response.piece").await;
    let grpc = cast.anonymous.call(Protocol::Grpc, "UserService.GetMe", json!({})).await;
    grpc.failure("UNAUTHENTICATED");
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.endpoint.channel.clone());
    let status = health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect_err("no message");
    assert_eq!(status.code(), tonic::Code::Internal, "{status}");
    let answer = server.endpoint.http.get(format!("{}/docs", server.endpoint.base())).send().await;
    let text = match answer {
        Ok(answer) => answer.text().await,
        Err(error) => Err(error),
    };
    assert!(text.is_err(), "a part must not be taken for the whole");
    // Over HTTP/2, only the stream is reset, and concurrent streams continue.
    let connection = Http2::connect(&server).await;
    let docs = connection.call(&Call::rest(Method::GET, "/docs", "", "")).await;
    assert!(docs.is_err(), "a part must not be taken for the whole: {docs:?}");
    let check = connection.call(&Call::grpc("/grpc.health.v1.Health/Check", "", &[])).await.expect("a response");
    assert!(check.is_internal(), "{check:?}");
    let response = connection.call(&Call::grpc(GET_ME, "", &[])).await.expect("a response");
    assert_eq!(response.grpc_status.as_deref(), Some("16"), "{response:?}");
    assert!(!connection.has_ended(), "the connection has ended");
    assert_survived(&server, 4).await;
}
