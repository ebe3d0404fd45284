//! The public pages of the kernel.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};
use serde_json::json;

use crate::http::{docs, health::Readiness};

pub(crate) fn pages(
    readiness: Readiness,
    document: impl Fn() -> Bytes + Send + Sync + 'static,
) -> impl Iterator<Item = (&'static str, MethodRouter)> {
    probes(readiness).into_iter().chain([("/", get(root))]).chain(docs::pages(document))
}

pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    pages(Readiness::default(), Bytes::new).map(|(path, _)| path)
}

pub(crate) fn probes(readiness: Readiness) -> [(&'static str, MethodRouter); 2] {
    [("/livez", get(|| async { Json(json!({ "status": "ok" })) })), ("/readyz", get(readyz).with_state(readiness))]
}

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
