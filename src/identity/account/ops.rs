//! Accounts: created by people, who own them, and renamed by their members. [`transfer`] hands the ownership over.

mod transfer;

use std::time::Duration;

use crate::{
    identity::{
        account::{
            model::{Account, Patch},
            store,
        },
        member::{
            model::{MAX_OWN, Member, MemberRole},
            store as member,
        },
        registration::model::RegistrationPolicy,
        second_factor::model::MAX_AUTH_AGE,
        session::ops as session,
        user::{model::Role, store as user},
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    config::Quota,
    contract::policy,
    database::Connection,
    error::{Error, Reason, Result},
    id::AccountId,
    page::{Listed, Page},
    rate_limit::AttemptLimit,
    unit_of_work::Work,
    version::ExpectedVersions,
};

pub use transfer::transfer;

/// The limit of accounts that one person creates, of which the person may leave some again.
const OF_PERSON: Quota = Quota { requests: 20, window: Duration::from_secs(24 * 3600) };

/// Counts the creation of an account by a person, before the transaction, because the count is in Redis.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if the creation can't be counted.
pub async fn count_creation(app: &App, permit: &Permit) -> Result<()> {
    let person = AttemptLimit::new("account-person", permit.caller().principal().as_bytes(), OF_PERSON);
    app.limiter.attempt(&[person]).await.map(drop)
}

/// Creates an account that the calling user owns. The lock on the user bounds the number of accounts. A user whose address may
/// not register, who was invited, creates none.
///
/// # Errors
/// `REGISTRATION_CLOSED`, `ACCOUNT_LIMIT_REACHED`, `DELETION_SCHEDULED`; `NOT_FOUND` if the user was removed.
pub async fn create(work: &mut Work, registration: &RegistrationPolicy, name: String) -> Result<Account> {
    let ((id, ..), now) = (session::caller(&work.permit()?)?, work.now());
    let connection = work.connection().await?;
    let user = user::lock(connection, Visibility::All, id).await?;
    if user.role == Role::Customer && !registration.admits(&user.email) {
        return Err(IdentityReason::RegistrationClosed.into());
    }
    if !user.is_staying() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    if member::count_own(connection, id).await? >= MAX_OWN {
        let message = format!("You own or have created {MAX_OWN} accounts already.");
        return Err(Error::with_message(IdentityReason::AccountLimitReached, message));
    }
    let account = Account::new(name, now);
    let owner = Member::new(account.id, id, MemberRole::OWNER, now);
    store::insert(connection, &account).await?;
    member::insert(connection, &owner).await?;
    Ok(account)
}

/// Checks that new data of these accounts has an erasure ahead, if any. The staff and services choose the account; the access of its
/// members and of its keys ends when the erasure begins. The erasure waits for the requests that were admitted before.
///
/// # Errors
/// `DELETION_BEGUN`.
pub(crate) async fn check_open(work: &mut Work, accounts: Vec<AccountId>) -> Result<()> {
    if work.permit()?.visibility() != Visibility::All {
        return Ok(());
    }
    let now = work.now();
    if work.read(async |connection: &Connection| store::any_erased(connection, &accounts, now).await).await? {
        let message = "The data of the account is being erased, or was.";
        return Err(Error::with_message(IdentityReason::DeletionBegun, message));
    }
    Ok(())
}

/// Returns an account.
///
/// # Errors
/// `NOT_FOUND`, also for an account that is not visible to the caller.
pub async fn get(connection: &Connection, permit: &Permit, id: AccountId) -> Result<Account> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns a page of the accounts whose names begin with a text plus one more if another page follows, and the total
/// unless paging by key.
pub async fn list(
    connection: &Connection,
    permit: Permit,
    name_prefix: Option<String>,
    page: Page,
) -> Result<Listed<Account>> {
    let (visibility, prefix) = (permit.visibility(), name_prefix.as_deref());
    store::list(connection, visibility, prefix, page).await
}

/// Updates an account. A patch that changes nothing keeps the version. Whether members need a second factor, and how long their
/// sessions last, is up to the owners, and to the staff.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `PERMISSION_DENIED`, `DELETION_BEGUN`.
pub async fn update(
    work: &mut Work,
    id: AccountId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<Account> {
    let (permit, now) = (work.permit()?, work.now());
    let visibility = permit.visibility();
    if !visibility.reaches(id, None) {
        return Err(Error::not_found("account"));
    }
    let account = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    ExpectedVersions::check(expected.as_ref(), account.version)?;
    account.check_open(now)?;
    work.before(&account);
    let updated = account.clone().apply(patch, now);
    let changes_policy = updated.changes_policy(&account);
    if changes_policy {
        permit.check_recent(MAX_AUTH_AGE, now)?;
    }
    if changes_policy && permit.caller().role() == policy::Role::Customer {
        let (user, ..) = session::caller(&permit)?;
        let own = work.read(async |connection: &Connection| member::find(connection, id, user).await).await?;
        own.filter(Member::is_owner).ok_or_else(|| {
            let message =
                "Only an owner of the account changes the requirements on the sign-ins and sessions of members.";
            Error::with_message(Reason::PermissionDenied, message)
        })?;
    }
    if updated != account {
        let next = updated.clone();
        work.queue(move |connection| Box::pin(async move { store::update(connection, &next).await }));
    }
    Ok(updated)
}
