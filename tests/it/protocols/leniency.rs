//! Alternative spellings of clients, which the server and Envoy interpret alike.

use reqwest::header::HeaderMap;
use serde_json::json;

use crate::{
    cases::file::body,
    support::{Protocol, Raw, methods, rest, webhook},
};

use super::requests::Sender;

const TICKETS: &str = "/api/v1/tickets";

/// `URLSearchParams`, forms, and the libraries of Java, Python and Go write a space in this way.
#[tokio::test(flavor = "multi_thread")]
async fn a_plus_in_a_query_is_a_space() {
    let sender = Sender::new().await;
    for (subject, queue) in [("Printer on fire", "General Inquiry"), ("C++ on fire", "General+Inquiry")] {
        let draft = json!({ "subject": subject, "body": "Smoke.", "queue": queue });
        sender.scene.cast.customer.rest("TicketService.CreateTicket", draft).await.success();
    }
    let queries: [(&str, &[&str]); 12] = [
        ("queues=General+Inquiry", &["Printer on fire"]),
        ("queues=General%20Inquiry", &["Printer on fire"]),
        ("queues=General%2BInquiry", &["C++ on fire"]),
        ("queues=General+Inquiry&queues=General%2bInquiry", &["C++ on fire", "Printer on fire"]),
        ("query=printer+fire", &["Printer on fire"]),
        ("page=1&pageSize=1&queues=General+Inquiry", &["Printer on fire"]),
        ("queues=General+Inquiry&createdFrom=2020-01-01T00:00:00+02:00", &["Printer on fire"]),
        ("queues=General+Inquiry&createdFrom=2020-01-01T00:00:00%2B02:00", &["Printer on fire"]),
        ("queues=General+Inquiry&created_from=2020-01-01T00:00:00%2002:00", &["Printer on fire"]),
        ("createdBefore=2020-01-01T00:00:00.5+02:00&queues=General+Inquiry", &[]),
        // The last value of a parameter counts, and nothing of an earlier one.
        (
            "queues=General+Inquiry&createdFrom=2100-01-01T00:00:00Z&createdFrom=1970-01-01T00:00:00Z",
            &["Printer on fire"],
        ),
        ("queues=General+Inquiry&createdFrom=1970-01-01T00:00:00Z&createdFrom=2100-01-01T00:00:00.5Z", &[]),
    ];
    for (query, subjects) in queries {
        let list = sender.get(&format!("{TICKETS}?{query}")).await.success();
        let mut listed: Vec<_> = list.data().as_array().expect("a list").iter().map(|t| t["subject"].clone()).collect();
        listed.sort_by_key(ToString::to_string);
        assert_eq!(listed, subjects, "{query}");
    }
    for query in ["order=ORDER+BY", "createdFrom=2020-01-01+00:00:00Z", "queues+=x"] {
        sender.get(&format!("{TICKETS}?{query}")).await.failure("MALFORMED_REQUEST");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_json_have_no_effect_and_patches_of_other_kinds_are_refused() {
    let sender = Sender::new().await;
    let post = |content_type: &str, body: &[u8]| {
        Raw { body: body.to_vec(), ..Raw::new("POST", TICKETS) }.header("content-type", content_type.to_owned())
    };
    let draft = "{\"subject\":\"Grüße\",\"body\":\"b\"}".as_bytes();
    for content_type in [
        "application/json;charset=utf8",
        "application/json; charset=iso-8859-1",
        "application/json;charset=\"UTF-8\"; odata.metadata=minimal",
        "application/vnd.api+json; version=1",
        "application/json, application/json",
        "application/json; charset=utf-8,application/json; charset=utf-8",
    ] {
        let ticket = sender.send(post(content_type, draft)).await.success();
        assert_eq!(ticket.text("/data/subject"), "Grüße", "{content_type}");
    }
    // JSON is UTF-8, regardless of its declared charset.
    let latin = b"{\"subject\":\"Gr\xfc\xdfe\",\"body\":\"b\"}";
    sender.send(post("application/json; charset=iso-8859-1", latin)).await.failure("MALFORMED_REQUEST");
    // A proxy joins repeated lines. Different types are none, whichever of them a server would pick.
    for content_type in ["application/json, text/csv", "application/json; charset=utf-8, application/x-ndjson"] {
        sender.send(post(content_type, draft)).await.failure("UNSUPPORTED_MEDIA_TYPE");
    }
    let repeated = post("application/json", draft).header("content-type", "application/json");
    sender.send(repeated).await.success();
    let contradictory = post("application/json", draft).header("content-type", "text/csv");
    sender.send(contradictory).await.failure("UNSUPPORTED_MEDIA_TYPE");
    let ticket = format!("{TICKETS}/{}", sender.scene.ticket().await);
    for (content_type, patch) in [
        ("application/merge-patch+json", "{\"language\":null}"),
        ("application/merge-patch+json; charset=utf-8", "{\"subject\":\"Another\"}"),
        ("application/json-patch+json", "[{\"op\":\"remove\",\"path\":\"/language\"}]"),
    ] {
        let patch = Raw { body: patch.as_bytes().to_vec(), ..Raw::new("PATCH", &ticket) };
        let refusal = sender.send(patch.header("content-type", content_type)).await;
        let refusal = refusal.failure("UNSUPPORTED_MEDIA_TYPE");
        assert_eq!((refusal.status, refusal.header("accept-patch")), (415, Some("application/json")));
    }
}

/// Sharing sites and senders of webhooks add parameters that are meaningless to the server.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameters_of_public_reads_and_webhooks_are_ignored() {
    let sender = Sender::new().await;
    for target in [
        "/api/v1/posts?utm_source=x",
        "/api/v1/posts?pageSize=1&fbclid=IwAR0+x%zz&utm_campaign=%ff",
        "/openapi.json?utm_source=x",
        "/feed.atom?utm_source=x&page=2",
        "/livez?probe=1",
    ] {
        assert_eq!(sender.get(target).await.status, 200, "{target}");
    }
    sender.get("/api/v1/posts?page=one&utm_source=x").await.failure("MALFORMED_REQUEST");
    for target in ["/api/v1/tickets?utm_source=x", "/api/v1/me?utm_source=x", "/api/v1/orders?env=live"] {
        sender.get(target).await.failure("MALFORMED_REQUEST");
    }
    for (number, query) in ["env=live", "key=x&token=y", "_=1"].into_iter().enumerate() {
        let body = webhook::event("ping");
        let event = Raw::new("POST", format!("/webhooks/stripe?{query}")).json(body.clone());
        let event = event.header("stripe-signature", webhook::stripe(&body, 0));
        assert_eq!(sender.send(event).await.status, 204, "{query}");
        let events = sender.app.database.number("SELECT count(*) FROM inbound_events").await;
        assert_eq!(events, i64::try_from(number).expect("few") + 1);
    }
}

/// nginx, and proxies that adopted its header, would buffer a stream before forwarding it.
#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_told_not_to_buffer_streams() {
    let sender = Sender::new().await;
    let head = async |protocol: Protocol, path: &str, accept: &str| -> HeaderMap {
        let url = format!("{}{path}", sender.app.endpoint.base_of(protocol).await);
        let request = sender.app.endpoint.http.get(url).bearer_auth(&sender.token).header("accept", accept);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        response.headers().clone()
    };
    for protocol in [Protocol::Rest, Protocol::Envoy] {
        for (path, accept) in [
            ("/api/v1/tickets/watch", "text/event-stream"),
            ("/api/v1/tickets/watch", "application/x-ndjson"),
            ("/api/v1/tickets/export", "application/x-ndjson"),
        ] {
            assert_eq!(head(protocol, path, accept).await["x-accel-buffering"], "no", "{path} {accept}");
        }
        let list = head(protocol, TICKETS, "application/json").await;
        assert!(!list.contains_key("x-accel-buffering"));
        for (method, is_stream) in [("WatchTickets", true), ("ListTickets", false)] {
            let base = sender.app.endpoint.base_of(protocol).await;
            let request = sender.app.endpoint.http.post(format!("{base}/mainstay.support.v1.TicketService/{method}"));
            let request = request.bearer_auth(&sender.token).header("content-type", "application/grpc-web+proto");
            let response = request.body(vec![0; 5]).send().await.expect("an answer");
            assert_eq!(response.headers().contains_key("x-accel-buffering"), is_stream, "{method} over gRPC-Web");
        }
    }
}

