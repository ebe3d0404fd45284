//! Stores the content of files. No transaction is open meanwhile.

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use mainstay_kernel::{
    app::App,
    caller::Permit,
    database::Connection,
    error::{Error, Reason, Result},
    fault,
    secret::random,
    upload::{Spool, Upload},
};
use uuid::Uuid;

use crate::{
    files::{
        file::{
            model::{Content, File, Purpose, State},
            store,
        },
        id::FileId,
        media,
        picture::{self, Extent},
        storage::Storage,
    },
    proto::files::v1::Reason as FilesReason,
};

/// The age from which an object that no transaction kept is an orphan: longer than any request takes.
const ORPHAN_AGE: TimeDelta = TimeDelta::hours(1);
/// The maximum width and height of an image that browsers are asked to show.
const MAX_SIDE: u32 = 16_384;

fn incomplete(message: &'static str) -> Error {
    Error::with_message(FilesReason::UploadIncomplete, message)
}

/// Checks the upload of a file, and stores it; `None` if the file is already ready.
///
/// # Errors
/// `NOT_FOUND`, `UPLOAD_INCOMPLETE`, `UNSUPPORTED_MEDIA_TYPE`, and the errors of the storage.
pub async fn receive(app: &App, permit: &Permit, id: FileId) -> Result<Option<Content>> {
    let (visibility, now) = (permit.visibility(), app.clock.now());
    let read = async move |connection: &mut _| store::get(connection, Some(visibility), id).await;
    let file = app.database.autocommit(read).await?;
    if matches!(file.state, State::Ready { .. }) {
        return Ok(None);
    }
    if !file.is_awaited(now) || !visibility.reaches(file.account, file.owner) {
        return Err(Error::not_found("file"));
    }
    let mut upload = fetch(app, &file).await?;
    if file.sha256.is_some_and(|announced| announced != upload.hash()) {
        return Err(incomplete("What was uploaded has another SHA-256 than was announced."));
    }
    store_upload(app, file.id, &mut upload, &file.content_type, file.purpose).await.map(Some)
}

/// Downloads the uploaded content. The upload may be replaced at any time, so this copy is the one that is checked and
/// stored.
async fn fetch(app: &App, file: &File) -> Result<Upload> {
    let (storage, key) = (app.part::<Storage>(), File::upload_key(file.id));
    let size = storage.size(&key).await?.ok_or_else(|| incomplete("Nothing was uploaded yet."))?;
    let announced = usize::try_from(file.size_bytes).map_err(Error::internal)?;
    let wrong_size = || incomplete("What was uploaded has another size than was announced.");
    if usize::try_from(size) != Ok(announced) {
        return Err(wrong_size());
    }
    let mut content = storage.get(&key, None).await?.ok_or_else(|| incomplete("Nothing was uploaded yet."))?;
    let mut upload = Upload::begin(app.part::<Spool>(), file.owner, announced).await?;
    while let Some(piece) = upload.wait(async { content.next().await.transpose() }).await? {
        upload.push(&piece).await.map_err(|error| match error.reason() == Reason::PayloadTooLarge {
            true => wrong_size(),
            false => error,
        })?;
    }
    if upload.bytes() == announced { Ok(upload) } else { Err(wrong_size()) }
}

/// Checks an upload, and stores it. Unless a transaction keeps the object, it is deleted after an hour.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE`, and the errors of the storage.
pub async fn store_upload(
    app: &App,
    id: FileId,
    upload: &mut Upload,
    declared: &str,
    purpose: Purpose,
) -> Result<Content> {
    upload.rewind().await?;
    let head = upload.next().await?.unwrap_or_default();
    let content_type = content_type(declared, &head, upload.bytes())?;
    if purpose == Purpose::Image {
        check_image(&content_type, upload).await?;
    }
    let key = File::content_key(id, Uuid::from_bytes(random()));
    let (registered_key, delete_at) = (key.clone(), app.clock.now() + ORPHAN_AGE);
    let register =
        async move |connection: &mut Connection| store::register(connection, &[registered_key], delete_at).await;
    app.database.autocommit(register).await?;
    fault::point("file.recorded")?;
    if let Err(error) = app.part::<Storage>().put(&key, upload, &content_type).await {
        abandon(app, key).await;
        return Err(error);
    }
    fault::point("file.stored")?;
    Ok(Content { key, content_type, sha256: upload.hash() })
}

/// Schedules the deletion of a stored object, unless a transaction kept it. If scheduling fails, the object is deleted
/// as an orphan.
pub async fn abandon(app: &App, key: String) {
    let now = app.clock.now();
    let abandon = async move |connection: &mut _| store::abandon(connection, &key, now).await;
    app.database.autocommit(abandon).await.ok();
}

fn refuse(message: String) -> Error {
    Error::with_message(Reason::UnsupportedMediaType, message)
}

/// Determines the media type.
fn content_type(declared: &str, head: &[u8], size: usize) -> Result<String> {
    let media_type = media::of_content(declared, &head[..head.len().min(media::SNIFF_BYTES)], size);
    media_type.ok_or_else(|| refuse(format!("The content is not {declared}.")))
}

/// Checks an image that browsers are asked to show.
async fn check_image(content_type: &str, upload: &mut Upload) -> Result<()> {
    if !media::is_image(content_type) {
        let types = media::IMAGES.join(", ");
        return Err(refuse(format!("An image must be one of {types}.")).with("accepted", types));
    }
    let mut content = upload.content().await?;
    let survey = tokio::task::spawn_blocking(move || picture::survey(&mut content, Extent::Header)).await;
    match survey.map_err(Error::internal)?.map_err(Error::internal)? {
        Some(image) if image.width <= MAX_SIDE && image.height <= MAX_SIDE => Ok(()),
        Some(_) => Err(refuse(format!("An image must have at most {MAX_SIDE} pixels in each dimension."))),
        None => Err(refuse("The image can't be read.".to_owned())),
    }
}
