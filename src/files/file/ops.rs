//! Files: who may upload, read and delete which, within the space of an account.
//!
//! The storage and Postgres can't commit together. So an object is registered before it is written, with the time at
//! which it is to be deleted; the transaction that records the file keeps it; and what nobody keeps is deleted. Nothing
//! is written twice to one place.

mod content;
mod links;
mod transfer;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    id::AccountId,
    page::{Start, Total},
    unit_of_work::Work,
    version::ExpectedVersions,
};

use crate::files::{
    config::FilesConfig,
    file::{
        model::{Content, Draft, File, Filter, State},
        store,
    },
    id::FileId,
    storage::Storage,
};

pub use content::{abandon, receive, store_upload};
pub use links::{attach, detach, replace, set_public};
pub(crate) use store::{claim_deletable, keep, register, release};
pub(crate) use transfer::hex;
pub use transfer::{Target, download, upload_target};

/// How much longer than its file's URL is valid the place for an upload is kept: a PUT that began in time may end
/// later.
const UPLOAD_GRACE: TimeDelta = TimeDelta::hours(2);
/// How much longer the place is kept once this server takes no upload for it any more: longer than [`MAX_STORING`].
const STORING_GRACE: TimeDelta = TimeDelta::minutes(10);
/// The longest that an upload which this server took is being stored.
pub const MAX_STORING: Duration = Duration::from_secs(300);

/// The limits of files.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The space of an account, in bytes.
    pub quota_bytes: i64,
    /// How long a URL is valid.
    pub url_lifetime: TimeDelta,
    /// Whether this server takes the uploads, and so none for a file that is complete or removed. A storage takes them
    /// until their URLs expire.
    pub takes_uploads: bool,
}

impl Limits {
    pub fn new(app: &App) -> Self {
        let config = app.config.section::<FilesConfig>();
        Self {
            quota_bytes: i64::try_from(config.quota_bytes).unwrap_or(i64::MAX),
            url_lifetime: lifetime(config.url_lifetime),
            takes_uploads: !app.part::<Storage>().is_direct(),
        }
    }

