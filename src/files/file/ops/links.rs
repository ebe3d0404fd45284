//! References to files. Other modules call these functions in the transactions that change the parents.

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    caller::{Permit, Visibility},
    database::Connection,
    error::{Error, Result},
};
use uuid::Uuid;

use crate::files::{
    file::{
        model::{File, Parent, Purpose, State},
        ops::reclaim,
        store,
    },
    id::FileId,
};

/// Attaches files to a parent. From then on, every caller to whom the parent is visible can see them.
///
/// # Errors
/// `NOT_FOUND` for a file that the caller does not see; `VALIDATION_FAILED` about `field` for one that is not ready, for
/// another purpose, or visible to a customer although the parent is internal.
pub async fn attach(
    connection: &mut Connection,
    permit: &Permit,
    parent: Parent,
    ids: &[FileId],
    purpose: Purpose,
    field: &str,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let files = store::lock_all(connection, permit.visibility(), ids).await?;
    link_locked(connection, permit, parent, (ids, &files), purpose, field).await
}

/// Attaches locked files to a parent.
async fn link_locked(
    connection: &mut Connection,
    permit: &Permit,
    parent: Parent,
    (ids, files): (&[FileId], &[File]),
    purpose: Purpose,
    field: &str,
) -> Result<()> {
    check_visible(connection, permit, ids, files).await?;
    let fault = |why: &str, faulty: Vec<&File>| {
        let faulty: Vec<_> = faulty.iter().map(|file| file.id.to_string()).collect();
        (!faulty.is_empty()).then(|| format!("{why}: {}", faulty.join(", ")))
    };
    let pending = files.iter().filter(|file| matches!(file.state, State::Pending { .. })).collect();
    let wrong_purpose = files.iter().filter(|file| file.purpose != purpose).collect();
    let exposed = exposed(connection, parent, files).await?;
    let requirement = match purpose {
        Purpose::Attachment => "must be of FILE_PURPOSE_ATTACHMENT",
        Purpose::Image => "must be of FILE_PURPOSE_IMAGE",
    };
    let fault = fault(requirement, wrong_purpose).or_else(|| fault("must be uploaded first", pending)).or_else(|| {
        fault("must belong to an account of staff, because customers see all files of their accounts", exposed)
    });
    match fault {
        Some(fault) => Err(Error::field(field, fault)),
        None => store::link(connection, parent, ids).await,
    }
}

/// Returns the files of an internal parent that customers see, or will see: files of an account with a customer, or of one
/// without members. Such a customer could not delete the file, and would lose it with the parent.
async fn exposed<'f>(connection: &mut Connection, parent: Parent, files: &'f [File]) -> Result<Vec<&'f File>> {
    if !parent.is_internal {
        return Ok(Vec::new());
    }
    let accounts: Vec<_> = files.iter().map(|file| file.account).collect();
    let of_staff = store::accounts_of_staff(connection, &accounts).await?;
    Ok(files.iter().filter(|file| !of_staff.contains(&file.account)).collect())
}

/// Checks that all files are visible to the caller: files of the caller's account, files that the caller uploaded, and
/// files attached to parents visible to the account. The parent's method decides what the caller may write.
async fn check_visible(connection: &mut Connection, permit: &Permit, ids: &[FileId], files: &[File]) -> Result<()> {
    let own = permit.caller().account();
    let sees_all = permit.visibility() == Visibility::All;
    let is_visible_directly =
        |file: &File| sees_all || Some(file.account) == own || permit.visibility().reaches(file.account, file.owner);
    let indirect: Vec<_> = files.iter().filter(|file| !is_visible_directly(file)).map(|file| file.id).collect();
    let linked = match own {
        Some(account) if !indirect.is_empty() => store::linked_to(connection, account, &indirect).await?,
        _ => Vec::new(),
    };
    let exists = |id: &FileId| files.iter().any(|file| file.id == *id);
    let is_seen = |id: &FileId| exists(id) && (!indirect.contains(id) || linked.contains(id));
    if ids.iter().all(is_seen) { Ok(()) } else { Err(Error::not_found("file")) }
}

/// Replaces the files that are attached to a parent. Files without any remaining reference stay in their accounts for
/// [`File::UNUSED_LIFETIME`].
///
/// # Errors
/// As [`attach`], for files that were not attached before.
pub async fn replace(
    connection: &mut Connection,
    permit: &Permit,
    parent: Parent,
    (before, after): (&[FileId], &[FileId]),
    purpose: Purpose,
    field: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let removed: Vec<_> = before.iter().filter(|id| !after.contains(id)).copied().collect();
    let new: Vec<_> = after.iter().filter(|id| !before.contains(id)).copied().collect();
    if removed.is_empty() {
        return attach(connection, permit, parent, &new, purpose, field).await;
    }
    // One statement locks all files in id order, so that two transactions that exchange files can't deadlock.
    let all = [&*removed, &*new].concat();
    let mut files = store::lock_all(connection, permit.visibility(), &all).await?;
    store::unlink(connection, parent.id, &removed, now + File::UNUSED_LIFETIME).await?;
    if new.is_empty() {
        return Ok(());
    }
    files.retain(|file| new.contains(&file.id));
    link_locked(connection, permit, parent, (&new, &files), purpose, field).await
}

/// Makes the files of a parent public or private.
pub async fn set_public(connection: &mut Connection, parent: Uuid, is_public: bool) -> Result<()> {
    store::set_public(connection, parent, is_public).await
}

/// Removes the files of deleted parents, except files with other references.
pub async fn detach(connection: &mut Connection, parents: &[Uuid], now: DateTime<Utc>) -> Result<()> {
    if parents.is_empty() {
        return Ok(());
    }
    let ids = store::unlink_all(connection, parents).await?;
    if ids.is_empty() {
        return Ok(());
    }
    let files = store::delete_unlinked(connection, &ids).await?;
    // `None`: completed uploads have no upload left to end.
    reclaim(connection, files, None, now).await
}
