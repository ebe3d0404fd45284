//! Access tokens (JWT, RFC 7519, with the profile of RFC 9068) and refresh tokens.

#[cfg(test)]
mod tests;
mod verified;

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use jsonwebtoken::{Algorithm, Header, Validation};
use moka::sync::Cache;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::identity::config::IdentityConfig;
use crate::identity::{
    credential::model::{self as token, RefreshClaim},
    member::{id::MemberId, model::Member},
    revocation::{
        known::KnownRevocations,
        model::{SubjectVersion, TokenClaims},
    },
    role::{id::RoleId, model::Granted},
    service_key::model::{admits, network_of},
    session::model::{Method, Session},
    signing_key::keys::KeyRing,
    user::model::{Role, User},
};
use mainstay_kernel::{
    caller::{Caller, Means, SignIn},
    clock::Clock,
    contract::{
        Policies,
        policy::{self, BuiltInRole, DeclaredScope, Scope},
    },
    error::{Error, Reason, Result},
    id::{AccountId, ServiceKeyId, SessionId, UserId},
    secret::SecretKey,
};

use verified::VerifiedTokens;

/// The tolerated difference between the clocks of instances.
pub(crate) const LEEWAY: TimeDelta = TimeDelta::seconds(5);
/// The maximum length of a token: issued tokens have about 500 bytes, and four thirds of the scopes of a custom role.
const MAX_TOKEN_BYTES: usize = 8192;
/// The minimum interval between two reloads of the key ring because of an unknown key id, which any caller can invent.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// The minimum interval after a failed reload.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// RFC 9068, 2.1: prevents any other JWT under the same keys from passing for an access token.
const TYPE: &str = "at+jwt";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    /// The account of the session, the membership of the user there, and its version; absent for a user who is a member of
    /// no account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acct: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mver: Option<i64>,
    role: String,
    /// The built-in role in the account; absent for staff and for a custom role.
    #[serde(skip_serializing_if = "Option::is_none")]
    arole: Option<String>,
    /// The scopes of a custom role, separated by spaces (RFC 9068, 2.2.3), with its id and version; absent for a built-in
    /// role.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rver: Option<i64>,
    sid: Uuid,
    epoch: i32,
    jti: String,
    iat: i64,
    exp: i64,
    /// When the user last proved who they are (RFC 9068, 2.2.1), and how (RFC 8176); absent in a token of an earlier version.
    #[serde(default)]
    auth_time: i64,
    #[serde(default)]
    amr: Vec<String>,
    /// Whether the user must prove or add a second factor before anything else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    needs_second_factor: bool,
    /// The staff that acts in the name of the user (RFC 8693, 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
}

/// The member of the staff in an impersonation, with what the access token depends on, and whether it may write.
#[derive(Debug, Serialize, Deserialize)]
struct Act {
    sub: Uuid,
    sid: Uuid,
    epoch: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rver: Option<i64>,
    writes: bool,
}

/// The member of the staff in an impersonation.
#[derive(Debug, Clone, Copy)]
pub struct Impersonator {
    pub user: UserId,
    pub session: SessionId,
    pub epoch: i32,
    /// The custom role and its version.
    pub role: Option<(RoleId, i64)>,
    pub allows_writes: bool,
}

/// The content of an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub caller: Caller,
    /// The user of the token.
    pub user: UserId,
    /// The session of the token.
    pub session: SessionId,
    /// The user's epoch when the token was issued.
    pub epoch: i32,
    /// The version of the membership in the account of the session.
    pub member: Option<SubjectVersion>,
    /// The version of the custom role, if the user has one.
    pub role: Option<SubjectVersion>,
    /// The version of the service key, if the credential is one.
    pub key: Option<SubjectVersion>,
    /// The staff that acts in the name of the user.
    pub impersonator: Option<TokenClaims>,
    /// The networks of a service key.
    pub networks: Option<Arc<Networks>>,
    /// The time of expiry.
    pub expires_at: DateTime<Utc>,
}

/// The networks of a service key.
#[derive(Debug, PartialEq, Eq)]
pub struct Networks {
    /// Those from which it is accepted; empty for every address.
    pub allowed: Vec<IpNet>,
    /// Those from which its use is known; `None` if there are too many to look at each use.
    pub known: Option<Vec<IpNet>>,
}

