//! Malicious or broken requests: each gets its 4xx status, with the name of the field.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use mainstay_transcoder::Limits;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::support::{call, request, send, send_within};

#[tokio::test]
async fn bad_bodies_are_malformed_and_name_the_field() {
    let deep_array = format!("{{\"item\":{{\"tags\":{}{}}}}}", "[".repeat(80), "]".repeat(80));
    let cases = [
        ("[]", "expected an object, found an array"),
        ("null", "expected an object, found null"),
        ("{", "the JSON ends too early"),
        ("{}x", "expected the end, found something else"),
        ("{\"item\":{\"priceMinor\":\"9223372036854775808\"}}", "item.priceMinor: out of range, or not a whole number"),
        ("{\"item\":{\"price_minor\":1.5}}", "item.priceMinor: out of range, or not a whole number"),
        ("{\"numbers\":[1,2,99999999999]}", "numbers[2]: out of range, or not a whole number"),
        ("{\"numbers\":[1,+2]}", "numbers[1]: expected a number, found something else"),
        ("{\"numbers\":[01]}", "numbers[0]: not a JSON number"),
        ("{\"numbers\":true}", "numbers: expected an array, found a bool"),
        ("{\"\":1}", "a member has no name"),
        ("{\"unknown\":1}", "unknown: unknown field"),
        ("{\"nmae\":1}", "nmae: unknown field; did you mean \"name\"?"),
        ("{\"update-Mask\":\"a\"}", "update-Mask: unknown field; did you mean \"updateMask\"?"),
        ("{\"item\":{\"maker\":{\"adress\":{}}}}", "item.maker.adress: unknown field; did you mean \"address\"?"),
        ("{\"ratio\":1e999}", "ratio: out of range"),
        ("{\"ratio\":\"inf\"}", "ratio: not a number"),
        ("{\"ratio\":NaN}", "ratio: expected a number, found something else"),
        ("{\"item\":{\"weight\":3.5e38}}", "item.weight: out of range"),
        ("{\"name\":\"a\",\"name\":\"a\"}", "name: given twice"),
        ("{\"updateMask\":\"a\",\"update_mask\":\"b\"}", "updateMask: given twice"),
        ("{\"byName\":\"a\",\"byNumber\":1}", "byNumber: only one member of its oneof may be given"),
        ("{\"name\":5}", "name: expected a string, found a number"),
        ("{\"name\":\"\u{1}\"}", "name: a string holds a control character"),
        ("{\"name\":\"\\ud800\"}", "name: a string holds a broken escape"),
        ("{\"name\":\"\\x\"}", "name: a string holds a broken escape"),
        ("{\"name\":\"abc", "name: a string does not end"),
        ("{\"deep\":1}", "deep: expected a bool, found a number"),
        ("{\"deep\":tru}", "deep: the body is not valid JSON"),
        ("{\"token\":\"*\"}", "token: not base64"),
        ("{\"sizes\":[\"SIZE_HUGE\"]}", "sizes[0]: not one of SIZE_SMALL, SIZE_LARGE"),
        ("{\"since\":\"2024-02-30T00:00:00Z\"}", "since: not an RFC 3339 time such as 2024-05-01T12:00:00Z"),
        ("{\"patience\":\"1\"}", "patience: not a duration such as 1.5s"),
        ("{\"labels\":{\"a\":\"1\",\"a\":\"2\"}}", "labels.a: given twice"),
        ("{\"item\":{\"maker\":{\"address\":{\"zipCode\":\"x\"}}}}", "item.maker.address.zipCode: not a whole number"),
        ("{\"name\":\"a\",}", "expected a member name, found something else"),
        ("{\"numbers\":[1,]}", "numbers[1]: expected a number, found something else"),
        (&deep_array, "item.tags[0]: expected a string, found an array"),
    ];
    for (body, message) in cases {
        let response = call("POST", "/v1/items", body).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(response.json()["message"], message, "{body}");
    }
}

/// The limit may also exceed the default.
#[tokio::test]
async fn a_body_nests_as_deep_as_the_limit_says() {
    let nested = |levels: usize| format!("{}{{}}{}", "{\"self\":".repeat(levels - 1), "}".repeat(levels - 1));
    for max_depth in [1, 10, 100] {
        let limits = Limits { max_depth, ..Limits::default() };
        let levels = usize::try_from(max_depth).unwrap();
        let response = send_within(limits, request("POST", "/v1/items", &nested(levels))).await;
        assert_eq!(response.status, StatusCode::OK, "{max_depth}: {}", response.text());
        for levels in [levels + 1, 10_000] {
            let response = send_within(limits, request("POST", "/v1/items", &nested(levels))).await;
            assert_eq!(response.status, StatusCode::BAD_REQUEST, "{levels} of {max_depth}: {}", response.text());
            let answer = response.json();
            let message = answer["message"].as_str().unwrap();
            assert!(message.ends_with(&format!("nests deeper than {max_depth} levels")), "{message}");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_not_text_are_malformed() {
    let body = Body::new(Full::new(Bytes::from_static(b"{\"name\":\"\xff\"}")));
    let response = send(Request::post("/v1/items").body(body).unwrap()).await;
    assert_eq!(response.json()["message"], "the body is not valid UTF-8");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_malformed() {
    let frames = [Ok(Frame::data(Bytes::from_static(b"{\"name\":"))), Err(Status::unavailable("reset"))];
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let response = send(Request::post("/v1/items").body(body).unwrap()).await;
    assert_eq!(
        (response.status, &response.json()["message"]),
        (StatusCode::BAD_REQUEST, &"the body ended early".into())
    );
}

#[tokio::test]
async fn a_body_that_an_outer_layer_refuses_fails_as_that_layer_says() {
    let refusal = Status::with_details(Code::Unavailable, "too many of them", Bytes::from_static(b"\x08\x0e"));
    let frames = [Ok(Frame::data(Bytes::from_static(b"{\"name\":"))), Err(refusal)];
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let response = send(Request::post("/v1/items").body(body).unwrap()).await;
    assert_eq!(
        (response.status, &response.json()["message"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"too many of them".into())
    );
}

#[tokio::test]
async fn a_long_body_is_too_large_whether_announced_or_not() {
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(1000));
    assert_eq!(call("POST", "/v1/items", &long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let frames: Vec<Result<_, Status>> = (0..20).map(|_| Ok(Frame::data(Bytes::from(vec![b' '; 100])))).collect();
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let response = send(Request::post("/v1/items").body(body).unwrap()).await;
    assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_name_of_the_clients_making_is_not_echoed_whole() {
    let response = call("GET", &format!("/v1/items/x?{}=1", "n".repeat(5000)), "").await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert!(response.body.len() < 300, "{}", response.body.len());
}

#[tokio::test]
async fn a_message_that_contains_itself_does_not_make_endless_paths() {
    let deep = |steps: usize| format!("/v1/items/x?{}name=y", "self.".repeat(steps));
    assert_eq!(call("GET", &deep(31), "").await.status, StatusCode::OK);
    for steps in [32, 10_000] {
        assert_eq!(call("GET", &deep(steps), "").await.status, StatusCode::BAD_REQUEST);
    }
    let repeated = format!("/v1/items/x?{}", "numbers=1&".repeat(6000));
    assert_eq!(call("GET", &repeated, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_bad_timeout_is_malformed() {
    let mut request = request("GET", "/v1/items/7", "");
    request.headers_mut().insert("x-request-timeout", HeaderValue::from_static("soon"));
    let response = send(request).await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert!(response.json()["message"].as_str().unwrap().starts_with("X-Request-Timeout: "));
}
