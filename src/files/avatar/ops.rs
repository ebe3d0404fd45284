//! Avatars: drawn and stored before the transaction that gives them to a user, as files are.

use std::{sync::Arc, time::Duration};

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
    picture::{self, SIZES},
};
use crate::files::{file::ops as objects, storage::Storage};

/// The largest upload, in bytes.
pub const MAX_BYTES: usize = 5 << 20;
/// Pictures that are decoded at once. Each may take as much memory as its pixels.
const MAX_CONCURRENCY: usize = 2;
/// The longest wait for one's turn.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// From when on what nobody keeps is an orphan: longer than any request takes.
const ORPHAN_AGE: TimeDelta = TimeDelta::hours(1);

/// Draws pictures, a few at a time.
#[derive(Debug, Clone)]
pub(crate) struct Painter(Arc<Semaphore>);

impl Default for Painter {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CONCURRENCY)))
    }
}

/// Returns where an avatar of a size is.
pub(super) fn key(id: Uuid, size: u32) -> String {
    format!("avatars/{}-{size}", id.simple())
}

fn keys(id: Uuid) -> Vec<String> {
    SIZES.map(|size| key(id, size)).into()
}

/// Draws what was uploaded, and stores it. Unless somebody keeps the objects, they are deleted after an hour.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE`, `OVERLOADED` while too many others do the same, and the errors of the storage.
pub async fn store(app: &App, upload: &mut Upload) -> Result<Avatar> {
    let mut bytes = Vec::with_capacity(upload.bytes());
    while let Some(piece) = upload.next().await? {
        bytes.extend_from_slice(&piece);
    }
    let drawn = draw(app.part::<Painter>(), bytes).await?;
    let id = Uuid::new_v8(random());
    let delete_at = app.clock.now() + ORPHAN_AGE;
    let register = async move |connection: &mut Connection| objects::register(connection, &keys(id), delete_at).await;
    app.database.autocommit(register).await?;
    fault::point("avatar.noted")?;
    for (size, bytes) in drawn {
        if let Err(error) = app.part::<Storage>().put_bytes(&key(id, size), Bytes::from(bytes)).await {
            abandon(app, Avatar(id)).await;
            return Err(error);
        }
    }
    Ok(Avatar(id))
}

/// Decodes and draws on another thread. Its turn lasts until that is done, even if the caller is gone by then.
async fn draw(painter: &Painter, bytes: Vec<u8>) -> Result<Vec<(u32, Vec<u8>)>> {
    let max_wait = context::remaining().map_or(MAX_WAIT, |budget| budget.min(MAX_WAIT));
    let turn = tokio::time::timeout(max_wait, painter.0.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)));
    };
    let drawn = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        picture::draw(&bytes)
    });
    let refuse = |fault| {
        let types = "image/jpeg, image/png, image/webp";
        Error::with_message(Reason::UnsupportedMediaType, fault).with("accepted", types)
    };
    match drawn.await {
        Ok(drawn) => drawn.map_err(refuse),
        // A fault of a decoder, which the next picture does not have.
        Err(error) => Err(refuse("The picture can't be read.").caused_by(error)),
    }
}

/// Has an avatar deleted soon that nobody kept.
pub async fn abandon(app: &App, Avatar(id): Avatar) {
    for key in keys(id) {
        objects::abandon(app, key).await;
    }
}

/// Keeps a new avatar, if there is one, and gives up the old one.
///
/// # Errors
/// `UNAVAILABLE` if the new one is being deleted: whoever stored it took too long.
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
