//! The features of the Envoy configuration besides REST: native gRPC passed through, retries, local replies, and
//! options.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mainstay_dev_servers::Envoy;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    cases::{self, Scene, draft},
    support::{
        Actor, Endpoint, Protocol, Raw, Response, TestApp,
        actor::{envoy_options, start_envoy},
        methods, modules, process,
    },
};

#[tokio::test]
async fn the_committed_configuration_matches_the_printed_one() {
    let printed = process::output(&["envoy"]).await;
    let file = include_str!("../../../deploy/envoy/envoy.yaml");
    assert!(printed == file, "the contract has changed: mainstay envoy > deploy/envoy/envoy.yaml");
}

/// A container without a shell can't redirect the output.
#[tokio::test]
async fn the_configuration_and_the_descriptors_are_written_to_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path");
    let descriptors = "--descriptors=/etc/envoy/contract.binpb";
    assert_eq!(process::output(&["envoy", descriptors, "--write-to", path]).await, "");
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(read("envoy.yaml"), process::output(&["envoy", descriptors]).await.into_bytes());
    assert_eq!(read("contract.binpb"), modules().contract.encoded);
}

/// The issuer is the one that the identity module configures.
#[tokio::test]
async fn tokens_are_checked_at_the_edge_by_their_issuer() {
    let unchecked = process::output(&["envoy"]).await;
    assert!(!unchecked.contains("issuer: "), "{unchecked}");
    let checked = process::output(&["envoy", "--check-tokens"]).await;
    assert!(checked.contains("issuer: \"mainstay\"\n"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_works_over_native_grpc() {
    let app = TestApp::start().await;
    let through = Endpoint::new(app.endpoint.envoy().await.address());
    // One at a time, because some lists are shared by all callers.
    for method in methods() {
        let case = cases::good_case(&method.name);
        let mut answers = Vec::new();
        for endpoint in [&app.endpoint, &through] {
            let call = (case.call)(Scene::new(&app).await).await;
            // The token comes directly from the server: only the call itself is under test.
            call.who.token().await;
            answers
                .push(call.send_as(&call.who.at(endpoint), Protocol::Grpc, case.method).await.success().comparable());
        }
        assert_eq!(answers[0], answers[1], "{}", method.name);
    }
}

#[tokio::test]
async fn grpc_errors_keep_their_details_and_grpc_web_its_frames() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    let token = customer.token().await.expect("a token");
    let envoy = app.endpoint.envoy().await.address();
    let response =
        customer.at(&Endpoint::new(envoy)).call(Protocol::Grpc, "TicketService.CreateTicket", json!({})).await;
    let fields = response.failure("VALIDATION_FAILED").body["error"]["fields"].clone();
    assert_eq!(fields.as_object().map(serde_json::Map::len), Some(2), "{fields}");

    let mut answers = Vec::new();
    for address in [app.endpoint.address, envoy] {
        let url = format!("http://{address}/mainstay.identity.v1.UserService/GetMe");
        let request =
            app.endpoint.http.post(url).bearer_auth(&token).header("content-type", "application/grpc-web+proto");
        let response = request.body(vec![0_u8; 5]).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/grpc-web+proto".parse().expect("a type"))
        );
        answers.push(response.bytes().await.expect("a body"));
    }
    assert_eq!(answers[0], answers[1]);
}

/// HTTP/2 towards Envoy, and HTTP/1.1 in chunks that end inside names, escapes and characters.
#[tokio::test]
async fn a_request_may_arrive_in_any_chunks() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    let token = customer.token().await.expect("a token");
    let envoy = app.endpoint.envoy().await.address();
    let draft = json!({ "subject": "Grüße 🔥", "body": "It \"burns\".\n\tStill." });

    let h2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let request = h2.post(format!("http://{envoy}/api/v1/tickets")).bearer_auth(&token).json(&draft);
    let response = request.send().await.expect("an answer");
    assert_eq!((response.version(), response.status().as_u16()), (reqwest::Version::HTTP_2, 201));
    assert!(response.headers().contains_key("location"));

    let mut stream = TcpStream::connect(envoy).await.expect("connected");
    stream.set_nodelay(true).expect("a socket");
    let head = format!(
        "POST /api/v1/tickets HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    for byte in draft.to_string().replace('🔥', "\\ud83d\\udd25").bytes() {
        stream.write_all(&[b"1\r\n", &[byte][..], b"\r\n"].concat()).await.expect("sent");
        stream.flush().await.expect("sent");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("\"subject\":\"Grüße 🔥\""), "{answer}");
}

