//! Pages outside the API: liveness and documents for everybody, health and metrics for operators.

pub(crate) mod finish;
pub(crate) mod own;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
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
    let pages = pages.into_iter().map(|(path, page)| (path, finish::finished(path, page)));
    pages.fold(Router::new(), |router, (path, page)| router.route(path, page))
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
