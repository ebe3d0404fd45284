//! REST for gRPC services: `google.api.http` rules served by a tower service over any gRPC upstream.
//!
//! ```text
//! request ─ rule ─ JSON + query + path → message ─ application/grpc ─▶ upstream (tonic routes, a channel, …)
//! answer  ◀─ dialect (statuses, errors) ─ JSON, NDJSON, SSE or bytes ◀─ messages, trailers ─┘
//! ```
//!
//! It needs only a descriptor pool that holds the services with their options: the [`Dialect`] decides how failures
//! look, and the upstream decides who may call.
//!
//! Sources: google/api/http.proto, AIP-127, the protobuf JSON mapping, and Envoy's `grpc_json_transcoder` where those
//! leave a choice.

mod accept;
mod answer;
mod bind;
mod dialect;
mod frame;
mod headers;
pub mod json;
mod plain;
mod plan;
mod rule;
mod split;
mod template;
mod trie;
mod upload;
mod wire;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, response};
use http_body::Body as HttpBody;
use prost_reflect::DescriptorPool;
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use accept::Format;
use plan::Plan;

pub use dialect::{Dialect, Failure, Matched, RequestHead};
pub use headers::{REQUEST_TIMEOUT, metadata};
pub use plain::{StatusDialect, http_status};
pub use rule::{BodyRule, HTTP_BODY, Route, RuleError, RuleErrors, RuleTable};
pub use template::{Segment, Template, TemplateError, Variable};
pub use wire::WireError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bounds on the cost of one call. The size of a request body is limited per method: [`Dialect::body_limit`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum nesting depth of a request's JSON.
    pub max_depth: u32,
    /// The maximum size of one response message, in bytes.
    pub response_bytes: usize,
    /// The maximum size of one JSON document in a streamed request, in bytes.
    pub message_bytes: usize,
    /// The maximum number of raw bytes in one message of a streamed `google.api.HttpBody`.
    pub chunk_bytes: usize,
    /// How long the status line of a stream waits for the first message.
    pub first_message: Duration,
    /// How long the body of a request that is not a stream may take to arrive.
    pub request_body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: 64,
            response_bytes: 16 << 20,
            message_bytes: 1 << 20,
            chunk_bytes: 64 << 10,
            first_message: Duration::from_millis(250),
            request_body: Duration::from_secs(10),
        }
    }
}

/// The transcoding service. Clones share everything except the upstream, which is cloned.
#[derive(Clone, Debug)]
pub struct Transcoder<S, D> {
    inner: Arc<Inner<D>>,
    upstream: S,
}

#[derive(Debug)]
struct Inner<D> {
    rules: RuleTable,
    /// One per route, at the same index.
    plans: Vec<Plan>,
    tables: Arc<json::Tables>,
    dialect: D,
    limits: Limits,
}

impl<S, D: Dialect> Transcoder<S, D> {
    /// Creates a transcoder that serves the rules of `services` (full names) with `upstream`.
    ///
    /// # Errors
    /// All invalid or colliding rules and unknown services.
    pub fn new(
        pool: &DescriptorPool,
        services: &[&str],
        upstream: S,
        dialect: D,
        limits: Limits,
    ) -> Result<Self, RuleErrors> {
        let rules = RuleTable::new(pool, services)?;
        let tables = Arc::new(json::Tables::new(pool));
        let mut plans = Vec::new();
        for route in rules.shared() {
            let plan = Plan::new(&tables, route).ok_or_else(|| {
                let method = route.method.full_name().to_owned();
                RuleErrors(vec![RuleError { method, message: format!("{route} sets a field that can't be reached") }])
            })?;
            plans.push(plan);
        }
        Ok(Self { inner: Arc::new(Inner { rules, plans, tables, dialect, limits }), upstream })
    }

    /// Returns the rule table, to describe the routes or to find the gRPC method of a REST request.
    pub fn rules(&self) -> &RuleTable {
        &self.inner.rules
    }

    /// Returns the JSON tables of the pool, to render messages elsewhere in the same way.
    pub fn tables(&self) -> &Arc<json::Tables> {
        &self.inner.tables
    }
}

impl<S, D, B, RB> Service<Request<B>> for Transcoder<S, D>
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    RB: HttpBody<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    D: Dialect,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    /// Always ready: many requests never reach the upstream, and the others wait for it inside the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, upstream) = (self.inner.clone(), self.upstream.clone());
        async move {
            let (parts, body) = request.into_parts();
            let mut head = RequestHead {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                headers: parts.headers,
                extensions: parts.extensions,
                route: None,
            };
            let mut response = match inner.serve(upstream, &mut head, body).await {
                Ok(response) => response,
                Err(refusal) => inner.refuse(&head, refusal),
            };
            if let Some(route) = head.route {
                response.extensions_mut().insert(Matched(route));
            }
            Ok(if head.method == Method::HEAD { without_body(response) } else { response })
        }
        .boxed()
    }
}

