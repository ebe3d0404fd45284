//! One call: the request is converted, the upstream is called, and its response is converted.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, response::Parts};
use http_body::Body as HttpBody;
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use crate::dialect::{Dialect, Failure, MatchedRoute, RequestHead};
use crate::json::FieldSet;
use crate::response::ResponseForm;
use crate::shared::Shared;
use crate::{BoxError, frame, headers, request_body, response};

/// A failure, with the upstream's headers if it responded.
pub(crate) struct CallError {
    failure: Failure,
    upstream: Option<Box<Parts>>,
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self { failure, upstream: None }
    }
}

impl<D: Dialect> Shared<D> {
    /// Finds the route, converts the request, and calls the upstream.
    pub(crate) async fn serve<S, B, RB>(
        self: &Arc<Self>,
        upstream: S,
        head: &mut RequestHead,
        body: B,
    ) -> Result<Response<Body>, CallError>
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
        if plan.has_body() && !body.is_end_stream() && body.size_hint().exact() != Some(0) {
            plan.check_media_type(head, &self.dialect)?;
        }
        let format = plan.response_format(head, &self.dialect)?;
        let query = plan.query(&self.codec, head, &self.dialect)?;
        let form = ResponseForm { format, enums: query.enums, fields: FieldSet::default() };
        let metadata = headers::grpc_metadata(&head.headers, self.dialect.timeout_header())?;
        let (body, body_failure) = if route.method.is_client_streaming() {
            let (body, failure) = request_body::streaming(self, id, head, query, body)?;
            (body, Some(failure))
        } else {
            (request_body::unary(self, plan, head, &query, body).await?, None)
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = route.grpc_path.clone();
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = metadata;
        *request.extensions_mut() = head.extensions.clone();
        request.extensions_mut().insert(MatchedRoute(route.clone()));

        let response = self.call_upstream(upstream, request, id, form, head).await;
        // If the request body failed, the client receives that failure, regardless of the upstream's response to the
        // broken stream.
        match body_failure.and_then(|failure| failure.get().cloned()) {
            Some(failure) => Err(failure.into()),
            None => response,
        }
    }

    async fn call_upstream<S, RB>(
        self: &Arc<Self>,
        upstream: S,
        request: Request<Body>,
        id: usize,
        form: ResponseForm,
        head: &RequestHead,
    ) -> Result<Response<Body>, CallError>
    where
        S: Service<Request<Body>, Response = Response<RB>> + Send + 'static,
        S::Error: Into<BoxError>,
        RB: HttpBody<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        let plan = &self.plans[id];
        let deadline = headers::timeout(request.headers()).and_then(|timeout| Instant::now().checked_add(timeout));
        let status = |status: Status| match deadline {
            Some(deadline) if Instant::now() >= deadline => frame::after_deadline(status),
            _ => status,
        };
        let response = upstream.oneshot(request).await;
        let response = response.map_err(|error| Failure::Upstream(status(frame::from_error(error.into()))))?;
        let (mut parts, body) = response.into_parts();
        let messages = response::Messages::new(&parts, body, self.limits.max_response_message_bytes);
        headers::remove_grpc_headers(&mut parts.headers);
        let form = ResponseForm { fields: parts.extensions.remove().unwrap_or_default(), ..form };
        let body = match messages {
            Err(status) => Err(status),
            Ok(messages) if plan.route.method.is_server_streaming() => {
                response::streaming(self, id, form, messages, &mut parts.headers, head).await
            }
            Ok(messages) => response::unary(self, id, form, messages, &mut parts.headers).await,
        };
        match body {
            Err(error) => Err(CallError { failure: Failure::Upstream(status(error)), upstream: Some(Box::new(parts)) }),
            Ok(body) => {
                parts.status = self.dialect.success_status(&plan.route.method, &parts);
                parts.version = http::Version::default();
                let response = Response::from_parts(parts, body);
                Ok(if is_bodiless(response.status()) { without_body(response) } else { response })
            }
        }
    }

    pub(crate) fn render_error(&self, head: &RequestHead, error: CallError) -> Response<Body> {
        let (mut parts, body) = self.dialect.error_response(head, error.failure).into_parts();
        if let Some(upstream) = error.upstream {
            add_missing(&mut parts.headers, &upstream.headers);
            parts.extensions.extend(upstream.extensions);
        }
        Response::from_parts(parts, response::full_body(body))
    }
}

/// Adds the upstream's headers, except those that the dialect has set.
fn add_missing(headers: &mut HeaderMap, upstream: &HeaderMap) {
    for name in upstream.keys() {
        if headers.contains_key(name) {
            continue;
        }
        for value in upstream.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// Returns whether a response with this status never has a body.
pub(crate) fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

fn without_body(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().remove(header::CONTENT_TYPE);
    *response.body_mut() = Body::empty();
    response
}
