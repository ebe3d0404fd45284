//! Malicious values.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tonic_types::StatusExt as _;

use crate::{
    cases::{draft, ticket},
    support::{PROTOCOLS, Protocol, Response, TestApp, rest},
};

/// Posts the body of a ticket unchanged.
async fn post(app: &TestApp, token: &str, shape: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Response {
    let request = app.endpoint.http.post(format!("{}/api/v1/tickets", app.endpoint.base()));
    let request = request.bearer_auth(token).header("content-type", "application/json");
    rest::read(shape(request).send().await.expect("an answer")).await
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let deep = "[".repeat(10_000);
    let deep_object = format!("{{\"unknown\":{}1{}}}", "{\"a\":".repeat(200), "}".repeat(200));
    let bodies: [&[u8]; 9] = [
        b"{\"subject\":\"a\",\"bo",
        b"\xff\xfe",
        b"{\"subject\":\"\xc3\x28\",\"body\":\"b\"}",
        deep.as_bytes(),
        deep_object.as_bytes(),
        b"{\"subject\":{\"$ne\":null},\"body\":\"b\"}",
        b"{\"tags\":{},\"subject\":\"a\",\"body\":\"b\"}",
        b"null",
        b"{\"subject\":1e999999,\"body\":\"b\"}",
    ];
    for body in bodies {
        let answer = post(&app, &token, |request| request.body(body.to_vec())).await;
        let excerpt = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert!((400..=422).contains(&answer.status), "{excerpt}: {answer:#?}");
        assert!(!answer.text("/error/requestId").is_empty());
    }
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
}

#[tokio::test]
async fn a_value_that_the_schema_of_the_database_refuses_is_refused_before_it() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    for (field, value) in [("language", ""), ("language", "e"), ("queue", &*"q".repeat(61))] {
        let mut body = json!({ "subject": "a", "body": "b" });
        body[field] = value.into();
        let answer = post(&app, &token, |request| request.json(&body)).await;
        assert_eq!((answer.status, &*answer.text("/error/code")), (422, "VALIDATION_FAILED"), "{field}: {answer:#?}");
    }
}

#[tokio::test]
async fn decompression_bombs_and_unknown_codings_are_refused() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    for coding in ["gzip", "zstd", "br", "nonsense"] {
        let answer =
            post(&app, &token, |request| request.header("content-encoding", coding).body("x".repeat(1000))).await;
        assert!((400..=415).contains(&answer.status), "{coding}: {answer:#?}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
}

/// Some kilobytes inflate beyond the method's limit, and beyond every limit, as a body and as a message.
#[tokio::test]
async fn bodies_that_inflate_beyond_the_limit_are_refused() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    for size in [2 << 20, 64 << 20] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&vec![b' '; size]).expect("a vector");
        let bomb = encoder.finish().expect("a vector");
        assert!(bomb.len() < 256 << 10, "{}", bomb.len());
        let answer = post(&app, &token, |request| request.header("content-encoding", "gzip").body(bomb.clone())).await;
        answer.failure("PAYLOAD_TOO_LARGE");
        let length = u32::try_from(bomb.len()).expect("short").to_be_bytes();
        let url = format!("{}/mainstay.support.v1.TicketService/CreateTicket", app.endpoint.base());
        let request = app.endpoint.http.post(url).bearer_auth(&token).header("content-type", "application/grpc");
        let request = request.header("te", "trailers").header("grpc-encoding", "gzip");
        let response = request.body([&[1_u8][..], &length, &bomb].concat()).send().await.expect("an answer");
        assert_eq!(response.headers()["grpc-status"], "8", "{size}: {response:?}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
}

