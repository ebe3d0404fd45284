//! The change of a member's role.

use super::{
    grant::{check_grant, void_excessive},
    with_person,
};
use chrono::{DateTime, Utc};

use crate::{
    identity::{
        account::store as accounts,
        member::{
            id::MemberId,
            model::{Member, MemberDetails, MemberRole},
            store,
        },
        revocation::store as revocation,
        user::store as users,
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    audit::Record,
    caller::{Permit, Visibility},
    contract::Policies,
    database::Connection,
    error::{Error, Result},
    unit_of_work::Work,
    version::ExpectedVersions,
};

/// Returns a member whom the caller reaches, locked with the account until the transaction ends.
pub(super) async fn lock(
    connection: &Connection,
    permit: &Permit,
    id: MemberId,
    expected: Option<&ExpectedVersions>,
) -> Result<Member> {
    let account = store::get(connection, permit.visibility(), id).await?.account;
    accounts::lock(connection, account).await?;
    let member = store::lock(connection, id).await?;
    ExpectedVersions::check(expected, member.version)?;
    Ok(member)
}

/// Rejects a change that would take the last active owner of the account, which the caller has locked.
pub(super) async fn keep_an_owner(connection: &Connection, member: &Member) -> Result<()> {
    if member.is_owner() && !store::has_other_owner(connection, member).await? {
        return Err(IdentityReason::LastOwner.into());
    }
    Ok(())
}

/// Gives another role to a member, whom the caller has locked with the account, and outdates the member's access tokens of the
/// account.
pub(crate) async fn assign(
    connection: &mut Connection,
    policies: &Policies,
    member: Member,
    role: MemberRole,
    now: DateTime<Utc>,
) -> Result<Member> {
    let member = member.in_role(role, now);
    store::update(connection, &member).await?;
    revocation::begin_version(connection, member.current()).await?;
    void_excessive(connection, policies, &member).await?;
    Ok(member)
}

/// Changes the role of a member, and outdates the member's access tokens of the account. The role that the member has
/// changes nothing.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`; `PERMISSION_DENIED` if the caller lacks a scope of the old or of the new role;
/// `LAST_OWNER`.
pub async fn change_role(
    work: &mut Work,
    policies: &Policies,
    id: MemberId,
    expected: Option<ExpectedVersions>,
    role: Option<MemberRole>,
) -> Result<MemberDetails> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let member = lock(connection, &permit, id, expected.as_ref()).await?;
    let role = role.unwrap_or(member.role);
    if role == member.role {
        let details = with_person(connection, member).await?;
        work.audit(Record::unchanged(&details.member));
        return Ok(details);
    }
    check_grant(connection, &permit, policies, member.account, member.role, now).await?;
    check_grant(connection, &permit, policies, member.account, role, now).await?;
    keep_an_owner(connection, &member).await?;
    if role == MemberRole::OWNER && !users::lock(connection, Visibility::All, member.user).await?.is_staying() {
        return Err(Error::field(
            "member.role",
            "must not be that of an owner: the user is deactivated or scheduled for deletion",
        ));
    }
    let before = member.clone();
    let member = assign(connection, policies, member, role, now).await?;
    tracing::info!(account = %member.account, user = %member.user, by = %permit.caller().principal(), "the role of a member was changed");
    let details = with_person(connection, member).await?;
    work.audit(Record::updated(&before, &details.member));
    Ok(details)
}
