//! Members of accounts: their roles, and their end. Changes lock the account before the member, and the rule about the last
//! owner is decided under that lock.

mod change;
mod grant;
mod leave;

use crate::identity::member::{
    id::MemberId,
    model::{Filter, Member, MemberDetails, Membership},
    store,
};
use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::{Error, Result},
    id::UserId,
    page::{Listed, Page},
};

pub(crate) use change::assign;
pub use change::change_role;
pub(crate) use grant::{check_grant, may_invite, void_excessive};
pub(crate) use leave::deprovision;
pub use leave::{leave, remove};
// For other modules, which act without a caller.
pub(crate) use store::{active, first_account, founded_by, of_account};

/// Returns a member.
///
/// # Errors
/// `NOT_FOUND`, also for a member that is not visible to the caller.
pub async fn get(connection: &Connection, permit: &Permit, id: MemberId) -> Result<MemberDetails> {
    let member = store::get(connection, permit.visibility(), id).await?;
    with_person(connection, member).await
}

/// Returns a page of members plus one more if another page follows, and the total unless paging by key.
pub async fn list(
    connection: &Connection,
    permit: Permit,
    filter: Filter,
    page: Page,
) -> Result<Listed<MemberDetails>> {
    store::list(connection, permit.visibility(), &filter, page).await
}

/// Returns the memberships of a user, oldest first.
pub async fn of_user(connection: &Connection, user: UserId) -> Result<Vec<Membership>> {
    store::of_user(connection, user).await
}

/// Adds the person of a member.
pub(crate) async fn with_person(connection: &Connection, member: Member) -> Result<MemberDetails> {
    let mut details = store::with_people(connection, vec![member]).await?;
    details.pop().ok_or_else(|| Error::not_found("member"))
}
