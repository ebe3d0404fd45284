//! Requests that are each unusual in one way: the server and Envoy give the same response.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    cases::Scene,
    support::{Raw, Response, TestApp},
};

use super::differences;

const TICKETS: &str = "/api/v1/tickets";
const LIMIT: usize = 1 << 20;

/// Sends the customer's requests directly and through Envoy, which must agree.
pub(super) struct Sender {
    pub(super) app: TestApp,
    pub(super) scene: Scene,
    pub(super) token: String,
}

impl Sender {
    pub(super) async fn new() -> Self {
        // The feed has absolute links, and Envoy has another port.
        let app = TestApp::builder().set("ALLOWED_ORIGINS", "https://good.example");
        let (app, scene) =
            Scene::start_with(app.set("PUBLIC_URL", "https://good.example").set("OPEN_TICKET_LIMIT", "100")).await;
        let token = scene.cast.customer.token().await.expect("a token");
        Self { app, scene, token }
    }

    pub(super) async fn send(&self, raw: Raw) -> Response {
        let raw = raw.header("authorization", format!("Bearer {}", self.token));
        let direct = raw.send(self.app.endpoint.address).await;
        let through = raw.send(self.app.endpoint.envoy().await.address()).await;
        if let Some(fault) = differences::between(&raw, &direct, &through) {
            panic!("{}\n{fault}", raw.to_string().chars().take(1000).collect::<String>());
        }
        through
    }