/// Envoy transcodes only messages, and forwards everything else as plain HTTP. So no error of the server passes through
/// Envoy's JSON writer, regardless of its details.
#[tokio::test]
async fn a_request_without_a_message_is_plain_http_for_envoy() {
    let app = TestApp::start().await;
    let h2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let call = |marked: bool| {
        let url = format!("{}/mainstay.identity.v1.UserService/GetMe", app.endpoint.base());
        let request = h2.post(url).header("content-type", "application/grpc").header("te", "trailers").body(vec![0; 5]);
        if marked { request.header("x-mainstay-transcoded", "GET") } else { request }
    };
    let native = call(false).send().await.expect("an answer");
    assert_eq!((native.status().as_u16(), &native.headers()["grpc-status"]), (200, &"16".parse().expect("a code")));
    let marked = call(true).send().await.expect("an answer");
    assert_eq!(
        (marked.status().as_u16(), &marked.headers()["content-type"]),
        (401, &"application/json".parse().expect("a type"))
    );
    assert!(!marked.headers().keys().any(|name| name.as_str().starts_with("grpc-") || name == "x-http-code"));
}

/// The mark of Envoy counts only behind a proxy, and even there a write is never "not modified".
#[tokio::test]
async fn a_forged_mark_changes_nothing() {
    for hops in ["0", "1"] {
        let app = TestApp::builder().set("TRUSTED_PROXY_HOPS", hops).start().await;
        let token = app.cast().await.customer.token().await.expect("a token");
        let h2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
        let url = format!("{}/mainstay.support.v1.TicketService/CreateTicket", app.endpoint.base());
        // A subject and a body of one letter.
        let message = [&[0, 0, 0, 0, 6][..], b"\x0a\x01a\x12\x01b"].concat();
        let request = h2.post(url).bearer_auth(token).header("content-type", "application/grpc");
        let marked = request.header("x-mainstay-transcoded", "GET").header("if-none-match", "*");
        let response = marked.header("te", "trailers").body(message).send().await.expect("an answer");
        assert_eq!((response.status().as_u16(), app.database.number("SELECT count(*) FROM tickets").await), (200, 1));
        assert_eq!(response.headers().contains_key("x-http-code"), hops == "1", "{response:?}");
        assert!(!response.bytes().await.expect("a body").is_empty(), "the ticket");
    }
}

/// The headers that may carry an idempotency key.
const KEYS: [&str; 2] = ["idempotency-key", "x-idempotency-key"];

/// A server that resets every stream without a response, and counts the requests it received.
async fn breaker() -> (SocketAddr, Arc<Mutex<BTreeMap<String, usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let requests = Arc::new(Mutex::new(BTreeMap::new()));
    let counts = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counts = counts.clone();
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let key = KEYS.into_iter().find(|name| request.headers().contains_key(*name)).unwrap_or_default();
                *counts.lock().expect("no panic").entry(format!("{} {key}", request.uri().path())).or_default() += 1;
                async { Err::<http::Response<Empty<&[u8]>>, _>(std::io::Error::other("broken on purpose")) }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    (address, requests)
}

