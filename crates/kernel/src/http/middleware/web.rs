//! Middleware for browsers and caches: CORS, compression, entity tags, security headers. Native gRPC is not affected.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::{
    compression::{CompressionLayer, Predicate, predicate::SizeAbove},
    cors::{AllowOrigin, CorsLayer},
};

use crate::{
    contract::{self, policy::Cache},
    http::{
        entity_tag,
        middleware::{
            layer::{Body, Middleware, Next, Request, Response, ResponseFuture},
            protocol,
        },
    },
};

/// Response headers that scripts may read.
pub(crate) const EXPOSED_HEADERS: [&str; 15] = [
    "x-request-id",
    "content-disposition",
    "etag",
    "location",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "idempotent-replayed",
    "consistency-token",
    "deprecation",
    "sunset",
    "link",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
];

/// Request headers that scripts may send.
pub(crate) const ALLOWED_HEADERS: [&str; 16] = [
    "authorization",
    "content-type",
    "idempotency-key",
    "x-idempotency-key",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "last-event-id",
    "consistency-token",
    "x-request-id",
    "x-request-timeout",
    "traceparent",
    "tracestate",
    "grpc-timeout",
    "x-grpc-web",
    "x-user-agent",
];

pub(crate) const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The time for which a browser may cache a preflight response.
pub(crate) const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// Builds CORS from an allow-list. Browsers withhold responses from any other origin.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods(METHODS)
        .allow_headers(ALLOWED_HEADERS.map(HeaderName::from_static))
        .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static))
        .allow_credentials(true)
        .max_age(PREFLIGHT_AGE)
}

const COMPRESSED: [&str; 7] =
    ["application/atom+xml", "application/json", "text/css", "text/csv", "text/html", "text/javascript", "text/plain"];

/// Compresses JSON and text. gRPC compresses by itself, and a compressor would delay the events of a stream in its
/// buffer. Responses with `no-transform` are precompressed.
pub(crate) fn compression() -> CompressionLayer<impl Predicate> {
    let compressible = |_: StatusCode, _: http::Version, headers: &HeaderMap, _: &http::Extensions| {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = text(header::CONTENT_TYPE);
        !text(header::CACHE_CONTROL).contains("no-transform")
            && COMPRESSED.iter().any(|compressed| kind.starts_with(compressed))
    };
    CompressionLayer::new().compress_when(SizeAbove::new(860).and(compressible))
}

/// Ignores that a caller refuses the plain form. RFC 9110, section 12.5.3, leaves that to the server; [`CompressionLayer`]
/// would replace the status by 406 after the call has run.
pub(crate) fn accept_identity(mut request: Request) -> Request {
    let refuses = |element: &str| {
        let Some((coding, weight)) = element.split_once(';') else { return false };
        let (coding, weight) = (coding.trim(), weight.trim());
        (coding == "*" || coding.eq_ignore_ascii_case("identity"))
            && weight.starts_with(['q', 'Q'])
            && weight[1..].trim().strip_prefix('=').and_then(|weight| weight.trim().parse().ok()) == Some(0.0_f32)
    };
    let lines = || request.headers().get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    if lines().any(|line| line.split(',').any(refuses)) {
        let rest: Vec<_> = lines().flat_map(|line| line.split(',')).filter(|element| !refuses(element)).collect();
        let accepted = HeaderValue::from_str(&rest.join(","));
        request.headers_mut().remove(header::ACCEPT_ENCODING);
        if let Some(accepted) = accepted.ok().filter(|accepted| !accepted.is_empty()) {
            request.headers_mut().insert(header::ACCEPT_ENCODING, accepted);
        }
    }
    request
}

/// A middleware that responds with 304 if the caller has the representation, and gives each content coding an entity
/// tag.
///
/// It must be outside of compression, because a strong entity tag identifies the encoded bytes (RFC 9110, section
/// 8.8.3.3).
#[derive(Debug, Clone)]
pub(crate) struct Conditional;

