//! Looks up verified domains again, when they are due and before a person joins, and ends those without their record.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

use crate::{
    identity::{
        account_domain::{
            dns::{Answer, Dns},
            events::AccountDomainLapsed,
            model::{AccountDomain, State},
            store,
        },
        mails::DomainLapsed,
        member::store as members,
        user::{model::EmailAddress, store as users},
    },
    mail::ops as mail,
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::{Permit, Visibility},
    config::Quota,
    context::{Context, Origin},
    database::Connection,
    error::{Reason, Result},
    events::Event,
    id,
    rate_limit::AttemptLimit,
    unit_of_work::Work,
};

/// The name of the task in the audit log, as the schedule writes it. The end of a domain in favor of another account has it
/// as well: the account must not see the person, the address and the program of the other one.
const TASK: &str = "task check_account_domains";

/// The look-ups of a domain by people who join while its record is missing.
const RENEWALS: Quota = Quota { requests: 10, window: Duration::from_secs(3600) };

/// The longest wait of a person who joins for a look-up: a call has 2 s.
const RENEWAL_WAIT: Duration = Duration::from_secs(1);

/// The most domains of one run, which are looked up within its time limit.
const BATCH: i64 = 80;
/// The concurrent look-ups of a run.
const CONCURRENT: usize = 16;

/// Looks up the verified domains that are due. Returns their number.
pub(crate) async fn check_due(app: &App) -> Result<usize> {
    let now = app.clock.now();
    let due = app.database.autocommit(async move |connection| store::due(connection, now, BATCH).await).await?;
    for domains in due.chunks(CONCURRENT) {
        try_join_all(domains.iter().map(|domain| check(app, domain))).await?;
    }
    Ok(due.len())
}

/// Looks up the domain of an address before a person joins by it, unless its record was found within a day. Without the
/// record, or without an answer, the person does not join, and the scheduled look-ups decide about the domain.
pub(crate) async fn renew(app: &App, email: &EmailAddress) -> Result<()> {
    let name = email.domain().to_owned();
    let find = app.database.autocommit(async move |connection| store::verified(connection, &name).await);
    let Some(domain) = find.await?.filter(|domain| !domain.is_recent(app.clock.now())) else { return Ok(()) };
    let limit = AttemptLimit::new("domain-renewal", domain.id.0.as_bytes(), RENEWALS).confidential();
    if app.limiter.attempt(&[limit]).await.is_err() {
        return Ok(());
    }
    let record = domain.domain.record_name();
    let look_up = tokio::time::timeout(RENEWAL_WAIT, app.part::<Dns>().texts(&record)).await;
    match look_up.unwrap_or_else(|_| Answer::None(format!("no answer within {RENEWAL_WAIT:?}"))) {
        Answer::Texts(texts) if domain.is_proved_by(&texts) => change(app, &domain, AccountDomain::found).await,
        // A first failure is looked up again in a day, and not in a month.
        Answer::Texts(_) if domain.failures == 0 => change(app, &domain, AccountDomain::missing).await,
        Answer::Texts(_) => Ok(()),
        Answer::None(failure) => {
            tracing::warn!(domain = %domain.id, failure, "a mail domain was not looked up");
            Ok(())
        }
    }
}

/// Looks up the domain of the calling user's address ([`renew`]).
pub async fn renew_of_caller(app: &App, permit: &Permit) -> Result<()> {
    let Some((id, ..)) = permit.user() else { return Ok(()) };
    let read = app.database.read(async move |connection| users::get(connection, Visibility::All, id).await);
    renew(app, &read.await?.email).await
}

/// Ends the domain of the account that has verified the name of this one, if its record is missing.
pub(super) async fn end_other(app: &App, domain: &AccountDomain, texts: &[String]) -> Result<()> {
    let name = domain.domain.clone();
    let find = app.database.autocommit(async move |connection| store::verified(connection, name.as_str()).await);
    match find.await? {
        Some(other) if other.account != domain.account && !other.is_proved_by(texts) => {
            // Not the context of the request, whose origin is the person.
            let context = Context::new(id::new(app.clock.now()).to_string()).with_origin(Origin::system(TASK));
            context.scope(change(app, &other, |other, now| other.lapse(now))).await
        }
        _ => Ok(()),
    }
}

/// Looks up a domain, and applies the answer.
async fn check(app: &App, domain: &AccountDomain) -> Result<()> {
    let answer = app.part::<Dns>().texts(&domain.domain.record_name()).await;
    if let Answer::None(failure) = &answer {
        tracing::warn!(domain = %domain.id, failure, "a mail domain was not looked up");
    }
    change(app, domain, |domain, now| match &answer {
        Answer::Texts(texts) if domain.is_proved_by(texts) => domain.found(now),
        Answer::Texts(_) => domain.missing(now),
        Answer::None(_) => domain.unanswered(now),
    })
    .await
}

/// Changes a domain, unless it was changed since it was looked up. A domain that lapses causes a mail to each owner.
async fn change(
    app: &App,
    seen: &AccountDomain,
    next: impl FnOnce(AccountDomain, DateTime<Utc>) -> AccountDomain + Send,
) -> Result<()> {
    let (id, version) = (seen.id, seen.version);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let domain = store::lock(connection, id).await?;
        if domain.version != version {
            return Ok(());
        }
        let changed = next(domain.clone(), now);
        store::update(connection, &changed).await?;
        if changed.state == State::Lapsed {
            tell_owners(connection, &changed).await?;
            work.audit(Record::updated(&domain, &changed));
            work.publish(Event::of::<AccountDomainLapsed>(changed.account, changed.id.0, changed.version));
            tracing::info!(account = %changed.account, domain = %changed.id, "a mail domain has lapsed");
        }
        Ok(())
    });
    match transaction.await {
        // It was deleted meanwhile.
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        changed => changed,
    }
}

async fn tell_owners(connection: &mut Connection, domain: &AccountDomain) -> Result<()> {
    for user in members::owners(connection, domain.account).await? {
        let (event, at) = (id::new(domain.updated_at), domain.updated_at);
        mail::send::<DomainLapsed>(connection, event, Some(user.0), at).await?;
    }
    Ok(())
}
