//! The choices that the README compares with Envoy's, and well-known types at their bounds.

use std::future::ready;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use mainstay_transcoder::json::Codec;
use mainstay_transcoder::{Limits, RuleTable, StatusDialect, Transcoder};
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use serde_json::json;
use tonic::Status;
use tonic::body::Body;
use tower::{ServiceExt as _, service_fn};

use crate::support::{call, compile_text, over, pool, request, response};

fn wire(pool: &DescriptorPool, message: &str, json: &str) -> Result<Vec<u8>, String> {
    let descriptor = pool.get_message_by_name(message).unwrap();
    let mut wire = Vec::new();
    Codec::new(pool).read_json(&descriptor, json.as_bytes(), &mut wire).map_err(|error| error.to_string())?;
    Ok(wire)
}

#[test]
fn text_is_read_as_envoy_reads_it_where_that_harms_nothing() {
    let pool = pool();
    for (one, other) in [
        (r#"{"span":"+1s"}"#, r#"{"span":"1s"}"#),
        (r#"{"span":"+0.5s"}"#, r#"{"span":"0.5s"}"#),
        (r#"{"wrappedBytes":"QUJD\r\nQUJD"}"#, r#"{"wrappedBytes":"QUJDQUJD"}"#),
        (r#"{"wrappedBytes":"QUJD\nQQ==\n"}"#, r#"{"wrappedBytes":"QUJDQQ"}"#),
        (r#"{"byTruth":{"true":"-_\n8="}}"#, r#"{"byTruth":{"true":"+/8"}}"#),
        (r#"{"mask":"useTLS13,labels[\"aB,c\"]"}"#, r#"{"mask":"use_tls13,labels[\"aB,c\"]"}"#),
    ] {
        let (one, other) = (wire(&pool, "kinds.Everything", one), wire(&pool, "kinds.Everything", other));
        assert!(one.is_ok());
        assert_eq!(one, other);
    }
    for json in [
        r#"{"span":"-+1s"}"#,
        r#"{"span":" 1s"}"#,
        r#"{"wrappedBytes":"QU JD"}"#,
        r#"{"wrappedBytes":"QUJD\tQUJD"}"#,
        r#"{"at":"2016-12-31T23:59:60Z"}"#,
        r#"{"times":["2030-01-01T00:00:60.5+01:00"]}"#,
        r#"{"wrappedBool":{"value":true}}"#,
    ] {
        assert!(wire(&pool, "kinds.Everything", json).is_err(), "{json}");
    }
}

#[test]
fn a_verb_is_what_follows_the_last_colon_of_the_last_segment() {
    let text = "syntax = \"proto3\"; package own; import \"google/api/annotations.proto\"; message M { string x = 1; }\n\
                service S {\n\
                rpc One(M) returns (M) { option (google.api.http) = { get: '/{x=*}:verb' }; }\n\
                rpc All(M) returns (M) { option (google.api.http) = { get: '/all/{x=**}:verb' }; }\n\
                rpc Colon(M) returns (M) { option (google.api.http) = { get: '/in:side/{x}' }; } }";
    let table = RuleTable::new(&compile_text(text), &["own.S"]).unwrap();
    // The same as in Envoy, except for `Colon`, which Envoy does not load.
    for (path, method) in [
        ("/bar:verb", Some("One")),
        ("/bar:baz:verb", Some("One")),
        ("/bar:baz/buzz", None),
        ("/bar:verb/buzz", None),
        ("/bar:verb/", None),
        ("/bar/verb", None),
        ("/bar:baz/verb", None),
        ("/bar%3Averb", None),
        ("/all/bar:baz/buzz:verb", Some("All")),
        ("/all/bar:verb/buzz", None),
        ("/in:side/7", Some("Colon")),
    ] {
        let route = table.route(&Method::GET, path);
        assert_eq!(route.map(|route| route.method.name()), method, "{path}");
    }
}

/// Sends a request to a service of one method, and returns the message that reaches the upstream, or the error.
async fn sent(request: Request<Body>) -> Result<Vec<u8>, String> {
    let pool = compile_text(
        "syntax = \"proto2\"; package own; import \"google/api/annotations.proto\";\n\
         import \"google/protobuf/wrappers.proto\";\n\
         message M { optional string title = 1; map<string, string> labels = 2; optional M inner = 3;\n\
         optional google.protobuf.BoolValue flag = 4; extensions 100 to 200; }\n\
         extend M { optional int32 ext = 100; }\n\
         service S { rpc Of(M) returns (M) { option (google.api.http) = { get: '/of' }; }\n\
         rpc Wrapped(google.protobuf.BoolValue) returns (M) { option (google.api.http) = { get: '/wrapped' }; } }",
    );
    let upstream = service_fn(|request: http::Request<Body>| async move {
        let bytes: Bytes = request.into_body().collect().await?.to_bytes();
        let seen: Vec<String> = bytes[5..].iter().map(u8::to_string).collect();
        Err::<http::Response<Body>, _>(Status::aborted(seen.join(" ")))
    });
    let transcoder =
        Transcoder::new(&pool, &["own.S"], upstream, StatusDialect::new(&pool, 1000), Limits::default()).unwrap();
    let response = transcoder.oneshot(request).await.unwrap();
    let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let message = answer["message"].as_str().unwrap();
    if status != 409 {
        return Err(message.to_owned());
    }
    Ok(message.split_whitespace().map(|byte| byte.parse().unwrap()).collect())
}

#[tokio::test]
async fn a_wrapper_is_set_by_its_name_or_by_its_value() {
    for (query, expected) in [
        ("/of?flag=true", &[0x22, 2, 8, 1][..]),
        ("/of?flag.value=true", &[0x22, 2, 8, 1]),
        ("/of?flag.value=f", &[0x22, 2, 8, 0]),
        ("/wrapped?value=true", &[8, 1]),
        ("/wrapped?value=0", &[8, 0]),
        ("/wrapped", &[]),
    ] {
        assert_eq!(sent(request("GET", query, "")).await.as_deref(), Ok(expected), "{query}");
    }
    assert_eq!(sent(request("GET", "/wrapped?value=x", "")).await, Err("value: not true or false".to_owned()));
    // Text does not distinguish between a string, a number and a bool.
    let refusal = call("GET", "/v1/items/x?value=true", "").await;
    assert_eq!(refusal.json()["message"], "value: can't be given as text");
}

#[tokio::test]
async fn a_name_that_would_be_refused_is_not_suggested() {
    for (query, refusal) in [
        ("[own.ext]=1", "[own.ext]: unknown query parameter"),
        ("[ext]=1", "[ext]: unknown query parameter"),
        ("ext=1", "ext: unknown query parameter"),
        // A map and a message have no text form.
        ("lables=1", "lables: unknown query parameter"),
        ("iner=1", "iner: unknown query parameter"),
        ("tilte=1", "tilte: unknown query parameter; did you mean \"title\"?"),
        ("flagg=1", "flagg: unknown query parameter; did you mean \"flag\"?"),
    ] {
        assert_eq!(sent(request("GET", &format!("/of?{query}"), "")).await, Err(refusal.to_owned()), "{query}");
    }
    // In a body, an extension is accepted, and suggested for a misspelled name.
    let text = "syntax = \"proto2\"; message M { extensions 100 to 200; } extend M { optional int32 ext = 100; }";
    let pool = compile_text(text);
    assert_eq!(wire(&pool, "M", r#"{"[ext]":1}"#), Ok(vec![0xa0, 6, 1]));
    let suggestion = "[exd]: unknown field; did you mean \"[ext]\"?";
    assert_eq!(wire(&pool, "M", r#"{"[exd]":1}"#), Err(suggestion.to_owned()));
}

/// Returns an `Echo` of a request with this duration and this time, each as seconds and nanoseconds.
fn echo(patience: (i64, i32), since: (i64, i32)) -> Vec<u8> {
    use prost::Message as _;
    let pool = pool();
    let part = |name: &str, (seconds, nanos): (i64, i32)| {
        let mut part = DynamicMessage::new(pool.get_message_by_name(name).unwrap());
        part.set_field_by_name("seconds", Value::I64(seconds));
        part.set_field_by_name("nanos", Value::I32(nanos));
        Value::Message(part)
    };
    let mut request = DynamicMessage::new(pool.get_message_by_name("shop.Request").unwrap());
    request.set_field_by_name("patience", part("google.protobuf.Duration", patience));
    request.set_field_by_name("since", part("google.protobuf.Timestamp", since));
    let mut echo = DynamicMessage::new(pool.get_message_by_name("shop.Echo").unwrap());
    echo.set_field_by_name("request", Value::Message(request));
    echo.encode_to_vec()
}

async fn answer(message: Vec<u8>) -> (u16, serde_json::Value) {
    let upstream = service_fn(move |_: http::Request<Body>| {
        ready(Ok::<_, Status>(response(&HeaderMap::new(), vec![message.clone()], Ok(()))))
    });
    let response = over(upstream).oneshot(request("GET", "/v1/items/7", "")).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

#[tokio::test]
async fn a_time_that_has_no_json_is_an_error_of_the_upstream() {
    let (status, json) = answer(echo((-315_576_000_000, -1), (253_402_300_799, 1))).await;
    let (patience, since) = (json!("-315576000000.000000001s"), json!("9999-12-31T23:59:59.000000001Z"));
    assert_eq!((status, &json["request"]["patience"], &json["request"]["since"]), (200, &patience, &since));
    for (patience, since) in [
        ((i64::MIN, 0), (0, 0)),
        ((i64::MAX, 0), (0, 0)),
        ((0, i32::MIN), (0, 0)),
        ((0, i32::MAX), (0, 0)),
        ((1, -1), (0, 0)),
        ((0, 0), (i64::MIN, 0)),
        ((0, 0), (i64::MAX, 0)),
        ((0, 0), (0, i32::MIN)),
        ((0, 0), (0, i32::MAX)),
        ((0, 0), (-62_135_596_801, 999_999_999)),
    ] {
        let (status, json) = answer(echo(patience, since)).await;
        assert_eq!((status, &json["code"]), (500, &json!(13)), "{patience:?} {since:?}: {json}");
    }
    // Seconds in eight fixed bytes: Echo.request (2) > Request.patience (8) > seconds (1) and Request.since (7).
    for field in [0x42, 0x3a] {
        let (status, json) = answer([&[0x12, 11, field, 9, 0x09], &[0; 8][..]].concat()).await;
        assert_eq!(status, 500, "{json}");
    }
}
