//! Streams in both directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::Value;
use tonic::Status;
use tonic::body::Body;
use tower::{ServiceExt as _, service_fn};

use crate::support::{Reply, call, over, request, send};

async fn watch(name: &str, accept: &'static str) -> Reply {
    let mut request = request("GET", &format!("/v1/watch/{name}"), "");
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
    send(request).await
}

#[tokio::test]
async fn a_stream_is_lines() {
    let response = watch("x", "*/*").await;
    assert_eq!(response.headers[header::CONTENT_TYPE], "application/x-ndjson");
    let ids: Vec<Value> =
        response.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, ["x\n0", "x\n1", "x\n2"]);
    assert_eq!(watch("none", "*/*").await.text(), "");
    assert_eq!(response.headers["x-accel-buffering"], "no");
}

#[tokio::test]
async fn a_stream_is_events_when_asked_for() {
    let response = watch("midway", "text/event-stream").await;
    assert_eq!(response.headers[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(response.headers[header::CACHE_CONTROL], "no-cache");
    assert_eq!(response.headers["x-accel-buffering"], "no");
    let events: Vec<&str> = response.text().split_terminator("\n\n").collect();
    assert_eq!(events.len(), 4);
    assert!(events[0].starts_with("data: {\"id\":\"midway\\n0\""), "{}", events[0]);
    assert_eq!(events[3], "event: error\ndata: {\"code\":15,\"message\":\"the disk is gone\",\"details\":[]}");
}

#[tokio::test]
async fn an_event_has_the_id_that_its_message_has() {
    let response = watch("titled", "text/event-stream").await;
    let events: Vec<&str> = response.text().split_terminator("\n\n").collect();
    assert!(events[0].starts_with("id: t0\ndata: {\"id\":\"titled"), "{}", events[0]);
    assert!(events[1].starts_with("data: "), "no id: {}", events[1]);
    assert!(events[2].starts_with("data: "), "an id of two lines would be another field: {}", events[2]);
    let lines = watch("titled", "application/x-ndjson").await;
    assert!(lines.text().starts_with("{\"id\""), "{}", lines.text());
}

#[tokio::test]
async fn silent_events_get_comments() {
    let upstream = service_fn(|_: Request<Body>| async {
        let frames = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from_static(b"\0\0\0\0\0")))]);
        let endless = StreamBody::new(frames.chain(stream::pending()));
        Ok::<_, Status>(Response::new(Body::new(endless)))
    });
    let mut request = request("GET", "/v1/watch/x", "");
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    let mut body = over(upstream).oneshot(request).await.unwrap().into_body();
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    assert!(frames[0].starts_with(b"data: {"), "{frames:?}");
    assert_eq!(frames[1..], [&b":\n\n"[..], b":\n\n"]);
}

