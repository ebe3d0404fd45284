//! What refers to files. Other modules call this in the transactions that change the parents.

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

/// Attaches files to something. Whoever reaches that reaches them from then on.
///
/// # Errors
/// `NOT_FOUND` for a file that the caller does not see; `VALIDATION_FAILED` about `field` for one that is not ready, or for
/// another purpose.
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
    let found = store::hold(connection, ids).await?;
    refer(connection, permit, parent, (ids, &found), purpose, field).await
}

/// Makes something refer to locked files.
async fn refer(
    connection: &mut Connection,
    permit: &Permit,
    parent: Parent,
    (ids, found): (&[FileId], &[File]),
    purpose: Purpose,
    field: &str,
) -> Result<()> {
    check_reach(connection, permit, ids, found).await?;
    let fault = |why: &str, faulty: Vec<&File>| {
        let faulty: Vec<_> = faulty.iter().map(|file| file.id.to_string()).collect();
        (!faulty.is_empty()).then(|| format!("{why}: {}", faulty.join(", ")))
    };
    let pending = found.iter().filter(|file| matches!(file.state, State::Pending { .. })).collect();
    let others = found.iter().filter(|file| file.purpose != purpose).collect();
    let wrong = match purpose {
        Purpose::Attachment => "must be of FILE_PURPOSE_ATTACHMENT",
        Purpose::Image => "must be of FILE_PURPOSE_IMAGE",
    };
    match fault(wrong, others).or_else(|| fault("must be uploaded first", pending)) {
        Some(fault) => Err(Error::field(field, fault)),
        None => store::link(connection, parent, ids).await,
    }
}

/// Checks that the caller sees all files: those of the own account, those that the caller uploaded, and those that are
/// attached to what the account reaches. What a caller may write is decided by the parent's method.
async fn check_reach(connection: &mut Connection, permit: &Permit, ids: &[FileId], found: &[File]) -> Result<()> {
    let own = permit.user().map(|(_, account, _)| account);
    let sees_all = permit.visibility() == Visibility::All;
    let manages =
        |file: &File| sees_all || Some(file.account) == own || permit.visibility().reaches(file.account, file.owner);
    let others: Vec<_> = found.iter().filter(|file| !manages(file)).map(|file| file.id).collect();
    let linked = match own {
        Some(account) if !others.is_empty() => store::linked_to(connection, account, &others).await?,
        _ => Vec::new(),
    };
    let exists = |id: &FileId| found.iter().any(|file| file.id == *id);
    let is_seen = |id: &FileId| exists(id) && (!others.contains(id) || linked.contains(id));
    if ids.iter().all(is_seen) { Ok(()) } else { Err(Error::not_found("file")) }
}

/// Makes something refer to other files than before. Those that nothing refers to any more stay in their accounts for
/// [`File::UNUSED_LIFETIME`].
///
/// # Errors
/// As [`attach`], for those that it did not refer to before.
pub async fn change(
    connection: &mut Connection,
    permit: &Permit,
    parent: Parent,
    (before, after): (&[FileId], &[FileId]),
    purpose: Purpose,
    field: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let gone: Vec<_> = before.iter().filter(|id| !after.contains(id)).copied().collect();
    let new: Vec<_> = after.iter().filter(|id| !before.contains(id)).copied().collect();
    if gone.is_empty() {
        return attach(connection, permit, parent, &new, purpose, field).await;
    }
    // All at once, and so in one order: two transactions that exchange files never wait for each other.
    let mut found = store::hold(connection, &[&*gone, &*new].concat()).await?;
    store::unlink(connection, parent.id, &gone, now + File::UNUSED_LIFETIME).await?;
    if new.is_empty() {
        return Ok(());
    }
    found.retain(|file| new.contains(&file.id));
    refer(connection, permit, parent, (&new, &found), purpose, field).await
}

/// Lets anyone reach the files of something, or no longer.
pub async fn publish(connection: &mut Connection, parent: Uuid, is_public: bool) -> Result<()> {
    store::publish(connection, parent, is_public).await
}

/// Removes the files of what is being deleted, but those that something else refers to.
pub async fn detach(connection: &mut Connection, parents: &[Uuid], now: DateTime<Utc>) -> Result<()> {
    if parents.is_empty() {
        return Ok(());
    }
    let ids = store::unlink_all(connection, parents).await?;
    if ids.is_empty() {
        return Ok(());
    }
    let removed = store::delete_unlinked(connection, &ids).await?;
    // All are complete, and so are their uploads.
    reclaim(connection, removed, None, now).await
}
