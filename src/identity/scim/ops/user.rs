//! People whom the identity provider of an account provisions.

use chrono::{DateTime, Utc};

use super::{
    Outdated, account_of, lock, lock_open,
    role::{Mapping, usual},
};
use crate::{
    identity::{
        account_domain::{ops as domains, store as account_domains},
        member::{
            model::{Member, MemberRole},
            ops::deprovision,
            store as members,
        },
        registration::ops::no_password,
        scim::{
            model::{Person, Provisioned, Slice, UserFilter, UserPatch, invalid},
            store,
        },
        user::{
            model::{EmailAddress, Patch, Role, User},
            store as users,
        },
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::{Permit, Visibility},
    contract::Policies,
    database::{Connection, Reach},
    error::{Error, Reason, Result},
    id::{AccountId, UserId},
    unit_of_work::Work,
    version::ExpectedVersions,
};

/// Returns a part of the people of the account whom a filter selects, and their number.
///
/// # Errors
/// `PERMISSION_DENIED` unless the caller is a service key of an account.
pub async fn list_users(
    connection: &Connection,
    permit: &Permit,
    filter: &UserFilter,
    slice: Slice,
) -> Result<(Vec<Person>, i64)> {
    let account = account_of(permit)?;
    let total = store::total(connection, account, filter).await?;
    Ok((store::list(connection, account, filter, slice).await?, total))
}

/// Returns a person of the account.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`list_users`]; `NOT_FOUND`.
pub async fn get_user(connection: &Connection, permit: &Permit, id: UserId) -> Result<Person> {
    find(connection, account_of(permit)?, id).await
}

async fn find(connection: &Connection, account: AccountId, id: UserId) -> Result<Person> {
    store::find(connection, account, id).await?.ok_or_else(|| Error::not_found("user"))
}

/// Looks up the mail domain of an address before it is provisioned, unless its record was found within a day.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`list_users`]; `UNAVAILABLE` if Postgres is unreachable.
pub async fn renew(app: &App, permit: &Permit, email: &EmailAddress) -> Result<()> {
    account_of(permit)?;
    domains::renew(app, email).await
}

/// Looks up the mail domain of a person before a change that depends on it, as [`renew`].
///
/// # Errors
/// As for [`renew`]; `NOT_FOUND`.
pub async fn renew_of(app: &App, permit: &Permit, id: UserId) -> Result<()> {
    let reach = Reach::of(permit);
    let person = app.database.query(reach, async |connection: &Connection| get_user(connection, permit, id).await);
    renew(app, permit, &EmailAddress::find(&person.await?.email)?).await
}

/// Provisions a person: makes the person who has the address a member, or else creates the person without a password.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`list_users`]; `ADDRESS_OUTSIDE_DOMAINS`; `ALREADY_EXISTS` for a person of the account;
/// `MALFORMED_REQUEST` without an address; `DELETION_SCHEDULED` of the account.
pub async fn create_user(work: &mut Work, new: UserPatch) -> Result<Person> {
    let (permit, now) = (work.permit()?, work.now());
    let email = new.email.ok_or_else(|| invalid("invalidValue", "userName is required."))?;
    let connection = work.connection().await?;
    let account = lock_open(connection, &permit).await?;
    let role = joining(connection, account, &email, now).await?;
    let mut records = Vec::new();
    let user = match users::by_email(connection, &email).await? {
        Some((user, _)) if store::find(connection, account, user.id).await?.is_some() => return Err(taken()),
        Some((user, _)) => user.id,
        None => {
            let name = new.name.unwrap_or_else(|| local_part(&email));
            let user = User::new(email.clone(), name, Role::Customer, now);
            // No mail has reached the address yet.
            users::insert(connection, &user, &no_password()).await.map_err(as_taken)?;
            users::forget_password(connection, user.id).await?;
            records.push(Record::created(&user).in_account(Some(account)));
            user.id
        }
    };
    let is_active = new.is_active.unwrap_or(true);
    let known = Provisioned { external_id: new.external_id.flatten(), role: Some(role).filter(|_| !is_active) };
    store::upsert(connection, account, user, &known, 1, now).await?;
    if is_active {
        records.push(Record::created(&join(connection, account, user, role, now).await?));
    }
    let person = find(connection, account, user).await?;
    tracing::info!(%account, %user, by = %permit.caller().principal(), "SCIM provisioned a person");
    records.into_iter().for_each(|record| work.audit(record));
    Ok(person)
}

fn taken() -> Error {
    Error::with_message(Reason::AlreadyExists, "A user of the account has this userName.")
        .with("scimType", "uniqueness")
}

/// Reports an address that another request has registered meanwhile.
fn as_taken(error: Error) -> Error {
    if error.reason() == Reason::AlreadyExists { error.with("scimType", "uniqueness") } else { error }
}

fn local_part(email: &EmailAddress) -> String {
    email.as_str().split('@').next().unwrap_or_default().to_owned()
}

/// Returns the role of a person who joins by the mail domain of an address.
async fn joining(
    connection: &Connection,
    account: AccountId,
    email: &EmailAddress,
    now: DateTime<Utc>,
) -> Result<MemberRole> {
    let domain = account_domains::verified(connection, email.domain()).await?;
    let domain = domain.filter(|domain| domain.account == account && domain.is_recent(now));
    domain.map(|domain| domain.member_role()).ok_or_else(|| IdentityReason::AddressOutsideDomains.into())
}

/// Makes a person a member. A person whom another member has removed is admitted again.
async fn join(
    connection: &Connection,
    account: AccountId,
    user: UserId,
    role: MemberRole,
    now: DateTime<Utc>,
) -> Result<Member> {
    let member = Member::new(account, user, role, now);
    members::insert(connection, &member).await?;
    account_domains::readmit(connection, account, user).await?;
    Ok(member)
}

/// Changes a person of the account: suspends or restores the membership, and stores what the provider knows. The name is that
/// of the person, and changes only if the account has proved the domain of the address and the person is no staff.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`list_users`]; `NOT_FOUND`, `ETAG_MISMATCH`, `LAST_OWNER`; `MALFORMED_REQUEST` for another
/// address; `ADDRESS_OUTSIDE_DOMAINS` for a person who would join again, and `DELETION_SCHEDULED` of the account.
pub async fn update_user(
    work: &mut Work,
    policies: &Policies,
    id: UserId,
    expected: Option<ExpectedVersions>,
    patch: UserPatch,
    outdated: &mut Outdated,
) -> Result<Person> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let account = match patch.is_active {
        Some(true) => lock_open(connection, &permit).await?,
        _ => lock(connection, &permit).await?,
    };
    let person = find(connection, account, id).await?;
    ExpectedVersions::check(expected.as_ref(), person.version)?;
    if patch.email.is_some_and(|email| email.as_str() != person.email) {
        return Err(invalid("mutability", "userName is the address of the person, who changes it by a mail to it."));
    }
    let mut records = Vec::new();
    let known = store::provisioned(connection, account, id).await?;
    let mut next = known.clone().unwrap_or_default();
    if let Some(external_id) = patch.external_id {
        next.external_id = external_id;
    }
    let mut step = 1;
    match (members::find(connection, account, id).await?, patch.is_active) {
        (Some(member), Some(false)) => {
            let member = members::lock(connection, member.id).await?;
            next.role = Some(suspended(&member));
            step += member.version;
            deprovision(connection, &member).await?;
            outdated.ended.push((id, member.id));
            records.push(Record::deleted(&member));
            tracing::info!(%account, user = %id, by = %permit.caller().principal(), "SCIM suspended a person");
        }
        (None, Some(true)) => {
            let role = restored(connection, policies, account, &person, next.role, now).await?;
            next.role = None;
            records.push(Record::created(&join(connection, account, id, role, now).await?));
            tracing::info!(%account, user = %id, by = %permit.caller().principal(), "SCIM restored a person");
        }
        _ => {}
    }
    if known.as_ref() != Some(&next) || !records.is_empty() {
        store::upsert(connection, account, id, &next, step, now).await?;
    }
    if let Some(name) = patch.name.filter(|name| *name != person.name) {
        records.extend(rename(connection, account, &person, name, now).await?);
    }
    let person = find(connection, account, id).await?;
    records.into_iter().for_each(|record| work.audit(record));
    Ok(person)
}

