//! Requests that are each unusual in one way: the server and Envoy give the same response.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    cases::Scene,
    support::{Answer, Raw, TestApp},
};

use super::differences;

const TICKETS: &str = "/api/v1/tickets";
const LIMIT: usize = 1 << 20;

/// Sends the customer's requests through both doors, which must agree.
struct Asker {
    app: TestApp,
    scene: Scene,
    token: String,
}

impl Asker {
    async fn new() -> Self {
        let app = TestApp::builder().set("ALLOWED_ORIGINS", "https://good.example").start().await;
        let scene = Scene::new(&app).await;
        let token = scene.cast.customer.token().await.expect("a token");
        Self { app, scene, token }
    }

    async fn ask(&self, raw: Raw) -> Answer {
        let raw = raw.header("authorization", format!("Bearer {}", self.token));
        let direct = raw.send(self.app.endpoint.address).await;
        let through = raw.send(self.app.endpoint.envoy().await.address()).await;
        if let Some(fault) = differences::between(&raw, &direct, &through) {
            panic!("{}\n{fault}", raw.to_string().chars().take(1000).collect::<String>());
        }
        through
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(Raw::new("GET", target)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unacceptable_requests_get_the_same_refusal() {
    let asker = Asker::new().await;
    asker.get("/api/v1/nothing").await.refused("ROUTE_NOT_FOUND");
    asker.get("/nothing").await;
    let wrong = asker.ask(Raw::new("PUT", TICKETS).json("{}")).await.refused("METHOD_NOT_ALLOWED");
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, POST"));
    asker.get("/api/v1/tickets?colour=red").await.refused("MALFORMED_REQUEST");
    asker.get("/api/v1/tickets?page=one").await.refused("MALFORMED_REQUEST");
    asker.ask(Raw::new("GET", TICKETS).header("accept", "text/html")).await.refused("NOT_ACCEPTABLE");
    asker.ask(Raw::new("GET", TICKETS).header("accept", "application/json;q=0")).await.refused("NOT_ACCEPTABLE");
    let plain = Raw { body: b"{}".to_vec(), ..Raw::new("POST", TICKETS) };
    asker.ask(plain.clone().header("content-type", "text/plain")).await.refused("UNSUPPORTED_MEDIA_TYPE");
    let zipped = plain.header("content-type", "application/json").header("content-encoding", "gzip");
    asker.ask(zipped).await.refused("UNSUPPORTED_MEDIA_TYPE");
    asker.ask(Raw::new("POST", TICKETS).json("{\"subject\":")).await.refused("MALFORMED_REQUEST");
    asker.ask(Raw::new("GET", TICKETS).header("x-request-timeout", "soon")).await.refused("MALFORMED_REQUEST");
    let deep = format!("{{\"unknown\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    asker.ask(Raw::new("POST", TICKETS).json(deep)).await.refused("MALFORMED_REQUEST");
}

#[tokio::test(flavor = "multi_thread")]
async fn different_spellings_of_a_path_get_the_same_answer() {
    let asker = Asker::new().await;
    let id = asker.scene.ticket().await;
    for path in
        [format!("{TICKETS}/{id}/"), format!("{TICKETS}/{id}//"), format!("{TICKETS}/{}", id.replace('-', "%2D"))]
    {
        assert_eq!(asker.get(&path).await.good().id(), id, "{path}");
    }
    for path in ["/api/v1/tickets/a%2Fb", "/api/v1/tickets/", "/api/v1/tickets/%00", "/api/v1/tickets//comments"] {
        asker.get(path).await;
    }
    asker.get("/api//v1/tickets").await.refused("ROUTE_NOT_FOUND");
    asker.get("/api/v1/%74ickets").await.refused("ROUTE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_options_and_conditional_requests_get_the_same_answer() {
    let asker = Asker::new().await;
    let path = format!("{TICKETS}/{}", asker.scene.ticket().await);
    assert_eq!(asker.ask(Raw::new("HEAD", &path)).await.status, 200);
    assert_eq!(asker.ask(Raw::new("HEAD", "/api/v1/nothing")).await.status, 404);
    for (name, value, status) in [
        ("if-none-match", "\"1\"", 304),
        ("if-none-match", "W/\"1\"", 304),
        ("if-none-match", "\"2\"", 200),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("if-modified-since", "Sat, 01 Jan 2022 00:00:00 GMT", 200),
    ] {
        let answer = asker.ask(Raw::new("GET", &path).header(name, value)).await;
        assert_eq!((answer.status, answer.header("etag")), (status, Some("\"1\"")), "{name}: {value}");
    }
    for origin in ["https://good.example", "https://evil.example"] {
        let preflight = Raw::new("OPTIONS", &path)
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,if-match");
        let allowed = asker.ask(preflight).await;
        let told = asker.ask(Raw::new("GET", &path).header("origin", origin)).await;
        for answer in [allowed, told] {
            let wanted = (origin == "https://good.example").then_some(origin);
            assert_eq!(answer.header("access-control-allow-origin"), wanted, "{answer:#?}");
        }
    }
}

/// The value in the path wins. Where Envoy can detect the conflict, it refuses the request.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_does_not_overrule_the_path() {
    let asker = Asker::new().await;
    let (own, other) = (asker.scene.ticket().await, asker.scene.ticket().await);
    let comment = |ticket: &str, member: &str| {
        let body = format!("{{\"body\":\"Smoke.\",\"{member}\":\"{ticket}\"}}");
        Raw::new("POST", format!("{TICKETS}/{own}/comments")).json(body)
    };
    asker.ask(comment(&other, "ticket_id")).await.refused("MALFORMED_REQUEST");
    asker.ask(comment(&other, "ticketId")).await;
    let same = asker.ask(comment(&own, "ticketId")).await.good();
    assert_eq!(same.text("/data/ticketId"), own);
    let elsewhere = asker.get(&format!("{TICKETS}/{other}/comments")).await.good();
    assert_eq!(elsewhere.data().as_array().map(Vec::len), Some(0), "{elsewhere:#?}");
}

/// A body of exactly this many bytes, most of them in an unknown member or in one that is too long.
fn body(bytes: usize, member: &str) -> String {
    let empty = format!("{{\"subject\":\"a\",\"{member}\":\"\"}}");
    empty.replace("\"\"}", &format!("\"{}\"}}", "x".repeat(bytes - empty.len())))
}

/// Reads while it writes, since a server that refuses a body need not wait for its end.
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
    // Only now, since closing the write half would tell the server that the caller has left.
    drop(sending.await.expect("no panic"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_at_and_above_the_size_limit_get_the_same_answer() {
    let asker = Asker::new().await;
    let doors = [asker.app.endpoint.address, asker.app.endpoint.envoy().await.address()];
    for (path, limit, fits) in [("", LIMIT, "VALIDATION_FAILED"), ("/batch", 8 * LIMIT, "PERMISSION_DENIED")] {
        let path = format!("{TICKETS}{path}");
        for member in ["unknown", "body"] {
            asker.ask(Raw::new("POST", &path).json(body(limit, member))).await.refused(fits);
            for address in doors {
                let answer = upload(address, &path, &asker.token, &body(limit + 1, member)).await;
                let refused = answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"PAYLOAD_TOO_LARGE\"");
                assert!(refused, "{path} at {address}: {answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_answers_have_the_same_content() {
    use std::io::Read as _;
    let asker = Asker::new().await;
    for _ in 0..5 {
        asker.scene.ticket().await;
    }
    let target = format!("{TICKETS}?accountId={}", asker.scene.account());
    let plain = asker.get(&target).await.good();
    let url = |address| format!("http://{address}{target}");
    for address in [asker.app.endpoint.address, asker.app.endpoint.envoy().await.address()] {
        let request = asker.app.endpoint.http.get(url(address)).bearer_auth(&asker.token);
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
    let id = asker.ask(Raw::new("POST", TICKETS).json(draft)).await.good().id();
    let ticket = asker.ask(Raw::new("GET", format!("{TICKETS}/{id}")).header("accept-encoding", "gzip")).await.good();
    assert_eq!((ticket.header("etag"), ticket.header("content-encoding")), (Some("\"1\""), None));
}
