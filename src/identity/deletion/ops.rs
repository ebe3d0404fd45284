//! Deletions: requested, canceled until the period of grace is over, and then carried out by a job in bounded steps.
//!
//! An account always keeps an active owner who stays, unless it is deleted itself: a user who is scheduled for deletion counts as
//! no owner, and becomes none. All steps lock accounts first, then users, then deletions.

mod cancel;
mod erase;
mod notice;
mod request;

use mainstay_kernel::{
    caller::Permit,
    database::{Connection, pipeline::pipeline},
    error::{Error, Reason, Result},
    id::UserId,
    page::{Listed, Page},
};

use crate::identity::{
    account::store as accounts,
    deletion::{
        id::DeletionId,
        model::{Deletion, ErasedRows, Filter},
        store,
    },
    member::{model::Member, store as members},
    user::{model::User, store as users},
};

pub use cancel::{cancel, cancel_by_token};
pub(crate) use erase::erase;
pub(crate) use notice::{CompletionNotice, ScheduleNotice, completion_notice, schedule_notice};
pub use request::request;
// For other modules, which act without a caller.
pub(crate) use store::being_erased_of;

/// Returns a deletion with its report.
///
/// # Errors
/// `NOT_FOUND`, also for a deletion that is not visible to the caller.
pub async fn get(connection: &Connection, permit: &Permit, id: DeletionId) -> Result<(Deletion, Vec<ErasedRows>)> {
    pipeline!(store::get(connection, permit.visibility(), id), store::rows(connection, id))
}

/// Returns a page of deletions plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, permit: Permit, filter: Filter, page: Page) -> Result<Listed<Deletion>> {
    store::list(connection, permit.visibility(), &filter, page).await
}

/// Locks a user with the accounts that the user owns, and returns the ownerships, the user, and the number of active admins who
/// stay.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` if the user became an owner meanwhile.
async fn lock_owner(connection: &mut Connection, user: UserId) -> Result<(Vec<Member>, User, usize)> {
    let before = members::owned(connection, user).await?;
    for member in &before {
        accounts::lock(connection, member.account).await?;
    }
    let (user, admins) = users::lock_with_admins(connection, user).await?;
    let owned = members::owned(connection, user.id).await?;
    // An account that is not locked may have lost its other owner in between.
    if owned.iter().any(|member| before.iter().all(|earlier| earlier.account != member.account)) {
        return Err(Error::with_message(Reason::Conflict, "The user became the owner of an account meanwhile."));
    }
    Ok((owned, user, admins))
}