/// A failure, with the upstream's headers if it responded.
struct Refusal {
    failure: Failure,
    upstream: Option<Box<response::Parts>>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, upstream: None }
    }
}

impl<D: Dialect> Inner<D> {
    async fn serve<S, B, RB>(
        self: &Arc<Self>,
        upstream: S,
        head: &mut RequestHead,
        body: B,
    ) -> Result<Response<Body>, Refusal>
    where
        S: Service<Request<Body>, Response = Response<RB>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        RB: HttpBody<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (id, route) = self.rules.find(&head.method, head.uri.path()).map_err(|allow| {
            if allow.is_empty() { Failure::RouteNotFound } else { Failure::MethodNotAllowed { allow } }
        })?;
        head.route = Some(route.clone());
        let plan = &self.plans[id];
        if plan.takes_body() && !body.is_end_stream() {
            plan.check_media_type(head, &self.dialect)?;
        }
        let format = plan.format(head)?;
        let metadata = headers::metadata(&head.headers)?;
        let (body, fault) = if route.method.is_client_streaming() {
            let (body, fault) = upload::streaming(self, id, head, body)?;
            (body, Some(fault))
        } else {
            (upload::unary(self, plan, head, body).await?, None)
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = route.grpc_path.clone();
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = metadata;
        *request.extensions_mut() = head.extensions.clone();
        request.extensions_mut().insert(Matched(route.clone()));

        let answer = self.answer(upstream, request, id, format, head).await;
        // If the request body failed, the client receives that failure, however the upstream responded to the broken
        // stream.
        match fault.and_then(|fault| fault.get().cloned()) {
            Some(failure) => Err(failure.into()),
            None => answer,
        }
    }

    async fn answer<S, RB>(
        self: &Arc<Self>,
        upstream: S,
        request: Request<Body>,
        id: usize,
        format: Format,
        head: &RequestHead,
    ) -> Result<Response<Body>, Refusal>
    where
        S: Service<Request<Body>, Response = Response<RB>> + Send + 'static,
        S::Error: Into<BoxError>,
        RB: HttpBody<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        let plan = &self.plans[id];
        let answer = upstream.oneshot(request).await;
        let (mut parts, body) =
            answer.map_err(|error| Failure::Upstream(Status::from_error(error.into())))?.into_parts();
        let source = answer::Source::new(&parts, body, self.limits.response_bytes);
        headers::response(&mut parts.headers);
        let outcome = match source {
            Err(status) => Err(status),
            Ok(source) if plan.route.method.is_server_streaming() => {
                answer::streaming(self, id, format, source, &mut parts.headers, head).await
            }
            Ok(mut source) => {
                answer::unary(&self.tables, plan, format, &mut source, &mut parts.headers).await.map(answer::full)
            }
        };
        match outcome {
            Err(status) => Err(Refusal { failure: Failure::Upstream(status), upstream: Some(Box::new(parts)) }),
            Ok(body) => {
                parts.status = self.dialect.success(&plan.route.method, &parts);
                parts.version = http::Version::default();
                let response = Response::from_parts(parts, body);
                Ok(if is_bodiless(response.status()) { emptied(response) } else { response })
            }
        }
    }

    fn refuse(&self, head: &RequestHead, refusal: Refusal) -> Response<Body> {
        let (mut parts, body) = self.dialect.error(head, refusal.failure).into_parts();
        if let Some(upstream) = refusal.upstream {
            merge(&mut parts.headers, &upstream.headers);
            parts.extensions.extend(upstream.extensions);
        }
        Response::from_parts(parts, answer::full(body))
    }
}

/// Adds the upstream's headers, except those that the dialect has set.
fn merge(into: &mut HeaderMap, from: &HeaderMap) {
    for name in from.keys() {
        if into.contains_key(name) {
            continue;
        }
        for value in from.get_all(name) {
            into.append(name.clone(), value.clone());
        }
    }
}

fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

fn emptied(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().remove(header::CONTENT_TYPE);
    *response.body_mut() = Body::empty();
    response
}

/// Builds the response to HEAD: GET's headers, and the length that GET's body would have.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    if let Some(length) = response.body().size_hint().exact()
        && !is_bodiless(response.status())
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
    response
}