impl Networks {
    /// Returns whether the key is accepted from an address and known from its network. Otherwise Postgres is asked.
    fn admit(&self, from: Option<IpAddr>) -> bool {
        let is_known = |from| self.known.as_ref().is_none_or(|known| known.contains(&network_of(from)));
        admits(&self.allowed, from) && from.is_none_or(is_known)
    }
}

impl Access {
    /// Returns the claims that a revocation may be about.
    pub fn claims(&self) -> TokenClaims {
        let Self { user, session, epoch, member, role, key, .. } = *self;
        TokenClaims { user, session, epoch, member, role, key }
    }

    /// Returns the claims of all on whom the token depends: the user, and the staff that acts in the user's name.
    pub fn holders(&self) -> impl Iterator<Item = TokenClaims> {
        std::iter::once(self.claims()).chain(self.impersonator)
    }
}

/// The reason for rejecting an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// The token names a key that is not in the ring; the ring may be out of date.
    UnknownKey,
    /// The token was not issued by this server.
    Forged,
    /// The token has expired.
    Expired,
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::UnknownKey | TokenError::Forged => Reason::InvalidToken.into(),
            TokenError::Expired => Reason::TokenExpired.into(),
        }
    }
}

/// The tokens of a signed-in client.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The access token, a JWT.
    pub access: SecretString,
    /// The lifetime of the access token.
    pub expires_in: TimeDelta,
    /// The token for the next refresh.
    pub refresh: SecretString,
    pub session: SessionId,
    /// The account of the session.
    pub account: Option<AccountId>,
    /// Whether the access token is only good for a second factor.
    pub needs_second_factor: bool,
}

/// Issues and verifies tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    policies: &'static Policies,
    clock: Clock,
    secret: SecretKey,
    mac: hmac::Key,
    issuer: String,
    life: TimeDelta,
    validation: Validation,
    ring: RwLock<Arc<KeyRing>>,
    verified: VerifiedTokens,
    revocations: KnownRevocations,
    /// The last reload because of an unknown key id; locked while one runs.
    last_reload: tokio::sync::Mutex<Option<Reload>>,
    /// Canceled when the last clone is dropped; ends the task that keeps the ring up to date.
    dropped: CancellationToken,
    _guard: DropGuard,
}