impl<S: Next> Middleware<S> for Conditional {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let is_page_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let native = !protocol::is_rest(&request);
        let none_match: Vec<_> = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect();
        let modified_since = request.headers().get(header::IF_MODIFIED_SINCE).cloned();
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            if native {
                return Ok(response);
            }
            tag_coding(&mut response);
            // A response that must not be stored, such as that of every write, is never "not modified", regardless of
            // the request's headers.
            let method = response.extensions().get::<&'static contract::Method>();
            let may_be_stored = method.map_or(is_page_read, |method| method.cache != Cache::NoStore);
            // Both conditions precede a range (RFC 9110, section 13.2.2).
            let is_content =
                response.status() == StatusCode::OK || response.headers().contains_key(header::CONTENT_RANGE);
            let is_unchanged = may_be_stored
                && is_content
                && match none_match.is_empty() {
                    false => etag_matches(&none_match, response.headers()),
                    true => modified_since.is_some_and(|since| unmodified(&since, response.headers())),
                };
            Ok(if is_unchanged { not_modified(response) } else { response })
        })
    }
}

fn tag_coding(response: &mut Response) {
    let headers = response.headers_mut();
    let Some(coding) = headers.get(header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok()) else { return };
    let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) else { return };
    let Some(bare) = tag.strip_suffix('"') else { return };
    if let Ok(tag) = HeaderValue::from_str(&format!("{bare}.{coding}\"")) {
        headers.insert(header::ETAG, tag);
    }
}

/// Returns whether If-None-Match contains the entity tag of a response, by weak comparison (RFC 9110, section 13.1.2), also
/// as proxies change it.
/// Its lines form one list (section 5.3).
fn etag_matches(lines: &[HeaderValue], headers: &HeaderMap) -> bool {
    let Some(current) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
    // A line that is not valid text never matches.
    let tags = lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let tags: Vec<_> = tags.map(str::trim).collect();
    tags == ["*"] || tags.iter().any(|tag| entity_tag::is_same(tag, current))
}

fn unmodified(since: &HeaderValue, headers: &HeaderMap) -> bool {
    let time = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
    match (time(since), headers.get(header::LAST_MODIFIED).and_then(time)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

fn not_modified(response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::CONTENT_RANGE] {
        parts.headers.remove(name);
    }
    Response::from_parts(parts, Body::empty())
}

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

fn without_cors(headers: &mut HeaderMap) {
    for name in [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        header::VARY,
    ] {
        headers.remove(name);
    }
}

/// A middleware that adds the security headers for browsers.
#[derive(Debug, Clone)]
pub(crate) struct SecurityHeaders {
    /// Whether the listener has TLS. A proxy that terminates TLS sets HSTS itself.
    pub(crate) tls: bool,
}

impl<S: Next> Middleware<S> for SecurityHeaders {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let (protocol, rest) = (protocol::name(&request), protocol::is_rest(&request));
        let tls = self.tls;
        let of_request = request.headers().get(header::CONTENT_TYPE).filter(|_| protocol == "grpc-web").cloned();
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            if protocol == "grpc" {
                // CORS runs before the protocol is known; native gRPC must not carry its headers.
                without_cors(response.headers_mut());
            }
            // A refusal outside of the layer of gRPC-Web has no body, but a type.
            if let Some(of_request) = of_request
                && response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/grpc")
            {
                response.headers_mut().insert(header::CONTENT_TYPE, of_request);
            }
            // The transcoder does the same for REST. Otherwise nginx would buffer a stream.
            let method = response.extensions().get::<&'static contract::Method>();
            if protocol == "grpc-web" && method.is_some_and(|method| method.descriptor.is_server_streaming()) {
                response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
            }
            if rest {
                let headers = response.headers_mut();
                let mut put = |name: HeaderName, value: &'static str| {
                    headers.entry(name).or_insert(HeaderValue::from_static(value));
                };
                put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
                put(header::REFERRER_POLICY, "no-referrer");
                put(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
                if tls {
                    put(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
                }
                headers.append(header::VARY, HeaderValue::from_static("accept, authorization"));
            }
            Ok(response)
        })
    }
}
