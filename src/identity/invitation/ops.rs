//! Invitations: a member invites an e-mail address, and the holder of the token in the mail joins the account.
//!
//! The token proves that its holder reads the mail to the address. A signed-in user accepts with it only if the user has the
//! address, so that a forwarded mail admits no other user; a new user gets the address, which the token confirms. Only the mail
//! and the holder of the token learn whether a user has the address. The account is locked before an invitation is
//! accepted, so that of two concurrent acceptances one finds none.

mod accept;
mod notice;
mod send;

use crate::identity::invitation::{id::InvitationId, model::Invitation, store};
use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::Result,
    id::AccountId,
    page::{Listed, Page},
};

pub use accept::{NewMember, accept, accept_as_new_user, accept_with_password, preview};
pub use send::{count_mail, create, resend, revoke};

pub(crate) use notice::notice;

/// Returns an invitation.
///
/// # Errors
/// `NOT_FOUND`, also for an invitation that is not visible to the caller.
pub async fn get(connection: &Connection, permit: &Permit, id: InvitationId) -> Result<Invitation> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns a page of invitations plus one more if another page follows, and the total unless paging by key.
pub async fn list(
    connection: &Connection,
    permit: Permit,
    account: Option<AccountId>,
    page: Page,
) -> Result<Listed<Invitation>> {
    store::list(connection, permit.visibility(), account, page).await
}
