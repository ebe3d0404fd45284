//! Access tokens (JWT, RFC 7519, with the profile of RFC 9068) and refresh tokens.

mod access;
mod claims;
mod sign;
#[cfg(test)]
mod tests;
mod verified;
mod verify;

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, Validation};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::identity::{
    config::IdentityConfig, credential::model as token, member::id::MemberId, revocation::known::KnownRevocations,
    role::id::RoleId, signing_key::keys::KeyRing,
};
use mainstay_kernel::{
    caller::Caller,
    clock::Clock,
    contract::Policies,
    error::{Error, Reason, Result},
    id::{AccountId, ServiceKeyId, SessionId, UserId},
    secret::SecretKey,
};

pub use access::{Access, Impersonator, Networks, Pair, TokenError};

use verified::VerifiedTokens;

/// The minimum interval between two reloads of the key ring because of an unknown key id, which any caller can invent.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// The minimum interval after a failed reload.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

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
        self.0.verified.invalidate(move |access| access.claims.member.is_some_and(|version| version.subject == id.0));
    }

    /// Removes the tokens of an account, so that this instance checks them again at once.
    pub fn invalidate_account(&self, account: AccountId) {
        self.0.verified.invalidate(move |access| access.caller.account() == Some(account));
    }

    /// Removes the tokens of sessions that began with the provider of an account, so that this instance checks them again at once.
    pub fn invalidate_confined(&self) {
        let is_confined =
            |access: &Access| matches!(&access.caller, Caller::User { sign_in, .. } if sign_in.is_confined);
        self.0.verified.invalidate(is_confined);
    }

    /// Removes the tokens of a custom role, so that this instance checks its version again at once.
    pub fn invalidate_role(&self, role: RoleId) {
        self.0.verified.invalidate(move |access| access.claims.role.is_some_and(|version| version.subject == role.0));
    }

    /// Removes the uses of a service key, so that this instance checks it again at once.
    pub fn invalidate_key(&self, key: ServiceKeyId) {
        self.0.verified.invalidate(move |access| access.claims.key.is_some_and(|version| version.subject == key.0));
    }

    /// Removes the tokens of a user and of the user's impersonations, so that this instance checks the user again at once.
    pub fn invalidate_user(&self, user: UserId) {
        self.0.verified.invalidate(move |access| access.holders().any(|claims| claims.user == user));
    }
}
