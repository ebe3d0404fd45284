//! Exports of data: requested by users, and written by a job as an archive, which expires.

mod write;

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    app::App,
    caller::{Caller, Permit, Visibility},
    database::Connection,
    error::{Error, Result},
    id::{AccountId, UserId},
    page::{Listed, Page},
    personal, queue,
    unit_of_work::Work,
};
use uuid::Uuid;

use crate::{
    files::archive::ops as archive,
    identity::{
        data_export::{
            id::DataExportId,
            job::ExportData,
            model::{DataExport, LIMIT_PERIOD, MAX_EXPORTS},
            store,
        },
        member::store as members,
        session::ops as session,
        user::store as users,
    },
    proto::identity::v1::Reason as IdentityReason,
};

pub(crate) use write::{abandon, run};

/// Begins the export of the calling user's data, or of an account that the user owns. The lock on the user bounds the number of
/// exports.
///
/// # Errors
/// `NOT_FOUND` if the user does not own the account; `DATA_EXPORT_LIMIT_REACHED`.
pub async fn create(work: &mut Work, account: Option<AccountId>) -> Result<DataExport> {
    let (permit, now) = (work.permit()?, work.now());
    let (user, ..) = session::caller(&permit)?;
    let connection = work.connection().await?;
    users::lock(connection, Visibility::All, user).await?;
    // A session meets the policy of one account only: the one that it names.
    let is_other = |account| !matches!(permit.caller(), Caller::User { account: Some(own), .. } if *own == account);
    if let Some(account) = account
        && (is_other(account) || !is_owner(connection, account, user).await?)
    {
        return Err(Error::not_found("account"));
    }
    if store::count_since(connection, user, now - LIMIT_PERIOD).await? >= MAX_EXPORTS {
        return Err(IdentityReason::DataExportLimitReached.into());
    }
    let export = DataExport::new(user, account, now);
    store::insert(connection, &export).await?;
    queue::enqueue(connection, &ExportData { export: export.id }).await?;
    Ok(export)
}

/// Returns an export.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: &Permit, id: DataExportId) -> Result<DataExport> {
    let export = store::get(connection, permit.visibility(), id).await?;
    match export.account {
        Some(account) if !is_owner(connection, account, export.user).await? => Err(Error::not_found("data export")),
        _ => Ok(export),
    }
}

async fn is_owner(connection: &Connection, account: AccountId, user: UserId) -> Result<bool> {
    Ok(members::find(connection, account, user).await?.is_some_and(|member| member.is_owner()))
}

/// Returns a URL of the archive of an export, if there is one that has not expired.
///
/// # Errors
/// The errors of the storage.
pub async fn download_url(app: &App, export: &DataExport) -> Result<Option<String>> {
    match export.archive.filter(|archive| archive.expires_at > app.clock.now()) {
        Some(archive) => archive::download_url(app, archive.id).await.map(Some),
        None => Ok(None),
    }
}

/// Returns a page of exports plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, permit: Permit, page: Page) -> Result<Listed<DataExport>> {
    store::list(connection, permit.visibility(), page).await
}

/// Removes exports by a user, or of an account, with their archives; returns how many.
pub(crate) async fn erase(connection: &mut Connection, owner: Uuid, now: DateTime<Utc>) -> Result<usize> {
    let erased = store::erase(connection, owner, personal::BATCH).await?;
    let archives: Vec<_> = erased.iter().copied().flatten().collect();
    archive::release(connection, &archives, now).await?;
    Ok(erased.len())
}
