//! The URLs for uploads and downloads of content.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue, header};
use mainstay_kernel::{
    app::App,
    error::{Error, Result},
};

use crate::files::{
    file::{
        model::{Draft, File, Purpose, State},
        ops::Limits,
    },
    id::FileId,
    links::{Action, Links},
    media,
    storage::Storage,
};

/// A URL, with the method and headers to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL; a path without a host for this server.
    pub url: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub expires: DateTime<Utc>,
}

/// Returns the upload URL for a file that will have this id. The storage's own URL accepts only this media type; the
/// size is checked when the upload is completed.
///
/// # Errors
/// The errors of the storage, if it has to be called.
pub async fn upload_target(app: &App, id: FileId, draft: &Draft, now: DateTime<Utc>) -> Result<Target> {
    let expires = now + Limits::new(app).url_lifetime;
    let content_type = HeaderValue::from_str(&draft.content_type).map_err(Error::internal)?;
    let headers = vec![(header::CONTENT_TYPE, content_type)];
    let url = app.part::<Storage>().upload_url(&File::upload_key(id), &headers, expires, now).await?;
    let own = || format!("/files/uploads/{id}?{}", app.part::<Links>().sign(Action::Upload, id.0, expires));
    Ok(Target { url: url.unwrap_or_else(own), headers, expires })
}

/// Returns the download URL of a file.
///
/// # Errors
/// `NOT_FOUND` while the file is pending, and the errors of the storage, if it has to be called.
pub async fn download(app: &App, file: &File, now: DateTime<Utc>) -> Result<Target> {
    let State::Ready { key, .. } = &file.state else { return Err(Error::not_found("file")) };
    let expires = now + Limits::new(app).url_lifetime;
    let disposition = media::disposition(&file.name, file.purpose == Purpose::Image);
    let headers = [
        ("content-type", media::safe_content_type(&file.content_type)),
        ("content-disposition", &*disposition),
        ("cache-control", "private, no-cache"),
    ];
    let url = app.part::<Storage>().download_url(key, headers, expires, now).await?;
    let own = || format!("/files/{}?{}", file.id, app.part::<Links>().sign(Action::Download, file.id.0, expires));
    Ok(Target { url: url.unwrap_or_else(own), headers: Vec::new(), expires })
}

/// Writes bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}
