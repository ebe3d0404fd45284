//! A dialect for any gRPC server: failures are `google.rpc.Status` in JSON.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::{Code, Status};

use crate::dialect::{Dialect, Failure, RequestHead};
use crate::json::{Codec, PrintOptions, write_message, write_string};
use crate::wire::{Reader, Value};

/// Renders `{"code":5,"message":"no such shelf","details":[…]}` under the HTTP status that google/rpc/code.proto
/// defines.
#[derive(Clone, Debug)]
pub struct StatusDialect {
    codec: Arc<Codec>,
    max_body_bytes: usize,
    timeout_header: Option<HeaderName>,
    event_id_field: Option<String>,
}

impl StatusDialect {
    /// Creates the dialect. `pool` should contain the types of failures' details; a detail of an unknown type is
    /// rendered with its `@type` only. `max_body_bytes` bounds the body of every request; see
    /// [`Dialect::max_body_bytes`].
    pub fn new(pool: &DescriptorPool, max_body_bytes: usize) -> Self {
        Self { codec: Arc::new(Codec::new(pool)), max_body_bytes, timeout_header: None, event_id_field: None }
    }

    /// Sets the header with the client's timeout; see [`Dialect::timeout_header`].
    #[must_use]
    pub fn with_timeout_header(self, name: HeaderName) -> Self {
        Self { timeout_header: Some(name), ..self }
    }

    /// Takes the ids of server-sent events from the field of this name, in messages that have one; see
    /// [`Dialect::event_id_field`].
    #[must_use]
    pub fn with_event_id_field(self, name: impl Into<String>) -> Self {
        Self { event_id_field: Some(name.into()), ..self }
    }

    /// Returns the JSON of the details in an encoded `google.rpc.Status`.
    fn details(&self, status: &[u8]) -> Vec<Vec<u8>> {
        let mut details = Vec::new();
        let mut reader = Reader::new(status);
        // google.rpc.Status: `repeated google.protobuf.Any details = 3`.
        while let Ok(Some((number, value))) = reader.field() {
            let (3, Value::Bytes(any)) = (number, value) else { continue };
            let mut json = Vec::new();
            let id = self.codec.id("google.protobuf.Any");
            let result = id.map(|id| write_message(&self.codec, id, PrintOptions::default(), any, &mut json));
            if !matches!(result, Some(Ok(()))) {
                json = b"{\"@type\":".to_vec();
                write_string(type_url(any), &mut json);
                json.push(b'}');
            }
            details.push(json);
        }
        details
    }

    fn render(&self, http_status: StatusCode, status: &Status) -> http::Response<Bytes> {
        let mut body = format!("{{\"code\":{},\"message\":", i32::from(status.code())).into_bytes();
        write_string(status.message(), &mut body);
        body.extend_from_slice(b",\"details\":[");
        body.extend_from_slice(&self.details(status.details()).join(&b','));
        body.extend_from_slice(b"]}");
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = http_status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl Dialect for StatusDialect {
    fn error_response(&self, _: &RequestHead, failure: Failure) -> http::Response<Bytes> {
        let (http_status, status) = match failure {
            Failure::Malformed { field, message } => {
                let message = field.map_or(message.clone(), |field| format!("{field}: {message}"));
                (StatusCode::BAD_REQUEST, Status::invalid_argument(message))
            }
            Failure::RouteNotFound => (StatusCode::NOT_FOUND, Status::not_found("no such route")),
            Failure::MethodNotAllowed { allow } => {
                let status = Status::unimplemented("the route has no such method");
                let mut response = self.render(StatusCode::METHOD_NOT_ALLOWED, &status);
                let methods = allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                if let Ok(methods) = methods.parse() {
                    response.headers_mut().insert(header::ALLOW, methods);
                }
                return response;
            }
            Failure::NotAcceptable => {
                (StatusCode::NOT_ACCEPTABLE, Status::invalid_argument("no acceptable media type"))
            }
            Failure::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Status::invalid_argument("unsupported media type"))
            }
            Failure::UnsupportedContentCoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Status::invalid_argument("unsupported content coding"))
            }
            Failure::PayloadTooLarge { max_bytes } => {
                let message = format!("the body is longer than {max_bytes} bytes");
                (StatusCode::PAYLOAD_TOO_LARGE, Status::resource_exhausted(message))
            }
            Failure::Upstream(status) => (http_status(status.code()), status),
        };
        self.render(http_status, &status)
    }

    fn max_body_bytes(&self, _: &MethodDescriptor) -> usize {
        self.max_body_bytes
    }

    fn event_id_field(&self, method: &MethodDescriptor) -> Option<u32> {
        method.output().get_field_by_name(self.event_id_field.as_ref()?).map(|field| field.number())
    }

    fn timeout_header(&self) -> Option<&HeaderName> {
        self.timeout_header.as_ref()
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
        // 499, client closed request, has no constant.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns the type URL of an encoded `google.protobuf.Any`.
fn type_url(any: &[u8]) -> &str {
    match Reader::new(any).field() {
        Ok(Some((1, Value::Bytes(url)))) => std::str::from_utf8(url).unwrap_or_default(),
        _ => "",
    }
}