#[tokio::test]
async fn a_stream_that_fails_ends_with_the_error() {
    let response = watch("midway", "application/json").await;
    assert_eq!(response.status, StatusCode::OK);
    let last = response.text().lines().last().unwrap();
    assert_eq!(last, r#"{"code":15,"message":"the disk is gone","details":[]}"#);
}

#[tokio::test]
async fn a_stream_that_fails_at_once_has_a_status() {
    assert_eq!(watch("nobody", "*/*").await.status, StatusCode::FORBIDDEN);
    assert_eq!(watch("at-once", "text/event-stream").await.status, StatusCode::CONFLICT);
    assert_eq!(watch("x", "text/html").await.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn raw_bytes_stream_down_or_break() {
    let response = call("GET", "/v1/fetch/x", "").await;
    assert_eq!(response.headers[header::CONTENT_TYPE], "text/csv");
    assert_eq!(response.text(), "0,\0\r\n1,\0\r\n2,\0\r\n");
    assert_eq!(call("GET", "/v1/fetch/midway", "").await.text(), "<broken>");
    assert_eq!(call("GET", "/v1/fetch/at-once", "").await.status, StatusCode::CONFLICT);
}

fn upload(uri: &str, content_type: &'static str, chunks: Vec<Result<&'static str, Status>>) -> Request<Body> {
    let frames = chunks.into_iter().map(|chunk| chunk.map(|chunk| Frame::data(Bytes::from_static(chunk.as_bytes()))));
    let body = Body::new(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())));
    Request::post(uri).header(header::CONTENT_TYPE, content_type).body(body).unwrap()
}

fn trace(response: &Reply) -> Vec<String> {
    assert_eq!(response.status, StatusCode::OK, "{}", response.text());
    response.json()["trace"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn raw_bytes_stream_up_in_chunks() {
    let chunks = vec![Ok("abc"), Ok(""), Ok("0123456789ABCDEF")];
    let response = send(upload("/v1/send/n?kind=k", "text/csv", chunks)).await;
    assert_eq!(
        trace(&response),
        [
            r#"name:"n",kind:"k",file{content_type:"text/csv",data:"abc"}"#,
            r#"file{data:"0123456789"}"#,
            r#"file{data:"ABCDEF"}"#,
        ]
    );
    let empty = send(upload("/v1/send/n", "text/csv", vec![])).await;
    assert_eq!(trace(&empty), [r#"name:"n",file{content_type:"text/csv"}"#]);
}

#[tokio::test]
async fn json_streams_up_as_array_or_lines() {
    let expected = [r#"name:"n",item{id:"1"}"#, r#"item{id:"2"}"#];
    let array = upload("/v1/import/n", "application/json", vec![Ok("[{\"id\":\"1\"},"), Ok("{\"id\":\"2\"}]")]);
    assert_eq!(trace(&send(array).await), expected);
    let lines = upload("/v1/import/n", "application/x-ndjson", vec![Ok("{\"id\":\"1\"}\n{\"id\":"), Ok("\"2\"}")]);
    assert_eq!(trace(&send(lines).await), expected);
    for (content_type, nothing) in
        [("application/json", "[]"), ("application/x-ndjson", ""), ("application/x-ndjson", "\n")]
    {
        assert_eq!(trace(&send(upload("/v1/import/n", content_type, vec![Ok(nothing)])).await), [r#"name:"n""#]);
    }
}

#[tokio::test]
async fn a_json_stream_is_an_array() {
    for body in ["", " ", "{\"id\":\"1\"}", "{\"id\":\"1\"}{\"id\":\"2\"}", "null"] {
        let response = send(upload("/v1/import/n", "application/json", vec![Ok(body)])).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body:?}: {}", response.text());
    }
}

#[tokio::test]
async fn a_broken_upload_is_the_clients_failure() {
    let long: Vec<_> = (0..200).map(|_| Ok("0123456789")).collect();
    assert_eq!(send(upload("/v1/send/n", "text/csv", long)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let cut_off = vec![Ok("abc"), Err(Status::unavailable("connection reset"))];
    let response = send(upload("/v1/send/n", "text/csv", cut_off)).await;
    assert_eq!(
        (response.status, &response.json()["message"]),
        (StatusCode::BAD_REQUEST, &"the body ended early".into())
    );
    let wrong = vec![Ok("[{\"id\":\"1\"},{\"id\":2}]")];
    let response = send(upload("/v1/import/n", "application/json", wrong)).await;
    assert_eq!(response.json()["message"], "item.id: expected a string, found a number");
    let response = send(upload("/v1/import/n?nope=1", "application/json", vec![])).await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_first_message_of_an_upload_contradicts_neither_query_nor_path() {
    const ONEOF: &str = "byName: only one member of its oneof may be given";
    for (uri, body, message) in [
        ("/v1/requests/n?byName=a", r#"[{"byNumber":1}]"#, ONEOF),
        ("/v1/requests/n?byName=a", r#"[{"byName":"a"}]"#, "byName: given twice"),
        ("/v1/requests/n?path=a", r#"[{"path":"b"}]"#, "path: given twice, with different values"),
        ("/v1/requests/n", r#"[{"name":"other"}]"#, "name: given twice, with different values"),
        ("/v1/import/n?item.id=2", r#"[{"id":"1"}]"#, "item.id: given twice, with different values"),
    ] {
        let response = send(upload(uri, "application/json", vec![Ok(body)])).await;
        assert_eq!((response.status, &response.json()["message"]), (StatusCode::BAD_REQUEST, &message.into()), "{uri}");
    }
    // Only the first message has bindings.
    let good = r#"[{"name":"n"},{"byNumber":1},{"name":"other"}]"#;
    let response = send(upload("/v1/requests/n?byName=a", "application/json", vec![Ok(good)])).await;
    assert_eq!(trace(&response), [r#"name:"n",by_name:"a""#, "by_number:1", r#"name:"other""#]);
}

/// Returns an endless body that counts how often it was polled.
fn endless(chunk: Bytes, polls: Arc<AtomicUsize>) -> Body {
    Body::new(StreamBody::new(stream::repeat_with(move || {
        polls.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Status>(Frame::data(chunk.clone()))
    })))
}

#[tokio::test]
async fn nothing_is_read_before_it_is_wanted() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counter = polls.clone();
    let upstream = service_fn(move |_: Request<Body>| {
        let body = endless(Bytes::from_static(b"\0\0\0\0\0"), counter.clone());
        async move { Ok::<_, Status>(Response::new(body)) }
    });
    let mut body = over(upstream).oneshot(request("GET", "/v1/watch/x", "")).await.unwrap().into_body();
    for frame in 1..=3 {
        body.frame().await.unwrap().unwrap();
        assert!(polls.load(Ordering::Relaxed) <= frame + 1);
    }
}

#[tokio::test]
async fn an_upload_waits_for_the_upstream() {
    let polls = Arc::new(AtomicUsize::new(0));
    let upstream = service_fn(|request: Request<Body>| async move {
        let mut body = request.into_body();
        body.frame().await.unwrap()?;
        Err::<Response<Body>, _>(Status::resource_exhausted("enough"))
    });
    let body = endless(Bytes::from_static(b"abc"), polls.clone());
    let response = over(upstream).oneshot(Request::post("/v1/send/x").body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(polls.load(Ordering::Relaxed) <= 2);
}
