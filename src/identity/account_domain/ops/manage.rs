//! Adds and deletes mail domains.

use super::MANAGE;
use crate::{
    identity::{
        account::{model::Account, store as accounts},
        account_domain::{
            id::AccountDomainId,
            model::{AccountDomain, Draft, MAX_PER_ACCOUNT},
            store,
        },
        member::model::MemberRole,
        role::ops as roles,
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    caller::Permit,
    contract::Policies,
    database::Connection,
    error::{Error, Result},
    id::AccountId,
    unit_of_work::Work,
    version::ExpectedVersions,
};

/// Checks that the caller manages domains at present, and has every scope of the role that people get.
pub(super) async fn check_role(
    connection: &Connection,
    policies: &Policies,
    permit: &Permit,
    account: AccountId,
    role: MemberRole,
) -> Result<()> {
    let permit = roles::present(connection, policies, permit.clone(), MANAGE).await?;
    roles::check_assignment(connection, &permit, policies, Some(account), role.assigned()).await
}

/// Checks that an account is not scheduled for deletion.
///
/// # Errors
/// `DELETION_SCHEDULED`.
pub(super) fn check_staying(account: &Account) -> Result<()> {
    if account.deletion_at.is_some() { Err(IdentityReason::DeletionScheduled.into()) } else { Ok(()) }
}

/// Locks the account and then the domain, as every change does.
pub(super) async fn lock(
    connection: &Connection,
    permit: &Permit,
    id: AccountDomainId,
    expected: Option<&ExpectedVersions>,
) -> Result<(Account, AccountDomain)> {
    let account = store::get(connection, permit.visibility(), id).await?.account;
    let account = accounts::lock(connection, account).await?;
    let domain = store::lock(connection, id).await?;
    ExpectedVersions::check(expected, domain.version)?;
    Ok((account, domain))
}

/// Adds a mail domain to an account.
///
/// # Errors
/// `VALIDATION_FAILED` if no account is named; `NOT_FOUND` for another account; `PERMISSION_DENIED` if the caller lacks a scope
/// of the role; `ALREADY_EXISTS`, `DOMAIN_LIMIT_REACHED`, `DELETION_SCHEDULED`.
pub async fn create(work: &mut Work, policies: &Policies, draft: Draft) -> Result<AccountDomain> {
    let (permit, now) = (work.permit()?, work.now());
    let account = permit.account(draft.account)?;
    let domain = AccountDomain::new(account, draft.domain, draft.role, now);
    let connection = work.connection().await?;
    check_staying(&accounts::lock(connection, account).await?)?;
    check_role(connection, policies, &permit, account, domain.member_role()).await?;
    if store::count(connection, account).await? >= MAX_PER_ACCOUNT {
        let message = format!("The account has {MAX_PER_ACCOUNT} mail domains.");
        return Err(Error::with_message(IdentityReason::DomainLimitReached, message));
    }
    store::insert(connection, &domain).await?;
    Ok(domain)
}

/// Deletes a mail domain. Members who joined by it stay.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn delete(work: &mut Work, id: AccountDomainId, expected: Option<ExpectedVersions>) -> Result<()> {
    let permit = work.permit()?;
    let connection = work.connection().await?;
    let (_, domain) = lock(connection, &permit, id, expected.as_ref()).await?;
    store::delete(connection, id).await?;
    work.before(&domain);
    Ok(())
}