/// A reload of the ring that has ended.
#[derive(Clone, Copy)]
struct Reload {
    end: Instant,
    succeeded: bool,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("ring", &self.ring()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Starts without keys; [`install`](Self::install) adds them.
    pub fn new(config: &IdentityConfig, policies: &'static Policies, secret: SecretKey, clock: Clock) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.issuer]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The library would read the system clock; expiry is checked against [`Clock`] instead.
        validation.validate_exp = false;
        let dropped = CancellationToken::new();
        Self(Arc::new(Inner {
            policies,
            clock,
            mac: secret.mac("refresh tokens v1"),
            secret,
            issuer: config.issuer.clone(),
            life: TimeDelta::from_std(config.access_ttl).unwrap_or(TimeDelta::minutes(5)),
            validation,
            ring: RwLock::default(),
            verified: VerifiedTokens::default(),
            revocations: KnownRevocations::default(),
            last_reload: tokio::sync::Mutex::default(),
            _guard: dropped.clone().drop_guard(),
            dropped,
        }))
    }

    /// The lifetime of an access token.
    pub fn life(&self) -> TimeDelta {
        self.0.life
    }

    /// The secret that seals private keys.
    pub fn secret(&self) -> &SecretKey {
        &self.0.secret
    }

    /// Replaces the set of keys.
    pub fn install(&self, ring: KeyRing) {
        *self.0.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    /// The current set of keys.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.0.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a cancellation token that is canceled when the last clone is dropped. The task that awaits it must not
    /// hold a clone.
    pub fn dropped(&self) -> CancellationToken {
        self.0.dropped.clone()
    }

    /// Returns a weak handle, which does not keep the tokens alive.
    pub fn downgrade(&self) -> impl Fn() -> Option<Self> + Send + 'static {
        let weak = Arc::downgrade(&self.0);
        move || weak.upgrade().map(Self)
    }

    /// Reloads the ring because of an unknown key id, at most once per [`RELOAD_INTERVAL`]. Concurrent callers share
    /// one reload. If the caller that runs it is dropped, the next caller starts it again.
    ///
    /// # Errors
    /// The errors of `reload`; `UNAVAILABLE` if it failed less than [`RETRY_INTERVAL`] ago, because the key may exist.
    pub async fn reload_for_unknown_key(&self, reload: impl Future<Output = Result<()>>) -> Result<()> {
        let mut last = self.0.last_reload.lock().await;
        match *last {
            Some(last) if last.succeeded && last.end.elapsed() < RELOAD_INTERVAL => return Ok(()),
            Some(last) if !last.succeeded && last.end.elapsed() < RETRY_INTERVAL => {
                return Err(Error::new(Reason::Unavailable).retry_after(RETRY_INTERVAL));
            }
            _ => {}
        }
        let outcome = reload.await;
        *last = Some(Reload { end: Instant::now(), succeeded: outcome.is_ok() });
        outcome
    }

    /// Returns the JSON Web Key Set, from memory, so that it is available while Postgres is not.
    pub fn jwks(&self) -> serde_json::Value {
        self.ring().jwks(self.0.clock.now(), self.0.life)
    }

    /// Issues the tokens of a session, with what the user's role grants now. They derive from the session's last refresh alone, so that a concurrent refresh
    /// gets the identical pair from any instance. `None` when no key can sign.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the cryptographic library fails.
    pub fn issue(
        &self,
        user: &User,
        member: Option<&Member>,
        granted: &Granted,
        session: &Session,
    ) -> Result<Option<Pair>> {
        let Some(access) = self.sign(&self.claims(user, member, granted, session))? else { return Ok(None) };
        let (inner, needs_second_factor) = (&self.0, *granted == Granted::UntilSecondFactor);
        let claim = RefreshClaim { user: user.id, session: session.id, generation: session.generation };
        let mac = hmac::sign(&inner.mac, &claim.bytes());
        Ok(Some(Pair {
            access,
            expires_in: inner.life,
            refresh: claim.write(mac.as_ref()),
            session: session.id,
            account: member.map(|member| member.account),
            needs_second_factor,
        }))
    }

    /// Issues the access token of an impersonation until a time. `None` when no key can sign.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the cryptographic library fails.
    pub fn impersonate(
        &self,
        user: &User,
        member: &Member,
        granted: &Granted,
        (session, end): (&Session, DateTime<Utc>),
        by: Impersonator,
    ) -> Result<Option<SecretString>> {
        let (rid, rver) = by.role.map(|(id, version)| (id.0, version)).unzip();
        let (sub, sid) = (by.user.0, by.session.0);
        let act = Act { sub, sid, epoch: by.epoch, rid, rver, writes: by.allows_writes };
        let claims = self.claims(user, Some(member), granted, session);
        self.sign(&Claims { exp: end.timestamp(), act: Some(act), amr: Vec::new(), ..claims })
    }

    /// Returns the claims of the access token of a session.
    fn claims(&self, user: &User, member: Option<&Member>, granted: &Granted, session: &Session) -> Claims {
        let inner = &self.0;
        let authenticated = session.authenticated_at;
        let issued = session.refreshed_at.max(authenticated).timestamp();
        let needs_second_factor = *granted == Granted::UntilSecondFactor;
        // RFC 8176 has no value for a sign-in provider.
        // RFC 8176: a passkey is a proof of possession after a verification of the user.
        let methods: &[&str] = match (session.method, session.has_second_factor) {
            (Method::Password, false) => &["pwd"],
            (Method::Password, true) => &["pwd", "otp", "mfa"],
            (Method::Provider, false) => &[],
            (Method::Provider, true) => &["otp", "mfa"],
            (Method::Passkey, _) => &["pop", "mfa"],
        };
        let (arole, custom) = match granted {
            Granted::BuiltIn(role) => (Some(role).filter(|role| role.role() == policy::Role::Customer), None),
            Granted::Nothing | Granted::UntilSecondFactor => (None, None),
            Granted::Custom { id, version, scopes } => (None, Some((id.0, *version, scopes.join(" ")))),
        };
        Claims {
            iss: inner.issuer.clone(),
            aud: inner.issuer.clone(),
            sub: user.id.0,
            acct: member.map(|member| member.account.0),
            mid: member.map(|member| member.id.0),
            mver: member.map(|member| member.version),
            role: role_name(user.role).to_owned(),
            arole: arole.map(|role| role.name().to_owned()),
            scope: custom.as_ref().map(|(.., scopes)| scopes.clone()),
            rid: custom.as_ref().map(|(id, ..)| *id),
            rver: custom.as_ref().map(|(_, version, _)| *version),
            sid: session.id.0,
            epoch: session.epoch,
            // Required by RFC 9068; without it, two refreshes within a second would yield the same token.
            jti: format!("{}.{}.{issued}", session.id, session.generation),
            iat: issued,
            exp: issued + inner.life.num_seconds(),
            auth_time: authenticated.timestamp(),
            amr: methods.iter().map(|&method| method.to_owned()).collect(),
            needs_second_factor,
            act: None,
        }
    }

    /// Signs an access token. `None` when no key can sign.
    fn sign(&self, claims: &Claims) -> Result<Option<SecretString>> {
        let ring = self.ring();
        let Some(key) = ring.signing(self.0.clock.now()) else { return Ok(None) };
        let Some(signing) = key.signing() else { return Ok(None) };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id().to_owned());
        let access = jsonwebtoken::encode(&header, claims, signing).map_err(Error::internal)?;
        Ok(Some(access.into()))
    }

