//! Pages outside the API: liveness and documents for everybody, health and metrics for operators.

pub(crate) mod own;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    app::App,
    error::{Error, Reason},
    http::health::{Health, Readiness},
    module::Modules,
    telemetry,
};

/// Returns the pages for everybody, with those of the modules.
pub fn public(modules: &Modules, app: &App, readiness: Readiness) -> Router {
    router(own::pages(readiness))
        .merge(modules.pages(app))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

/// The template of the path of the page that responded, for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template(pub(crate) &'static str);

/// Completes a page that is at `template`.
pub(crate) fn completed<S: Clone + Send + Sync + 'static>(
    template: &'static str,
    page: MethodRouter<S>,
) -> MethodRouter<S> {
    page.layer(axum::middleware::from_fn_with_state(template, finish))
}

/// Notes which page responds, and makes a refusal by axum, or by a page that gives a status alone, one with a reason: a
/// query that can't be read, a path that is not UTF-8.
async fn finish(State(template): State<&'static str>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(error) = bare_refusal(&response) {
        let mut refusal = tonic::Status::from(error).into_http::<Body>();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        refusal.headers_mut().extend(std::mem::take(response.headers_mut()));
        response = refusal;
    }
    response.extensions_mut().insert(Template(template));
    response
}

/// Returns the reason of a refusal that has none: its body is empty or plain text.
fn bare_refusal(response: &Response) -> Option<Error> {
    let headers = response.headers();
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if headers.contains_key("grpc-status") || media_type.is_some_and(|value| !value.starts_with("text/plain")) {
        return None;
    }
    let reason = match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Reason::MalformedRequest,
        StatusCode::NOT_FOUND => Reason::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => Reason::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Reason::UnsupportedMediaType,
        StatusCode::INTERNAL_SERVER_ERROR => Reason::InternalError,
        _ => return None,
    };
    Some(Error::new(reason))
}

/// Returns the pages for operators. They tell what only operators may know, and so have a listener of their own.
pub fn private(modules: &'static Modules, app: &App, readiness: Readiness) -> Router {
    let state = Private {
        app: app.clone(),
        metrics: telemetry::metrics(),
        health: Health::new(app.clone(), modules.dependencies()),
    };
    let pages = Router::new().route("/health", get(health)).route("/metrics", get(metrics));
    pages.with_state(Arc::new(state)).merge(router(own::probes(readiness)))
}

fn router(pages: impl IntoIterator<Item = (&'static str, MethodRouter)>) -> Router {
    pages.into_iter().fold(Router::new(), |router, (path, page)| router.route(path, completed(path, page)))
}

struct Private {
    app: App,
    metrics: PrometheusHandle,
    health: Health,
}

async fn health(State(pages): State<Arc<Private>>) -> Response {
    let Ok((healthy, report)) = pages.health.report().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics(State(pages): State<Arc<Private>>) -> Response {
    let (connections, idle) = pages.app.database.connections();
    metrics::gauge!("mainstay_postgres_connections").set(connections);
    metrics::gauge!("mainstay_postgres_idle_connections").set(idle);
    telemetry::process::observe();
    let text = telemetry::metrics::render(&pages.metrics);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// Returns a status that the middleware stack turns into the envelope.
async fn not_found() -> Response {
    refusal(Reason::RouteNotFound)
}

async fn method_not_allowed() -> Response {
    refusal(Reason::MethodNotAllowed)
}

fn refusal(reason: Reason) -> Response {
    tonic::Status::from(Error::new(reason)).into_http()
}
