//! Protocol detection, and the differences of responses between protocols.
//!
//! Native gRPC carries its status in `grpc-status`. In-process REST is already transcoded at this layer. A request
//! through Envoy is transcoded by Envoy on the way back. A response without a message (an error, a 204, a 304)
//! therefore has the REST form, which Envoy's transcoder passes on unchanged. A response with a message has the gRPC
//! form, with its HTTP status in `x-http-code`, because Envoy can't derive it.

use http::{
    HeaderName, HeaderValue, StatusCode, Version,
    header::{CONTENT_TYPE, HOST, LOCATION, TRANSFER_ENCODING},
    uri::Authority,
};
use mainstay_transcoder::grpc_metadata;
use tonic::{Code, Status};

use crate::{
    contract::{
        Catalogue, Method,
        status::{self, HttpStatus},
    },
    error::{Error, Reason},
    http::middleware::{
        envelope,
        layer::{Body, Middleware, Next, Request, Response, ResponseFuture},
    },
};

/// The header by which Envoy marks a transcoded call. Its value is the HTTP method of the REST request.
pub(crate) const X_TRANSCODED: HeaderName = HeaderName::from_static("x-mainstay-transcoded");
/// The HTTP status of a transcoded response, which Envoy applies.
pub(crate) const X_HTTP_CODE: HeaderName = HeaderName::from_static("x-http-code");

/// The path and the query of a request that Envoy has transcoded.
const X_ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

/// Removes a forged mark. Without a trusted proxy in front, no mark is genuine.
pub(crate) fn without_forged_mark(mut request: Request, behind_proxy: bool) -> Request {
    if !behind_proxy {
        request.headers_mut().remove(X_TRANSCODED);
    }
    request
}

/// Checks that an HTTP/1.1 request has exactly one valid host (RFC 9112, section 3.2), because a proxy may have routed
/// it by another one.
pub(crate) fn check_host(request: &Request) -> Result<(), Error> {
    if request.version() != Version::HTTP_11 {
        return Ok(());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_valid = |host: &HeaderValue| host.is_empty() || Authority::try_from(host.as_bytes()).is_ok();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_valid(host) => Ok(()),
        _ => Err(Error::with_message(Reason::MalformedRequest, "An HTTP/1.1 request has exactly one valid Host.")),
    }
}

/// Checks that the body of an HTTP/1.1 request has no transfer coding but `chunked`. A proxy that decodes another one, such
/// as `gzip`, would see another body (RFC 9112, section 6.1).
pub(crate) fn check_transfer_coding(request: &Request) -> Result<(), Error> {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Error::with_message(Reason::MalformedRequest, "The only Transfer-Encoding of a request is chunked.")),
    }
}

/// Returns `grpc`, `grpc-web`, `envoy` or `rest`.
pub(crate) fn name(request: &Request) -> &'static str {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.starts_with(b"application/grpc-web") {
        "grpc-web"
    } else if content_type.starts_with(b"application/grpc") {
        if request.headers().contains_key(X_TRANSCODED) { "envoy" } else { "grpc" }
    } else {
        "rest"
    }
}

/// Removes the parameters of the media type of gRPC-Web, such as `charset`, which have no meaning. The layer of gRPC-Web
/// compares the whole header.
pub(crate) fn remove_parameters(request: &mut Request) {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()?.split_once(';'));
    if let Some(bare) = kind.and_then(|(bare, _)| HeaderValue::from_str(bare.trim()).ok()) {
        request.headers_mut().insert(CONTENT_TYPE, bare);
    }
}

/// Returns whether the caller speaks REST, directly or through Envoy.
pub(crate) fn is_rest(request: &Request) -> bool {
    matches!(name(request), "rest" | "envoy")
}

/// Returns whether the request is a health check of a load balancer, exempt from limits, load shedding and logs.
pub(crate) fn is_probe(request: &Request) -> bool {
    matches!(request.uri().path(), "/livez" | "/readyz" | "/grpc.health.v1.Health/Check")
}

/// Converts the headers of a REST request through Envoy to gRPC metadata, as the in-process transcoder does.
/// Errors: the requested timeout is invalid.
pub(crate) fn headers_to_metadata(request: &mut Request) -> Result<(), Error> {
    let metadata = grpc_metadata(request.headers(), Some(&envelope::REQUEST_TIMEOUT));
    *request.headers_mut() = metadata.map_err(envelope::error)?;
    Ok(())
}

/// Returns the HTTP status of a response, in any protocol.
pub(crate) fn status(catalogue: &Catalogue, response: &Response) -> StatusCode {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => status::reason(catalogue, &status).facts().http,
        _ => response.extensions().get::<HttpStatus>().map_or(response.status(), |status| status.0),
    }
}

/// A middleware that reports the HTTP status of a transcoded response to Envoy.
#[derive(Debug, Clone)]
pub(crate) struct EnvoyStatusHeader {
    pub(crate) catalogue: &'static Catalogue,
}

impl<S: Next> Middleware<S> for EnvoyStatusHeader {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let (catalogue, envoy) = (self.catalogue, name(&request) == "envoy");
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            if envoy && is_grpc(&response) {
                let code = HeaderValue::from(status(catalogue, &response).as_u16());
                response.headers_mut().insert(X_HTTP_CODE, code);
            }
            Ok(response)
        })
    }
}

pub(crate) fn is_grpc(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// A middleware that adapts responses for REST callers: an error of an inner layer becomes the error envelope, a 204 loses
/// its body, and a redirection to the new URL of a resource keeps the query.
#[derive(Debug, Clone)]
pub(crate) struct RestErrorResponse {
    pub(crate) catalogue: &'static Catalogue,
}

impl<S: Next> Middleware<S> for RestErrorResponse {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let (catalogue, rest) = (self.catalogue, is_rest(&request));
        let query = if rest { query_of(&request) } else { None };
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            if !rest {
                return Ok(response);
            }
            if let Some(query) = query.filter(|_| status(catalogue, &response) == StatusCode::MOVED_PERMANENTLY) {
                add_query(&mut response, &query);
            }
            match Status::from_header_map(response.headers()) {
                Some(status) if status.code() != Code::Ok => {
                    // A request that was refused before it was routed has no method.
                    let method = response.extensions().get::<&'static Method>().copied();
                    Ok(envelope::response(method, status::reason(catalogue, &status), &status, response))
                }
                _ if is_grpc(&response) && status(catalogue, &response) == StatusCode::NO_CONTENT => {
                    Ok(without_message(response))
                }
                _ => Ok(response),
            }
        })
    }
}

/// Returns the query of a REST request, which Envoy reports with the original path.
fn query_of(request: &Request) -> Option<String> {
    let original = request.headers().get(X_ORIGINAL_PATH).filter(|_| name(request) == "envoy");
    let original = original.and_then(|path| path.to_str().ok()?.split_once('?'));
    original.map(|(_, query)| query).or_else(|| request.uri().query()).map(str::to_owned)
}

/// Adds a query to the Location of a resource, such as the read mask: a caller that follows it sends nothing else.
fn add_query(response: &mut Response, query: &str) {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.filter(|location| !location.contains('?')).map(|location| format!("{location}?{query}"));
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
}

fn without_message(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().remove(CONTENT_TYPE);
    response.map(|_| Body::empty())
}
