//! The JSON envelope of errors, and the transcoder's dialect for this API.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use mainstay_transcoder::{BodyRule, Dialect, Failure, HTTP_BODY, RequestHead};
use prost_reflect::{FieldDescriptor, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    contract::{
        Contract, Method, ReasonRef,
        policy::{Access, ErrorFormat},
        status::{self, HttpStatus},
    },
    error::{Error, Reason},
};

/// The caller's timeout: decimal seconds (`2`, `1.5`), or a number with a unit (`2s`, `500ms`).
pub(crate) static REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

const RESUME_TOKEN: &str = "resume_token";

fn render(method: Option<&Method>, reason: ReasonRef, status: &Status) -> (StatusCode, &'static str, Bytes) {
    let (http, kind, body) = match method.map(|method| method.error_format) {
        Some(ErrorFormat::Scim) => {
            let (http, body) = scim(reason, status);
            (http, "application/scim+json", body)
        }
        Some(ErrorFormat::Unspecified) | None => (reason.facts().http, "application/json", envelope(reason, status)),
    };
    (http, kind, Bytes::from(body.to_string()))
}

/// Returns the message for the client. The catalogue's message replaces that of a foreign status, which may contain internal
/// details.
fn message(reason: ReasonRef, status: &Status) -> &str {
    if status.get_details_error_info().is_some() { status.message() } else { reason.facts().summary }
}

/// Returns the HTTP status of an error of SCIM (RFC 7644, section 3.12), which knows no 422.
pub(crate) fn scim_status(reason: ReasonRef) -> StatusCode {
    let facts = reason.facts();
    match (facts.http, facts.grpc) {
        (StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidArgument) => StatusCode::BAD_REQUEST,
        (StatusCode::UNPROCESSABLE_ENTITY, _) => StatusCode::FORBIDDEN,
        (http, _) => http,
    }
}

/// Renders a status as an error of SCIM. The detail, which providers show to administrators, ends with the code of the reason.
fn scim(reason: ReasonRef, status: &Status) -> (StatusCode, Value) {
    let (facts, details, http) = (reason.facts(), status.get_error_details(), scim_status(reason));
    let faults = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    // The message of a fault that the transcoder finds is no sentence.
    let mut detail = format!("{}.", message(reason, status).trim_end_matches('.'));
    for fault in faults {
        detail.push_str(&format!(" {}: {}.", fault.field, fault.description));
    }
    detail.push_str(&format!(" ({})", facts.code));
    let kind = details.error_info().and_then(|info| info.metadata.get("scimType").cloned());
    let kind = kind.or_else(|| (http == StatusCode::BAD_REQUEST).then(|| "invalidValue".to_owned()));
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": http.as_str(), "detail": detail,
    });
    if let Some(kind) = kind {
        body["scimType"] = kind.into();
    }
    (http, body)
}

fn envelope(reason: ReasonRef, status: &Status) -> Value {
    let facts = reason.facts();
    let details = status.get_error_details();
    let mut fields = Map::new();
    for violation in details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default() {
        fields.entry(violation.field.clone()).or_insert_with(|| Value::from(violation.description.clone()));
    }
    let metadata = details.error_info().map(|info| info.metadata.clone()).unwrap_or_default();
    // Sorted, so that equal errors have equal texts.
    let metadata: BTreeMap<_, _> = metadata.into_iter().collect();
    let id = details.request_info().map(|info| info.request_id.clone());
    let id = id.or_else(|| crate::context::request_id().map(|id| id.to_string())).unwrap_or_default();
    let message = message(reason, status);
    json!({ "error": {
        "code": facts.code, "message": message, "fields": fields, "requestId": id, "retryable": facts.retryable,
        "metadata": metadata,
    } })
}

#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    /// The policies, for media types and limits, and the reasons, for statuses.
    pub(crate) contract: &'static Contract,
    /// The largest request message in bytes, for methods whose policy sets none.
    pub(crate) max_request_bytes: usize,
}

