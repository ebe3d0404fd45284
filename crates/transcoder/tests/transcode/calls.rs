//! Unary calls, from the HTTP request to the HTTP response.

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use mainstay_transcoder::json::FieldSet;
use mainstay_transcoder::{Dialect, Failure, Limits, RequestHead, StatusDialect, Transcoder};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value as FieldValue};
use serde_json::{Value, json};
use tonic::{Status, body::Body};
use tower::{ServiceExt as _, service_fn};

use crate::support::{Marker, call, echo, over, pool, request, response, send};

/// Returns the request as the service received it.
async fn received_request(method: &str, uri: &str, body: &str) -> Value {
    let response = call(method, uri, body).await;
    assert_eq!(response.status, StatusCode::OK, "{method} {uri} {body}: {}", response.text());
    response.json()["request"].clone()
}

async fn refusal(method: &str, uri: &str, body: &str) -> String {
    let response = call(method, uri, body).await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST, "{method} {uri} {body}: {}", response.text());
    response.json()["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn paths_bind_as_envoy_binds_them() {
    for (uri, field, value) in [
        ("/v1/items/7", "name", "7"),
        ("/v1/items/7/", "name", "7"),
        ("/v1/items/a%2Fb%20c+d", "name", "a/b c+d"),
        ("/v1/items/12:30", "name", "12:30"),
        ("/v1/shelves/1/items/2", "name", "shelves/1/items/2"),
        ("/v1/shelves/a%2Fb%20c/items/2", "name", "shelves/a%2Fb c/items/2"),
        ("/v1/shelves//items/2", "name", "shelves//items/2"),
        ("/v1/files", "path", ""),
        ("/v1/files/a", "path", "a"),
        ("/v1/files/a/b%2Fc/", "path", "a/b%2Fc"),
    ] {
        assert_eq!(received_request("GET", uri, "").await[field], value, "{uri}");
    }
    assert_eq!(call("GET", "/v1/shelves/a%2Fb%20c/items/", "").await.status, StatusCode::NOT_FOUND);
    let both = received_request("GET", "/v1/makers/acme/items/7", "").await;
    assert_eq!((&both["maker"]["name"], &both["name"]), (&json!("acme"), &json!("7")));
    assert_eq!(received_request("REPORT", "/v1/items", "").await["name"], "");
    assert_eq!(received_request("PURGE", "/v1/any", "").await["name"], "");
    assert!(refusal("GET", "/v1/items/%ff", "").await.contains("UTF-8"));
}

#[tokio::test]
async fn query_parameters_bind_every_kind_of_field() {
    let query = "maker.address.zipCode=7&maker.address.city=Brno%2B+&sizes=SIZE_LARGE&sizes=1&numbers=1&numbers=-2\
                 &since=2024-05-01T12:00:00Z&patience=1.5s&limit=9&flag=true&token=-_8&deep=true&ratio=0.5\
                 &update_mask=a,bC,d_e.f&byNumber=3";
    let request = received_request("GET", &format!("/v1/items/x?{query}"), "").await;
    for (field, value) in [
        ("maker", json!({"name": "", "address": {"city": "Brno+ ", "zipCode": 7}})),
        ("sizes", json!(["SIZE_LARGE", "SIZE_SMALL"])),
        ("numbers", json!([1, -2])),
        ("since", json!("2024-05-01T12:00:00Z")),
        ("patience", json!("1.500s")),
        ("limit", json!(9)),
        ("flag", json!(true)),
        ("token", json!("+/8=")),
        ("deep", json!(true)),
        ("ratio", json!(0.5)),
        ("updateMask", json!("a,bC,dE.f")),
        ("byNumber", json!(3)),
    ] {
        assert_eq!(request[field], value, "{field}");
    }
    for (query, reason) in [
        ("nope=1", "nope: unknown query parameter"),
        ("number=1", "number: unknown query parameter; did you mean \"numbers\"?"),
        ("maker=x", "maker: can't be given as text"),
        ("labels=x", "labels: can't be given as text"),
        ("maker.address.zip_code=x", "maker.address.zipCode: not a whole number"),
        ("numbers=1.5", "numbers: not a whole number"),
        ("numbers=1e1", "numbers: not a whole number"),
        ("numbers=99999999999", "numbers: out of range, or not a whole number"),
        ("sizes=99", "sizes: not one of SIZE_SMALL, SIZE_LARGE"),
        ("byName=a&byName=a", "byName: given twice"),
        ("byName=a&byNumber=1", "byNumber: only one member of its oneof may be given"),
        ("byNumber=1&ratio=1&byName=a", "byName: only one member of its oneof may be given"),
        ("byMaker.name=a&byItem.title=b", "byItem.title: only one member of its oneof may be given"),
        ("value.number_value=5&value.string_value=x", "value.stringValue: only one member of its oneof may be given"),
        ("value.struct_value.fields=x", "value.struct_value.fields: can't be given as text"),
        ("value=5", "value: can't be given as text"),
        ("since=2024-05-01T12:00:00Z&since.seconds=5", "since.seconds: given twice"),
        ("updateMask.paths=a&updateMask=b", "updateMask: given twice"),
        ("since.minutes=5", "since.minutes: unknown query parameter"),
        ("numbers=", "numbers: not a whole number"),
        ("deep=2", "deep: not true or false"),
        ("sizes=HUGE", "sizes: not one of SIZE_SMALL, SIZE_LARGE"),
        ("name=other", "name: given twice, with different values"),
        ("since=today", "since: not an RFC 3339 time such as 2024-05-01T12:00:00Z"),
    ] {
        assert_eq!(refusal("GET", &format!("/v1/items/x?{query}"), "").await, reason);
    }
}

