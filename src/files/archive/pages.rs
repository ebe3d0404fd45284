//! The page behind a signed link to an archive, for storages that callers do not reach directly.

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{header, header::HeaderName},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get},
};
use futures_util::TryStreamExt as _;
use mainstay_kernel::{
    app::App,
    error::{Error, Result},
};
use uuid::Uuid;

use super::ops::{CONTENT_TYPE, DISPOSITION, key};
use crate::files::{
    links::{Action, Links},
    pages::{LinkQuery, POLICY, respond},
    storage::Storage,
};

pub(crate) fn pages() -> [(&'static str, MethodRouter<App>); 1] {
    [("/archives/{archive_id}", get(download))]
}

async fn download(State(app): State<App>, Path(id): Path<String>, Query(query): Query<LinkQuery>) -> Response {
    respond(serve(&app, &id, &query).await)
}

async fn serve(app: &App, id: &str, query: &LinkQuery) -> Result<Response> {
    let absent = || Error::not_found("archive");
    let id: Uuid = id.parse().map_err(|_| absent())?;
    let expires = query.expires.parse().unwrap_or_default();
    app.part::<Links>().verify(Action::Archive, id, expires, &query.signature, app.clock.now())?;
    let storage = app.part::<Storage>();
    let size = storage.size(&key(id)).await?.ok_or_else(absent)?;
    let content = storage.get(&key(id), None).await?.ok_or_else(absent)?;
    let failed = |error: Error| std::io::Error::other(error.detail());
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::CONTENT_DISPOSITION, DISPOSITION),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "private, no-store, no-transform"),
    ];
    let length = [(header::CONTENT_LENGTH, size.to_string())];
    Ok((headers, length, Body::from_stream(content.map_err(failed))).into_response())
}
