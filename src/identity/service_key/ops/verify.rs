//! The check of a service key in Postgres, and the record of its use.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::identity::{
    credential::model as token,
    member::{id::MemberId, model::Member},
    revocation::model::{SubjectVersion, TokenClaims},
    role::{model::Granted, ops as roles},
    service_key::{
        model::{Holder, MAX_KNOWN, ServiceKey, network_of},
        store::{self, Hashes},
    },
    tokens::{Access, Networks, Tokens},
    user::{
        model::User,
        store::{self as users, Wanted},
    },
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::{Caller, Means, SignIn, Visibility},
    context::{self, Context, Origin},
    contract::policy::{Role, Scope},
    database::Connection,
    error::{Error, Reason, Result},
    id::{SessionId, UserId},
    unit_of_work::Work,
};

/// The end of the cached use of a key that never expires. It is checked again much earlier.
const UNLIMITED: TimeDelta = TimeDelta::days(1);

/// Returns the caller of a service key, and caches it.
///
/// # Errors
/// `INVALID_TOKEN`; `PERMISSION_DENIED` for an address outside the networks of the key; `SESSION_REVOKED` for the token of a
/// person who has left the account or was deactivated; `PROVIDER_REQUIRED` for one from before the account required its
/// provider; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn verify(app: &App, secret: &str, from: Option<IpAddr>) -> Result<Caller> {
    let (id, now) = (token::read_service_key(secret).ok_or(Reason::InvalidToken)?, app.clock.now());
    let row = app.database.autocommit(async move |connection| store::with_hashes(connection, id).await).await?;
    let (key, hashes) = row.ok_or(Reason::InvalidToken)?;
    let end = end(&key, &hashes, secret, now).ok_or(Reason::InvalidToken)?;
    if !key.admits(from) {
        return Err(Error::with_message(Reason::PermissionDenied, "The key is not accepted from this address."));
    }
    let access = access(app, &key, end).await?;
    let key = record_use(app, key, &access.caller, from).await;
    let known = Some(key.known_networks).filter(|known| known.len() < MAX_KNOWN);
    let networks = Some(Arc::new(Networks { allowed: key.allowed_networks, known }));
    let caller = access.caller.clone();
    app.part::<Tokens>().insert_verified(secret, Access { networks, ..access });
    Ok(caller)
}

/// Returns until when a secret is accepted; `None` if it is not.
fn end(key: &ServiceKey, hashes: &Hashes, secret: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let hash = token::hash(secret);
    let is = |stored: &[u8]| bool::from(hash.ct_eq(stored));
    let of_key = key.expires_at.unwrap_or(now + UNLIMITED);
    let end = match (&hashes.earlier, key.earlier_expires_at) {
        _ if is(&hashes.current) => of_key,
        (Some(earlier), Some(until)) if is(earlier) => until.min(of_key),
        _ => return None,
    };
    (key.is_valid(now) && now < end).then_some(end)
}

/// Returns what the key grants now.
async fn access(app: &App, key: &ServiceKey, end: DateTime<Utc>) -> Result<Access> {
    let policies = &app.contract.policies;
    let declared = policies.declared(key.scopes.iter().map(String::as_str));
    // What only staff may have is never granted for an account, not even a scope that has become one of the staff since.
    let of_accounts = || {
        let is = |scope: &Scope| policies.scopes().any(|other| other.name == *scope && other.is_of_accounts());
        declared.iter().filter(move |scope| is(scope)).cloned()
    };
    let id = key.id;
    match key.holder {
        Holder::Platform => Ok(of_key(key, Caller::Service { id, account: None, scopes: declared.clone() }, end)),
        Holder::Account(account) => {
            let caller = Caller::Service { id, account: Some(account), scopes: of_accounts().collect() };
            Ok(of_key(key, caller, end))
        }
        Holder::Person { account, member, user: id } => {
            let Person { user, member, held, role, needs_second_factor } =
                person(app, id, member, key.created_at).await?;
            let scopes = of_accounts().filter(|scope| !needs_second_factor && held.contains(scope)).collect();
            let sign_in = SignIn { needs_second_factor, means: Means::Token, ..SignIn::at(key.created_at) };
            let (account, session) = (Some(account), SessionId(key.id.0));
            let caller = Caller::User { id, account, role: Role::Customer, session, scopes, sign_in };
            let (epoch, member) = (user.epoch.number, Some(member.current()));
            let access = of_key(key, caller, end);
            Ok(Access { claims: TokenClaims { user: id, epoch, member, role, ..access.claims }, ..access })
        }
    }
}