/// Returns the role that a suspended membership has when it is restored. That of an owner takes an owner to give.
fn suspended(member: &Member) -> MemberRole {
    if member.is_owner() { MemberRole::ADMIN } else { member.role }
}

/// Returns the role of a person who becomes a member again.
async fn restored(
    connection: &Connection,
    policies: &Policies,
    account: AccountId,
    person: &Person,
    role: Option<MemberRole>,
    now: DateTime<Utc>,
) -> Result<MemberRole> {
    if let Some(role) = role {
        return Ok(role);
    }
    // Another member has ended the membership, which begins anew.
    joining(connection, account, &EmailAddress::find(&person.email)?, now).await?;
    let roles = Mapping::read(connection, policies, account).await?;
    match roles.of_users(connection, account, &[person.user]).await?.remove(&person.user) {
        Some(role) => Ok(role),
        None => usual(connection, account, &person.email).await,
    }
}

async fn rename(
    connection: &Connection,
    account: AccountId,
    person: &Person,
    name: String,
    now: DateTime<Utc>,
) -> Result<Option<Record>> {
    let is_own = joining(connection, account, &EmailAddress::find(&person.email)?, now).await.is_ok();
    let user = users::lock(connection, Visibility::All, person.user).await?;
    if !is_own || user.role != Role::Customer {
        return Ok(None);
    }
    let renamed = user.clone().apply(Patch { name: Some(name), language: None }, now);
    users::update(connection, &renamed).await?;
    Ok(Some(Record::updated(&user, &renamed).in_account(Some(account))))
}

/// Ends the membership of a person, and forgets what the provider knows.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`list_users`]; `NOT_FOUND`, `ETAG_MISMATCH`, `LAST_OWNER`.
pub async fn delete_user(
    work: &mut Work,
    id: UserId,
    expected: Option<ExpectedVersions>,
    outdated: &mut Outdated,
) -> Result<()> {
    let permit = work.permit()?;
    let connection = work.connection().await?;
    let account = lock(connection, &permit).await?;
    let person = find(connection, account, id).await?;
    ExpectedVersions::check(expected.as_ref(), person.version)?;
    let mut record = None;
    if let Some(member) = members::find(connection, account, id).await? {
        let member = members::lock(connection, member.id).await?;
        deprovision(connection, &member).await?;
        outdated.ended.push((id, member.id));
        record = Some(Record::deleted(&member));
    }
    store::delete(connection, account, id).await?;
    tracing::info!(%account, user = %id, by = %permit.caller().principal(), "SCIM removed a person");
    record.into_iter().for_each(|record| work.audit(record));
    Ok(())
}
