//! Descriptors compiled in the test, and a service that echoes the request.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use mainstay_transcoder::{Limits, MatchedRoute, StatusDialect, Transcoder, json::FieldSet};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};
use tonic::Status;
use tonic::body::Body;
use tower::{ServiceExt as _, service_fn};

pub(crate) fn pool() -> DescriptorPool {
    compile(&protos(), &["kinds.proto", "shop.proto"])
}

fn protos() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcode/proto")
}

/// Compiles one file that the test defines.
pub(crate) fn compile_text(text: &str) -> DescriptorPool {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("own.proto"), text).unwrap();
    compile(root.path(), &["own.proto"])
}

fn compile(root: &Path, files: &[&str]) -> DescriptorPool {
    let common = protos();
    let roots = if root == common { vec![root] } else { vec![root, &common] };
    let mut compiler = protox::Compiler::new(roots).unwrap();
    compiler.include_imports(true).include_source_info(false);
    for file in files {
        compiler.open_file(file).unwrap();
    }
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) matched: Option<String>,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Returns a transcoder of the shop's rules over any upstream, with low limits for tests.
pub(crate) fn over<S>(upstream: S) -> Transcoder<S, StatusDialect> {
    let pool = pool();
    let dialect = StatusDialect::new(&pool, 1000).with_timeout_header(HeaderName::from_static("x-request-timeout"));
    let dialect = dialect.with_event_id_field("title");
    let event_stream_silence = Duration::from_millis(50);
    let limits = Limits { max_raw_chunk_bytes: 10, event_stream_silence, ..Limits::default() };
    Transcoder::new(&pool, &["shop.Shop"], upstream, dialect, limits).unwrap()
}

/// Sends a request through a transcoder over the echo service.
pub(crate) async fn send(request: Request<Body>) -> Reply {
    let pool = pool();
    let upstream = service_fn(move |request| echo(pool.clone(), request));
    let transcoder = over(upstream);
    read(transcoder.oneshot(request).await.unwrap()).await
}

/// Sends a request through a transcoder with the given limits, over a service that answers each call with an empty
/// message.
pub(crate) async fn send_within(limits: Limits, request: Request<Body>) -> Reply {
    let pool = pool();
    let upstream = service_fn(|_: Request<Body>| {
        std::future::ready(Ok::<_, Status>(response(&HeaderMap::new(), vec![Vec::new()], Ok(()))))
    });
    let dialect = StatusDialect::new(&pool, 1 << 20);
    let transcoder = Transcoder::new(&pool, &["shop.Shop"], upstream, dialect, limits).unwrap();
    read(transcoder.oneshot(request).await.unwrap()).await
}

async fn read(response: Response<Body>) -> Reply {
    let (parts, body) = response.into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.map(|body| body.to_bytes()).unwrap_or_else(|_| Bytes::from_static(b"<broken>")),
        matched: parts.extensions.get::<MatchedRoute>().map(|matched| matched.0.to_string()),
    }
}

pub(crate) fn request(method: &str, uri: &str, body: &str) -> Request<Body> {
    let body = if body.is_empty() { Body::empty() } else { Body::new(Full::new(Bytes::from(body.to_owned()))) };
    Request::builder().method(method).uri(uri).body(body).unwrap()
}

pub(crate) async fn call(method: &str, uri: &str, body: &str) -> Reply {
    send(request(method, uri, body)).await
}

/// The upstream. It decodes framed gRPC by hand, so that the transcoder is not used to check itself.
pub(crate) async fn echo(pool: DescriptorPool, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (parts, body) = request.into_parts();
    assert_eq!(parts.headers["content-type"], "application/grpc");
    assert_eq!(parts.headers["te"], "trailers");
    let method = parts.uri.path().strip_prefix("/shop.Shop/").unwrap().to_owned();
    assert!(parts.extensions.get::<MatchedRoute>().is_some());
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(status) => return Ok(status.into_http()),
    };
    let service = pool.get_service_by_name("shop.Shop").unwrap();
    let input = service.methods().find(|candidate| candidate.name() == method).unwrap().input();
    let requests: Vec<DynamicMessage> =
        unframe(&bytes).map(|message| DynamicMessage::decode(input.clone(), message).unwrap()).collect();
    match &*method {
        "Raw" => {
            let file = requests[0].get_field_by_name("file").unwrap().as_message().unwrap().clone();
            Ok(response(&parts.headers, vec![file.encode_to_vec()], Ok(())))
        }
        "Fail" => Ok(fail(&requests[0])),
        "Watch" | "Fetch" => Ok(stream(&pool, &method, &requests[0])),
        _ => {
            let mut echo = DynamicMessage::new(pool.get_message_by_name("shop.Echo").unwrap());
            echo.set_field_by_name("method", Value::String(method.clone()));
            if let Some(first) = requests.first().filter(|request| request.descriptor().name() == "Request") {
                echo.set_field_by_name("request", Value::Message(first.clone()));
                if let Some(item) = first.get_field_by_name("item") {
                    echo.set_field_by_name("item", item.into_owned());
                }
            }
            let mut trace: Vec<Value> = requests.iter().map(|request| Value::String(request.to_string())).collect();
            for name in ["authorization", "grpc-timeout", "x-custom", "host", "content-length"] {
                if let Some(value) = parts.headers.get(name) {
                    trace.push(Value::String(format!("{name}: {}", value.to_str().unwrap())));
                }
            }
            if let Some(Marker(marker)) = parts.extensions.get::<Marker>() {
                trace.push(Value::String(format!("marker: {marker}")));
            }
            echo.set_field_by_name("trace", Value::List(trace));
            let mut response = response(&parts.headers, vec![echo.encode_to_vec()], Ok(()));
            if let Some(fields) = parts.extensions.get::<FieldSet>() {
                response.extensions_mut().insert(fields.clone());
            }
            Ok(response)
        }
    }
}

