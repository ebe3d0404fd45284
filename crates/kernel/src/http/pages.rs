//! Pages outside the API: health, metrics, keys and documents.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::{
    app::App,
    error::{Error, Reason},
    http::{docs, health::Readiness, openapi},
    module::Modules,
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
        let of_modules = self.app.part::<&Modules>().pages(&self.app);
        probes()
            .merge(docs::router(openapi::json))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::new(self))
            .merge(of_modules)
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
    let (healthy, report) = crate::http::health::report(&pages.app).await;
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    let (connections, idle) = pages.app.database.connections();
    metrics::gauge!("mainstay_postgres_connections").set(connections);
    metrics::gauge!("mainstay_postgres_idle_connections").set(idle);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], pages.metrics.render()).into_response()
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
