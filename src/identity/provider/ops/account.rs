//! Sign-in with the provider of an account: it speaks for the mail domains alone that the account has proved, and opens this
//! account alone.

use secrecy::SecretString;

use super::{Browser, may_link, proof_of, taken};
use crate::{
    identity::{
        account::{model::Account, store as accounts},
        account_domain::ops as account_domain,
        account_provider::{
            id::AccountProviderId, model::AccountProvider, ops as account_provider, store as providers,
        },
        auth::{
            networks::KnownNetworks,
            ops::{self as auth, Proved, SignedIn},
        },
        linked_identity::ops as identities,
        member::{
            model::{Member, MemberRole},
            ops as member, store as members,
        },
        provider::model::Person,
        registration::ops::{self as registration, Profile},
        revocation::store as revocation,
        tokens::Tokens,
        user::{
            model::{self as user, EmailAddress, Role, User},
            store as users,
        },
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App, audit::Record, caller::Visibility, database::Connection, error::Result, unit_of_work::Work,
};

/// Signs in the user of a person, who becomes a member of the account: the linked one, or the customer with the address, or a new
/// customer. The role is that of the groups of the person, except for owners.
///
/// # Errors
/// `ADDRESS_OF_ANOTHER_DOMAIN`; `ALREADY_EXISTS` if the staff has the address; `USER_DEACTIVATED`; `NO_ACCOUNT_TO_JOIN` for a
/// person who was removed from the account; `REGISTRATION_CLOSED`; `NOT_FOUND` if the provider was deleted meanwhile.
pub(super) async fn sign_in(
    app: &App,
    provider: AccountProvider,
    person: Person,
    browser: Browser,
    device_token: Option<SecretString>,
) -> Result<SignedIn> {
    let (proof, id, account) = (proof_of(app, &person), provider.id, provider.account);
    let email = address(&person)?;
    account_domain::renew(app, &email).await?;
    let stated = email.clone();
    let admitted = app.database.transaction(async move |work: &mut Work| admit(work, app, id, stated, person).await);
    let user = match admitted.await {
        Err(error) if !error.is_unavailable() => {
            auth::refused(app, &email, None, browser.from).await?;
            return Err(error);
        }
        admitted => admitted?,
    };
    // The role may be another one.
    app.part::<Tokens>().invalidate_user(user.id);
    let is_known = app.part::<KnownNetworks>().contains(&user.email, browser.from).await;
    let device = auth::known_device(app, &user.email, device_token.as_ref());
    let proved = Proved { user, is_known, device, proof, remembered: None, provider: Some(id) };
    auth::finish(app, proved, browser.device, Some(account), browser.from).await
}

/// Returns the address that a provider states. It assigns the addresses of its domains, so that it need not say that it has
/// verified one.
fn address(person: &Person) -> Result<EmailAddress> {
    let email = person.email.as_deref().filter(|_| person.is_verified != Some(false));
    let email = email.and_then(|email| EmailAddress::parse(email).ok());
    email.ok_or_else(|| IdentityReason::AddressOfAnotherDomain.into())
}

/// Returns the user of a person, with the membership that the provider gives.
async fn admit(work: &mut Work, app: &App, id: AccountProviderId, email: EmailAddress, person: Person) -> Result<User> {
    let now = work.now();
    let connection = work.connection().await?;
    let account = providers::get(connection, Visibility::All, id).await?.account;
    // The lock is taken before those on members and users. Under it, the provider and the domain are the present ones.
    let account = accounts::lock(connection, account).await?;
    let provider = providers::get(connection, Visibility::All, id).await?;
    let domain = account_domain::verified(connection, &email).await?;
    let domain = domain.filter(|domain| domain.account == account.id);
    let domain = domain.ok_or(IdentityReason::AddressOfAnotherDomain)?;
    let role = account_provider::role_of(connection, &provider, &person.groups).await?;
    let user = match users::by_identity(connection, &person).await? {
        Some(user) => users::lock(connection, Visibility::All, user.id).await?,
        // An outage of the name servers stops new people only.
        None if !domain.is_recent(now) => return Err(IdentityReason::AddressOfAnotherDomain.into()),
        None => match users::by_email(work.connection().await?, &email).await? {
            Some((user, _)) => link(work, user, &email, &person).await?,
            None => register(work, app, &account, email.clone(), role, person).await?,
        },
    };
    if user.role != Role::Customer {
        return Err(taken());
    }
    if !user.is_active() {
        return Err(IdentityReason::UserDeactivated.into());
    }
    give_role(work, app, &account, &user, &email, role).await?;
    Ok(user)
}

/// Links a person to the customer who has the address.
async fn link(work: &mut Work, user: User, email: &EmailAddress, person: &Person) -> Result<User> {
    // The customer may have joined the staff, or changed the address, since the address was looked up.
    let user = users::lock(work.connection().await?, Visibility::All, user.id).await?;
    if !may_link(&user, email) {
        return Err(taken());
    }
    identities::link(work, user.id, person).await?;
    tracing::info!(user = %user.id, issuer = person.issuer, "an identity of an account's provider was linked by its address");
    Ok(user)
}

/// Checks that a person may become a member.
async fn check_joining(
    connection: &Connection,
    account: &Account,
    user: Option<&User>,
    email: &EmailAddress,
) -> Result<()> {
    let user = user.map(|user| user.id);
    if account.deletion_at.is_some() || account_domain::is_excluded(connection, account.id, user, email).await? {
        return Err(IdentityReason::NoAccountToJoin.into());
    }
    Ok(())
}

/// Creates a customer without a password for a person, as a member of the account.
async fn register(
    work: &mut Work,
    app: &App,
    account: &Account,
    email: EmailAddress,
    role: MemberRole,
    person: Person,
) -> Result<User> {
    registration::admit(app, &email)?;
    let now = work.now();
    let connection = work.connection().await?;
    check_joining(connection, account, None, &email).await?;
    let profile = Profile::new(email.clone(), user::name_of(person.name.as_deref(), &email), Role::Customer);
    let registered = registration::register_in(connection, profile, account.id, role, now).await?;
    identities::insert(work, registered.user.id, &person).await?;
    work.audit(registered.record().with("issuer", person.issuer.as_str()));
    tracing::info!(user = %registered.user.id, account = %account.id, "a user registered with the provider of an account");
    Ok(registered.user)
}

/// Gives a user the role in the account. An owner keeps the role: the provider neither gives nor takes the ownership.
async fn give_role(
    work: &mut Work,
    app: &App,
    account: &Account,
    user: &User,
    email: &EmailAddress,
    role: MemberRole,
) -> Result<()> {
    let now = work.now();
    let connection = work.connection().await?;
    let Some(before) = members::find(connection, account.id, user.id).await? else {
        check_joining(connection, account, Some(user), email).await?;
        let member = Member::new(account.id, user.id, role, now);
        members::insert(connection, &member).await?;
        work.audit(Record::created(&member).by(user.id, false));
        return Ok(());
    };
    if before.is_owner() || before.role == role {
        return Ok(());
    }
    let member = before.clone().in_role(role, now);
    members::update(connection, &member).await?;
    revocation::begin_version(connection, member.current()).await?;
    member::void_excessive(connection, &app.contract.policies, &member).await?;
    work.audit(Record::updated(&before, &member).by(user.id, false));
    tracing::info!(account = %account.id, user = %user.id, "the provider of an account changed the role of a member");
    Ok(())
}
