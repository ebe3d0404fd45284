//! A dialect for any gRPC server: failures are `google.rpc.Status` in JSON.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Code;

use super::dialect::{Dialect, Failure, RequestHead};
use super::json::{Tables, write_string};
use super::wire::{Reader, Value};

/// Renders `{"code":5,"message":"no such shelf","details":[…]}` under the HTTP status that google/rpc/code.proto
/// defines.
#[derive(Clone, Debug)]
pub struct StatusDialect {
    tables: Arc<Tables>,
    body_limit: usize,
}

impl StatusDialect {
    /// Creates the dialect. `pool` should contain the detail types; an unknown one is shown by its `@type` alone.
    pub fn new(pool: &DescriptorPool, body_limit: usize) -> Self {
        Self { tables: Arc::new(Tables::new(pool)), body_limit }
    }

    fn details(&self, status: &[u8]) -> Vec<Vec<u8>> {
        let mut details = Vec::new();
        let mut reader = Reader::new(status);
        // google.rpc.Status: `repeated google.protobuf.Any details = 3`.
        while let Ok(Some((number, value))) = reader.field() {
            let (3, Value::Bytes(any)) = (number, value) else { continue };
            let mut json = Vec::new();
            let known = self.tables.id("google.protobuf.Any");
            let written = known.map(|id| super::json::write_one(&self.tables, id, any, &mut json));
            if !matches!(written, Some(Ok(()))) {
                json = b"{\"@type\":".to_vec();
                write_string(type_url(any), &mut json);
                json.push(b'}');
            }
            details.push(json);
        }
        details
    }
}

impl Dialect for StatusDialect {
    fn error(&self, _: &RequestHead, failure: Failure) -> http::Response<Bytes> {
        let mut allow = None;
        let (status, code, message, details) = match failure {
            Failure::Malformed { field: None, message } => (400, Code::InvalidArgument, message, Vec::new()),
            Failure::Malformed { field: Some(field), message } => {
                (400, Code::InvalidArgument, format!("{field}: {message}"), Vec::new())
            }
            Failure::RouteNotFound => (404, Code::NotFound, "no such route".to_owned(), Vec::new()),
            Failure::MethodNotAllowed { allow: methods } => {
                allow = Some(methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "));
                (405, Code::Unimplemented, "the route has no such method".to_owned(), Vec::new())
            }
            Failure::NotAcceptable => (406, Code::InvalidArgument, "no acceptable media type".to_owned(), Vec::new()),
            Failure::UnsupportedMediaType => {
                (415, Code::InvalidArgument, "unsupported media type".to_owned(), Vec::new())
            }
            Failure::PayloadTooLarge { limit } => {
                (413, Code::ResourceExhausted, format!("the body is longer than {limit} bytes"), Vec::new())
            }
            Failure::Upstream(status) => {
                let http = http_status(status.code()).as_u16();
                (http, status.code(), status.message().to_owned(), self.details(status.details()))
            }
        };
        let mut body = format!("{{\"code\":{},\"message\":", i32::from(code)).into_bytes();
        write_string(&message, &mut body);
        body.extend_from_slice(b",\"details\":[");
        body.extend_from_slice(&details.join(&b','));
        body.extend_from_slice(b"]}");
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        if let Some(allow) = allow.and_then(|allow| allow.parse().ok()) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }

    fn body_limit(&self, _: &MethodDescriptor) -> usize {
        self.body_limit
    }
}

/// Returns the HTTP status that google/rpc/code.proto defines for a gRPC code.
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn type_url(any: &[u8]) -> &str {
    match Reader::new(any).field() {
        Ok(Some((1, Value::Bytes(url)))) => std::str::from_utf8(url).unwrap_or_default(),
        _ => "",
    }
}
