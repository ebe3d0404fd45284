//! Reasons for requests that never reach a method, or reach it without valid credentials.

use chrono::TimeDelta;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::coverage::ReasonCoverage;
use crate::{
    cases::{draft, file::body},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, actor::sign_in, modules, rest},
};

/// REST, in process and through Envoy.
const REST: [Protocol; 2] = [Protocol::Rest, Protocol::Envoy];

async fn send(
    app: &TestApp,
    verb: Method,
    path: &str,
    shape: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Response {
    send_over(app, Protocol::Rest, verb, path, shape).await
}

async fn send_over(
    app: &TestApp,
    protocol: Protocol,
    verb: Method,
    path: &str,
    shape: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Response {
    let request = app.endpoint.http.request(verb, format!("{}{path}", app.endpoint.base_of(protocol).await));
    rest::read(shape(request).send().await.expect("an answer")).await
}

#[tokio::test]
async fn route_not_found() {
    let app = TestApp::start().await;
    let mut coverage = ReasonCoverage::of("ROUTE_NOT_FOUND");
    for path in ["/api/v1/nothing", "/nothing", "/api/v2/tickets", "/docs/nothing.js"] {
        for protocol in REST {
            coverage.failure(protocol, send_over(&app, protocol, Method::GET, path, |request| request).await);
        }
    }
    let mut grpc = tonic::client::Grpc::new(app.endpoint.channel.clone());
    grpc.ready().await.expect("connected");
    let path = http::uri::PathAndQuery::from_static("/mainstay.support.v1.TicketService/Nothing");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let status = grpc.unary(tonic::Request::new(()), path, codec).await.expect_err("there is none");
    coverage.code(
        Protocol::Grpc,
        mainstay_kernel::contract::status::reason(&modules().contract.catalogue, &status).facts().code,
    );
}

/// The operator's domain is in every error, and REST still finds the reason.
#[tokio::test]
async fn the_domain_of_the_reasons_can_be_set() {
    use tonic_types::StatusExt as _;
    let (app, cast) = TestApp::builder().set("ERROR_DOMAIN", "api.example.com").start_with_cast().await;
    let who = json!({ "email": "nobody@example.com", "password": "wrong password" });
    cast.anonymous.rest("AuthService.Login", who).await.failure("INVALID_CREDENTIALS");
    let mut grpc = tonic::client::Grpc::new(app.endpoint.channel.clone());
    grpc.ready().await.expect("connected");
    let path = http::uri::PathAndQuery::from_static("/mainstay.identity.v1.UserService/GetMe");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let status = grpc.unary(tonic::Request::new(()), path, codec).await.expect_err("no caller");
    let info = status.get_details_error_info().expect("details");
    assert_eq!((&*info.domain, &*info.reason), ("api.example.com", "UNAUTHENTICATED"));
}

#[tokio::test]
async fn refusals_name_what_would_do() {
    let (app, cast) = TestApp::start_with_cast().await;
    let metadata = |answer: &Response, key: &str| answer.text(&format!("/error/metadata/{key}"));
    for protocol in PROTOCOLS {
        let response = cast.customer.call(protocol, "WebhookEndpointService.ListWebhookEndpoints", json!({})).await;
        assert_eq!(metadata(&response.failure("PERMISSION_DENIED"), "roles"), "agent, admin");
        let response = cast.agent.call(protocol, "WebhookEndpointService.ListWebhookEndpoints", json!({})).await;
        assert_eq!(metadata(&response.failure("PERMISSION_DENIED"), "scope"), "webhooks.endpoints.manage");
        let service = Actor::service(&cast.admin, &["support.tickets.read".to_owned()]);
        let response = service.call(protocol, "TicketService.CreateTicket", draft()).await.failure("PERMISSION_DENIED");
        assert_eq!(metadata(&response, "scope"), "support.tickets.write");
        assert!(response.text("/error/message").contains("support.tickets.write"), "{response:#?}");
    }
    let token = cast.customer.token().await.expect("a token");
    let auth = |request: RequestBuilder| request.bearer_auth(token.clone());
    let xml = |request: RequestBuilder| request.header("content-type", "text/xml").body("<a/>");
    let response = send(&app, Method::POST, "/api/v1/tickets", |request| xml(auth(request)))
        .await
        .failure("UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(
        (metadata(&response, "accepted"), response.header("accept")),
        ("application/json".to_owned(), Some("application/json"))
    );
    let import = format!("/api/v1/tickets/import?accountId={}", cast.customer.as_user().account);
    let agent = cast.agent.token().await.expect("a token");
    let response = send(&app, Method::POST, &import, |request| xml(request.bearer_auth(agent.clone())))
        .await
        .failure("UNSUPPORTED_MEDIA_TYPE");
    assert!(metadata(&response, "accepted").contains("text/csv"), "{response:#?}");
    let html = |request| auth(request).header("accept", "text/html");
    let response = send(&app, Method::GET, "/api/v1/tickets", html).await.failure("NOT_ACCEPTABLE");
    assert_eq!(metadata(&response, "available"), "application/json");
}

#[tokio::test]
async fn method_not_allowed() {
    let app = TestApp::start().await;
    let mut coverage = ReasonCoverage::of("METHOD_NOT_ALLOWED");
    for protocol in REST {
        let answer = send_over(&app, protocol, Method::PUT, "/api/v1/tickets", |request| request).await;
        assert_eq!(coverage.failure(protocol, answer).header("allow"), Some("GET, HEAD, POST"));
    }
    send(&app, Method::POST, "/livez", |request| request).await.failure("METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn not_acceptable() {
    let app = TestApp::start().await;
    let mut coverage = ReasonCoverage::of("NOT_ACCEPTABLE");
    for protocol in REST {
        let html = |request: RequestBuilder| request.header("accept", "text/html");
        coverage.failure(protocol, send_over(&app, protocol, Method::GET, "/api/v1/tickets", html).await);
    }
}

#[tokio::test]
async fn unsupported_media_type() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    let token = customer.token().await.expect("a token");
    let xml = |request: RequestBuilder| request.bearer_auth(&token).header("content-type", "text/xml").body("<a/>");
    let mut coverage = ReasonCoverage::of("UNSUPPORTED_MEDIA_TYPE");
    for protocol in REST {
        coverage.failure(protocol, send_over(&app, protocol, Method::POST, "/api/v1/tickets", xml).await);
    }
    // gRPC itself is one media type, so only the declared type of a file can be wrong.
    let page = json!({ "name": "a.png", "file": body("image/png", "<script>alert(1)</script>") });
    coverage.failure(Protocol::Grpc, customer.call(Protocol::Grpc, "FileService.UploadFile", page).await);
}

#[tokio::test]
async fn malformed_request() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = cast.customer.token().await.expect("a token");
    let auth = |request: RequestBuilder| request.bearer_auth(token.clone()).header("content-type", "application/json");
    for body in ["{", "[]", "{\"subject\": 7}", "{\"kind\": true}", "{\"subject\":\"\\ud800\"}"] {
        let answer = send(&app, Method::POST, "/api/v1/tickets", |request| auth(request).body(body)).await;
        assert_eq!(answer.reason, "MALFORMED_REQUEST", "{body}: {answer:#?}");
    }
    for query in ["colour=red", "pageSize=many"] {
        let answer = send(&app, Method::GET, &format!("/api/v1/tickets?{query}"), auth).await;
        assert_eq!(answer.reason, "MALFORMED_REQUEST", "{query}: {answer:#?}");
    }
    let mut coverage = ReasonCoverage::of("MALFORMED_REQUEST");
    for protocol in PROTOCOLS {
        let answer = cast.customer.keyed(protocol, "TicketService.CreateTicket", draft(), "two words").await;
        coverage.failure(protocol, answer);
    }
}

/// An unknown name of an enum is reported together with the request's other faults, with the list of valid names.
#[tokio::test]
async fn unknown_enum_names_are_listed_with_every_other_fault() {
    let (app, cast) = TestApp::start_with_cast().await;
    let kinds = "must be one of TICKET_KIND_INCIDENT, TICKET_KIND_REQUEST, TICKET_KIND_PROBLEM, TICKET_KIND_CHANGE";
    let priorities =
        "must be one of TICKET_PRIORITY_LOW, TICKET_PRIORITY_MEDIUM, TICKET_PRIORITY_HIGH, TICKET_PRIORITY_URGENT";
    let fields = json!({ "subject": "must be 1 to 200 characters", "kind": kinds, "priority": priorities });
    // In gRPC an enum is a number.
    for (protocol, kind, priority) in
        [(Protocol::Rest, json!("WISH"), json!("ASAP")), (Protocol::Grpc, json!(99), json!(-1))]
    {
        let draft = json!({ "subject": "", "body": "Text", "kind": kind, "priority": priority });
        let response = cast.customer.call(protocol, "TicketService.CreateTicket", draft).await;
        let response = response.failure("VALIDATION_FAILED");
        assert_eq!((response.status, &response.body["error"]["fields"]), (422, &fields), "{protocol:?}");
    }
    let one = |kind: &str| json!({ "subject": "One", "body": "Text", "kind": kind });
    let batch = json!({ "tickets": [one("TICKET_KIND_CHANGE"), one("ticket_kind_change"), one("WISH")] });
    let response = cast.agent.rest("TicketService.BatchCreateTickets", batch).await;
    let fields = json!({ "tickets[1].kind": kinds, "tickets[2].kind": kinds });
    assert_eq!(response.failure("VALIDATION_FAILED").body["error"]["fields"], fields);

    let token = cast.customer.token().await.expect("a token");
    let query = "statuses=OPEN&statuses=TICKET_STATUS_OPEN&statuses=OPEN&statuses=7&order=UP&assigneeId=me";
    let path = format!("/api/v1/tickets?{query}");
    let response = send(&app, Method::GET, &path, |request| request.bearer_auth(token)).await;
    let fields = response.failure("VALIDATION_FAILED").body["error"]["fields"].clone();
    let named: Vec<_> = fields.as_object().into_iter().flatten().map(|(field, _)| field.as_str()).collect();
    assert_eq!(named, ["statuses[0]", "statuses[2]", "statuses[3]", "assigneeId", "order"], "{fields}");
    let statuses = "must be one of TICKET_STATUS_OPEN, TICKET_STATUS_IN_PROGRESS, TICKET_STATUS_RESOLVED";
    assert_eq!(fields["statuses[2]"], statuses);
    assert!(
        fields["order"].as_str().is_some_and(|text| text.starts_with("must be one of TICKET_ORDER_CREATE_TIME_DESC, "))
    );
}

#[tokio::test]
async fn payload_too_large() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let large = json!({ "subject": "Large", "body": "x".repeat(2 << 20) });
    let mut coverage = ReasonCoverage::of("PAYLOAD_TOO_LARGE");
    for protocol in PROTOCOLS {
        coverage.failure(protocol, cast.customer.call(protocol, "TicketService.CreateTicket", large.clone()).await);
    }
}