    pub(super) async fn get(&self, target: &str) -> Response {
        self.send(Raw::new("GET", target)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unacceptable_requests_get_the_same_refusal() {
    let sender = Sender::new().await;
    sender.get("/api/v1/nothing").await.failure("ROUTE_NOT_FOUND");
    sender.get("/nothing").await;
    let wrong = sender.send(Raw::new("PUT", TICKETS).json("{}")).await.failure("METHOD_NOT_ALLOWED");
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, POST"));
    sender.get("/api/v1/tickets?colour=red").await.failure("MALFORMED_REQUEST");
    sender.get("/api/v1/tickets?page=one").await.failure("MALFORMED_REQUEST");
    sender.send(Raw::new("GET", TICKETS).header("accept", "text/html")).await.failure("NOT_ACCEPTABLE");
    sender.send(Raw::new("GET", TICKETS).header("accept", "application/json;q=0")).await.failure("NOT_ACCEPTABLE");
    let plain = Raw { body: b"{}".to_vec(), ..Raw::new("POST", TICKETS) };
    sender.send(plain.clone().header("content-type", "text/plain")).await.failure("UNSUPPORTED_MEDIA_TYPE");
    let coded = plain.header("content-type", "application/json");
    sender.send(coded.clone().header("content-encoding", "br")).await.failure("UNSUPPORTED_MEDIA_TYPE");
    sender.send(coded.header("content-encoding", "gzip")).await.failure("MALFORMED_REQUEST");
    sender.send(Raw::new("POST", TICKETS).json("{\"subject\":")).await.failure("MALFORMED_REQUEST");
    sender.send(Raw::new("GET", TICKETS).header("x-request-timeout", "soon")).await.failure("MALFORMED_REQUEST");
    let deep = format!("{{\"subject\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    sender.send(Raw::new("POST", TICKETS).json(deep)).await.failure("MALFORMED_REQUEST");
}

/// Envoy drops these fields silently.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_read_only_fields_are_refused_by_name() {
    let sender = Sender::new().await;
    let ticket = format!("{TICKETS}/{}", sender.scene.ticket().await);
    let user = format!("/api/v1/users/{}", sender.scene.cast.customer.as_user().id);
    let draft = |member: &str| format!("{{\"subject\":\"a\",\"body\":\"b\",\"{member}\":\"1\"}}");
    for (method, path, body, field, fault) in [
        ("POST", TICKETS, draft("prioritY"), "prioritY", "unknown field; did you mean \"priority\"?"),
        ("POST", TICKETS, draft("colour"), "colour", "unknown field"),
        ("POST", TICKETS, draft("version"), "version", "read-only"),
        ("PATCH", &ticket, "{\"status\":\"TICKET_STATUS_RESOLVED\"}".to_owned(), "ticket.status", "read-only"),
        ("PATCH", &ticket, "{\"create_time\":null}".to_owned(), "ticket.create_time", "read-only"),
        ("PATCH", &user, "{\"email\":\"ada@example.com\"}".to_owned(), "user.email", "read-only"),
    ] {
        let raw = Raw::new(method, path).json(body);
        sender.send(raw.clone()).await;
        let direct = raw.header("authorization", format!("Bearer {}", sender.token));
        let answer = direct.send(sender.app.endpoint.address).await.failure("MALFORMED_REQUEST");
        assert_eq!(answer.body["error"]["fields"], serde_json::json!({ field: fault }), "{method} {path}");
    }
    let misspelt = sender.get("/api/v1/tickets?pagesize=1").await.failure("MALFORMED_REQUEST");
    let fault = "unknown query parameter; did you mean \"pageSize\"?";
    assert_eq!(misspelt.body["error"]["fields"], serde_json::json!({ "pagesize": fault }));
}

/// Envoy itself rejects the first unknown name of an enum.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_enum_names_are_refused() {
    let sender = Sender::new().await;
    let body = r#"{"subject":"","body":"b","kind":"WISH","priority":"ASAP"}"#;
    for raw in [Raw::new("POST", TICKETS).json(body), Raw::new("GET", format!("{TICKETS}?order=UP&statuses=OPEN"))] {
        sender.send(raw.clone()).await.failure("MALFORMED_REQUEST");
        let direct = raw.header("authorization", format!("Bearer {}", sender.token));
        direct.send(sender.app.endpoint.address).await.failure("VALIDATION_FAILED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn different_spellings_of_a_path_get_the_same_answer() {
    let sender = Sender::new().await;
    let id = sender.scene.ticket().await;
    for path in
        [format!("{TICKETS}/{id}/"), format!("{TICKETS}/{id}//"), format!("{TICKETS}/{}", id.replace('-', "%2D"))]
    {
        assert_eq!(sender.get(&path).await.success().id(), id, "{path}");
    }
    for path in ["/api/v1/tickets/a%2Fb", "/api/v1/tickets/", "/api/v1/tickets/%00", "/api/v1/tickets//comments"] {
        sender.get(path).await;
    }
    sender.get("/api//v1/tickets").await.failure("ROUTE_NOT_FOUND");
    sender.get("/api/v1/%74ickets").await.failure("ROUTE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_options_and_conditional_requests_get_the_same_answer() {
    let sender = Sender::new().await;
    let path = format!("{TICKETS}/{}", sender.scene.ticket().await);
    assert_eq!(sender.send(Raw::new("HEAD", &path)).await.status, 200);
    assert_eq!(sender.send(Raw::new("HEAD", "/api/v1/nothing")).await.status, 404);
    for (name, value, status) in [
        ("if-none-match", "\"1\"", 304),
        ("if-none-match", "W/\"1\"", 304),
        ("if-none-match", "\"2\"", 200),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("if-modified-since", "Sat, 01 Jan 2022 00:00:00 GMT", 200),
    ] {
        let answer = sender.send(Raw::new("GET", &path).header(name, value)).await;
        assert_eq!((answer.status, answer.header("etag")), (status, Some("\"1\"")), "{name}: {value}");
    }
    // Several header lines form one list.
    for (lines, status) in [(["\"7\"", "\"2\", W/\"1\""], 304), (["\"1\"", "\"7\""], 304), (["\"2\"", "\"7\""], 200)] {
        let listed = lines.iter().fold(Raw::new("GET", &path), |raw, line| raw.header("if-none-match", *line));
        assert_eq!(sender.send(listed).await.status, status, "{lines:?}");
    }
    for origin in ["https://good.example", "https://evil.example"] {
        let preflight = Raw::new("OPTIONS", &path)
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,if-match");
        let allowed = sender.send(preflight).await;
        let response = sender.send(Raw::new("GET", &path).header("origin", origin)).await;
        for answer in [allowed, response] {
            let expected = (origin == "https://good.example").then_some(origin);
            assert_eq!(answer.header("access-control-allow-origin"), expected, "{answer:#?}");
        }
    }
}

/// The value in the path wins. Where Envoy can detect the conflict, it rejects the request.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_does_not_overrule_the_path() {
    let sender = Sender::new().await;
    let (own, other) = (sender.scene.ticket().await, sender.scene.ticket().await);
    let comment = |ticket: &str, member: &str| {
        let body = format!("{{\"body\":\"Smoke.\",\"{member}\":\"{ticket}\"}}");
        Raw::new("POST", format!("{TICKETS}/{own}/comments")).json(body)
    };
    sender.send(comment(&other, "ticket_id")).await.failure("MALFORMED_REQUEST");
    sender.send(comment(&other, "ticketId")).await;
    let same = sender.send(comment(&own, "ticketId")).await.success();
    assert_eq!(same.text("/data/ticketId"), own);
    let elsewhere = sender.get(&format!("{TICKETS}/{other}/comments")).await.success();
    assert_eq!(elsewhere.data().as_array().map(Vec::len), Some(0), "{elsewhere:#?}");
}

/// A body of exactly this many bytes, most of them in a member that is too long.
fn body(bytes: usize) -> String {
    let empty = "{\"subject\":\"a\",\"body\":\"\"}";
    empty.replace("\"\"}", &format!("\"{}\"}}", "x".repeat(bytes - empty.len())))
}

/// Reads while it writes, because a server that rejects a body need not wait for its end.
async fn upload(address: SocketAddr, path: &str, token: &str, body: &str) -> String {
    let (mut from, mut to) = TcpStream::connect(address).await.expect("connected").into_split();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body.as_bytes()].concat();
    // Writing fails once the other side has stopped reading.
    let sending = tokio::spawn(async move {
        to.write_all(&request).await.ok();
        to
    });
    let mut answer = Vec::new();
    // The connection may end with a reset after the response.
    from.read_to_end(&mut answer).await.ok();
    // Only now, because closing the write half would signal a disconnect to the server.
    drop(sending.await.expect("no panic"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_at_and_above_the_size_limit_get_the_same_answer() {
    let sender = Sender::new().await;
    let addresses = [sender.app.endpoint.address, sender.app.endpoint.envoy().await.address()];
    for (path, limit, fits) in [("", LIMIT, "VALIDATION_FAILED"), ("/batch", 8 * LIMIT, "PERMISSION_DENIED")] {
        let path = format!("{TICKETS}{path}");
        sender.send(Raw::new("POST", &path).json(body(limit))).await.failure(fits);
        for address in addresses {
            let answer = upload(address, &path, &sender.token, &body(limit + 1)).await;
            let is_refused = answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"PAYLOAD_TOO_LARGE\"");
            assert!(is_refused, "{path} at {address}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_answers_have_the_same_content() {
    use std::io::Read as _;
    let sender = Sender::new().await;
    for _ in 0..5 {
        sender.scene.ticket().await;
    }
    let target = format!("{TICKETS}?accountId={}", sender.scene.account());
    let plain = sender.get(&target).await.success();
    let url = |address| format!("http://{address}{target}");
    for address in [sender.app.endpoint.address, sender.app.endpoint.envoy().await.address()] {
        let request = sender.app.endpoint.http.get(url(address)).bearer_auth(&sender.token);
        let response = request.header("accept-encoding", "gzip").send().await.expect("an answer");
        assert_eq!(response.headers()["content-encoding"], "gzip", "{address}");
        assert!(
            response
                .headers()
                .get_all("vary")
                .iter()
                .any(|vary| { vary.to_str().is_ok_and(|vary| vary.to_lowercase().contains("accept-encoding")) })
        );
        let bytes = response.bytes().await.expect("a body");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).expect("gzip");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), plain.body, "{address}");
    }
    let draft = format!("{{\"subject\":\"Smoke\",\"body\":\"{}\"}}", "smoke ".repeat(500));
    let id = sender.send(Raw::new("POST", TICKETS).json(draft)).await.success().id();
    let ticket =
        sender.send(Raw::new("GET", format!("{TICKETS}/{id}")).header("accept-encoding", "gzip")).await.success();
    assert_eq!((ticket.header("etag"), ticket.header("content-encoding")), (Some("\"1\""), None));
}
