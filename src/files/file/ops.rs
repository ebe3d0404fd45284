//! Files: permissions to upload, read and delete, within the storage quota of an account.
//!
//! The storage and Postgres can't commit atomically together. So an object is registered before it is written, with a
//! deletion time. The transaction that records the file keeps the object, and objects that no transaction kept are
//! deleted. No key is written twice.

mod content;
mod links;
mod transfer;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    id::AccountId,
    page::{Listed, Page},
    personal,
    unit_of_work::Work,
    version::ExpectedVersions,
};
use uuid::Uuid;

use crate::identity::account::ops as accounts;

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

/// How long an upload's object is kept after its URL expires: a PUT that began in time may end later.
const UPLOAD_GRACE: TimeDelta = TimeDelta::hours(2);
/// How long the object is kept after this server stops accepting uploads for it: longer than [`MAX_STORING`].
const STORING_GRACE: TimeDelta = TimeDelta::minutes(10);
/// The maximum time to store an upload that this server accepted.
pub const MAX_STORING: Duration = Duration::from_secs(300);

/// The limits of files.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The storage quota of an account, in bytes.
    pub quota_bytes: i64,
    /// How long a URL is valid.
    pub url_lifetime: TimeDelta,
    /// Whether this server receives the uploads, in which case it rejects uploads for complete or removed files. An
    /// external storage accepts them until their URLs expire.
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

    /// Returns the time after which no upload can arrive for a file that is completed or removed now; `None` if the
    /// planned time is unchanged.
    fn uploads_end(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.takes_uploads.then(|| now + STORING_GRACE)
    }
}

fn lifetime(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// Returns the account of a new file: the named account, or else that of the session. Staff names the account if the one of
/// the session has customers, who see its files.
async fn account(work: &mut Work, permit: &Permit, named: Option<AccountId>) -> Result<AccountId> {
    let own = permit.caller().account();
    let account = match (permit.visibility(), named, own) {
        (Visibility::All, None, Some(own)) => {
            let connection = work.connection().await?;
            match store::accounts_of_staff(connection, &[own]).await?.is_empty() {
                true => Err(Error::field("accountId", "is required, because customers see the files of your account")),
                false => Ok(own),
            }
        }
        _ => permit.account(named.or(own)),
    }?;
    accounts::check_open(work, vec![account]).await?;
    Ok(account)
}

/// Announces a file, and reserves its size in the account's quota.
///
/// # Errors
/// `VALIDATION_FAILED`; `NOT_FOUND` if the account does not exist; `STORAGE_QUOTA_EXCEEDED`.
pub async fn announce(work: &mut Work, id: FileId, draft: Draft, limits: Limits) -> Result<File> {
    let (permit, now) = (work.permit()?, work.now());
    let account = account(work, &permit, draft.account).await?;
    let file = File::announce(id, account, permit.caller().principal(), draft, limits.url_lifetime, now);
    let place = [File::upload_key(id)];
    // One round trip, the file first, so that an unknown account is reported before an exceeded quota.
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
    let account = account(work, &permit, draft.account).await?;
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

/// Makes a file ready. Without a content, or if a concurrent request was faster, the file must be ready already.
///
/// # Errors
/// `NOT_FOUND`, also if the file was abandoned meanwhile.
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
        // One round trip, in this order.
        pipeline!(store::keep(connection, &key), end_upload, store::update(connection, &file))
    };
    work.write(complete).await?;
    Ok(file)
}

/// Returns a file.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: Permit, id: FileId) -> Result<File> {
    store::get(connection, Some(permit.visibility()), id).await
}

/// Returns a file whose content the caller may download; without a caller, a public file.
///
/// # Errors
/// `NOT_FOUND`, also while the file is pending.
pub async fn downloadable(connection: &Connection, viewer: Option<Permit>, id: FileId) -> Result<File> {
    let file = store::get(connection, viewer.map(|permit| permit.visibility()), id).await?;
    ready(file)
}

fn ready(file: File) -> Result<File> {
    match file.state {
        State::Ready { .. } => Ok(file),
        State::Pending { .. } => Err(Error::not_found("file")),
    }
}

