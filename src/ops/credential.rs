//! Identifies the caller by the credential sent: an access token or a service key.

use futures_util::FutureExt as _;
use subtle::ConstantTimeEq as _;

use crate::{
    app::App,
    caller::Caller,
    contract::policy::Scope,
    domain::token,
    error::{Reason, Result},
    identity::{Access, Refused},
    ops::signing_key,
    store::{service_key, user},
};

/// Returns the caller of a recently verified credential. Never waits, and does not allocate for a user.
pub fn cached(app: &App, credential: &str) -> Option<Caller> {
    if credential.starts_with(token::SERVICE) {
        app.service_keys.cached(credential)
    } else {
        app.tokens.cached(credential)
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
    let access = match app.tokens.verify(credential) {
        Err(Refused::UnknownKey) if app.tokens.may_look() => {
            signing_key::refresh(app).await?;
            app.tokens.verify(credential)?
        }
        verified => verified?,
    };
    verify_epoch(app, credential, access).await
}

/// Checks in Postgres that the user has not ended all sessions since the token was signed.
async fn verify_epoch(app: &App, credential: &str, access: Access) -> Result<Caller> {
    let id = access.user;
    match app.database.autocommit(move |connection| user::epoch(connection, id).boxed()).await? {
        None => Err(Reason::InvalidToken.into()),
        Some(epoch) if epoch != access.epoch => Err(Reason::SessionRevoked.into()),
        Some(_) => {
            let caller = access.caller.clone();
            app.tokens.remember(credential, access);
            Ok(caller)
        }
    }
}

async fn verify_service_key(app: &App, secret: &str) -> Result<Caller> {
    let id = token::read_service_key(secret).ok_or(Reason::InvalidToken)?;
    let found = app.database.autocommit(move |connection| service_key::with_hash(connection, id).boxed()).await?;
    let (key, hash) = found.ok_or(Reason::InvalidToken)?;
    let same: bool = token::hash(secret).ct_eq(&hash).into();
    if !same || !key.is_good(app.clock.now()) {
        return Err(Reason::InvalidToken.into());
    }
    // No method of this version can require a scope that this version does not know.
    let scopes = key.scopes.iter().filter_map(|&number| Scope::try_from(i32::from(number)).ok());
    let caller = Caller::Service { id, scopes: scopes.collect() };
    app.service_keys.remember(secret, id, caller.clone(), key.expires_at);
    Ok(caller)
}
