//! People join the account that has verified the domain of their address.

use chrono::TimeDelta;

use super::joining::joining;
use crate::{
    identity::{
        member::{
            model::{Member, MemberDetails},
            ops::with_person,
            store as members,
        },
        session::ops as session,
        user::store as users,
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{audit::Record, caller::Visibility, error::Result, unit_of_work::Work};

/// How recently the address must have been confirmed: a person who has left the company has no mailbox there any more.
const CONFIRMED_WITHIN: TimeDelta = TimeDelta::days(1);

/// Makes the calling user a member of the account that has verified the domain of the user's address.
///
/// # Errors
/// `NO_ACCOUNT_TO_JOIN`, also for an address or a domain that was not confirmed within a day; `ALREADY_EXISTS` if the user is a member.
pub async fn join(work: &mut Work) -> Result<MemberDetails> {
    let ((id, ..), now) = (session::caller(&work.permit()?)?, work.now());
    let connection = work.connection().await?;
    let user = users::get(connection, Visibility::All, id).await?;
    let since = now - CONFIRMED_WITHIN;
    if !users::has_confirmed_email_since(connection, id, since).await? {
        return Err(IdentityReason::NoAccountToJoin.into());
    }
    let domain = joining(connection, &user.email, Some(id), now).await?.ok_or(IdentityReason::NoAccountToJoin)?;
    let member = Member::new(domain.account, id, domain.member_role(), now);
    members::insert(connection, &member).await?;
    tracing::info!(account = %member.account, user = %id, domain = %domain.id, "a user joined an account by its mail domain");
    let details = with_person(connection, member).await?;
    work.audit(Record::created(&details.member));
    Ok(details)
}
