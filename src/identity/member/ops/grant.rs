//! The limit on granting roles: a caller grants no more than the caller has.

use crate::identity::{
    invitation::store as invitations,
    member::{
        model::{AccountRole, Member, MemberRole},
        store,
    },
};
use mainstay_kernel::{
    caller::{Caller, Permit},
    contract::policy::Role,
    database::Connection,
    error::{Error, Reason, Result},
    id::AccountId,
};

/// Checks that the caller may give a role of an account to a member, or take it.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub(crate) async fn check_grant(
    connection: &Connection,
    permit: &Permit,
    account: AccountId,
    role: MemberRole,
) -> Result<()> {
    let Caller::User { id, role: Role::Customer, .. } = *permit.caller() else { return Ok(()) };
    let own = store::find(connection, account, id).await?.map(|member| member.role);
    if own.is_some_and(|own| may_grant(own, role)) {
        return Ok(());
    }
    Err(Error::with_message(Reason::PermissionDenied, "The role has a scope that the caller lacks."))
}

fn may_grant(own: MemberRole, role: MemberRole) -> bool {
    match own {
        MemberRole::BuiltIn(AccountRole::Owner) => true,
        MemberRole::BuiltIn(AccountRole::Admin) => role != MemberRole::OWNER,
        _ => false,
    }
}

/// Voids the open invitations of a member that the member's present role could not send.
///
/// # Errors
/// Any error of Postgres.
pub(crate) async fn void_excessive(connection: &Connection, member: &Member) -> Result<()> {
    let sent = invitations::sent_by(connection, member.account, member.user).await?;
    let excessive = sent.iter().filter(|invitation| !may_grant(member.role, invitation.role));
    let ids: Vec<_> = excessive.map(|invitation| invitation.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    invitations::delete_all(connection, &ids).await
}
