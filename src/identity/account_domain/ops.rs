//! Mail domains: a member adds one, its TXT record proves it, and people with its addresses join the account.
//!
//! A look-up precedes the transaction that its answer changes. Changes lock the account before the domain, and a person who
//! joins is decided under that lock, so that no person joins after the domain was deleted.

mod join;
mod joining;
mod manage;
mod recheck;
mod verify;

use crate::identity::{
    account_domain::{id::AccountDomainId, model::AccountDomain, store},
    user::model::EmailAddress,
};
use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::Result,
    id::{AccountId, UserId},
    page::{Listed, Page},
};

pub use join::join;
pub(crate) use joining::joining;
pub use manage::{create, delete};
pub use recheck::renew_of_caller;
pub(crate) use recheck::{check_due, renew};
// For the mail about lapsed domains.
pub(crate) use store::lapsed_of_owner;
pub use verify::{count_look_up, look_up, verify};

/// The scope for changes.
const MANAGE: &str = "identity.domains.manage";

/// Returns a mail domain.
///
/// # Errors
/// `NOT_FOUND`, also for a domain that is not visible to the caller.
pub async fn get(connection: &Connection, permit: &Permit, id: AccountDomainId) -> Result<AccountDomain> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns the domain of an address, if an account has verified it.
pub(crate) async fn verified(connection: &Connection, email: &EmailAddress) -> Result<Option<AccountDomain>> {
    store::verified(connection, email.domain()).await
}

/// Returns whether a person, or another user with the mailbox of the address, was removed from an account.
pub(crate) async fn is_excluded(
    connection: &Connection,
    account: AccountId,
    user: Option<UserId>,
    email: &EmailAddress,
) -> Result<bool> {
    store::is_excluded(connection, account, user, email).await
}

/// Returns a page of mail domains plus one more if another page follows, and the total unless paging by key.
pub async fn list(
    connection: &Connection,
    permit: Permit,
    account: Option<AccountId>,
    page: Page,
) -> Result<Listed<AccountDomain>> {
    store::list(connection, permit.visibility(), account, page).await
}
