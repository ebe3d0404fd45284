//! The tower service.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Body as HttpBody;
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use tower::Service;

use crate::call::is_bodiless;
use crate::dialect::{Dialect, MatchedRoute, RequestHead};
use crate::json::Codec;
use crate::media_type::merge_content_types;
use crate::plan::Plan;
use crate::rule::{RuleError, RuleErrors, RuleTable};
use crate::shared::Shared;
use crate::{BoxError, Limits};

/// The transcoding service. Clones share everything except the upstream, which is cloned.
///
/// It is always ready and never fails: every failure is a response, which the [`Dialect`] renders. The response's
/// extensions hold the [`MatchedRoute`], if there was one.
#[derive(Clone, Debug)]
pub struct Transcoder<S, D> {
    shared: Arc<Shared<D>>,
    upstream: S,
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
        let codec = Codec::new(pool).with_max_depth(limits.max_depth);
        let codec = Arc::new(if dialect.checks_enums() { codec.with_unknown_enum_names() } else { codec });
        let mut plans = Vec::new();
        for route in rules.shared_routes() {
            let plan = Plan::new(&codec, route).ok_or_else(|| {
                let method = route.method.full_name().to_owned();
                RuleErrors(vec![RuleError { method, message: format!("{route} sets a field that can't be reached") }])
            })?;
            plans.push(plan);
        }
        Ok(Self { shared: Arc::new(Shared { rules, plans, codec, dialect, limits }), upstream })
    }

    /// Returns the rule table, to describe the routes or to find the gRPC method of a REST request.
    pub fn rules(&self) -> &RuleTable {
        &self.shared.rules
    }

    /// Returns the codec of the pool, to convert messages elsewhere in the same way.
    pub fn codec(&self) -> &Arc<Codec> {
        &self.shared.codec
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
        let (shared, upstream) = (self.shared.clone(), self.upstream.clone());
        async move {
            let (mut parts, body) = request.into_parts();
            merge_content_types(&mut parts.headers);
            let mut head = RequestHead {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                headers: parts.headers,
                extensions: parts.extensions,
                route: None,
            };
            let mut response = match shared.serve(upstream, &mut head, body).await {
                Ok(response) => response,
                Err(error) => shared.render_error(&head, error),
            };
            if let Some(route) = head.route {
                response.extensions_mut().insert(MatchedRoute(route));
            }
            Ok(if head.method == Method::HEAD { head_response(response) } else { response })
        }
        .boxed()
    }
}

/// Builds the response to HEAD: GET's headers, and the length that GET's body would have.
fn head_response(mut response: Response<Body>) -> Response<Body> {
    if let Some(length) = response.body().size_hint().exact()
        && !is_bodiless(response.status())
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
    response
}
