//! The pages behind signed [`Links`], for storages that callers do not reach directly, and the images of public
//! resources.
//!
//! A link is a credential for one file, one action and a limited time. An image has a stable URL without a credential,
//! as long as a public resource refers to it. Contents of files are untrusted: they are served so that a browser
//! neither executes them nor misinterprets their type.

mod range;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, put},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use mainstay_kernel::{
    app::App,
    error::{Error, Reason, Result},
    upload::{Spool, Upload},
};
use serde::Deserialize;

use crate::files::{
    file::{
        model::{File, Purpose, State as FileState},
        ops,
    },
    id::FileId,
    links::{Action, Links},
    media,
    storage::Storage,
};

use range::RequestedRange;

/// The Content-Security-Policy of files: no execution, no loading, no framing.
pub(super) const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

pub(super) fn pages() -> [(&'static str, MethodRouter<App>); 3] {
    [("/files/uploads/{file_id}", put(upload)), ("/files/{file_id}", get(download)), ("/images/{file_id}", get(image))]
}

/// The query of a link.
#[derive(Debug, Deserialize)]
pub(super) struct LinkQuery {
    /// A string, so that a value that is not a number gets the same error as any other invalid link.
    #[serde(default)]
    pub(super) expires: String,
    #[serde(default)]
    pub(super) signature: String,
}

pub(super) fn respond(result: Result<Response>) -> Response {
    result.unwrap_or_else(|error| tonic::Status::from(error).into_http())
}

/// Returns the file of a link.
async fn file(app: &App, action: Action, id: &str, query: &LinkQuery) -> Result<File> {
    let id = FileId::parse(id).map_err(|_| Error::not_found("file"))?;
    let expires = query.expires.parse().unwrap_or_default();
    app.part::<Links>().verify(action, id.0, expires, &query.signature, app.clock.now())?;
    app.database.autocommit(async move |connection| ops::of_link(connection, id).await).await
}

async fn upload(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<LinkQuery>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond(receive(&app, &id, &query, &headers, body).await)
}

/// Stores the content of an awaited file. The content is checked when the upload is completed, and may be replaced
/// until then.
async fn receive(app: &App, id: &str, query: &LinkQuery, headers: &HeaderMap, body: Body) -> Result<Response> {
    let file = require_awaited(file(app, Action::Upload, id, query).await?, app)?;
    let size = usize::try_from(file.size_bytes).map_err(Error::internal)?;
    let wrong = || Error::field("sizeBytes", format!("was announced as {size} bytes"));
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length != size) {
        return Err(wrong());
    }
    let mut upload = Upload::begin(app.part::<Spool>(), file.owner, size).await?;
    let mut pieces = body.into_data_stream();
    let broken = |error: axum::Error| Error::new(Reason::MalformedRequest).caused_by(error);
    while let Some(piece) = upload.wait(async { pieces.next().await.transpose().map_err(broken) }).await? {
        if upload.bytes() + piece.len() > size {
            return Err(wrong());
        }
        upload.push(&piece).await?;
    }
    if upload.bytes() != size {
        return Err(wrong());
    }
    // A slow upload may end after the deletion of its key is due.
    let id = file.id;
    let again = app.database.autocommit(async move |connection| ops::of_link(connection, id).await).await?;
    let file = require_awaited(again, app)?;
    let key = File::upload_key(id);
    let put = app.part::<Storage>().put(&key, &mut upload, &file.content_type);
    // A later write could follow the deletion.
    let result = tokio::time::timeout(ops::MAX_STORING, put).await;
    result.unwrap_or_else(|_| Err(Error::new(Reason::UpstreamTimeout)))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn require_awaited(file: File, app: &App) -> Result<File> {
    let over = || Error::with_message(Reason::Conflict, "The upload was completed or given up.");
    Some(file).filter(|file| file.is_awaited(app.clock.now())).ok_or_else(over)
}

async fn download(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<LinkQuery>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    respond(serve(&app, &id, &query, (&method, &headers)).await)
}

/// The method and the headers of a request for a content.
type Head<'a> = (&'a Method, &'a HeaderMap);

async fn serve(app: &App, id: &str, query: &LinkQuery, head: Head<'_>) -> Result<Response> {
    let file = file(app, Action::Download, id, query).await?;
    content(app, file, head, "private, no-cache, no-transform").await
}

async fn image(State(app): State<App>, Path(id): Path<String>, method: Method, headers: HeaderMap) -> Response {
    respond(show(&app, &id, (&method, &headers)).await)
}

/// Serves an image through this server, because a URL of the storage would outlive the public reference.
async fn show(app: &App, id: &str, head: Head<'_>) -> Result<Response> {
    let id = FileId::parse(id).map_err(|_| Error::not_found("file"))?;
    let public = async move |connection: &mut _| ops::downloadable(connection, None, id).await;
    let file = app.database.autocommit(public).await?;
    content(app, file, head, "public, max-age=60, no-transform").await
}

/// Serves a content, or the requested part of it. Intermediaries must not transform it, because a range refers to
/// exactly these bytes.
async fn content(app: &App, file: File, (method, headers): Head<'_>, cache_control: &str) -> Result<Response> {
    let FileState::Ready { key, .. } = &file.state else { return Err(Error::not_found("file")) };
    let size = u64::try_from(file.size_bytes).map_err(Error::internal)?;
    let tag = format!("\"{}\"", ops::hex(&file.sha256.unwrap_or_default()));
    if !range::is_matched(headers, &tag) {
        return Err(Reason::EtagMismatch.into());
    }
    let requested = range::read(method, headers, &tag, size);
    let (status, range) = match requested {
        RequestedRange::Whole => (StatusCode::OK, 0..size),
        RequestedRange::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        RequestedRange::Nothing => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
    };
    let part = Some(range.clone()).filter(|_| status == StatusCode::PARTIAL_CONTENT);
    let content = app.part::<Storage>().get(key, part).await?.ok_or_else(|| Error::not_found("file"))?;
    let failed = |error: Error| std::io::Error::other(error.detail());
    let mut response = Response::new(Body::from_stream(content.map_err(failed)));
    *response.status_mut() = status;
    let mut put = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, media::safe_content_type(&file.content_type));
    put(header::CONTENT_LENGTH, &(range.end - range.start).to_string());
    put(header::CONTENT_DISPOSITION, &media::disposition(&file.name, file.purpose == Purpose::Image));
    put(header::CONTENT_SECURITY_POLICY, POLICY);
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::ACCEPT_RANGES, "bytes");
    put(header::ETAG, &tag);
    put(header::CACHE_CONTROL, cache_control);
    if status == StatusCode::PARTIAL_CONTENT {
        put(header::CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    Ok(response)
}
