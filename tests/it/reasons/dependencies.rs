//! Reasons for unavailable or broken dependencies, and for callers that disconnect.

use serde_json::json;

use super::coverage::ReasonCoverage;
use crate::webhook::create_endpoint;
use crate::{
    cases::{draft, order::order, ticket, unknown_id},
    support::{
        PROTOCOLS, Process, Protocol, TestApp, TestDatabase, database::connect, eventually, people::Cast,
        receiver::Receiver, servers,
    },
};

#[tokio::test]
async fn internal_error() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    app.database.sql("ALTER TABLE comments RENAME TO comments_elsewhere").await;
    let mut coverage = ReasonCoverage::of("INTERNAL_ERROR");
    for protocol in PROTOCOLS {
        let failed = cast.customer.call(protocol, "CommentService.ListComments", json!({ "ticketId": id })).await;
        let failed = coverage.failure(protocol, failed);
        let body = failed.body.to_string();
        assert!(!body.contains("relation") && !body.contains("SELECT"), "no details: {body}");
    }
}

#[tokio::test]
async fn unavailable() {
    let (app, cast) = TestApp::builder().set("DATABASE_POOL_WAIT", "800ms").start_with_cast().await;
    cast.customer.token().await;
    let name = app.database.url.rsplit('/').next().expect("a name").to_owned();
    let name = name.split('?').next().expect("a name");
    let server = connect(&servers::servers().await.postgres_url).await;
    let close = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    server.batch_execute(&close).await.expect("the database closes");
    let mut coverage = ReasonCoverage::of("UNAVAILABLE");
    for protocol in PROTOCOLS {
        let response = cast.customer.call(protocol, "TicketService.CreateTicket", draft()).await;
        let response = coverage.failure(protocol, response);
        assert!(response.header("retry-after").is_some(), "{response:#?}");
    }
    assert_eq!(app.endpoint.get("/readyz").await.status, 200, "no load balancer takes every instance out at once");
    server.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.expect("it opens");
    eventually("a ticket is created again", async || {
        cast.customer.rest("TicketService.CreateTicket", draft()).await.reason.is_empty()
    })
    .await;
}

/// No caller is left to receive the response, so the reason appears in the log and the metrics.
#[tokio::test(flavor = "multi_thread")]
async fn client_closed_request() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let id = ticket(&cast.customer).await;
    let other = connect(&database.url).await;
    other
        .batch_execute(&format!("BEGIN; SELECT id FROM tickets WHERE id = '{id}' FOR UPDATE"))
        .await
        .expect("the ticket");
    let request = json!({ "ticketId": id });
    let call = cast.customer.keyed(Protocol::Rest, "TicketService.ResolveTicket", request.clone(), "one");
    // Dropping the call closes its connection while the request waits for the ticket.
    tokio::select! {
        answer = call => panic!("the request does not wait for the ticket: {answer:#?}"),
        () = database.locks_waited_for(1) => {}
    }
    eventually("the log mentions it", async || server.log().contains("\"status\":499")).await;
    let metrics = server.private.get("/metrics").await.body.to_string();
    assert!(metrics.contains("status=\\\"499\\\""), "{metrics}");
    // No partial work remains.
    other.batch_execute("ROLLBACK").await.expect("the ticket goes");
    assert_eq!(database.number("SELECT count(*) FROM idempotency_keys").await, 0);
    let again = cast.customer.keyed(Protocol::Rest, "TicketService.ResolveTicket", request, "one").await.success();
    assert!(!again.is_replayed());
    cast.customer.rest("TicketService.GetTicket", json!({ "ticketId": unknown_id() })).await.failure("NOT_FOUND");
}

/// A receiver that accepts the connection and does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn upstream_timeout() {
    let app = TestApp::start().await;
    let scene = crate::cases::Scene::new(&app).await;
    let receiver = Receiver::holding().await;
    let (id, _) = create_endpoint(&scene, &receiver, &["orders.order.created"]).await;
    scene.cast.admin.token().await;
    let test = |protocol| {
        scene.cast.admin.call(protocol, "WebhookEndpointService.TestWebhookEndpoint", json!({ "endpointId": id }))
    };
    let mut coverage = ReasonCoverage::of("UPSTREAM_TIMEOUT");
    for (protocol, answer) in PROTOCOLS.into_iter().zip(futures_util::future::join_all(PROTOCOLS.map(test)).await) {
        assert_eq!(coverage.failure(protocol, answer).status, 504);
    }
}

#[tokio::test]
async fn idempotency_key_expired() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    customer.keyed(Protocol::Rest, "TicketService.CreateTicket", draft(), "one").await.success();
    app.database.sql("UPDATE idempotency_keys SET answer = NULL, created_at = created_at - interval '2 days'").await;
    let mut coverage = ReasonCoverage::of("IDEMPOTENCY_KEY_EXPIRED");
    for protocol in PROTOCOLS {
        coverage.failure(protocol, customer.keyed(protocol, "TicketService.CreateTicket", draft(), "one").await);
    }
}

/// A gateway that rejects connections: the first payments are pending, and after a while none is started.
#[tokio::test(flavor = "multi_thread")]
async fn circuit_open() {
    // Bound, so that no other test takes the port, and not listening.
    let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
    taken.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let nobody = taken.local_addr().expect("an address");
    let app = TestApp::builder()
        .set("PAYMENT_GATEWAY", "stripe")
        .set("STRIPE_SECRET_KEY", "sk_test")
        .set("STRIPE_BASE_URL", format!("http://{nobody}"))
        .start()
        .await;
    let scene = crate::cases::Scene::new(&app).await;
    let charge = async |protocol, order: &str, key: &str| {
        let request = json!({ "orderId": order, "paymentMethod": "pm_card_visa" });
        scene.cast.customer.keyed(protocol, "PaymentService.ChargePayment", request, key).await
    };
    let mut charges = 0;
    // An open circuit admits one call after each pause, however long the pause before was.
    let mut refusal = async |protocol| {
        loop {
            let order = order(&scene).await;
            let response = charge(protocol, &order, &order).await;
            if response.reason == "CIRCUIT_OPEN" {
                return response;
            }
            assert_eq!(response.success().status, 202, "a payment that started is pending");
            charges += 1;
            assert!(charges < 20, "the circuit does not open");
        }
    };
    refusal(Protocol::Rest).await;
    let mut coverage = ReasonCoverage::of("CIRCUIT_OPEN");
    for protocol in PROTOCOLS {
        let response = coverage.failure(protocol, refusal(protocol).await);
        assert!(response.headers.contains_key("retry-after"), "{response:#?}");
    }
    assert!(charges > 0, "it opens at a failure");
    let pending = app.database.number("SELECT count(*) FROM payments WHERE status = 1").await;
    assert_eq!(usize::try_from(pending), Ok(charges), "a refusal leaves nothing");
    assert_eq!(app.database.number("SELECT count(*) FROM orders WHERE status = 1").await, 4, "one for each refusal");
    let health = app.private.http.get(format!("{}/health", app.private.base())).send().await.expect("an answer");
    assert_eq!(health.status(), 503);
    assert!(health.text().await.expect("a text").contains("\"gateway\":\"unavailable\""));
}
