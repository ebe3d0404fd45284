//! Avatars: drawn and stored before the transaction that assigns them to a user, like files.

use std::{fs::File, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    context,
    database::Connection,
    error::{Error, Reason, Result},
    fault,
    secret::random,
    upload::Upload,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    model::Avatar,
    picture::{self, Fault, SIZES},
};
use crate::files::{file::ops as objects, storage::Storage};

/// The largest upload, in bytes.
pub const MAX_BYTES: usize = 5 << 20;
/// The age from which an object that no transaction kept is an orphan: longer than any request takes.
const ORPHAN_AGE: TimeDelta = TimeDelta::hours(1);

/// Draws pictures within [`picture::MEMORY`], which all drawings share; one permit is one MiB.
#[derive(Debug, Clone)]
pub(crate) struct Painter {
    memory: Arc<Semaphore>,
    /// The maximum wait for memory.
    max_wait: Duration,
}

impl Default for Painter {
    fn default() -> Self {
        Self { memory: Arc::new(Semaphore::new(mib(picture::MEMORY) as usize)), max_wait: Duration::from_secs(10) }
    }
}

fn mib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX)
}

/// Returns the key of an avatar of a size.
pub(super) fn key(id: Uuid, size: u32) -> String {
    format!("avatars/{}-{size}", id.simple())
}

fn keys(id: Uuid) -> Vec<String> {
    SIZES.map(|size| key(id, size)).into()
}

/// Draws an uploaded picture, and stores it. Objects that no transaction keeps are deleted after an hour.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE`; `OVERLOADED` while too many pictures are being drawn; the errors of the storage.
pub async fn store(app: &App, upload: &mut Upload) -> Result<Avatar> {
    let content = upload.content().await?;
    let drawn = draw(app.part::<Painter>(), content).await?;
    let id = Uuid::new_v8(random());
    let delete_at = app.clock.now() + ORPHAN_AGE;
    let register = async move |connection: &mut Connection| objects::register(connection, &keys(id), delete_at).await;
    app.database.autocommit(register).await?;
    fault::point("avatar.recorded")?;
    for (size, bytes) in drawn {
        if let Err(error) = app.part::<Storage>().put_bytes(&key(id, size), Bytes::from(bytes)).await {
            abandon(app, Avatar(id)).await;
            return Err(error);
        }
    }
    Ok(Avatar(id))
}

/// Surveys, decodes and draws a picture on blocking threads. Its memory permit is held until the drawing ends, even if
/// the caller has disconnected.
async fn draw(painter: &Painter, mut file: File) -> Result<Vec<(u32, Vec<u8>)>> {
    let (mut file, original) = blocking(move || picture::find(&mut file).map(|original| (file, original))).await?;
    let max_wait = context::remaining().map_or(painter.max_wait, |budget| budget.min(painter.max_wait));
    let memory = painter.memory.clone().acquire_many_owned(mib(original.memory()));
    let Ok(Ok(memory)) = tokio::time::timeout(max_wait, memory).await else {
        return Err(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)));
    };
    blocking(move || {
        let _memory = memory;
        picture::draw(&mut file, &original)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T> {
    let refuse = |fault| {
        let types = "image/jpeg, image/png, image/webp";
        Error::with_message(Reason::UnsupportedMediaType, fault).with("accepted", types)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(refuse),
        // A panic of a decoder, which does not affect other pictures.
        Err(error) => Err(refuse("The picture can't be read.").caused_by(error)),
    }
}

/// Schedules the deletion of an avatar that no transaction kept.
pub async fn abandon(app: &App, Avatar(id): Avatar) {
    for key in keys(id) {
        objects::abandon(app, key).await;
    }
}

/// Keeps a new avatar, if there is one, and releases the old one.
///
/// # Errors
/// `UNAVAILABLE` if the new avatar is being deleted, because storing it took too long.
pub async fn replace(
    connection: &mut Connection,
    old: Option<Avatar>,
    new: Option<Avatar>,
    now: DateTime<Utc>,
) -> Result<()> {
    if let Some(Avatar(id)) = new {
        objects::keep(connection, &keys(id)).await?;
    }
    if let Some(Avatar(id)) = old {
        objects::release(connection, &keys(id), now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