impl Envelope {
    fn method(&self, descriptor: &MethodDescriptor) -> Option<&'static Method> {
        self.contract.policies.get(&format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name()))
    }

    fn request_media_types(&self, method: &MethodDescriptor) -> String {
        let raw = method.input().fields().any(|field| is_raw(&field)) || method.input().full_name() == HTTP_BODY;
        match (raw, self.media_types(method)) {
            (true, types) if !types.is_empty() => types.join(", "),
            (_, _) if method.is_client_streaming() => "application/json, application/x-ndjson".to_owned(),
            _ => "application/json".to_owned(),
        }
    }
}

fn response_media_types(method: &MethodDescriptor) -> &'static str {
    if method.is_server_streaming() { "application/x-ndjson, text/event-stream" } else { "application/json" }
}

fn is_raw(field: &FieldDescriptor) -> bool {
    field.kind().as_message().is_some_and(|kind| kind.full_name() == HTTP_BODY)
}

fn unsupported(media_types: &str) -> Error {
    let message = format!("The body must be {}.", media_types.replace(", ", " or "));
    Error::with_message(Reason::UnsupportedMediaType, message).with("accepted", media_types)
}

impl Dialect for Envelope {
    fn error_response(&self, request: &RequestHead, failure: Failure) -> http::Response<Bytes> {
        let method = request.route.as_ref().map(|route| &route.method);
        let header = match &failure {
            Failure::MethodNotAllowed { allow } => {
                Some((header::ALLOW, allow.iter().map(http::Method::as_str).collect::<Vec<_>>().join(", ")))
            }
            // The media types that the resource accepts in a request body (RFC 5789, section 2.2; RFC 9110, section
            // 12.5.1).
            Failure::UnsupportedMediaType => {
                let name = if request.method == http::Method::PATCH { ACCEPT_PATCH } else { header::ACCEPT };
                method.map(|method| (name, self.request_media_types(method)))
            }
            // RFC 9110, section 15.5.16.
            Failure::UnsupportedContentCoding => Some((header::ACCEPT_ENCODING, "gzip".to_owned())),
            _ => None,
        };
        let status = match failure {
            Failure::Upstream(status) => status,
            Failure::Malformed { field: Some(field), .. } if is_read_only(request, &field) => {
                malformed(Some(field), "read-only".to_owned()).into()
            }
            Failure::UnsupportedMediaType if method.is_some() => {
                let media_types = method.map(|method| self.request_media_types(method)).unwrap_or_default();
                unsupported(&media_types).into()
            }
            Failure::NotAcceptable if method.is_some() => {
                let offered = method.map_or("", response_media_types);
                let message = format!("The response is available as {offered} only.");
                Error::with_message(Reason::NotAcceptable, message).with("available", offered).into()
            }
            failure => error(failure).into(),
        };
        let reason = status::reason(&self.contract.catalogue, &status);
        let policy = method.and_then(|method| self.method(method));
        let (http, media_type, body) = render(policy, reason, &status);
        let mut response = http::Response::new(body);
        *response.status_mut() = http;
        let headers = response.headers_mut();
        // The metadata of the status becomes headers: Retry-After, WWW-Authenticate.
        for (name, value) in status.metadata().clone().into_headers() {
            if let Some(name) = name {
                headers.insert(name, value);
            }
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = header
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(name, value);
        }
        response
    }

    fn success_status(&self, _method: &MethodDescriptor, upstream: &http::response::Parts) -> StatusCode {
        upstream.extensions.get::<HttpStatus>().map_or(StatusCode::OK, |status| status.0)
    }

    fn negotiates(&self, method: &MethodDescriptor) -> bool {
        self.method(method).is_none_or(Method::negotiates)
    }

    fn media_types(&self, method: &MethodDescriptor) -> &[String] {
        self.method(method).map_or(&[], |method| &method.media_types)
    }

    fn max_body_bytes(&self, method: &MethodDescriptor) -> usize {
        self.method(method).and_then(|method| method.max_request_bytes).unwrap_or(self.max_request_bytes)
    }

