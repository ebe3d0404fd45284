//! Impersonations: started and ended by staff. Staff is never impersonated, so that no impersonation starts another one.

use chrono::TimeDelta;
use secrecy::SecretString;

use crate::{
    identity::{
        config::IdentityConfig,
        impersonation::{
            id::ImpersonationId,
            model::{Draft, Impersonation},
            store,
        },
        mails,
        member::{model::Member, store as members},
        revocation::ops as revocation,
        role::{model::Granted, ops as roles},
        session::{
            model::{Device, Session, SessionLife},
            ops as session,
        },
        tokens::{Impersonator, Tokens},
        user::{
            model::{Role, User},
            store as users,
        },
    },
    mail::ops as mail,
};
use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    database::Connection,
    error::{Error, Reason, Result},
    id::{SessionId, UserId},
    page::{Listed, Page},
    unit_of_work::Work,
};

/// The scope for impersonations.
const IMPERSONATE: &str = "identity.users.impersonate";
/// The scope for impersonations that change something.
const WRITE: &str = "identity.users.impersonate_write";

/// Starts an impersonation; returns it with its access token.
///
/// # Errors
/// `PERMISSION_DENIED` for a user of the staff, and without the scope; `NOT_FOUND` for a user who is not active or not a
/// member of the account; `UNAVAILABLE` if no key signs access tokens.
pub async fn start(app: &App, work: &mut Work, draft: Draft) -> Result<(Impersonation, SecretString)> {
    let (permit, now) = (work.permit()?, work.now());
    let (staff, _, session) = session::caller(&permit)?;
    let connection = work.connection().await?;
    let permit = roles::present(connection, &app.contract.policies, permit, IMPERSONATE).await?;
    if draft.allows_writes {
        permit.check_scope(WRITE)?;
    }
    let by = impersonator(connection, (staff, session), draft.allows_writes).await?;
    let (user, member) = target(connection, &draft).await?;
    let granted = roles::granted_in(connection, member.role.assigned()).await?;
    // The impersonation ends no later than the session of the staff.
    let end = session::end_of(connection, staff, session).await?;
    let draft = Draft { life: draft.life.min(end - now), ..draft };
    let impersonation = Impersonation::start(staff, draft, now);
    store::insert(connection, &impersonation).await?;
    if app.config.section::<IdentityConfig>().impersonation_mail {
        mail::send::<mails::Impersonation>(connection, impersonation.id.0, Some(user.id.0), now).await?;
    }
    let life = SessionLife { unused: TimeDelta::hours(1), whole: TimeDelta::hours(1) };
    let begun = Session::begin(user.id, user.epoch.number, Device::default(), now, life);
    let of_token = Session { id: SessionId(impersonation.id.0), ..begun };
    let token =
        app.part::<Tokens>().impersonate(&user, &member, &granted, (&of_token, impersonation.expires_at), by)?;
    let token = token.ok_or_else(|| Error::unavailable(anyhow::anyhow!("no key signs access tokens")))?;
    tracing::info!(user = %user.id, impersonator = %staff, "an impersonation was started");
    Ok((impersonation, token))
}

/// Returns the calling staff, with what the access token depends on.
async fn impersonator(
    connection: &Connection,
    (user, session): (UserId, SessionId),
    allows_writes: bool,
) -> Result<Impersonator> {
    let staff = users::get(connection, Visibility::All, user).await?;
    let role = match roles::granted_in(connection, roles::of_staff(&staff)).await? {
        Granted::Custom { id, version, .. } => Some((id, version)),
        Granted::BuiltIn(_) | Granted::Nothing | Granted::UntilSecondFactor => None,
    };
    Ok(Impersonator { user, session, epoch: staff.epoch.number, role, allows_writes })
}

/// Returns the user, who is not of the staff, and the membership.
async fn target(connection: &Connection, draft: &Draft) -> Result<(User, Member)> {
    let user = users::get(connection, Visibility::All, draft.user).await?;
    if user.role != Role::Customer {
        return Err(Error::with_message(Reason::PermissionDenied, "Staff is not impersonated."));
    }
    if !user.is_staying() {
        return Err(Error::not_found("user"));
    }
    let member = members::find(connection, draft.account, user.id).await?;
    Ok((user, member.ok_or_else(|| Error::not_found("account"))?))
}

/// Returns a page of the impersonations that last, plus one more if another page follows, and the total unless paging by key.
pub async fn list(app: &App, connection: &Connection, _: Permit, page: Page) -> Result<Listed<Impersonation>> {
    let now = app.clock.now();
    store::list(connection, now, page).await
}

/// Ends an impersonation, and revokes its access token; the first end stays.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn end(work: &mut Work, id: ImpersonationId) -> Result<Impersonation> {
    work.permit()?;
    let now = work.now();
    let impersonation = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    work.before(&impersonation);
    if impersonation.ended_at.is_some() {
        return Ok(impersonation);
    }
    let ended = Impersonation { ended_at: Some(now), ..impersonation };
    let connection = work.connection().await?;
    store::end(connection, id, now).await?;
    revocation::revoke_session(connection, SessionId(id.0)).await?;
    Ok(ended)
}