    /// Returns from when on nothing more can arrive for a file that is completed or removed now; `None`: as was
    /// planned.
    fn uploads_end(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.takes_uploads.then(|| now + STORING_GRACE)
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
pub async fn announce(work: &mut Work, id: FileId, draft: Draft, limits: Limits) -> Result<File> {
    let (permit, now) = (work.permit()?, work.now());
    let account = account(&permit, draft.account)?;
    let file = File::announce(id, account, permit.caller().principal(), draft, limits.url_lifetime, now);
    let place = [File::upload_key(id)];
    // In one round trip, the file first: its account may be unknown, and that is then the error.
    let announce = async |connection: &Connection| {
        pipeline!(
            store::insert(connection, &file),
            store::register(connection, &place, now + limits.url_lifetime + UPLOAD_GRACE),
            store::reserve(connection, account, file.size_bytes, limits.quota_bytes),
        )
    };
    work.write(announce).await?;
    Ok(file)
}

/// Records a file whose content is stored.
///
/// # Errors
/// As [`announce`].
pub async fn create(work: &mut Work, id: FileId, draft: Draft, content: Content, limits: Limits) -> Result<File> {
    let (permit, now) = (work.permit()?, work.now());
    let account = account(&permit, draft.account)?;
    let announced = File::announce(id, account, permit.caller().principal(), draft, limits.url_lifetime, now);
    let key = [content.key.clone()];
    let file = File { version: 1, ..announced.complete(content, now) };
    // As in `announce`.
    let create = async |connection: &Connection| {
        pipeline!(
            store::insert(connection, &file),
            store::keep(connection, &key),
            store::reserve(connection, account, file.size_bytes, limits.quota_bytes),
        )
    };
    work.write(create).await?;
    Ok(file)
}

/// Makes a file ready. Without a content, or if another request was faster, it must be already.
///
/// # Errors
/// `NOT_FOUND`, also if it was given up meanwhile.
pub async fn complete(work: &mut Work, id: FileId, content: Option<Content>, limits: Limits) -> Result<File> {
    let (visibility, now) = (work.permit()?.visibility(), work.now());
    let file = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    let content = match (&file.state, content) {
        (State::Ready { .. }, _) => return Ok(file),
        (State::Pending { .. }, Some(content)) => content,
        (State::Pending { .. }, None) => return Err(Error::not_found("file")),
    };
    let key = [content.key.clone()];
    let file = file.complete(content, now);
    let complete = async |connection: &Connection| {
        let end_upload = async {
            match limits.uploads_end(now) {
                Some(ends) => store::end_upload(connection, &File::upload_key(id), ends).await,
                None => Ok(()),
            }
        };
        // In one round trip, in this order.
        pipeline!(store::keep(connection, &key), end_upload, store::update(connection, &file))
    };
    work.write(complete).await?;
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

/// Returns a page of files plus one more if another page follows, and the total unless paging by key.
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
pub async fn delete(work: &mut Work, id: FileId, expected: Option<ExpectedVersions>, limits: Limits) -> Result<()> {
    let (visibility, now) = (work.permit()?.visibility(), work.now());
    let file = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    ExpectedVersions::check(expected.as_ref(), file.version)?;
    let connection = work.connection().await?;
    if store::is_linked(connection, id).await? {
        return Err(crate::proto::files::v1::Reason::FileInUse.into());
    }
    store::delete(connection, file.id).await?;
    reclaim(connection, vec![file], limits.uploads_end(now), now).await
}

/// Gives the contents of removed files up, and their space back: at once, or with what was uploaded for them if it is
/// still there. That is deleted at `uploads_end`, if this is sooner than planned.
async fn reclaim(
    connection: &mut Connection,
    removed: Vec<File>,
    uploads_end: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    let uploads = store::hold_space(connection, &removed, uploads_end).await?;
    let (mut free, mut keys) = (Vec::new(), Vec::new());
    for file in removed {
        if !uploads.contains(&File::upload_key(file.id)) {
            free.push((file.account, file.size_bytes));
        }
        if let State::Ready { key, .. } = file.state {
            keys.push(key);
        }
    }
    if !keys.is_empty() {
        store::release(connection, &keys, now).await?;
    }
    give_back(connection, free).await
}

/// Removes the files of accounts that are removed, whatever refers to them; their contents are deleted soon.
///
/// # Errors
/// Any database error.
pub(crate) async fn erase(connection: &mut Connection, accounts: &[AccountId], now: DateTime<Utc>) -> Result<()> {
    let removed = store::erase(connection, accounts).await?;
    reclaim(connection, removed, None, now).await?;
    store::erase_usage(connection, accounts).await
}

/// Gives space back to accounts.
async fn give_back(connection: &mut Connection, spaces: Vec<(AccountId, i64)>) -> Result<()> {
    // Sorted, so that two transactions give space back to the same accounts in the same order.
    let mut sizes = BTreeMap::<AccountId, i64>::new();
    for (account, bytes) in spaces {
        *sizes.entry(account).or_default() += bytes;
    }
    for (account, bytes) in sizes {
        store::give_back(connection, account, bytes).await?;
    }
    Ok(())
}

/// Forgets objects that were deleted, and gives back the space that they held.
///
/// # Errors
/// Any database error.
pub async fn forget(app: &App, keys: Vec<String>) -> Result<()> {
    app.database
        .transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            let spaces = store::forget(connection, &keys).await?;
            give_back(connection, spaces).await
        })
        .await
}

/// Files that one transaction deletes.
const BATCH: i64 = 100;

/// Gives up uploads that were not completed in time, and deletes files that nothing referred to for long enough;
/// returns how many.
///
/// # Errors
/// Any database error.
pub async fn expire(app: &App, now: DateTime<Utc>) -> Result<usize> {
    let uploads_end = Limits::new(app).uploads_end(now);
    app.database
        .transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            let expired = store::lock_expired(connection, now, BATCH).await?;
            for file in &expired {
                store::delete(connection, file.id).await?;
            }
            let count = expired.len();
            reclaim(connection, expired, uploads_end, now).await?;
            Ok(count)
        })
        .await
}