/// A caller may refuse the plain form (RFC 9110, section 12.5.3). The response of a call that has run must not become 406.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_can_not_be_compressed_is_sent_plain() {
    let sender = Sender::new().await;
    let draft = "{\"subject\":\"s\",\"body\":\"b\"}";
    for accepted in ["identity;q=0", "*;q=0", "deflate, identity;q=0", "gzip;q=0,identity;q=0.0", "gzip, *;q=0"] {
        let create = Raw::new("POST", TICKETS).json(draft).header("accept-encoding", accepted);
        assert_eq!(sender.send(create).await.success().status, 201, "{accepted}");
        let lost = Raw::new("GET", "/api/v1/nothing").header("accept-encoding", accepted);
        sender.send(lost).await.failure("ROUTE_NOT_FOUND");
        let headers = [("accept-encoding", accepted)];
        let customer = &sender.scene.cast.customer;
        customer.call_with(Protocol::Grpc, "UserService.GetMe", json!({}), &headers).await.success();
    }
    assert_eq!(sender.app.database.number("SELECT count(*) FROM tickets").await, 10);
}

/// Envoy passes a compressed body on, so these requests go to the server directly.
#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_body_is_read_to_the_end_of_its_last_member() {
    use std::io::Write as _;
    let sender = Sender::new().await;
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    };
    let post = async |coding: &str, body: Vec<u8>| {
        let raw = Raw::new("POST", TICKETS).json(body).header("content-encoding", coding);
        raw.header("authorization", format!("Bearer {}", sender.token)).send(sender.app.endpoint.address).await
    };
    let (head, tail) = ("{\"subject\":\"in two members\",", "\"body\":\"b\"}");
    for coding in ["gzip", "GZIP", "x-gzip", "identity, gzip"] {
        let ticket = post(coding, [gzip(head), gzip(tail)].concat()).await.success();
        assert_eq!(ticket.text("/data/subject"), "in two members", "{coding}");
    }
    for coding in ["", "Identity"] {
        post(coding, format!("{head}{tail}").into_bytes()).await.success();
    }
    let whole = gzip(&format!("{head}{tail}"));
    post("gzip", [&whole[..], b"garbage"].concat()).await.failure("MALFORMED_REQUEST");
    post("gzip", whole[..whole.len() - 4].to_vec()).await.failure("MALFORMED_REQUEST");
    for coding in ["deflate", "gzip, gzip"] {
        let refusal = post(coding, whole.clone()).await.failure("UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(refusal.header("accept-encoding"), Some("gzip"), "{coding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_body_has_any_type_and_json_may_begin_with_a_byte_order_mark() {
    let sender = Sender::new().await;
    let id = sender.scene.ticket().await;
    let resolve = Raw::new("POST", format!("{TICKETS}/{id}/resolve")).header("content-length", "0");
    let agent = sender.scene.cast.agent.token().await.expect("a token");
    let resolve = resolve.header("content-type", "application/x-www-form-urlencoded");
    let resolve = resolve.header("authorization", format!("Bearer {agent}"));
    resolve.send(sender.app.endpoint.address).await.success();
    let marked = Raw::new("POST", TICKETS).json("\u{feff}{\"subject\":\"s\",\"body\":\"b\"}");
    let marked = marked.header("authorization", format!("Bearer {}", sender.token));
    marked.send(sender.app.endpoint.address).await.success();
}

/// `charset` after a type of gRPC-Web means nothing, as after JSON.
#[tokio::test]
async fn parameters_of_grpc_web_have_no_effect() {
    let app = crate::support::TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let url = format!("{}/mainstay.identity.v1.UserService/GetMe", app.endpoint.base());
    let request = app.endpoint.http.post(url).bearer_auth(token);
    let request = request.header("content-type", "application/grpc-web+proto; charset=utf-8").body(vec![0; 5]);
    let response = request.send().await.expect("an answer");
    let kind = response.headers()["content-type"].to_str().expect("text");
    assert_eq!((response.status().as_u16(), kind), (200, "application/grpc-web+proto"));
}

/// A redirection and a 204 have no representation to select (RFC 9110, section 12.5.1).
#[tokio::test(flavor = "multi_thread")]
async fn accept_selects_nothing_where_success_is_a_redirection_or_a_204() {
    let sender = Sender::new().await;
    let bearer = format!("Bearer {}", sender.token);
    let upload = async || {
        let upload = json!({ "name": "a.bin", "file": body("application/octet-stream", "The bytes.") });
        sender.scene.cast.customer.rest("FileService.UploadFile", upload).await.success().id()
    };
    for address in [sender.app.endpoint.address, sender.app.endpoint.envoy().await.address()] {
        for accept in ["application/pdf", "image/*", "application/octet-stream", "text/html", "application/json;q=0"] {
            let send = async |raw: Raw| raw.header("accept", accept).send(address).await;
            let file = format!("/api/v1/files/{}", upload().await);
            let content = Raw::new("GET", format!("{file}/content")).header("authorization", &bearer);
            let content = send(content).await;
            assert_eq!((content.status, content.header("location").is_some()), (302, true), "{accept}: {content:#?}");
            let deletion = send(Raw::new("DELETE", &file).header("authorization", &bearer)).await;
            assert_eq!(deletion.status, 204, "{accept}: {deletion:#?}");
            let event = webhook::event("ping");
            let signature = webhook::stripe(&event, 0);
            let event = Raw::new("POST", "/webhooks/stripe").json(event).header("stripe-signature", signature);
            let receipt = send(event).await;
            assert_eq!(receipt.status, 204, "{accept}: {receipt:#?}");
        }
        let all = methods();
        let unselected: Vec<_> = all.iter().filter(|method| !method.negotiates()).collect();
        for method in &unselected {
            let route = rest::route(method);
            let path = route.pattern.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            let verb = route.http_method.as_ref().expect("no custom rules here").as_str();
            let answer = Raw::new(verb, path).json("{}").header("accept", "text/html").send(address).await;
            assert_ne!(answer.status, 406, "{}: {answer:#?}", method.name);
        }
        assert!(unselected.len() > 10, "{} methods", unselected.len());
    }
}
