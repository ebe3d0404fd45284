//! Pages outside the API: liveness and documents for everybody, health and metrics for operators.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::{
    app::App,
    error::{Error, Reason},
    http::{
        docs,
        health::{Health, Readiness},
        openapi,
    },
    module::Modules,
    telemetry,
};

/// Returns the pages for everybody, with those of the modules.
pub fn public(modules: &Modules, app: &App, readiness: Readiness) -> Router {
    probes(readiness)
        .route("/", get(root))
        .merge(docs::router(openapi::json))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .merge(modules.pages(app))
}

/// Returns the pages for operators. They tell what only operators may know, and so have a listener of their own.
pub fn private(modules: &'static Modules, app: &App, readiness: Readiness) -> Router {
    let state = Private {
        app: app.clone(),
        metrics: telemetry::metrics(),
        health: Health::new(app.clone(), modules.dependencies()),
    };
    let pages = Router::new().route("/health", get(health)).route("/metrics", get(metrics));
    pages.with_state(Arc::new(state)).merge(probes(readiness))
}

struct Private {
    app: App,
    metrics: PrometheusHandle,
    health: Health,
}

fn probes(readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(readyz).with_state(readiness))
}

/// Says where to go: a browser goes to the reference.
async fn root(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        return Redirect::temporary("/docs").into_response();
    }
    Json(json!({ "data": {
        "docs": "/docs",
        "openapi": "/openapi.json",
        "grpc": "grpc.reflection.v1.ServerReflection lists the services on this port",
        "health": "/readyz",
    } }))
    .into_response()
}

/// Returns 503 once the drain has begun. A failed dependency does not count: it would take out every instance at once.
async fn readyz(State(readiness): State<Readiness>) -> Response {
    let ready = readiness.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "status": if ready { "ok" } else { "draining" } }))).into_response()
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
