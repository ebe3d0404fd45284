//! Serves avatars to pages. The unguessable URL is the only credential.

use axum::{
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use futures_util::TryStreamExt as _;
use mainstay_kernel::{
    app::App,
    error::{Error, Result},
};
use uuid::Uuid;

use super::{ops, picture::SIZES};
use crate::files::storage::Storage;

pub(crate) fn pages() -> [(&'static str, MethodRouter<App>); 1] {
    [("/avatars/{id}/{size}", get(page))]
}

async fn page(State(app): State<App>, Path((id, size)): Path<(String, String)>) -> Response {
    serve(&app, &id, &size).await.unwrap_or_else(|error| tonic::Status::from(error).into_http())
}

async fn serve(app: &App, id: &str, size: &str) -> Result<Response> {
    let missing = || Error::not_found("avatar");
    let id: Uuid = id.parse().map_err(|_| missing())?;
    let size = SIZES.into_iter().find(|candidate| candidate.to_string() == size).ok_or_else(missing)?;
    let content = app.part::<Storage>().get(&ops::key(id, size), None).await?.ok_or_else(missing)?;
    // An avatar is small, and its first bytes determine its type.
    let bytes = content.try_fold(Vec::new(), |mut all, piece| {
        all.extend_from_slice(&piece);
        std::future::ready(Ok(all))
    });
    let bytes = bytes.await?;
    let kind = image::guess_format(&bytes).map_or("application/octet-stream", |format| format.to_mime_type());
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, "inline"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A changed avatar has another URL.
        (header::CACHE_CONTROL, "public, max-age=86400, immutable, no-transform"),
    ];
    Ok((headers, Body::from(bytes)).into_response())
}