    /// Shared links to public resources collect parameters, such as those of trackers. The URL of an inbound webhook
    /// may carry parameters of the provider's configuration. Entra ID adds its flags to each request of SCIM.
    fn ignores_unknown_parameters(&self, method: &MethodDescriptor) -> bool {
        let has_raw = |message: MessageDescriptor| message.fields().any(|field| is_raw(&field));
        let is_webhook =
            |policy: &Method| policy.access == Access::Public && (has_raw(method.input()) || has_raw(method.output()));
        let is_lenient = |policy: &Method| {
            policy.public_cache.is_some() || policy.error_format != ErrorFormat::Unspecified || is_webhook(policy)
        };
        self.method(method).is_some_and(is_lenient)
    }

    fn event_id_field(&self, method: &MethodDescriptor) -> Option<u32> {
        self.method(method).filter(|method| method.watch)?;
        method.output().get_field_by_name(RESUME_TOKEN).map(|field| field.number())
    }

    /// Validation rejects undeclared enum values, each under its field.
    fn checks_enums(&self) -> bool {
        true
    }

    fn timeout_header(&self) -> Option<&HeaderName> {
        Some(&REQUEST_TIMEOUT)
    }
}

pub(crate) fn error(failure: Failure) -> Error {
    match failure {
        Failure::Malformed { field, message } => malformed(field, message),
        Failure::MethodNotAllowed { .. } => Error::new(Reason::MethodNotAllowed),
        Failure::NotAcceptable => Error::new(Reason::NotAcceptable),
        Failure::UnsupportedMediaType => Error::new(Reason::UnsupportedMediaType),
        Failure::UnsupportedContentCoding => {
            Error::with_message(Reason::UnsupportedMediaType, "The body must be plain or have the content coding gzip.")
        }
        Failure::PayloadTooLarge { max_bytes } => {
            Error::with_message(Reason::PayloadTooLarge, format!("The request may be {max_bytes} bytes at most."))
        }
        _ => Error::new(Reason::RouteNotFound),
    }
}

/// Returns whether a rejected member of the body is an output-only field, which only the response has.
fn is_read_only(request: &RequestHead, path: &str) -> bool {
    let Some(route) = &request.route else { return false };
    let (message, name) = match &route.body {
        BodyRule::Whole => (Some(route.method.input()), Some(path)),
        BodyRule::Field(field) => {
            let name = path.strip_prefix(field.json_name()).and_then(|path| path.strip_prefix('.'));
            (field.kind().as_message().cloned(), name)
        }
        BodyRule::None => (None, None),
    };
    let data = route.method.output().get_field_by_name("data").and_then(|data| data.kind().as_message().cloned());
    let has = |message: Option<MessageDescriptor>, name: &str| {
        message.is_some_and(|message| {
            message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name)).is_some()
        })
    };
    name.is_some_and(|name| has(data, name) && !has(message, name))
}

fn malformed(field: Option<String>, message: String) -> Error {
    let mut text = message.clone();
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    let error = Error::with_message(Reason::MalformedRequest, text);
    match field {
        Some(field) => error.about(vec![(field, message)]),
        None => error,
    }
}

/// Builds an error response in the caller's protocol. The layers outside of the conversion to envelopes use it.
pub(crate) fn refusal(protocol: &str, error: Error) -> crate::http::middleware::layer::Response {
    let (reason, status) = (error.reason(), Status::from(error));
    let refusal = status.clone().into_http();
    if matches!(protocol, "rest" | "envoy") { response(None, reason, &status, refusal) } else { refusal }
}

/// Builds the REST response of a status, with its reason, that did not pass the transcoder. It keeps the headers of `refusal`, except for
/// those of gRPC.
pub(crate) fn response(
    method: Option<&Method>,
    reason: ReasonRef,
    status: &Status,
    refusal: crate::http::middleware::layer::Response,
) -> crate::http::middleware::layer::Response {
    let (mut parts, _) = refusal.into_parts();
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        parts.headers.remove(name);
    }
    let (http, media_type, body) = render(method, reason, status);
    parts.status = http;
    // The length is that of the page's empty body.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    http::Response::from_parts(parts, crate::http::middleware::layer::Body::new(http_body_util::Full::new(body)))
}
