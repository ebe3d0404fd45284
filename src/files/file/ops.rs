//! Files: who may upload, read and delete which, within the space of an account.
//!
//! The storage and Postgres can't commit together. So an object is noted before it is written, as an orphan-to-be; the
//! transaction that records the file keeps it; and what nobody keeps is deleted. Nothing is written twice to one place.

mod content;
mod links;
mod transfer;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    database::Connection,
    error::{Error, Result},
    id::AccountId,
    page::{Start, Total},
    version::Expected,
};

use crate::files::{
    config::FilesConfig,
    file::{
        model::{Content, Draft, File, Filter, State},
        store,
    },
    id::FileId,
};

pub use content::{abandon, receive, store_upload};
pub use links::{attach, change, detach, publish};
pub(crate) use store::{doomed, forget, intend, keep, release};
pub(crate) use transfer::hex;
pub use transfer::{Target, download, upload_target};

/// How much longer than its file's URL is valid the place for an upload is kept: a PUT that began in time may end later.
const GRACE: TimeDelta = TimeDelta::hours(2);

/// The limits of files.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The space of an account, in bytes.
    pub quota_bytes: i64,
    /// How long a URL is valid.
    pub url_lifetime: TimeDelta,
}

impl Limits {
    pub fn new(app: &App) -> Self {
        let config = app.config.section::<FilesConfig>();
        Self {
            quota_bytes: i64::try_from(config.quota_bytes).unwrap_or(i64::MAX),
            url_lifetime: lifetime(config.url_lifetime),
        }
    }
}

fn lifetime(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// Returns the account of a new file: the one that is named, else the caller's.
fn account(permit: &Permit, named: Option<AccountId>) -> Result<AccountId> {
    let own = permit.user().map(|(_, account, _)| account);
    permit.account(named.or(own))
}

/// Announces a file, and takes its size from the account's space.
///
/// # Errors
/// `VALIDATION_FAILED`, `NOT_FOUND` if there is no such account, `STORAGE_QUOTA_EXCEEDED`.
pub async fn announce(
    connection: &mut Connection,
    permit: Permit,
    id: FileId,
    draft: Draft,
    limits: Limits,
    now: DateTime<Utc>,
) -> Result<File> {
    let account = account(&permit, draft.account)?;
    let file = File::announce(id, account, permit.caller().principal(), draft, limits.url_lifetime, now);
    store::insert(connection, &file).await?;
    store::intend(connection, &[File::upload_key(id)], now + limits.url_lifetime + GRACE).await?;
    store::reserve(connection, account, file.size_bytes, limits.quota_bytes).await?;
    Ok(file)
}

/// Records a file whose content is stored.
///
/// # Errors
/// As [`announce`].
pub async fn create(
    connection: &mut Connection,
    permit: Permit,
    id: FileId,
    draft: Draft,
    content: Content,
    limits: Limits,
    now: DateTime<Utc>,
) -> Result<File> {
    let account = account(&permit, draft.account)?;
    let announced = File::announce(id, account, permit.caller().principal(), draft, limits.url_lifetime, now);
    let key = content.key.clone();
    let file = File { version: 1, ..announced.completed(content, now) };
    store::insert(connection, &file).await?;
    store::keep(connection, &[key]).await?;
    store::reserve(connection, account, file.size_bytes, limits.quota_bytes).await?;
    Ok(file)
}

/// Makes a file ready. Without a content, or if another request was faster, it must be already.
///
/// # Errors
/// `NOT_FOUND`, also if it was given up meanwhile.
pub async fn complete(
    connection: &mut Connection,
    permit: Permit,
    id: FileId,
    content: Option<Content>,
    now: DateTime<Utc>,
) -> Result<File> {
    let file = store::lock(connection, permit.visibility(), id).await?;
    let content = match (&file.state, content) {
        (State::Ready { .. }, _) => return Ok(file),
        (State::Pending { .. }, Some(content)) => content,
        (State::Pending { .. }, None) => return Err(Error::not_found("file")),
    };
    store::keep(connection, std::slice::from_ref(&content.key)).await?;
    let file = file.completed(content, now);
    store::update(connection, &file).await?;
    Ok(file)
}

/// Returns a file.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, permit: Permit, id: FileId) -> Result<File> {
    store::get(connection, Some(permit.visibility()), id).await
}

/// Returns a file whose content the caller may download; without a caller, one that anyone may.
///
/// # Errors
/// `NOT_FOUND`, also while it is pending.
pub async fn downloadable(connection: &mut Connection, viewer: Option<Permit>, id: FileId) -> Result<File> {
    let file = store::get(connection, viewer.map(|permit| permit.visibility()), id).await?;
    ready(file)
}

fn ready(file: File) -> Result<File> {
    match file.state {
        State::Ready { .. } => Ok(file),
        State::Pending { .. } => Err(Error::not_found("file")),
    }
}

/// Returns the file of a link, which is its own permit.
///
/// # Errors
/// `NOT_FOUND`.
pub(crate) async fn of_link(connection: &mut Connection, id: FileId) -> Result<File> {
    store::get(connection, Some(mainstay_kernel::caller::Visibility::All), id).await
}

/// Returns a page of files plus one if there are more, and the total unless paging by key.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    start: Start,
    limit: i64,
) -> Result<(Vec<File>, Option<Total>)> {
    let total = start.total(store::total(connection, permit.visibility(), &filter)).await?;
    Ok((store::list(connection, permit.visibility(), &filter, start, limit + 1).await?, total))
}

/// Deletes a file that nothing refers to.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `FILE_IN_USE`.
pub async fn delete(
    connection: &mut Connection,
    permit: Permit,
    id: FileId,
    expected: Option<Expected>,
    now: DateTime<Utc>,
) -> Result<()> {
    let file = store::lock(connection, permit.visibility(), id).await?;
    Expected::check(expected.as_ref(), file.version)?;
    if store::is_linked(connection, id).await? {
        return Err(crate::proto::files::v1::Reason::FileInUse.into());
    }
    store::delete(connection, file.id).await?;
    reclaim(connection, vec![file], now).await
}

/// Gives the space of removed files back, and their contents up.
async fn reclaim(connection: &mut Connection, removed: Vec<File>, now: DateTime<Utc>) -> Result<()> {
    // Sorted, so that two transactions give space back to the same accounts in the same order.
    let (mut sizes, mut keys) = (BTreeMap::<AccountId, i64>::new(), Vec::new());
    for file in removed {
        *sizes.entry(file.account).or_default() += file.size_bytes;
        // What may still be uploaded is deleted once the URL has expired.
        if let State::Ready { key, .. } = file.state {
            keys.push(key);
        }
    }
    for (account, bytes) in sizes {
        store::give_back(connection, account, bytes).await?;
    }
    if keys.is_empty() { Ok(()) } else { store::release(connection, &keys, now).await }
}

/// Files that one transaction deletes.
const BATCH: i64 = 100;

/// Gives up uploads that were not completed in time, and deletes files that nothing referred to for long enough; returns
/// how many.
///
/// # Errors
/// Any database error.
pub async fn expire(app: &App, now: DateTime<Utc>) -> Result<usize> {
    app.database
        .transaction(async move |connection| {
            let expired = store::lock_expired(connection, now, BATCH).await?;
            for file in &expired {
                store::delete(connection, file.id).await?;
            }
            let count = expired.len();
            reclaim(connection, expired, now).await?;
            Ok(count)
        })
        .await
}
