//! Accepts invitations.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::{
    identity::{
        account::store as accounts,
        account_domain::store as account_domains,
        auth::{networks::KnownNetworks, ops as auth, password::Password},
        credential::model as token,
        invitation::{
            model::{Invitation, Preview},
            store,
        },
        member::{
            model::{Member, MemberDetails, MemberRole},
            ops::{may_invite, with_person},
            store as members,
        },
        passwords::Passwords,
        session::ops as session,
        user::{
            model::{Language, Role, User},
            store as users,
        },
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::Visibility,
    contract::Policies,
    database::Connection,
    error::{Error, Reason, Result},
    id::UserId,
    unit_of_work::Work,
};

/// A user to be created.
#[derive(Debug, Clone)]
pub struct NewMember {
    pub password: SecretString,
    pub name: String,
    /// The language of mail; that of the user who invites if absent.
    pub language: Option<Language>,
}

/// Returns what an invitation offers. The token stays valid.
///
/// # Errors
/// `INVALID_TOKEN` if the token is unknown or expired, or its invitation was accepted or revoked.
pub async fn preview(app: &App, token: &str) -> Result<Preview> {
    let (hash, now, policies) = (token::hash(token), app.clock.now(), &app.contract.policies);
    let read = async move |connection: &mut Connection| {
        let invitation = store::by_token(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        let inviter_name = check_inviter(connection, policies, &invitation).await?.name;
        let account_name = accounts::get(connection, Visibility::All, invitation.account).await?.name;
        let is_registered = users::by_email(connection, &invitation.email).await?.is_some();
        Ok(Preview { invitation, account_name, inviter_name, is_registered })
    };
    app.database.autocommit(read).await
}

/// Checks that the user who invites may still do so: the authority may have ended since, with the membership, the role, a scope
/// of the role, or the user. Returns the user.
async fn check_inviter(connection: &Connection, policies: &Policies, invitation: &Invitation) -> Result<User> {
    let inviter = users::get(connection, Visibility::All, invitation.invited_by).await?;
    let (account, role) = (invitation.account, invitation.role);
    if may_invite(connection, policies, account, &inviter, role).await? {
        return Ok(inviter);
    }
    Err(Reason::InvalidToken.into())
}

/// Returns the invitation of a token, with its account locked. It is read again under the lock, because a concurrent request
/// may have accepted it.
async fn lock(connection: &Connection, hash: [u8; 32], now: DateTime<Utc>) -> Result<Invitation> {
    let invitation = store::by_token(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
    if accounts::lock(connection, invitation.account).await?.deletion_at.is_some() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    Ok(store::by_token(connection, hash, now).await?.ok_or(Reason::InvalidToken)?)
}

/// Makes a user a member, and consumes the invitation.
async fn join(
    connection: &Connection,
    policies: &Policies,
    invitation: &Invitation,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<MemberDetails> {
    check_inviter(connection, policies, invitation).await?;
    // The lock serializes with a deletion of the user, which reads what the user owns.
    let is_owner = invitation.role == MemberRole::OWNER;
    if is_owner && !users::lock(connection, Visibility::All, user).await?.is_staying() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    let member = Member::new(invitation.account, user, invitation.role, now);
    members::insert(connection, &member).await?;
    account_domains::readmit(connection, invitation.account, user).await?;
    store::delete(connection, invitation.id).await?;
    tracing::info!(account = %invitation.account, %user, by = %invitation.invited_by, "an invitation was accepted");
    with_person(connection, member).await
}

/// Makes the calling user a member of the account of an invitation to the user's address.
///
/// # Errors
/// `INVALID_TOKEN` if the token is unknown or expired, or its invitation was accepted or revoked;
/// `INVITATION_FOR_ANOTHER_ADDRESS`; `ALREADY_EXISTS` if the user is a member.
pub async fn accept(work: &mut Work, policies: &Policies, token: &str) -> Result<MemberDetails> {
    let ((id, ..), hash, now) = (session::caller(&work.permit()?)?, token::hash(token), work.now());
    let connection = work.connection().await?;
    let invitation = lock(connection, hash, now).await?;
    let user = users::get(connection, Visibility::All, id).await?;
    if user.email != invitation.email {
        let message = "The invitation is for another e-mail address. Sign in with that address, or ask for an invitation of \
                       yours.";
        return Err(Error::with_message(IdentityReason::InvitationForAnotherAddress, message));
    }
    let details = join(connection, policies, &invitation, id, now).await?;
    work.audit(Record::created(&details.member));
    Ok(details)
}

/// Makes the user who has the invited address a member, with the password instead of a session, for a page without one.
///
/// # Errors
/// `INVALID_TOKEN` and `ALREADY_EXISTS` as [`accept`]; those of [`auth::authenticate`].
pub async fn accept_with_password(
    app: &App,
    token: &str,
    password: SecretString,
    from: IpAddr,
) -> Result<MemberDetails> {
    let (hash, now, policies) = (token::hash(token), app.clock.now(), &app.contract.policies);
    let find = async move |connection: &mut Connection| store::by_token(connection, hash, now).await;
    let email = app.database.autocommit(find).await?.ok_or(Reason::InvalidToken)?.email;
    let (user, _) = auth::authenticate(app, &email, password, from, None).await?;
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let invitation = lock(connection, hash, now).await?;
        let details = join(connection, policies, &invitation, user.id, now).await?;
        work.audit(Record::created(&details.member).by(user.id, user.role != Role::Customer));
        Ok(details)
    });
    transaction.await
}

/// Creates a customer with the invited address, who becomes a member of the account, atomically. The policy on
/// registrations does not apply, because a member vouches for the address.
///
/// # Errors
/// `INVALID_TOKEN` as [`accept`]; `ALREADY_EXISTS` if a user has the address; `VALIDATION_FAILED` for a password that is
/// common or like the user's address or name; `OVERLOADED`.
pub async fn accept_as_new_user(app: &App, token: &str, new: NewMember, from: IpAddr) -> Result<MemberDetails> {
    let (hash, now, policies) = (token::hash(token), app.clock.now(), &app.contract.policies);
    let NewMember { password, name, language } = new;
    let password = Password::choose(password)?;
    // As with a registration, callers without a valid token cause no hashing.
    let find = async move |connection: &mut Connection| {
        let invitation = store::by_token(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        let inviter = users::get(connection, Visibility::All, invitation.invited_by).await?;
        Ok::<_, Error>((invitation.email, inviter.language))
    };
    let (email, of_inviter) = app.database.autocommit(find).await?;
    let password_hash = app.part::<Passwords>().hash(password, &email, &name).await?;
    let user = User { language: language.unwrap_or(of_inviter), ..User::new(email, name, Role::Customer, now) };
    let new = user.clone();
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let invitation = lock(connection, hash, now).await?;
        users::insert_confirmed(connection, &new, &password_hash).await?;
        let details = join(connection, policies, &invitation, new.id, now).await?;
        work.audit(Record::created(&new).by(new.id, false).in_account(Some(invitation.account)));
        Ok(details)
    });
    let member = transaction.await?;
    app.part::<KnownNetworks>().remember(&user.email, from).await;
    Ok(member)
}