/// Rejected input is echoed in headers, which gRPC clients limit to 8 KiB, and which are not counted here.
#[tokio::test]
async fn long_masks_are_refused_in_a_few_words() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let ticket = ticket(&cast.customer).await;
    let (path, paths) = ("x".repeat(20_000), ["comments"; 501].join(","));
    for protocol in [Protocol::Grpc, Protocol::Rest] {
        let list = json!({ "readMask": path });
        let response = cast.anonymous.call(protocol, "PostService.ListPosts", list).await.failure("VALIDATION_FAILED");
        assert!(response.body.to_string().len() < 4096, "{protocol:?}: {response:#?}");
        let get = json!({ "ticketId": ticket, "include": paths });
        let response = cast.customer.call(protocol, "TicketService.GetTicket", get).await.failure("VALIDATION_FAILED");
        assert!(response.body.to_string().contains("at most 500"), "{protocol:?}: {response:#?}");
    }
}

#[tokio::test]
async fn metacharacters_are_ordinary_characters() {
    let (app, cast) = TestApp::start_with_cast().await;
    let nasty = [
        "'; DROP TABLE tickets; --",
        "{{7*7}} ${7*7} <%= 7 %>",
        "<script>alert(1)</script>",
        "\\x00 %00 \u{200f}",
        "' OR 1=1 --",
    ];
    for (number, text) in nasty.into_iter().enumerate() {
        let request = json!({ "subject": text, "body": text, "tags": [text] });
        let response = cast.customer.call(PROTOCOLS[number % 2], "TicketService.CreateTicket", request).await.success();
        assert_eq!((&response.data()["subject"], &response.data()["tags"][0]), (&json!(text), &json!(text)));
        for protocol in PROTOCOLS {
            let response =
                cast.customer.call(protocol, "TicketService.ListTickets", json!({ "query": text })).await.success();
            assert!(response.data().is_array(), "{text}: {response:#?}");
        }
    }
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 5);
}

#[tokio::test]
async fn any_text_is_a_search() {
    use rand::{Rng as _, SeedableRng as _};
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    let mut random = rand::rngs::StdRng::seed_from_u64(11);
    let parts =
        ["-", "--", "\"", " ", " or ", "a", "ä", "1", "'", "\\", "&", "|", "!", "(", ")", ":*", "<->", "@", "/"];
    let texts =
        (0..200).map(|_| (0..random.random_range(1..60)).map(|_| parts[random.random_range(0..parts.len())]).collect());
    let mut queries: Vec<String> = texts.collect();
    queries.extend(["-".repeat(200), "- ".repeat(100), "-\"".repeat(100), "\"-".repeat(100), "-a".repeat(100)]);
    for query in queries {
        let query: String = query.chars().take(200).collect();
        customer.rest("TicketService.ListTickets", json!({ "query": query })).await.success();
    }
}

#[tokio::test]
async fn nul_is_refused_everywhere() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let nul = "a\u{0}b";
    let requests: [(&str, Value); 4] = [
        ("TicketService.CreateTicket", json!({ "subject": nul, "body": nul, "tags": [nul], "queue": nul })),
        ("TicketService.ListTickets", json!({ "query": nul })),
        ("AuthService.Login", json!({ "email": nul, "password": nul })),
        ("TicketService.ListTickets", json!({ "pageToken": nul })),
    ];
    for (name, request) in requests {
        for protocol in PROTOCOLS {
            let answer = cast.customer.call(protocol, name, request.clone()).await;
            assert!((400..=422).contains(&answer.status), "{name} over {protocol:?}: {answer:#?}");
        }
    }
}

#[tokio::test]
async fn numbers_out_of_bounds_are_refused_or_clamped() {
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        for (page, size) in [(i32::MIN, i32::MIN), (1, i32::MAX), (0, 0), (-1, -1)] {
            let list = cast
                .customer
                .call(protocol, "TicketService.ListTickets", json!({ "page": page, "pageSize": size }))
                .await;
            let meta = list.success().body["meta"].clone();
            assert_eq!(meta["page"], 1);
            assert!((1..=100).contains(&meta["pageSize"].as_i64().expect("a number")), "{meta}");
        }
        cast.customer
            .call(protocol, "TicketService.ListTickets", json!({ "page": i32::MAX }))
            .await
            .failure("VALIDATION_FAILED");
    }
    for query in ["page=99999999999", "page=1.5", "page=0x10", "pageSize=NaN"] {
        let path = format!("/api/v1/tickets?{query}");
        let token = cast.customer.token().await.expect("a token");
        let request = app.endpoint.http.get(format!("{}{path}", app.endpoint.base())).bearer_auth(token);
        rest::read(request.send().await.expect("an answer")).await.failure("MALFORMED_REQUEST");
    }
}

