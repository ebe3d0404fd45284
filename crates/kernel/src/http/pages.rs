//! Pages outside the API: public liveness and documents, and health and metrics for operators.

pub(crate) mod finish;
pub(crate) mod own;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Mutex;
use tower::ServiceBuilder;

use crate::{
    app::App,
    error::{Error, Reason},
    http::{
        health::{Health, Readiness},
        middleware::layer::{Body, Next},
    },
    module::Modules,
    telemetry,
};

/// Returns the public pages, with those of the modules.
pub fn public(modules: &'static Modules, app: &App, readiness: Readiness) -> Router {
    router(own::pages(readiness, || modules.openapi(None).to_string().into()))
        .merge(modules.pages(app))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

/// Returns the pages for operators. They show internal state, and have a separate listener.
pub fn private(modules: &'static Modules, app: &App, readiness: Readiness) -> Router {
    let state = Private {
        app: app.clone(),
        metrics: Rendering { handle: telemetry::metrics(), last: Mutex::default() },
        health: Health::new(app.clone(), modules.dependencies()),
    };
    let pages = Router::new().route("/health", get(health)).route("/metrics", get(metrics));
    pages.with_state(Arc::new(state)).merge(router(own::probes(readiness)))
}

/// Returns pages as what a listener serves.
pub fn service(pages: Router) -> impl Next + Sync {
    ServiceBuilder::new().map_response(|page: Response| page.map(Body::new)).service(pages)
}

fn router(pages: impl IntoIterator<Item = (&'static str, MethodRouter)>) -> Router {
    let pages = pages.into_iter().map(|(path, page)| (path, finish::finished(path, page)));
    pages.fold(Router::new(), |router, (path, page)| router.route(path, page))
}

struct Private {
    app: App,
    metrics: Rendering,
    health: Health,
}

/// How long a rendering of all metrics is reused. It takes milliseconds of a processor.
const METRICS_REUSE: Duration = Duration::from_secs(1);

struct Rendering {
    handle: PrometheusHandle,
    last: Mutex<Option<(Instant, Bytes)>>,
}

async fn health(State(pages): State<Arc<Private>>) -> Response {
    let Ok((healthy, report)) = pages.health.report().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics(State(pages): State<Arc<Private>>) -> Response {
    let mut last = pages.metrics.last.lock().await;
    let text = match &*last {
        Some((at, text)) if at.elapsed() < METRICS_REUSE => text.clone(),
        _ => {
            let (connections, idle) = pages.app.database.connections();
            metrics::gauge!("mainstay_postgres_connections").set(connections);
            metrics::gauge!("mainstay_postgres_idle_connections").set(idle);
            let handle = pages.metrics.handle.clone();
            let render = move || {
                telemetry::process::observe();
                Bytes::from(telemetry::metrics::render(&handle))
            };
            // On a thread that serves no requests.
            let Ok(text) = tokio::task::spawn_blocking(render).await else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            *last = Some((Instant::now(), text.clone()));
            text
        }
    };
    drop(last);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn not_found() -> Response {
    refusal(Reason::RouteNotFound)
}

async fn method_not_allowed() -> Response {
    refusal(Reason::MethodNotAllowed)
}

fn refusal(reason: Reason) -> Response {
    tonic::Status::from(Error::new(reason)).into_http()
}
