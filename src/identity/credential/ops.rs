//! Authenticates the caller by the credential sent: an access token or a service key.

use crate::identity::service_key::cache::ServiceKeyCache;
use crate::identity::tokens::Tokens;
use futures_util::future::BoxFuture;
use mainstay_kernel::caller::Authenticator;
use subtle::ConstantTimeEq as _;

use crate::identity::{
    credential::model as token,
    service_key::store as service_key,
    signing_key::ops as signing_key,
    tokens::{Access, TokenError},
    user::store::{self as user, Standing},
};
use mainstay_kernel::{
    app::App,
    caller::Caller,
    error::{Reason, Result},
};

/// The authenticator of the server: access tokens of users, and service keys.
#[derive(Debug)]
pub struct Credentials {
    app: App,
}

impl Credentials {
    /// Makes the authenticator.
    pub fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

impl Authenticator for Credentials {
    fn cached(&self, credential: &str) -> Option<Caller> {
        cached(&self.app, credential)
    }

    fn verify<'a>(&'a self, credential: &'a str) -> BoxFuture<'a, Result<Caller>> {
        Box::pin(verify(&self.app, credential))
    }
}

/// Returns the caller of a recently verified credential. Never waits, and does not allocate for a user.
pub fn cached(app: &App, credential: &str) -> Option<Caller> {
    if credential.starts_with(token::SERVICE) {
        app.part::<ServiceKeyCache>().get(credential)
    } else {
        app.part::<Tokens>().get_verified(credential)
    }
}

/// Returns the caller of a credential, and caches it for [`cached`].
///
/// # Errors
/// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `SESSION_REVOKED`; `UNAVAILABLE` if Postgres is needed and unreachable.
pub async fn verify(app: &App, credential: &str) -> Result<Caller> {
    if let Some(caller) = cached(app, credential) {
        return Ok(caller);
    }
    if credential.starts_with(token::SERVICE) {
        return verify_service_key(app, credential).await;
    }
    let tokens = app.part::<Tokens>();
    let access = match tokens.verify(credential) {
        Err(TokenError::UnknownKey) => {
            tokens.reload_for_unknown_key(signing_key::refresh(app)).await?;
            tokens.verify(credential)?
        }
        verified => verified?,
    };
    verify_session(app, credential, access).await
}

/// Checks in Postgres that neither the session, nor all sessions of the user, nor the membership have ended since the
/// token was signed, and that the membership and the custom role of the token are the current ones.
async fn verify_session(app: &App, credential: &str, access: Access) -> Result<Caller> {
    let claims = access.claims();
    let standing = app.database.autocommit(async move |connection| user::standing(connection, claims).await).await?;
    let Standing { epoch, is_revoked, is_outdated, member_version } = standing.ok_or(Reason::InvalidToken)?;
    let has_left = claims.member.is_some() && member_version.is_none();
    if is_revoked || has_left || !epoch.admits(claims.session, claims.epoch) {
        return Err(Reason::SessionRevoked.into());
    }
    // A refresh issues a token with the current role and scopes.
    let of_member = claims.member.map(|member| i64::from(member.number));
    if is_outdated || of_member != member_version {
        return Err(Reason::TokenExpired.into());
    }
    let caller = access.caller.clone();
    app.part::<Tokens>().insert_verified(credential, access);
    Ok(caller)
}

async fn verify_service_key(app: &App, secret: &str) -> Result<Caller> {
    let id = token::read_service_key(secret).ok_or(Reason::InvalidToken)?;
    let row = app.database.autocommit(async move |connection| service_key::with_hash(connection, id).await).await?;
    let (key, hash) = row.ok_or(Reason::InvalidToken)?;
    let same: bool = token::hash(secret).ct_eq(&hash).into();
    if !same || !key.is_valid(app.clock.now()) {
        return Err(Reason::InvalidToken.into());
    }
    let scopes = app.contract.policies.declared(key.scopes.iter().map(String::as_str));
    let caller = Caller::Service { id, scopes };
    app.part::<ServiceKeyCache>().insert(secret, id, caller.clone(), key.expires_at);
    Ok(caller)
}
