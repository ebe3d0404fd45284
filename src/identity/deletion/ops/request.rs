//! Schedules deletions.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    caller::{Caller, Visibility},
    database::Connection,
    error::{Error, Result},
    id::{AccountId, UserId},
    module::Modules,
    personal, queue,
    unit_of_work::Work,
};

use super::lock_owner;
use crate::{
    identity::{
        account::{model::Account, store as accounts},
        config::IdentityConfig,
        deletion::{
            job::EraseData,
            model::{Deletion, Notice, Subject},
            store,
        },
        mails::DeletionScheduled,
        member::{model::Member, store as members},
        role::ops as roles,
        session::ops as session,
        user::{ops as user, store as users},
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};

/// Schedules the deletion of a user or an account, ends the user's sessions, and queues the mails, atomically. The caller has
/// proved the password.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED`, `DELETION_SCHEDULED`, `SOLE_OWNER`, `LAST_ADMIN`, `ACTIVE_CONTRACTS`, `CONFLICT`.
pub async fn request(app: &App, work: &mut Work, subject: Subject) -> Result<Deletion> {
    let grace = TimeDelta::from_std(app.config.section::<IdentityConfig>().deletion_grace).map_err(Error::internal)?;
    let erase_at = work.now() + grace;
    match subject {
        Subject::User(id) => of_user(app, work, id, erase_at).await,
        Subject::Account(id) => of_account(app, work, id, erase_at).await,
    }
}

async fn of_user(app: &App, work: &mut Work, id: UserId, erase_at: DateTime<Utc>) -> Result<Deletion> {
    let (permit, now) = (work.permit()?, work.now());
    let (by, ..) = session::caller(&permit)?;
    if permit.visibility() != Visibility::All && by != id {
        return Err(Error::not_found("user"));
    }
    let connection = work.connection().await?;
    let (owned, user, admins) = lock_owner(connection, id).await?;
    if user.deletion_at.is_some() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    if by != id {
        roles::check_power(connection, &app.contract.policies, permit, &user).await?;
    }
    user::keep_an_admin(&user, admins)?;
    let deletion = Deletion::schedule(Subject::User(id), by, erase_at, now);
    let mut accounts = Vec::new();
    for member in left_alone(connection, &owned).await? {
        let account = accounts::lock(connection, member.account).await?;
        check_contracts(app, connection, account.id).await?;
        accounts.push(account);
    }
    user::begin_epoch_of(connection, &user.clone().schedule_deletion(erase_at, now)).await?;
    begin(connection, &deletion).await?;
    tell(connection, &deletion, id, now).await?;
    for account in accounts {
        let own = Deletion::schedule(Subject::Account(account.id), by, erase_at, now);
        schedule_account(connection, account, Deletion { with: Some(deletion.id), ..own }, now).await?;
    }
    tracing::info!(user = %id, %by, deletion = %deletion.id, "the deletion of a user was scheduled");
    Ok(deletion)
}

/// Returns those of the ownerships of a user who leaves that end their accounts: the user is the only member.
///
/// # Errors
/// `SOLE_OWNER` if an account has other members, but no other owner who stays.
pub(super) async fn left_alone<'m>(connection: &Connection, owned: &'m [Member]) -> Result<Vec<&'m Member>> {
    let mut alone = Vec::new();
    for member in owned {
        let account = accounts::get(connection, Visibility::All, member.account).await?;
        if account.deletion_at.is_some() || members::has_other_owner(connection, member).await? {
            continue;
        }
        if members::has_others(connection, member).await? {
            return Err(Error::from(IdentityReason::SoleOwner).with("account", account.id.to_string()));
        }
        alone.push(member);
    }
    Ok(alone)
}

async fn of_account(app: &App, work: &mut Work, id: AccountId, erase_at: DateTime<Utc>) -> Result<Deletion> {
    let (permit, now) = (work.permit()?, work.now());
    let (by, ..) = session::caller(&permit)?;
    let connection = work.connection().await?;
    let account = accounts::lock(connection, id).await?;
    // Read under the lock, because the ownership may just have been transferred.
    let own = members::find(connection, id, by).await?;
    // A session meets the policy of one account only: the one that it names.
    let is_of_session = matches!(permit.caller(), Caller::User { account: Some(own), .. } if *own == id);
    if permit.visibility() != Visibility::All && !(is_of_session && own.is_some_and(|member| member.is_owner())) {
        return Err(Error::not_found("account"));
    }
    if account.deletion_at.is_some() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    check_contracts(app, connection, id).await?;
    let deletion = Deletion::schedule(Subject::Account(id), by, erase_at, now);
    schedule_account(connection, account, deletion.clone(), now).await?;
    for owner in members::owners(connection, id).await? {
        tell(connection, &deletion, owner, now).await?;
    }
    tracing::info!(account = %id, %by, deletion = %deletion.id, "the deletion of an account was scheduled");
    Ok(deletion)
}

/// Rejects the deletion of an account with rows that prevent it.
pub(super) async fn check_contracts(app: &App, connection: &mut Connection, account: AccountId) -> Result<()> {
    for declaration in Modules::of(app).personal().of(personal::Owner::Account) {
        if declaration.is_blocking(connection, account.0).await? {
            return Err(Error::from(IdentityReason::ActiveContracts).with("table", declaration.table));
        }
    }
    Ok(())
}

async fn schedule_account(
    connection: &mut Connection,
    account: Account,
    deletion: Deletion,
    now: DateTime<Utc>,
) -> Result<()> {
    accounts::update(connection, &account.with_deletion(Some(deletion.erase_at), now)).await?;
    begin(connection, &deletion).await
}

async fn begin(connection: &mut Connection, deletion: &Deletion) -> Result<()> {
    store::insert(connection, deletion).await?;
    queue::enqueue_at(connection, &EraseData { deletion: deletion.id }, deletion.erase_at).await
}

/// Queues the mail to a person about a scheduled deletion.
async fn tell(connection: &mut Connection, deletion: &Deletion, user: UserId, now: DateTime<Utc>) -> Result<()> {
    let notice = Notice::to(&users::get(connection, Visibility::All, user).await?, deletion.id, now);
    store::insert_notice(connection, &notice).await?;
    mail::send::<DeletionScheduled>(connection, notice.id.0, Some(deletion.id.0), now).await
}
