//! What refers to files. Other modules call this in the transactions that change the parents.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    caller::{Permit, Visibility},
    database::Connection,
    error::{Error, Result},
};
use uuid::Uuid;

use crate::files::{
    file::{
        model::{Parent, Purpose},
        ops::remove,
        store,
    },
    id::FileId,
};

/// Attaches files to something new. Whoever reaches that reaches them from then on.
///
/// # Errors
/// `VALIDATION_FAILED` about `field` unless all of them are ready files that the caller manages, and images if `purpose`
/// says so.
pub async fn attach(
    connection: &mut Connection,
    permit: &Permit,
    parent: Parent,
    ids: &[FileId],
    purpose: Option<Purpose>,
    field: &str,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    // What a caller may write is decided by the parent's method; here only what the caller may show.
    let visibility = match (permit.visibility(), permit.user()) {
        (Visibility::Principal(_), Some((_, account, _))) => Visibility::Account(account),
        (visibility, _) => visibility,
    };
    let found = store::attachable(connection, visibility, ids).await?;
    let found: BTreeSet<_> = found
        .into_iter()
        .filter(|file| purpose.is_none_or(|purpose| file.purpose == purpose))
        .map(|file| file.id)
        .collect();
    let missing: Vec<_> = ids.iter().filter(|id| !found.contains(id)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        let kind = if purpose == Some(Purpose::Image) { "images" } else { "files" };
        let message = format!("must be {kind} of yours that are ready; these are not: {}", missing.join(", "));
        return Err(Error::field(field, message));
    }
    store::link(connection, parent, ids).await
}

/// Makes something refer to exactly these files. Those that it no longer refers to stay where they are.
///
/// # Errors
/// As [`attach`], for those that it did not refer to before.
pub async fn relink(
    connection: &mut Connection,
    permit: &Permit,
    parent: Parent,
    ids: &[FileId],
    purpose: Option<Purpose>,
    field: &str,
) -> Result<()> {
    let before = store::linked(connection, parent.id).await?;
    let gone: Vec<_> = before.iter().filter(|id| !ids.contains(id)).copied().collect();
    let new: Vec<_> = ids.iter().filter(|id| !before.contains(id)).copied().collect();
    if !gone.is_empty() {
        store::unlink(connection, parent.id, &gone).await?;
    }
    attach(connection, permit, parent, &new, purpose, field).await
}

/// Lets anyone reach the files of something, or no longer.
pub async fn publish(connection: &mut Connection, parent: Uuid, is_public: bool) -> Result<()> {
    store::publish(connection, parent, is_public).await
}

/// Removes the files of something that is being deleted, unless something else refers to them too.
pub async fn detach(connection: &mut Connection, parent: Uuid, now: DateTime<Utc>) -> Result<()> {
    let ids = store::linked(connection, parent).await?;
    store::unlink(connection, parent, &ids).await?;
    let mut gone = Vec::new();
    for id in ids {
        let file = store::lock(connection, Visibility::All, id).await?;
        if !store::is_linked(connection, id).await? {
            gone.push(file);
        }
    }
    // As in `expire`.
    gone.sort_by_key(|file| file.account.0);
    for file in gone {
        remove(connection, file, now).await?;
    }
    Ok(())
}
