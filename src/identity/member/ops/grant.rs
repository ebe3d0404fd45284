//! The limit on granting roles: a caller gives and takes no more than the caller holds.

use crate::identity::{
    invitation::store as invitations,
    member::{
        model::{Member, MemberRole},
        store,
    },
    role::ops as roles,
};
use mainstay_kernel::{
    caller::{Caller, Permit},
    contract::{Policies, policy::Role},
    database::Connection,
    error::{Error, Reason, Result},
    id::AccountId,
};

/// The scope that invites.
const MANAGE: &str = "identity.members.manage";

/// Checks that the caller may give a role of an account to a member, or take it.
///
/// # Errors
/// `PERMISSION_DENIED` if the caller lacks a scope of the role, or is a customer but no owner and the role is that of an
/// owner; `NOT_FOUND` for a custom role of another account.
pub(crate) async fn check_grant(
    connection: &Connection,
    permit: &Permit,
    policies: &Policies,
    account: AccountId,
    role: MemberRole,
) -> Result<()> {
    roles::check_assignment(connection, permit, policies, Some(account), role.assigned()).await?;
    match *permit.caller() {
        // An admin of the account may have the same scopes, but is no owner.
        Caller::User { id, role: Role::Customer, .. } if role == MemberRole::OWNER => {
            let own = store::find(connection, account, id).await?;
            if own.is_some_and(|own| own.is_owner()) {
                return Ok(());
            }
            Err(Error::with_message(Reason::PermissionDenied, "Only an owner gives or takes the role of an owner."))
        }
        _ => Ok(()),
    }
}

/// Voids the open invitations of a member that the member's present role could not send.
///
/// # Errors
/// Any error of Postgres.
pub(crate) async fn void_excessive(connection: &Connection, policies: &Policies, member: &Member) -> Result<()> {
    let sent = invitations::sent_by(connection, member.account, member.user).await?;
    if sent.is_empty() {
        return Ok(());
    }
    let held = roles::scopes(connection, policies, member.role.assigned()).await?;
    let may_invite = held.iter().any(|scope| scope.as_str() == MANAGE);
    let mut excessive = Vec::new();
    for invitation in sent {
        let offered = roles::scopes(connection, policies, invitation.role.assigned()).await?;
        let is_beyond = invitation.role == MemberRole::OWNER && !member.is_owner();
        if !may_invite || is_beyond || !offered.iter().all(|scope| held.contains(scope)) {
            excessive.push(invitation.id);
        }
    }
    invitations::delete_all(connection, &excessive).await
}