/// Returns the cached form of a caller with a key.
fn of_key(key: &ServiceKey, caller: Caller, end: DateTime<Utc>) -> Access {
    Access {
        caller,
        claims: TokenClaims {
            // No user and no session has the nil UUID.
            user: UserId(Uuid::nil()),
            session: SessionId(Uuid::nil()),
            epoch: 0,
            member: None,
            role: None,
            key: Some(key.current()),
        },
        impersonator: None,
        networks: None,
        secret: None,
        expires_at: end,
    }
}

/// The user of a personal access token, and what the user's role in the account grants now.
struct Person {
    user: User,
    member: Member,
    held: Arc<[Scope]>,
    role: Option<SubjectVersion>,
    needs_second_factor: bool,
}

async fn person(app: &App, id: UserId, member: MemberId, created_at: DateTime<Utc>) -> Result<Person> {
    let (none, wanted) = (SessionId(Uuid::nil()), Wanted::Member(member));
    let owner = app.database.autocommit(async move |connection| users::owner(connection, id, none, wanted).await);
    let (user, member, policy) = owner.await?.ok_or(Reason::SessionRevoked)?;
    let member = member.filter(|_| user.is_staying()).ok_or(Reason::SessionRevoked)?;
    policy.enforced.map_or(Ok(()), |enforced| enforced.check_token(member.is_owner(), created_at))?;
    let (held, role) = match roles::granted(app, member.role.assigned()).await? {
        Granted::BuiltIn(role) => (app.contract.policies.scopes_of(role), None),
        Granted::Custom { id, version, scopes } => {
            let declared = app.contract.policies.declared(scopes.iter().map(String::as_str));
            (declared, Some(SubjectVersion::new(id.0, version)))
        }
        Granted::Nothing | Granted::UntilSecondFactor => ([].into(), None),
    };
    let is_required = policy.requires_second_factor;
    let needs_second_factor = is_required && user.second_factor_at.is_none();
    Ok(Person { user, member, held, role, needs_second_factor })
}

/// Stores the time and the network of a use, if one of them is due, with an entry of the audit log for a new network. A
/// failure does not refuse the use: the next check of the key stores it. Returns the key as stored.
async fn record_use(app: &App, key: ServiceKey, caller: &Caller, from: Option<IpAddr>) -> ServiceKey {
    let (now, network) = (app.clock.now(), from.map(network_of));
    if key.clone().record_use(network, now).is_none() {
        return key;
    }
    let (id, account) = (key.id, key.holder.account());
    let store_use = app.database.transaction(async move |work: &mut Work| {
        let lock = async move |connection: &Connection| store::lock(connection, Visibility::All, id).await;
        let locked = work.read(lock).await?;
        let Some((used, is_new)) = locked.clone().record_use(network, now) else { return Ok(locked) };
        let row = used.clone();
        work.write(async move |connection: &Connection| store::update(connection, &row).await).await?;
        if is_new {
            work.audit(Record::about("identity.service_key", Some(id.0), account).with("isKnownNetwork", false));
        }
        Ok(used)
    });
    // The method of the request is not known yet.
    let origin = caller.act(Origin { client: from, ..Origin::system("key use") });
    let request = context::request_id().unwrap_or_else(|| id.0.to_string().into());
    match Context::new(request).with_origin(origin).scope(store_use).await {
        Ok(used) => used,
        Err(error) => {
            tracing::debug!(key = %id, error = error.detail(), "the use of a service key was not stored");
            key
        }
    }
}