/// A request extension, to check that extensions are passed on.
#[derive(Clone)]
pub(crate) struct Marker(pub(crate) u32);

fn fail(request: &DynamicMessage) -> Response<Body> {
    let name = request.get_field_by_name("name").unwrap().as_str().unwrap().to_owned();
    let mut status = Status::not_found("no such item");
    status.metadata_mut().insert("x-reason", "gone".parse().unwrap());
    match &*name {
        "trailers-only" => status.into_http(),
        "plain-http" => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
        "no-status" => Response::new(Body::new(Full::new(frame(b"")))),
        "cut-off" => Response::new(Body::new(Full::new(Bytes::from_static(b"\0\0\0\0\x09abc")))),
        "compressed" => Response::new(Body::new(Full::new(Bytes::from_static(b"\x01\0\0\0\x01a")))),
        "empty" => response(&HeaderMap::new(), vec![], Ok(())),
        "twice" => response(&HeaderMap::new(), vec![vec![], vec![]], Ok(())),
        "broken" => response(&HeaderMap::new(), vec![vec![0xff]], Ok(())),
        _ => response(&HeaderMap::new(), vec![vec![]], Err(status)),
    }
}

fn stream(pool: &DescriptorPool, method: &str, request: &DynamicMessage) -> Response<Body> {
    let name = request.get_field_by_name("name").unwrap().as_str().unwrap().to_owned();
    if name == "nobody" {
        return Status::permission_denied("not yours").into_http();
    }
    let mut messages = Vec::new();
    for number in 0..3 {
        if method == "Watch" {
            let mut item = DynamicMessage::new(pool.get_message_by_name("shop.Item").unwrap());
            item.set_field_by_name("id", Value::String(format!("{name}\n{number}")));
            if name == "titled" {
                let titles = ["t0", "", "t\n2"];
                item.set_field_by_name("title", Value::String(titles[number].to_owned()));
            }
            messages.push(item.encode_to_vec());
        } else {
            let mut body = DynamicMessage::new(pool.get_message_by_name("google.api.HttpBody").unwrap());
            if number == 0 {
                body.set_field_by_name("content_type", Value::String("text/csv".to_owned()));
            }
            body.set_field_by_name("data", Value::Bytes(Bytes::from(format!("{number},\u{0}\r\n"))));
            messages.push(body.encode_to_vec());
        }
    }
    let outcome = if name == "midway" { Err(Status::data_loss("the disk is gone")) } else { Ok(()) };
    if name == "at-once" {
        messages.clear();
        return response(&HeaderMap::new(), messages, Err(Status::aborted("not now")));
    }
    if name == "none" {
        messages.clear();
    }
    response(&HeaderMap::new(), messages, outcome)
}

pub(crate) fn response(request: &HeaderMap, messages: Vec<Vec<u8>>, outcome: Result<(), Status>) -> Response<Body> {
    let mut frames: Vec<Result<Frame<Bytes>, Status>> =
        messages.iter().map(|message| Ok(Frame::data(frame(message)))).collect();
    let mut trailers = HeaderMap::new();
    match outcome {
        Ok(()) => {
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        Err(status) => status.add_header(&mut trailers).unwrap(),
    }
    trailers.insert("x-late", HeaderValue::from_static("lost"));
    frames.push(Ok(Frame::trailers(trailers)));
    let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-encoding", HeaderValue::from_static("identity"));
    headers.insert("etag", HeaderValue::from_static("\"7\""));
    if let Some(id) = request.get("x-request-id") {
        headers.insert("x-request-id", id.clone());
    }
    response.extensions_mut().insert(Arc::new(7_u8));
    response
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

fn unframe(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (prefix, rest) = bytes.split_at_checked(5)?;
        let (message, rest) = rest.split_at(u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize);
        bytes = rest;
        Some(message)
    })
}