#[tokio::test]
async fn excess_violations_are_counted() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let tickets = vec![json!({ "subject": "", "body": "" }); 200];
    for protocol in PROTOCOLS {
        let request = json!({ "tickets": tickets });
        let answer =
            cast.agent.call(protocol, "TicketService.BatchCreateTickets", request).await.failure("VALIDATION_FAILED");
        let fields = answer.body["error"]["fields"].as_object().expect("fields").len();
        assert_eq!(fields, 50, "{protocol:?}");
    }
}

/// An item without content takes two bytes in a request, and a hundred times as much once it is decoded.
#[tokio::test]
async fn items_are_counted_before_they_are_decoded() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let fields = async |tickets: Value| {
            let request = json!({ "tickets": tickets });
            let response = cast.agent.call(protocol, "TicketService.BatchCreateTickets", request).await;
            response.failure("VALIDATION_FAILED").body["error"]["fields"].clone()
        };
        // After decoding, each item would be named: it has no subject.
        let few = fields(json!(vec![json!({}); 501])).await;
        let named = few.as_object().expect("fields").len();
        assert_eq!((&few["tickets"], named), (&json!("must have 1 to 500 items"), 50), "{protocol:?}");
        let many = fields(json!(vec![json!({}); 20_000])).await;
        assert_eq!(many, json!({ "tickets": "must have 1 to 500 items" }), "{protocol:?}");
        let inside = fields(json!([{}, { "tags": vec![""; 20_000] }])).await;
        assert_eq!(inside, json!({ "tickets[1].tags": "must have at most 20 items" }), "{protocol:?}");
    }
}

/// Items in a stream are limited before decoding too, as are items without a rule of this contract.
#[tokio::test]
async fn items_of_others_in_a_stream_are_counted_too() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    // `file { extensions {} extensions {} … }`, 5000 of them.
    let message = [vec![4_u8 << 3 | 2, 0x90, 0x4e], [3 << 3 | 2, 0].repeat(5000)].concat();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let url = format!("{}/mainstay.files.v1.FileService/UploadFile", app.endpoint.base());
    let request = app.endpoint.http.post(url).bearer_auth(&token).header("content-type", "application/grpc");
    let request = request.header("te", "trailers").body([&[0_u8][..], &length, &message].concat());
    let response = request.send().await.expect("an answer");
    let status = tonic::Status::from_header_map(response.headers()).expect("a status");
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("a violation").field_violations;
    assert_eq!(violations.len(), 1, "{status:?}");
    let (field, fault) = (&*violations[0].field, &*violations[0].description);
    assert_eq!((field, fault), ("file.extensions", "must have at most 1000 items"));
}

#[tokio::test]
async fn only_allowed_origins_get_cors_headers() {
    let app = TestApp::builder().set("ALLOWED_ORIGINS", "https://good.example").start().await;
    let customer = app.cast().await.customer;
    for (origin, allowed) in [("https://good.example", true), ("https://evil.example", false), ("null", false)] {
        let headers = [("origin", origin)];
        let answer = customer.call_with(Protocol::Rest, "TicketService.CreateTicket", draft(), &headers).await;
        let allowed_origin = answer.header("access-control-allow-origin");
        assert_eq!(allowed_origin == Some(origin), allowed, "{origin}: {allowed_origin:?}");
        assert_ne!(allowed_origin, Some("*"));
    }
}
