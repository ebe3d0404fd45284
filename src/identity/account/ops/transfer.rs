//! The transfer of the ownership of an account.

use crate::identity::{
    account::store,
    member::{
        id::MemberId,
        model::{Member, MemberDetails, MemberRole},
        ops::{void_excessive, with_person},
        store as members,
    },
    revocation::store as revocation,
    session::ops as session,
    user::store as user,
};
use mainstay_kernel::{
    audit::Record,
    caller::Visibility,
    contract::Policies,
    error::{Error, Reason, Result},
    id::AccountId,
    unit_of_work::Work,
};

/// Makes a member the owner of the session's account in place of the calling owner, who becomes an admin. The lock on the
/// account serializes transfers: of two by one owner, the second finds that the caller is no owner. Returns the new owner,
/// and the memberships whose tokens are outdated.
///
/// # Errors
/// `NOT_FOUND` for another account, and for a member of another account; `PERMISSION_DENIED` if the caller is not an
/// owner; `VALIDATION_FAILED` if the member is deactivated, or scheduled for deletion.
pub async fn transfer(
    work: &mut Work,
    policies: &Policies,
    account: AccountId,
    to: MemberId,
) -> Result<(MemberDetails, Vec<MemberId>)> {
    let (permit, now) = (work.permit()?, work.now());
    let ((id, ..), account) = (session::caller(&permit)?, permit.account(Some(account))?);
    let connection = work.connection().await?;
    store::lock(connection, account).await?;
    let own = members::find(connection, account, id).await?.filter(Member::is_owner);
    let own = own.ok_or_else(|| {
        Error::with_message(Reason::PermissionDenied, "Only an owner of the account transfers its ownership.")
    })?;
    let member = members::lock(connection, to).await?;
    if member.account != account {
        return Err(Error::not_found("member"));
    }
    if member.id == own.id {
        let details = with_person(connection, member).await?;
        work.audit(Record::unchanged(&own));
        return Ok((details, Vec::new()));
    }
    // The lock serializes with a deletion of the user, which reads what the user owns.
    if !user::lock(connection, Visibility::All, member.user).await?.is_staying() {
        return Err(Error::field("memberId", "must neither be deactivated nor scheduled for deletion"));
    }
    let before = [own.clone(), member.clone()];
    let own = own.in_role(MemberRole::ADMIN, now);
    members::update(connection, &own).await?;
    revocation::begin_version(connection, own.current()).await?;
    void_excessive(connection, policies, &own).await?;
    let mut changed = vec![own.id];
    let member = if member.is_owner() {
        member
    } else {
        let owner = member.in_role(MemberRole::OWNER, now);
        members::update(connection, &owner).await?;
        revocation::begin_version(connection, owner.current()).await?;
        changed.push(owner.id);
        owner
    };
    tracing::info!(%account, from = %own.user, to = %member.user, "the ownership of an account was transferred");
    let details = with_person(connection, member).await?;
    for (before, after) in before.iter().zip([&own, &details.member]) {
        work.audit(Record::updated(before, after));
    }
    Ok((details, changed))
}
