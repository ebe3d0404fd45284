//! The end of a membership.

use super::{
    change::{keep_an_owner, lock},
    grant::check_grant,
};
use crate::identity::{
    account_domain::store as account_domains,
    invitation::store as invitations,
    member::{id::MemberId, model::Member, store},
    revocation::store as revocation,
};
use mainstay_kernel::{
    audit::Record, contract::Policies, database::Connection, error::Result, id::UserId, unit_of_work::Work,
    version::ExpectedVersions,
};

/// Removes a member from the account, revokes the person's access tokens of the account, and voids the invitations that
/// the person sent. A person whom another one removes does not join again by a mail domain. Returns the person.
///
/// Tickets are not changed. Those that the person requested are visible to the whole account, so that a colleague
/// continues them; mail about them goes to members only. Those that are assigned belong to staff, whose work does not depend
/// on a membership.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`; `PERMISSION_DENIED` if the caller lacks a scope of the member; `LAST_OWNER`.
pub async fn remove(
    work: &mut Work,
    policies: &Policies,
    id: MemberId,
    expected: Option<ExpectedVersions>,
) -> Result<UserId> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let member = lock(connection, &permit, id, expected.as_ref()).await?;
    if permit.caller().principal() != member.user.0 {
        check_grant(connection, &permit, policies, member.account, member.role, now).await?;
        account_domains::exclude(connection, member.account, member.user).await?;
    }
    end(connection, &member).await?;
    work.audit(Record::deleted(&member));
    tracing::info!(account = %member.account, user = %member.user, by = %permit.caller().principal(), "a member was removed");
    Ok(member.user)
}

/// Ends a membership of the calling user, like [`remove`].
///
/// # Errors
/// `NOT_FOUND` for the membership of another user; `LAST_OWNER`.
pub async fn leave(work: &mut Work, id: MemberId) -> Result<UserId> {
    let permit = work.permit()?;
    let connection = work.connection().await?;
    let member = lock(connection, &permit, id, None).await?;
    end(connection, &member).await?;
    work.audit(Record::deleted(&member));
    tracing::info!(account = %member.account, user = %member.user, "a member left an account");
    Ok(member.user)
}

/// Ends a membership for the identity provider of the account, which the caller has locked, like [`remove`].
///
/// # Errors
/// `LAST_OWNER`.
pub(crate) async fn deprovision(connection: &mut Connection, member: &Member) -> Result<()> {
    account_domains::exclude(connection, member.account, member.user).await?;
    end(connection, member).await
}

async fn end(connection: &mut Connection, member: &Member) -> Result<()> {
    keep_an_owner(connection, member).await?;
    store::delete(connection, member.id).await?;
    invitations::delete_sent(connection, member.account, member.user).await?;
    revocation::end_member(connection, member.id).await
}
