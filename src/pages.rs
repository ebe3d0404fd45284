//! Pages outside the API: health, metrics, keys and documents.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::{
    app::App,
    docs,
    error::{Error, Reason},
    health::Readiness,
    openapi,
};

/// The state of the pages.
#[derive(Clone)]
pub struct Pages {
    /// The application state.
    pub app: App,
    /// The metrics recorder.
    pub metrics: PrometheusHandle,
    /// Whether this instance accepts requests.
    pub readiness: Readiness,
}

impl Pages {
    /// Returns the routes for operators alone: health and metrics.
    pub fn probes(self) -> Router {
        probes().with_state(Arc::new(self))
    }

    /// Returns all routes.
    pub fn router(self) -> Router {
        probes()
            .route("/openapi.json", get(openapi_document))
            .route("/docs", get(docs_page))
            .route("/docs/{asset}", get(docs_asset))
            .route("/.well-known/jwks.json", get(jwks))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::new(self))
    }
}

fn probes() -> Router<Arc<Pages>> {
    Router::new()
        .route("/livez", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
}

/// Returns 503 once the drain has begun. A failed dependency does not count: it would take out every instance at once.
async fn readyz(State(pages): State<Arc<Pages>>) -> Response {
    let ready = pages.readiness.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "status": if ready { "ok" } else { "draining" } }))).into_response()
}

async fn health(State(pages): State<Arc<Pages>>) -> Response {
    let (healthy, report) = crate::health::report(&pages.app).await;
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    let (connections, idle) = pages.app.database.connections();
    metrics::gauge!("mainstay_postgres_connections").set(connections);
    metrics::gauge!("mainstay_postgres_idle_connections").set(idle);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], pages.metrics.render()).into_response()
}

async fn openapi_document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::json()).into_response()
}

const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                           img-src 'self' data:; font-src 'self'; frame-ancestors 'none'";

async fn docs_page() -> Response {
    ([(header::CONTENT_SECURITY_POLICY, DOCS_POLICY)], Html(docs::page())).into_response()
}

async fn docs_asset(Path(name): Path<String>) -> Response {
    match docs::asset(&name) {
        Some((media_type, bytes)) => ([(header::CONTENT_TYPE, media_type)], bytes).into_response(),
        None => not_found().await,
    }
}

async fn jwks(State(pages): State<Arc<Pages>>) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(pages.app.tokens.jwks())).into_response()
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
