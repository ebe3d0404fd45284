//! The provisioning of people and groups. Changes lock the account first, so that concurrent requests of a provider, and the
//! rule about the last owner, are decided one after another.

mod group;
mod role;
mod user;

use crate::{
    identity::{account::store as accounts, member::id::MemberId, session::ops as session, tokens::Tokens},
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::{Caller, Permit},
    database::Connection,
    error::{Error, Reason, Result},
    id::{AccountId, UserId},
};

pub use group::{create_group, delete_group, get_group, list_groups, update_group};
pub use user::{create_user, delete_user, get_user, list_users, renew, renew_of, update_user};

/// What instances forget after the commit.
#[derive(Debug, Default)]
pub struct Outdated {
    /// The memberships that ended.
    ended: Vec<(UserId, MemberId)>,
    /// The members with another role.
    changed: Vec<MemberId>,
}

impl Outdated {
    /// Drops the cached tokens of this instance, and ends sessions; see [`session::remove_member`].
    pub async fn forget(self, app: &App) {
        for (user, member) in self.ended {
            session::remove_member(app, user, member).await;
        }
        for member in self.changed {
            app.part::<Tokens>().invalidate_member(member);
        }
    }
}

/// Checks that the caller is a service key of an account.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub fn check(permit: &Permit) -> Result<()> {
    account_of(permit).map(drop)
}

/// Returns the account of the calling service key.
fn account_of(permit: &Permit) -> Result<AccountId> {
    match permit.caller() {
        Caller::Service { account: Some(account), .. } => Ok(*account),
        Caller::Service { .. } | Caller::User { .. } => {
            Err(Error::with_message(Reason::PermissionDenied, "SCIM requires a service key of an account."))
        }
    }
}

/// Locks the account of the calling service key until the transaction ends.
async fn lock(connection: &Connection, permit: &Permit) -> Result<AccountId> {
    Ok(accounts::lock(connection, account_of(permit)?).await?.id)
}

/// As [`lock`], for a change that adds to the account. People leave an account also while it is scheduled for deletion.
async fn lock_open(connection: &Connection, permit: &Permit) -> Result<AccountId> {
    let account = accounts::lock(connection, account_of(permit)?).await?;
    if account.deletion_at.is_some() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    Ok(account.id)
}