#[tokio::test]
async fn token_expired() {
    let (app, cast) = TestApp::start_with_cast().await;
    cast.customer.rest("UserService.GetMe", json!({})).await.success();
    app.app.clock.advance(TimeDelta::minutes(6));
    let mut coverage = ReasonCoverage::of("TOKEN_EXPIRED");
    for protocol in PROTOCOLS {
        let answer = coverage.failure(protocol, cast.customer.call(protocol, "UserService.GetMe", json!({})).await);
        assert!(answer.header("www-authenticate").is_some_and(|value| value.contains("invalid_token")), "{answer:#?}");
    }
}

#[tokio::test]
async fn invalid_token() {
    let (app, cast) = TestApp::start_with_cast().await;
    let good = cast.customer.token().await.expect("a token");
    let parts: Vec<_> = good.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let forged = [
        format!("{}.{}.", none, parts[1]),
        format!("{}.{}.{}", none, parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>()),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}x"),
        "\u{7f}".to_owned(),
    ];
    let mut coverage = ReasonCoverage::of("INVALID_TOKEN");
    for token in forged.into_iter().filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic())) {
        for protocol in PROTOCOLS {
            let answer =
                Actor::bearer(&app.endpoint, token.clone()).call(protocol, "TicketService.CreateTicket", draft()).await;
            assert_eq!(answer.reason, "INVALID_TOKEN", "{token}: {answer:#?}");
            coverage.failure(protocol, answer);
        }
    }
}