#[tokio::test]
async fn envoy_retries_only_safe_requests() {
    let (server, requests) = breaker().await;
    let envoy = start_envoy(envoy_options(&[server])).await;
    let post = || Raw::new("POST", "/api/v1/tickets").json(draft().to_string());
    let keyed = KEYS.map(|name| post().header(name, "one"));
    for raw in [Raw::new("GET", "/api/v1/me"), post()].into_iter().chain(keyed) {
        let answer = raw.send(envoy.address()).await.failure("UNAVAILABLE");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:#?}");
        assert!(answer.header("x-request-id").is_some_and(|id| id == answer.text("/error/requestId")), "{answer:#?}");
    }
    let requests = requests.lock().expect("no panic");
    let times = |path: &str| requests.get(path).copied().unwrap_or_default();
    assert_eq!(times("/mainstay.identity.v1.UserService/GetMe "), 3, "{requests:?}");
    assert_eq!(times("/mainstay.support.v1.TicketService/CreateTicket "), 1, "{requests:?}");
    for name in KEYS {
        assert_eq!(times(&format!("/mainstay.support.v1.TicketService/CreateTicket {name}")), 3, "{requests:?}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_answered_as_unavailable() {
    // Bound, so that no other test takes the port, and not listening.
    let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
    taken.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let nowhere = taken.local_addr().expect("an address");
    let envoy = start_envoy(envoy_options(&[nowhere])).await;
    Raw::new("GET", "/api/v1/me").send(envoy.address()).await.failure("UNAVAILABLE");
    let native =
        Actor::anonymous(&Endpoint::new(envoy.address())).call(Protocol::Grpc, "UserService.GetMe", json!({})).await;
    assert!(native.reason.contains("Unavailable") && !native.reason.contains('{'), "{native:#?}");
}

#[tokio::test]
async fn envoys_own_answers_carry_cors_headers() {
    let app = TestApp::builder().set("ALLOWED_ORIGINS", "https://good.example").start().await;
    let mut options = envoy_options(&[app.endpoint.address]);
    options.allowed_origins = vec!["https://good.example".to_owned()];
    let envoy = start_envoy(options).await;
    for (origin, allowed) in [("https://good.example", true), ("https://evil.example", false)] {
        let allows = |answer: &Response| answer.header("access-control-allow-origin") == Some(origin);
        let own = Raw::new("GET", "/api/v1/tickets?page=one").header("origin", origin).send(envoy.address()).await;
        assert_eq!(allows(&own.clone().failure("MALFORMED_REQUEST")), allowed, "{own:#?}");
        let preflight = Raw::new("OPTIONS", "/api/v1/tickets").header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST").send(envoy.address()).await;
        assert_eq!((preflight.status, allows(&preflight)), (200, allowed), "{preflight:#?}");
        let response = Raw::new("GET", "/api/v1/me").header("origin", origin).send(envoy.address()).await;
        assert_eq!(allows(&response.clone().failure("UNAUTHENTICATED")), allowed, "{response:#?}");
    }
}

/// Load balancers and old proxies speak HTTP/1.0.
#[tokio::test]
async fn http_1_0_is_served_and_a_refusal_of_envoy_has_an_envelope() {
    let app = TestApp::start().await;
    let envoy = app.endpoint.envoy().await.address();
    let exchange = async |address: SocketAddr, head: &str| {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await.expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("text");
        response
    };
    for address in [app.endpoint.address, envoy] {
        let response = exchange(address, "GET /api/v1/nothing HTTP/1.0").await;
        assert!(response.contains(" 404 ") && response.contains("ROUTE_NOT_FOUND"), "{address}: {response}");
    }
    let upgrade = "GET /api/v1/me HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket";
    let response = exchange(envoy, upgrade).await;
    assert!(response.contains(" 400 ") && response.contains("MALFORMED_REQUEST"), "{response}");
    // A proxy that decodes such a body would see another one than a server that ignores the coding.
    for codings in ["gzip, chunked", "identity, chunked", "gzip\r\nTransfer-Encoding: chunked"] {
        let head = "POST /api/v1/tickets HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: ";
        for address in [app.endpoint.address, envoy] {
            let response = exchange(address, &format!("{head}{codings}")).await;
            assert!(response.contains(" 400 ") && response.contains("MALFORMED_REQUEST"), "{codings}: {response}");
        }
    }
}

/// The line of Envoy's log that contains this text. Envoy writes it shortly after the response.
async fn log_line(envoy: &Envoy, text: &str) -> String {
    let since = Instant::now();
    loop {
        if let Some(line) = envoy.log().lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{text} is not in {}", envoy.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn tokens_are_checked_at_the_edge_if_configured() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut options = envoy_options(&[app.endpoint.address]);
    options.issuer = Some("mainstay".to_owned());
    let envoy = start_envoy(options).await;
    let request = |token: String| Raw::new("GET", "/api/v1/tickets").header("authorization", format!("Bearer {token}"));
    let good = cast.customer.token().await.expect("a token");
    let (head, signature) = good.rsplit_once('.').expect("a JWT");
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let edge = request(forged.clone()).send(envoy.address()).await.failure("INVALID_TOKEN");
    assert!(edge.header("ratelimit").is_none() && edge.header("www-authenticate").is_some(), "{edge:#?}");
    log_line(&envoy, "jwt_authn_access_denied").await;
    request(good).send(envoy.address()).await.success();
    request(cast.service.token().await.expect("a key")).send(envoy.address()).await.success();
    Raw::new("GET", "/api/v1/tickets").send(envoy.address()).await.failure("UNAUTHENTICATED");
    // A public method accepts any caller.
    let user = cast.customer.as_user();
    let login = json!({ "email": user.email, "password": user.password }).to_string();
    let login = Raw::new("POST", "/api/v1/auth/login").json(login).header("authorization", format!("Bearer {forged}"));
    login.send(envoy.address()).await.success();
}

#[tokio::test]
async fn the_edge_distinguishes_expired_from_forged_tokens() {
    let app = TestApp::builder().set("ACCESS_TOKEN_TTL", "1s").start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let mut options = envoy_options(&[app.endpoint.address]);
    options.issuer = Some("mainstay".to_owned());
    let envoy = start_envoy(options).await;
    let request = Raw::new("GET", "/api/v1/me").header("authorization", format!("Bearer {token}"));
    let since = Instant::now();
    // The server refuses the token first, since Envoy allows for clock skew.
    while request.send(envoy.address()).await.header("ratelimit").is_some() {
        assert!(since.elapsed() < Duration::from_secs(60), "Envoy never refuses it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let edge = request.send(envoy.address()).await.failure("TOKEN_EXPIRED");
    assert!(edge.header("www-authenticate").is_some(), "{edge:#?}");
}

#[tokio::test]
async fn each_request_is_logged_as_json_without_secrets() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let envoy = app.endpoint.envoy().await;
    let requests =
        Raw::new("GET", "/api/v1/tickets?query=classified").header("authorization", format!("Bearer {token}"));
    let answer = requests.header("x-request-id", "mine").send(envoy.address()).await.success();
    assert_eq!(answer.header("x-request-id"), Some("mine"));
    let line: Value = serde_json::from_str(&log_line(envoy, "\"mine\"").await).expect("JSON");
    assert_eq!(
        (&line["verb"], &line["path"], &line["status"]),
        (&json!("GET"), &json!("/api/v1/tickets"), &json!(200))
    );
    assert_eq!(line["rpc"], "/mainstay.support.v1.TicketService/ListTickets");
    let native = Actor::anonymous(&Endpoint::new(envoy.address()));
    native.call_with(Protocol::Grpc, "UserService.GetMe", json!({}), &[("x-request-id", "native")]).await;
    let line: Value = serde_json::from_str(&log_line(envoy, "\"native\"").await).expect("JSON");
    assert_eq!((&line["path"], &line["grpcStatus"]), (&json!("/mainstay.identity.v1.UserService/GetMe"), &json!(16)));
    let log = envoy.log();
    assert!(!log.contains("classified") && !log.contains(&token), "{log}");
}
