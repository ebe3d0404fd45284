//! Sends, resends and revokes invitations.

use std::time::Duration;

use crate::{
    identity::{
        account::store as accounts,
        invitation::{
            id::InvitationId,
            model::{Draft, Invitation, MAX_OPEN},
            store,
        },
        mails,
        member::{ops::check_grant, store as members},
        session::ops as session,
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::Permit,
    config::Quota,
    contract::Policies,
    database::Connection,
    error::{Error, Reason, Result},
    id::{self as ids, AccountId},
    rate_limit::AttemptLimit,
    unit_of_work::Work,
    version::ExpectedVersions,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The limit of invitation mails of one account.
const OF_ACCOUNT: Quota = Quota { requests: 200, window: DAY };
/// The limit of invitation mails of one person, who may have several accounts.
const OF_PERSON: Quota = Quota { requests: 50, window: DAY };

/// Counts a mail of a person and of the account of the session, before the transaction, because the count is in Redis.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if the mail can't be counted.
pub async fn count_mail(app: &App, permit: &Permit) -> Result<()> {
    let person = AttemptLimit::new("invitation-person", permit.caller().principal().as_bytes(), OF_PERSON);
    let account = permit.user().and_then(|(_, account, _)| account);
    let account = account.map(|AccountId(id)| AttemptLimit::new("invitation-account", id.as_bytes(), OF_ACCOUNT));
    let limits: Vec<_> = std::iter::once(person).chain(account).collect();
    app.limiter.attempt(&limits).await.map(drop)
}

/// Invites an address to an account, and queues the mail.
///
/// # Errors
/// `VALIDATION_FAILED` if no account is named or known; `NOT_FOUND` for another account; `PERMISSION_DENIED` if the caller
/// lacks a scope of the role; `ALREADY_EXISTS` if the address is invited, or is that of a member;
/// `INVITATION_LIMIT_REACHED`, `DELETION_SCHEDULED`.
pub async fn create(work: &mut Work, policies: &Policies, draft: Draft) -> Result<Invitation> {
    let (permit, now) = (work.permit()?, work.now());
    let ((inviter, ..), account) = (session::caller(&permit)?, permit.account(draft.account)?);
    let connection = work.connection().await?;
    if accounts::lock(connection, account).await?.deletion_at.is_some() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    check_grant(connection, &permit, policies, account, draft.role, now).await?;
    if members::has_address(connection, account, draft.email.as_str()).await? {
        return Err(Error::with_message(Reason::AlreadyExists, "A member of the account has the address."));
    }
    let invitation = Invitation::new(account, draft, inviter, now);
    store::insert(connection, &invitation).await?;
    if store::count_open(connection, account, now).await? > MAX_OPEN {
        let message = format!("The account has {MAX_OPEN} open invitations.");
        return Err(Error::with_message(IdentityReason::InvitationLimitReached, message));
    }
    mail::send::<mails::Invitation>(connection, ids::new(now), Some(invitation.id.0), now).await?;
    Ok(invitation)
}

/// Locks the account and then the invitation, as an acceptance does.
async fn lock(
    connection: &Connection,
    permit: &Permit,
    id: InvitationId,
    expected: Option<&ExpectedVersions>,
) -> Result<Invitation> {
    let account = store::get(connection, permit.visibility(), id).await?.account;
    accounts::lock(connection, account).await?;
    let invitation = store::lock(connection, id).await?;
    ExpectedVersions::check(expected, invitation.version)?;
    Ok(invitation)
}

/// Queues another mail of an invitation, which can then be accepted for another 7 days. The token is the same, because it is
/// derived from the id.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`; `PERMISSION_DENIED` if the caller lacks a scope of the role.
pub async fn resend(
    work: &mut Work,
    policies: &Policies,
    id: InvitationId,
    expected: Option<ExpectedVersions>,
) -> Result<Invitation> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let invitation = lock(connection, &permit, id, expected.as_ref()).await?;
    check_grant(connection, &permit, policies, invitation.account, invitation.role, now).await?;
    let before = invitation.clone();
    let invitation = invitation.resend(now);
    store::update(connection, &invitation).await?;
    mail::send::<mails::Invitation>(connection, ids::new(now), Some(invitation.id.0), now).await?;
    work.before(&before);
    Ok(invitation)
}

/// Revokes an invitation.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn revoke(work: &mut Work, id: InvitationId, expected: Option<ExpectedVersions>) -> Result<()> {
    let permit = work.permit()?;
    let connection = work.connection().await?;
    let invitation = lock(connection, &permit, id, expected.as_ref()).await?;
    store::delete(connection, invitation.id).await?;
    work.audit(Record::deleted(&invitation));
    Ok(())
}