/// Returns the file of a link. The link's signature replaces the permit.
///
/// # Errors
/// `NOT_FOUND`.
pub(crate) async fn of_link(connection: &mut Connection, id: FileId) -> Result<File> {
    store::get(connection, Some(Visibility::All), id).await
}

/// Returns a page of files plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, permit: Permit, filter: Filter, page: Page) -> Result<Listed<File>> {
    store::list(connection, permit.visibility(), &filter, page).await
}

/// Deletes a file without references.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `FILE_IN_USE`.
pub async fn delete(work: &mut Work, id: FileId, expected: Option<ExpectedVersions>, limits: Limits) -> Result<()> {
    let (visibility, now) = (work.permit()?.visibility(), work.now());
    let file = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    work.before(&file);
    ExpectedVersions::check(expected.as_ref(), file.version)?;
    let connection = work.connection().await?;
    if store::is_linked(connection, id).await? {
        return Err(crate::proto::files::v1::Reason::FileInUse.into());
    }
    store::delete(connection, file.id).await?;
    reclaim(connection, vec![file], limits.uploads_end(now), now).await
}

/// Releases the contents of removed files, and their quota: at once, or, if an upload may remain, when that is deleted.
/// The upload is deleted at `uploads_end`, if this is sooner than planned.
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

/// Removes at most [`personal::BATCH`] files of an account, regardless of references, and schedules the deletion of their contents;
/// returns how many.
pub(crate) async fn erase_some(connection: &mut Connection, account: Uuid, now: DateTime<Utc>) -> Result<usize> {
    let removed = store::erase(connection, &[AccountId(account)], personal::BATCH).await?;
    let count = removed.len();
    reclaim(connection, removed, None, now).await?;
    Ok(count)
}

/// The content of a file in the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredContent {
    pub(crate) id: FileId,
    pub(crate) size_bytes: i64,
    pub(crate) key: String,
}

/// Counts the ready files of an account or a user.
pub(crate) async fn count_of(connection: &mut Connection, owner: Uuid) -> Result<i64> {
    store::count_of(connection, owner).await
}

/// Returns the next contents of the ready files of an account or a user, in the order of their ids; none after the last one.
pub(crate) async fn contents_of(connection: &mut Connection, owner: Uuid, after: Uuid) -> Result<Vec<StoredContent>> {
    let rows = store::contents_of(connection, owner, FileId(after), CONTENTS).await?;
    Ok(rows.into_iter().map(|(id, size_bytes, key)| StoredContent { id, size_bytes, key }).collect())
}

/// Reads a content; `None` if it was deleted.
///
/// # Errors
/// The errors of the storage.
pub(crate) async fn open(app: &App, content: &StoredContent) -> Result<Option<crate::files::storage::Content>> {
    app.part::<Storage>().get(&content.key, None).await
}

/// The contents that are listed at once.
const CONTENTS: i64 = 100;

/// Removes the files of removed accounts, regardless of references; schedules the deletion of their contents.
pub(crate) async fn erase(connection: &mut Connection, accounts: &[AccountId], now: DateTime<Utc>) -> Result<()> {
    let removed = store::erase(connection, accounts, i64::MAX).await?;
    reclaim(connection, removed, None, now).await?;
    store::erase_usage(connection, accounts).await
}

/// Returns quota to accounts.
async fn give_back(connection: &mut Connection, spaces: Vec<(AccountId, i64)>) -> Result<()> {
    // The order of accounts is fixed, so that two transactions that return quota to the same accounts can't deadlock.
    let mut sizes = BTreeMap::<AccountId, i64>::new();
    for (account, bytes) in spaces {
        *sizes.entry(account).or_default() += bytes;
    }
    for (account, bytes) in sizes {
        store::give_back(connection, account, bytes).await?;
    }
    Ok(())
}

/// Removes the records of deleted objects, and returns the quota that they held.
pub async fn forget(app: &App, keys: Vec<String>) -> Result<()> {
    app.database
        .transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            let spaces = store::forget(connection, &keys).await?;
            give_back(connection, spaces).await
        })
        .await
}

/// The maximum number of files that one transaction deletes.
const BATCH: i64 = 100;

/// Removes files whose uploads expired or that were unreferenced for long enough; returns how many.
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