    /// Parses a refresh token; `None` if it was not issued by this server. The MAC is compared in constant time.
    pub fn read_refresh(&self, token: &str) -> Option<RefreshClaim> {
        let (claim, mac) = RefreshClaim::read(token)?;
        hmac::verify(&self.0.mac, &claim.bytes(), &mac).is_ok().then_some(claim)
    }

    /// Verifies an access token by its signature alone; the caller must check whether the token was revoked since.
    ///
    /// # Errors
    /// The reason for the rejection.
    pub fn verify(&self, token: &str) -> Result<Access, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Forged);
        }
        let inner = &self.0;
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Forged)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(TokenError::Forged);
        }
        let id = header.kid.ok_or(TokenError::Forged)?;
        let now = inner.clock.now();
        let ring = self.ring();
        let key = ring.find(&id, now, inner.life).ok_or(TokenError::UnknownKey)?;
        let verified = jsonwebtoken::decode::<Claims>(token, key.verifying(), &inner.validation);
        let claims = verified.map_err(|_| TokenError::Forged)?.claims;
        let expires_at = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenError::Forged)?;
        if now >= expires_at + LEEWAY {
            return Err(TokenError::Expired);
        }
        let (user, session) = (UserId(claims.sub), SessionId(claims.sid));
        let platform = role_of(&claims.role).ok_or(TokenError::Forged)?;
        let member = match (claims.acct, claims.mid, claims.mver) {
            (Some(_), Some(id), Some(version)) => Some(SubjectVersion::new(id, version)),
            (None, None, None) => None,
            // A token of an earlier version of the server, which the client exchanges.
            _ => return Err(TokenError::Expired),
        };
        let scopes = self.scopes(platform, &claims).ok_or(TokenError::Forged)?;
        let role = claims.rid.zip(claims.rver).map(|(id, version)| SubjectVersion::new(id, version));
        let at = DateTime::from_timestamp(claims.auth_time, 0).ok_or(TokenError::Forged)?;
        let means = claims
            .act
            .as_ref()
            .map_or(Means::Session, |act| Means::Impersonation { by: UserId(act.sub), allows_writes: act.writes });
        let impersonator = claims.act.as_ref().map(|act| TokenClaims {
            user: UserId(act.sub),
            session: SessionId(act.sid),
            epoch: act.epoch,
            member: None,
            role: act.rid.zip(act.rver).map(|(id, version)| SubjectVersion::new(id, version)),
            key: None,
        });
        let sign_in = SignIn { needs_second_factor: claims.needs_second_factor, means, ..SignIn::at(at) };
        let account = claims.acct.map(AccountId);
        let caller = Caller::User { id: user, account, role: platform, session, scopes, sign_in };
        let (epoch, key, networks) = (claims.epoch, None, None);
        Ok(Access { caller, user, session, epoch, member, role, key, impersonator, networks, expires_at })
    }

    /// Returns the scopes of a token: those of its custom role, else of its built-in role. A custom role of an account never
    /// grants a scope of the staff, not even one that has become one since.
    fn scopes(&self, platform: policy::Role, claims: &Claims) -> Option<Arc<[Scope]>> {
        let policies = self.0.policies;
        let custom = match (&claims.scope, claims.rid, claims.rver) {
            (Some(scopes), Some(_), Some(_)) => scopes,
            // A customer without an account holds nothing, as does a user without the second factor that is required.
            (None, None, None)
                if claims.needs_second_factor || (platform == policy::Role::Customer && claims.acct.is_none()) =>
            {
                return Some([].into());
            }
            (None, None, None) => {
                return built_in_of(platform, claims.arole.as_deref()).map(|role| policies.scopes_of(role));
            }
            _ => return None,
        };
        let of_accounts = |name: &&str| {
            let is = |scope: &DeclaredScope| scope.name.as_str() == *name && scope.is_of_accounts();
            platform != policy::Role::Customer || policies.scopes().any(is)
        };
        Some(policies.declared(custom.split(' ').filter(of_accounts)))
    }

    /// The revocations that this instance knows.
    pub fn revocations(&self) -> &KnownRevocations {
        &self.0.revocations
    }

    /// Returns the caller of an access token or a service key that was verified within the last half minute, and has neither
    /// expired nor been revoked since.
    ///
    /// Costs one SHA-256 and a lookup, without allocating or waiting. A signature check costs fifty times as much.
    pub fn get_verified(&self, token: &str, from: Option<IpAddr>) -> Option<Caller> {
        self.0.verified.get(&token::hash(token), from, self.0.clock.now(), &self.0.revocations)
    }

    /// Caches an access token or a service key that was verified and is not revoked.
    pub fn insert_verified(&self, token: &str, access: Access) {
        self.0.verified.insert(token::hash(token), access, self.0.clock.now());
    }

    /// Removes the tokens of a session and of its impersonations, so that this instance checks it again at once.
    pub fn invalidate_session(&self, session: SessionId) {
        self.0.verified.invalidate(move |access| access.holders().any(|claims| claims.session == session));
    }

    /// Removes the tokens of a membership, so that this instance checks it again at once.
    pub fn invalidate_member(&self, id: MemberId) {
        self.0.verified.invalidate(move |access| access.member.is_some_and(|version| version.subject == id.0));
    }

    /// Removes the tokens of a custom role, so that this instance checks its version again at once.
    pub fn invalidate_role(&self, role: RoleId) {
        self.0.verified.invalidate(move |access| access.role.is_some_and(|version| version.subject == role.0));
    }

    /// Removes the uses of a service key, so that this instance checks it again at once.
    pub fn invalidate_key(&self, key: ServiceKeyId) {
        self.0.verified.invalidate(move |access| access.key.is_some_and(|version| version.subject == key.0));
    }

    /// Removes the tokens of a user and of the user's impersonations, so that this instance checks the user again at once.
    pub fn invalidate_user(&self, user: UserId) {
        self.0.verified.invalidate(move |access| access.holders().any(|claims| claims.user == user));
    }
}

/// Returns the built-in role of a token.
fn built_in_of(platform: policy::Role, of_account: Option<&str>) -> Option<BuiltInRole> {
    match platform {
        policy::Role::Agent => Some(BuiltInRole::Agent),
        policy::Role::Admin => Some(BuiltInRole::Admin),
        policy::Role::Customer => BuiltInRole::OF_ACCOUNTS.into_iter().find(|role| of_account == Some(role.name())),
        policy::Role::Service | policy::Role::Unspecified => None,
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Customer => "customer",
        Role::Agent => "agent",
        Role::Admin => "admin",
    }
}

fn role_of(name: &str) -> Option<policy::Role> {
    match name {
        "customer" => Some(policy::Role::Customer),
        "agent" => Some(policy::Role::Agent),
        "admin" => Some(policy::Role::Admin),
        _ => None,
    }
}
