//! Begins archives, and grants their download.

use chrono::{DateTime, Utc};
use mainstay_kernel::{app::App, database::Connection, error::Result, secret::random};
use uuid::Uuid;

pub(crate) use super::writer::ArchiveWriter;
use crate::files::{
    file::ops as objects,
    links::{Action, Links},
    storage::Storage,
};

/// The media type of an archive.
pub(super) const CONTENT_TYPE: &str = "application/gzip";
/// The name that a browser gives a downloaded archive.
pub(super) const DISPOSITION: &str = "attachment; filename=\"data.tar.gz\"";

/// Returns the key of an archive.
pub(super) fn key(id: Uuid) -> String {
    format!("archives/{}", id.simple())
}

/// Begins an archive, which is deleted at `expires` whether or not it is finished.
///
/// # Errors
/// Any error of Postgres, and those of the storage.
pub(crate) async fn begin(app: &App, expires: DateTime<Utc>) -> Result<(Uuid, ArchiveWriter)> {
    let id = Uuid::new_v8(random());
    let register = async move |connection: &mut Connection| objects::register(connection, &[key(id)], expires).await;
    app.database.autocommit(register).await?;
    let parts = app.part::<Storage>().begin(&key(id), CONTENT_TYPE).await?;
    Ok((id, ArchiveWriter::new(parts, app.clock.now())))
}

/// Schedules the deletion of archives before they expire.
pub(crate) async fn release(connection: &mut Connection, ids: &[Uuid], now: DateTime<Utc>) -> Result<()> {
    let keys: Vec<_> = ids.iter().map(|id| key(*id)).collect();
    objects::release(connection, &keys, now).await
}

/// Returns a URL of an archive, which grants access to its bearer for the lifetime of URLs of files.
///
/// # Errors
/// The errors of the storage, if it has to be called.
pub(crate) async fn download_url(app: &App, id: Uuid) -> Result<String> {
    let now = app.clock.now();
    let expires = now + objects::Limits::new(app).url_lifetime;
    let headers =
        [("content-type", CONTENT_TYPE), ("content-disposition", DISPOSITION), ("cache-control", "private, no-store")];
    let url = app.part::<Storage>().download_url(&key(id), headers, expires, now).await?;
    let own = || format!("/archives/{id}?{}", app.part::<Links>().sign(Action::Archive, id, expires));
    Ok(url.unwrap_or_else(own))
}