#[tokio::test]
async fn fields_of_well_known_types_bind_too() {
    for (query, field, value) in [
        ("since.seconds=5&since.nanos=1000000", "since", json!("1970-01-01T00:00:05.001Z")),
        ("patience.seconds=3", "patience", json!("3s")),
        ("updateMask.paths=a_b&update_mask.paths=c", "updateMask", json!("aB,c")),
        ("flag.value=true", "flag", json!(true)),
        ("value.number_value=5", "value", json!(5)),
    ] {
        assert_eq!(received_request("GET", &format!("/v1/items/x?{query}"), "").await[field], value, "{query}");
    }
    let reason = refusal("GET", "/v1/items/x?value.list_value.values=", "").await;
    assert!(reason.contains("can't be given as text"), "{reason}");
    let both = received_request("POST", "/v1/items?since.nanos=5000000", r#"{"since":"1970-01-01T00:00:05Z"}"#).await;
    assert_eq!(both["since"], "1970-01-01T00:00:05.005Z");
}

#[tokio::test]
async fn only_one_member_of_a_oneof_is_set_by_body_query_and_path() {
    for (method, uri, body, field) in [
        ("POST", "/v1/items?byNumber=1", r#"{"byName":"a"}"#, "byNumber"),
        ("POST", "/v1/items?byItem.title=x", r#"{"byMaker":{"name":"m"}}"#, "byItem.title"),
        ("POST", "/v1/items?byMaker.name=x", r#"{"byItem":{}}"#, "byMaker.name"),
        ("POST", "/v1/items?value.string_value=x", r#"{"value":3}"#, "value.stringValue"),
        ("POST", "/v1/items?self.byName=x", r#"{"self":{"byNumber":3}}"#, "self.byName"),
        ("PUT", "/v1/numbers/7", r#"{"byName":"a"}"#, "byNumber"),
        ("PUT", "/v1/numbers/7?byName=a", "{}", "byNumber"),
    ] {
        let expected = format!("{field}: only one member of its oneof may be given");
        assert_eq!(refusal(method, uri, body).await, expected, "{method} {uri} {body}");
    }
    let request =
        received_request("PUT", "/v1/numbers/7?self.byName=a&value.number_value=1", r#"{"byMaker":{}}"#).await;
    assert_eq!((&request["byNumber"], &request["self"]["byName"]), (&json!(7), &json!("a")));
    assert_eq!(received_request("POST", "/v1/items?byMaker.name=x", r#"{"byMaker":{}}"#).await["byMaker"]["name"], "x");
}

#[tokio::test]
async fn system_parameters_are_honored_ignored_or_refused() {
    let named = call("GET", "/v1/items/7?$alt=json&sizes=SIZE_LARGE&item.title=x", "").await.json();
    assert_eq!(
        (&named["request"]["sizes"], &named["item"]["size"]),
        (&json!(["SIZE_LARGE"]), &json!("SIZE_UNSPECIFIED"))
    );
    for alt in ["$alt=json;enum-encoding=int", "%24alt=json%3Benum-encoding%3Dint"] {
        let numbered = call("GET", &format!("/v1/items/7?{alt}&sizes=SIZE_LARGE&item.title=x"), "").await.json();
        assert_eq!((&numbered["request"]["sizes"], &numbered["item"]["size"]), (&json!([2]), &json!(0)), "{alt}");
    }
    let lines = call("GET", "/v1/watch/x?$alt=json;enum-encoding=int", "").await;
    assert!(lines.text().lines().all(|line| line.contains(r#""size":0,"#)), "{}", lines.text());
    assert_eq!(call("GET", "/v1/only/7?$alt=json;enum-encoding=int", "").await.json()["size"], 0);
    for ignored in ["alt=json", "$prettyPrint=true", "prettyPrint=false", "quotaUser=me", "$.xgafv=2"] {
        assert_eq!(call("GET", &format!("/v1/items/7?{ignored}"), "").await.status, StatusCode::OK, "{ignored}");
    }
    for (query, reason) in [
        ("$alt=proto", "$alt: only \"json\" and \"json;enum-encoding=int\" are served"),
        ("alt=media", "alt: only \"json\" and \"json;enum-encoding=int\" are served"),
        ("$fields=name", "$fields: partial responses are not served"),
        ("callback=f", "callback: JSONP is not served"),
        ("key=secret", "key: credentials belong into a header"),
        ("$.xgafv=1", "$.xgafv: only error format 2 is served"),
        ("$httpMethod=DELETE", "$httpMethod: not supported"),
        ("$nothing=1", "$nothing: unknown query parameter"),
    ] {
        assert_eq!(refusal("GET", &format!("/v1/items/x?{query}"), "").await, reason);
    }
    assert_eq!(received_request("GET", "/v1/items/x?path=a", "").await["path"], "a", "a field comes first");
}

#[tokio::test]
async fn bodies_bind_whole_or_by_field() {
    let body = r#"{"name":"n","item":{"id":"7","price_minor":"5"},"deep":"true","numbers":[1,2],"maker":null}"#;
    let request = received_request("POST", "/v1/items?ratio=2", body).await;
    assert_eq!(request["item"]["priceMinor"], "5");
    assert_eq!(request["deep"], true);
    assert_eq!(request["numbers"], json!([1, 2]));
    assert_eq!(request["ratio"], 2.0, "a query binds beside body: \"*\"");
    assert!(request.get("maker").is_none(), "null is unset");
    let request =
        received_request("PATCH", "/v1/items/7?updateMask=title", r#"{"title":"t","weight":3.4028235e38}"#).await;
    assert_eq!((&request["name"], &request["item"]["title"]), (&json!("7"), &json!("t")));
    assert_eq!(request["updateMask"], "title");
    assert!(received_request("PATCH", "/v1/items/7", "{}").await.get("updateMask").is_none(), "no mask is made up");
    assert!(received_request("PATCH", "/v1/items/7", "null").await.get("item").is_none());
    assert_eq!(received_request("POST", "/v1/items", "").await["name"], "");
}

#[tokio::test]
async fn a_body_may_not_contradict_the_path() {
    assert_eq!(
        received_request("PUT", "/v1/items/7", r#"{"item":{"id":"7","title":"t"}}"#).await["item"]["title"],
        "t"
    );
    assert_eq!(received_request("PUT", "/v1/items/7", r#"{"item":{"title":"t"}}"#).await["item"]["id"], "7");
    let message = refusal("PUT", "/v1/items/7", r#"{"item":{"id":"8"}}"#).await;
    assert_eq!(message, "item.id: given twice, with different values");
    let message = refusal("POST", "/v1/items?name=a", r#"{"name":"b"}"#).await;
    assert_eq!(message, "name: given twice, with different values");
}

#[tokio::test]
async fn an_unknown_route_is_not_found_and_an_unknown_method_not_allowed() {
    assert_eq!(call("GET", "/v1/nothing", "").await.status, StatusCode::NOT_FOUND);
    for (method, uri, allow) in [
        ("DELETE", "/v1/items/7", "GET, HEAD, PATCH, PUT"),
        ("GET", "/v1/items/7:resolve", "POST"),
        // A trailing slash makes it a plain segment instead of a verb.
        ("POST", "/v1/items/7:resolve/", "GET, HEAD, PATCH, PUT"),
        ("OPTIONS", "/v1/items", "POST, REPORT"),
    ] {
        let response = call(method, uri, "").await;
        assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers[header::ALLOW], allow);
    }
    let resolved = call("POST", "/v1/items/7:resolve", "{}").await;
    assert_eq!(resolved.json()["method"], "Resolve");
    assert_eq!(resolved.matched.unwrap(), "POST /v1/items/{name}:resolve");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let (get, head) = (call("GET", "/v1/items/7", "").await, call("HEAD", "/v1/items/7", "").await);
    assert_eq!(head.status, StatusCode::OK);
    assert!(head.body.is_empty());
    assert_eq!(head.headers[header::CONTENT_LENGTH], get.body.len().to_string());
}

#[tokio::test]
async fn response_body_is_one_field() {
    let response = call("GET", "/v1/only/7?item.title=x", "").await;
    assert_eq!(response.json()["title"], "x");
    let unset = call("GET", "/v1/only/7", "").await;
    assert_eq!(unset.json()["title"], "", "the service always sets the item");
}

#[tokio::test]
async fn media_types_are_negotiated() {
    for (content_type, status) in [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json;charset=utf8", 200),
        ("application/json; charset=latin1", 200),
        ("application/json;odata.metadata=minimal", 200),
        ("application/problem+json; charset=ascii", 200),
        ("text/json", 200),
        ("application/merge-patch+json", 415),
        ("application/json-patch+json", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ] {
        let mut request = request("POST", "/v1/items", "{}");
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        assert_eq!(send(request).await.status.as_u16(), status, "{content_type}");
    }
    let mut compressed = request("POST", "/v1/items", "{}");
    compressed.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(send(compressed).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (accept, status) in [("text/html", 406), ("application/*", 200), ("text/html, */*;q=0.1", 200)] {
        let mut request = request("GET", "/v1/items/7", "");
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(send(request).await.status.as_u16(), status, "{accept}");
    }
}

/// On the wire, the messages of one field are merged. A later value therefore replaces every part of an earlier one.
#[tokio::test]
async fn the_last_of_two_values_of_a_message_counts_alone() {
    for (query, field, expected) in [
        ("since=2030-01-01T00:00:00Z&since=1970-01-01T00:00:00Z", "since", json!("1970-01-01T00:00:00Z")),
        ("since=2020-01-01T00:00:00.5Z&since=2021-01-01T00:00:00Z", "since", json!("2021-01-01T00:00:00Z")),
        ("patience=1.5s&patience=2s", "patience", json!("2s")),
        ("patience=1.5s&patience=-1s", "patience", json!("-1s")),
        ("patience=-1.5s&patience=0s", "patience", json!("0s")),
        ("limit=9&limit=0", "limit", json!(0)),
        ("flag=true&flag=false", "flag", json!(false)),
        ("flag.value=true&flag.value=false", "flag", json!(false)),
        // The paths of a mask are a list, as they are as `updateMask.paths`.
        ("updateMask=a&updateMask=b", "updateMask", json!("a,b")),
    ] {
        assert_eq!(received_request("GET", &format!("/v1/items/x?{query}"), "").await[field], expected, "{query}");
    }
}

/// Forms, `URLSearchParams` and the libraries of most languages write spaces as `+`.
#[tokio::test]
async fn a_plus_in_a_query_is_a_space_and_fields_without_spaces_keep_it() {
    for (query, field, expected) in [
        ("item.title=General+Inquiry", "/item/title", json!("General Inquiry")),
        ("item.title=a%2Bb+c%20d", "/item/title", json!("a+b c d")),
        ("item.title=+&item.note=%2B", "/item/note", json!("+")),
        ("item.tags=a+b&item.tags=c%2B", "/item/tags", json!(["a b", "c+"])),
        ("item.nickname=J+R", "/item/nickname", json!("J R")),
        ("since=2024-05-01T12:00:00+02:00", "/since", json!("2024-05-01T10:00:00Z")),
        ("since=2024-05-01T12:00:00%2B02:00", "/since", json!("2024-05-01T10:00:00Z")),
        ("since=2024-05-01T12:00:00%2002:00", "/since", json!("2024-05-01T10:00:00Z")),
        ("token=+/+/", "/token", json!("+/+/")),
        ("patience=+1s", "/patience", json!("1s")),
        ("patience=%2B1.5s", "/patience", json!("1.500s")),
        ("patience=%201s", "/patience", json!("1s")),
    ] {
        let response = call("GET", &format!("/v1/items/x?{query}"), "").await;
        assert_eq!(response.json()["request"].pointer(field), Some(&expected), "{query}: {}", response.text());
    }
    assert_eq!(call("GET", "/v1/items/a+b", "").await.json()["request"]["name"], "a+b", "a path has no forms");
    for query in [
        "flag=+true",
        "limit=+7",
        "ratio=1e+3",
        "sizes=SIZE+SMALL",
        "since=2024-05-01+12:00:00Z",
        "item+title=x",
        "patience=1+s",
        "patience=-+1s",
    ] {
        refusal("GET", &format!("/v1/items/x?{query}"), "").await;
    }
}

/// A dialect that ignores unknown parameters and `Accept` for read-only methods.
#[derive(Clone)]
struct Lenient(StatusDialect);

impl Dialect for Lenient {
    fn error_response(&self, request: &RequestHead, failure: Failure) -> Response<Bytes> {
        self.0.error_response(request, failure)
    }

    fn ignores_unknown_parameters(&self, method: &MethodDescriptor) -> bool {
        method.name() == "Get"
    }

    fn negotiates(&self, method: &MethodDescriptor) -> bool {
        method.name() != "Get"
    }
}

#[tokio::test]
async fn accept_is_ignored_where_the_dialect_says_so() {
    let pool = pool();
    let upstream = service_fn(|request| echo(crate::support::pool(), request));
    let dialect = Lenient(StatusDialect::new(&pool, 1000));
    let transcoder = Transcoder::new(&pool, &["shop.Shop"], upstream, dialect, Limits::default()).unwrap();
    for (uri, status) in [("/v1/items/7", 200), ("/v1/only/7", 406)] {
        let mut request = request("GET", uri, "");
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        let response = transcoder.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{uri}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json", "{uri}");
    }
}

#[tokio::test]
async fn unknown_parameters_are_ignored_where_the_dialect_says_so() {
    let pool = pool();
    let upstream = service_fn(|request| echo(crate::support::pool(), request));
    let dialect = Lenient(StatusDialect::new(&pool, 1000));
    let transcoder = Transcoder::new(&pool, &["shop.Shop"], upstream, dialect, Limits::default()).unwrap();
    for (method, uri, status) in [
        ("GET", "/v1/items/7?utm_source=x&item.title=a&item.nothing=1&fbclid=%ff", 200),
        ("GET", "/v1/items/7?key=x&callback=y&alt=xml&$fields=z", 200),
        ("GET", "/v1/items/7?name=8&name=%ff", 200),
        ("GET", "/v1/items/7?numbers=x", 400),
        ("GET", "/v1/items/7?item.title=%ff", 400),
        ("GET", "/v1/only/7?utm_source=x", 400),
        ("GET", "/v1/only/7?key=x", 400),
        ("POST", "/v1/items?utm_source=x", 400),
    ] {
        let response = transcoder.clone().oneshot(request(method, uri, "")).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{uri}");
    }
}

#[tokio::test]
async fn headers_and_extensions_cross_over() {
    let mut request = request("GET", "/v1/items/7", "");
    let headers = request.headers_mut();
    for (name, value) in [
        ("authorization", "Bearer t"),
        ("x-custom", "1"),
        ("x-request-timeout", "1.5"),
        ("x-request-id", "abc"),
        ("host", "example.org"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    request.extensions_mut().insert(Marker(5));
    let response = send(request).await;
    let trace = response.json()["trace"].clone();
    let trace: Vec<&str> = trace.as_array().unwrap()[1..].iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(trace, ["authorization: Bearer t", "grpc-timeout: 1500m", "x-custom: 1", "marker: 5"]);
    assert_eq!(response.headers["x-request-id"], "abc");
    assert_eq!(response.headers["etag"], "\"7\"");
    assert_eq!(response.headers[header::CONTENT_TYPE], "application/json");
    let leaked = response.headers.keys().find(|name| name.as_str().starts_with("grpc-") || *name == "x-late");
    assert_eq!(leaked, None);
}

/// The upstream omits fields and passes the set of present ones; defaults are printed only for present fields.
#[tokio::test]
async fn fields_that_the_upstream_left_out_are_absent() {
    let whole = call("GET", "/v1/items/7?numbers=1&numbers=2", "").await.json();
    assert!(whole["request"].get("sizes").is_some() && whole["request"].get("labels").is_some(), "{whole}");
    let mut fields = FieldSet::default();
    for path in [&[1][..], &[2, 1], &[2, 5], &[2, 16]] {
        fields.add(path);
    }
    let mut request = request("GET", "/v1/items/7?numbers=1&numbers=2", "");
    request.extensions_mut().insert(fields);
    let expected = json!({ "method": whole["method"], "request": { "name": "7", "sizes": [], "labels": {} } });
    assert_eq!(send(request).await.json(), expected);
}

#[tokio::test]
async fn upstream_failures_keep_their_status() {
    for (name, status, message) in [
        ("trailers-only", 404, "no such item"),
        ("late", 404, "no such item"),
        ("plain-http", 503, "the upstream responded 503 Service Unavailable without a gRPC status"),
        ("no-status", 500, "the upstream's response has no status"),
        ("cut-off", 500, "the upstream's response ended inside a message"),
        ("compressed", 500, "the upstream compressed a message without being asked"),
        ("empty", 500, "the upstream's response has no message"),
        ("twice", 500, "the upstream's response to a unary call has several messages"),
    ] {
        let response = call("GET", &format!("/v1/fail/{name}"), "").await;
        assert_eq!(response.status.as_u16(), status, "{name}");
        assert_eq!(response.json()["message"], message, "{name}");
        assert!(!response.headers.contains_key("grpc-status"));
        assert_eq!(response.headers.contains_key("x-reason"), name == "trailers-only", "{name}");
    }
    assert_eq!(call("GET", "/v1/fail/broken", "").await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn raw_bytes_cross_both_ways_unchanged() {
    let bytes = "{\"a\":  1}\r\n\u{0}é";
    let mut request = request("POST", "/v1/raw/n?kind=k", bytes);
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.x; v=1"));
    let response = send(request).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers[header::CONTENT_TYPE], "application/vnd.x; v=1");
    assert_eq!(response.text(), bytes);
}

/// A large document must not block a thread that serves other tasks; for a small one, changing threads would cost more.
#[tokio::test]
async fn a_large_document_is_written_beside_the_other_tasks() {
    for (length, is_ready) in [(1000, true), (1 << 20, false)] {
        let mut echo = DynamicMessage::new(pool().get_message_by_name("shop.Echo").unwrap());
        echo.set_field_by_name("method", FieldValue::String("x".repeat(length)));
        let message = echo.encode_to_vec();
        let upstream = service_fn(move |_: Request<Body>| {
            std::future::ready(Ok::<_, Status>(response(&HeaderMap::new(), vec![message.clone()], Ok(()))))
        });
        let mut response = Box::pin(over(upstream).oneshot(request("GET", "/v1/items/x", "")));
        let first = response.as_mut().now_or_never();
        assert_eq!(first.is_some(), is_ready, "{length} bytes");
        let response = match first {
            Some(response) => response.unwrap(),
            None => response.await.unwrap(),
        };
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let echo: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(echo["method"].as_str().unwrap().len(), length);
    }
}
