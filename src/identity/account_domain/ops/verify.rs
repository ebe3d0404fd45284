//! Verifies mail domains by their records.

use std::time::Duration;

use super::{
    manage::{check_role, check_staying, lock},
    recheck,
};
use crate::{
    identity::account_domain::{
        dns::{Answer, Dns},
        events::AccountDomainVerified,
        id::AccountDomainId,
        model::{AccountDomain, State},
        store,
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    config::Quota,
    contract::Policies,
    error::{Error, Result},
    events::Event,
    rate_limit::AttemptLimit,
    unit_of_work::Work,
    version::ExpectedVersions,
};

/// The limit of look-ups that the members of an account cause.
const LOOK_UPS: Quota = Quota { requests: 60, window: Duration::from_secs(3600) };

/// Counts a look-up of an account, or of a caller who reaches every account.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub async fn count_look_up(app: &App, permit: &Permit) -> Result<()> {
    let account = permit.user().and_then(|(_, account, _)| account);
    let by = account.map_or(permit.caller().principal(), |account| account.0);
    app.limiter.attempt(&[AttemptLimit::new("domain-look-up", by.as_bytes(), LOOK_UPS)]).await.map(drop)
}

/// Returns the texts of the record of a domain that the caller reaches. Another account that has verified the domain loses it
/// if its record is missing.
///
/// # Errors
/// `NOT_FOUND`; `UNAVAILABLE` if no name server answered.
pub async fn look_up(app: &App, permit: &Permit, id: AccountDomainId) -> Result<Vec<String>> {
    let visibility = permit.visibility();
    let read = app.database.read(async move |connection| store::get(connection, visibility, id).await);
    let domain = read.await?;
    let texts = match app.part::<Dns>().texts(&domain.domain.record_name()).await {
        Answer::Texts(texts) => texts,
        Answer::None(failure) => {
            tracing::info!(%id, failure, "a mail domain was not looked up");
            return Err(Error::unavailable(anyhow::anyhow!("the name servers: {failure}")));
        }
    };
    if domain.is_proved_by(&texts) {
        recheck::end_other(app, &domain, &texts).await?;
    }
    Ok(texts)
}

/// Verifies a domain by the texts of its record.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `PERMISSION_DENIED`, `DOMAIN_NOT_PROVED`, `DELETION_SCHEDULED`; `ALREADY_EXISTS` if another
/// account has verified the domain.
pub async fn verify(
    work: &mut Work,
    policies: &Policies,
    id: AccountDomainId,
    expected: Option<ExpectedVersions>,
    texts: &[String],
) -> Result<AccountDomain> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let (account, domain) = lock(connection, &permit, id, expected.as_ref()).await?;
    check_staying(&account)?;
    check_role(connection, policies, &permit, domain.account, domain.member_role()).await?;
    if !domain.is_proved_by(texts) {
        return Err(IdentityReason::DomainNotProved.into());
    }
    let verified = domain.clone().found(now);
    store::update(connection, &verified).await?;
    work.before(&domain);
    if domain.state != State::Verified {
        work.publish(Event::of::<AccountDomainVerified>(verified.account, verified.id.0, verified.version));
        tracing::info!(account = %verified.account, domain = %verified.id, "a mail domain was verified");
    }
    Ok(verified)
}
