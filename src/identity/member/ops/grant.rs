//! The limit on granting roles: a caller gives and takes no more than the caller holds.

use chrono::{DateTime, Utc};

use crate::identity::{
    invitation::store as invitations,
    member::{
        model::{Member, MemberRole},
        store,
    },
    role::{model::Assigned, ops as roles},
    second_factor::model::MAX_AUTH_AGE,
    user::model::{Role as UserRole, User},
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
/// owner; `REAUTHENTICATION_REQUIRED` for the role of an owner, as for a transfer of the ownership; `NOT_FOUND` for a custom
/// role of another account.
pub(crate) async fn check_grant(
    connection: &Connection,
    permit: &Permit,
    policies: &Policies,
    account: AccountId,
    role: MemberRole,
    now: DateTime<Utc>,
) -> Result<()> {
    if role == MemberRole::OWNER {
        permit.check_recent(MAX_AUTH_AGE, now)?;
    }
    let permit = &roles::present(connection, policies, permit.clone(), MANAGE).await?;
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

/// Returns whether a role may invite with another: it manages members, and has every scope that is offered.
async fn covers(connection: &Connection, policies: &Policies, own: Assigned, offered: MemberRole) -> Result<bool> {
    let held = roles::scopes(connection, policies, own).await?;
    let offered = roles::scopes(connection, policies, offered.assigned()).await?;
    let may_invite = held.iter().any(|scope| scope.as_str() == MANAGE);
    Ok(may_invite && offered.iter().all(|scope| held.contains(scope)))
}

/// Returns whether a user may invite to an account with a role at present. The role of an owner takes an owner or staff.
pub(crate) async fn may_invite(
    connection: &Connection,
    policies: &Policies,
    account: AccountId,
    inviter: &User,
    offered: MemberRole,
) -> Result<bool> {
    if !inviter.is_active() {
        return Ok(false);
    }
    let own = match inviter.role {
        UserRole::Agent | UserRole::Admin => roles::of_staff(inviter),
        UserRole::Customer => match store::find(connection, account, inviter.id).await? {
            Some(member) if member.is_owner() || offered != MemberRole::OWNER => member.role.assigned(),
            _ => return Ok(false),
        },
    };
    covers(connection, policies, own, offered).await
}

/// Voids the open invitations of a member that the member's present role could not send.
pub(crate) async fn void_excessive(connection: &Connection, policies: &Policies, member: &Member) -> Result<()> {
    let mut excessive = Vec::new();
    for invitation in invitations::sent_by(connection, member.account, member.user).await? {
        let is_of_owner = invitation.role == MemberRole::OWNER && !member.is_owner();
        if is_of_owner || !covers(connection, policies, member.role.assigned(), invitation.role).await? {
            excessive.push(invitation.id);
        }
    }
    if excessive.is_empty() {
        return Ok(());
    }
    invitations::delete_all(connection, &excessive).await
}