#[tokio::test]
async fn session_revoked() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut coverage = ReasonCoverage::of("SESSION_REVOKED");
    for protocol in PROTOCOLS {
        let pair = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
        Actor::bearer(&app.endpoint, pair.text("/data/accessToken"))
            .call(protocol, "AuthService.Logout", json!({}))
            .await
            .success();
        let request = json!({ "refreshToken": pair.text("/data/refreshToken") });
        coverage.failure(protocol, cast.anonymous.call(protocol, "AuthService.Refresh", request).await);
    }
}

#[tokio::test]
async fn reauthentication_required() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
    app.app.clock.advance(TimeDelta::minutes(11));
    let refresh = json!({ "refreshToken": pair.text("/data/refreshToken") });
    let pair = cast.anonymous.rest("AuthService.Refresh", refresh).await.success();
    let me = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
    let mut coverage = ReasonCoverage::of("REAUTHENTICATION_REQUIRED");
    for protocol in PROTOCOLS {
        coverage.failure(protocol, me.call(protocol, "SecondFactorService.EnrollTotp", json!({})).await);
    }
}

#[tokio::test]
async fn second_factor_required() {
    let app = TestApp::builder().set("SECOND_FACTOR_STAFF", "required").start().await;
    let agent = app.cast().await.agent;
    let mut coverage = ReasonCoverage::of("SECOND_FACTOR_REQUIRED");
    for protocol in PROTOCOLS {
        coverage.failure(protocol, agent.call(protocol, "TicketService.ListTickets", json!({})).await);
    }
}
