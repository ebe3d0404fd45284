//! Who calls, by the credential that was sent: an access token or a service key.

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

/// The caller of a credential that was verified a moment ago. Neither waits nor allocates for a user.
pub fn cached(app: &App, credential: &str) -> Option<Caller> {
    if credential.starts_with(token::SERVICE) {
        app.service_keys.cached(credential)
    } else {
        app.tokens.cached(credential)
    }
}

/// The caller of a credential. Remembers it, so that the next request with it is answered by [`cached`].
///
/// # Errors
/// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `SESSION_REVOKED`; `UNAVAILABLE` when Postgres has to be asked and is away.
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

/// A signature says what was true when the token was made; whether the user has ended it since, Postgres knows.
async fn verify_epoch(app: &App, credential: &str, access: Access) -> Result<Caller> {
    let id = access.user;
    match app.database.read(move |connection| user::epoch(connection, id).boxed()).await? {
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
    let found = app.database.read(move |connection| service_key::with_hash(connection, id).boxed()).await?;
    let (key, hash) = found.ok_or(Reason::InvalidToken)?;
    let same: bool = token::hash(secret).ct_eq(&hash).into();
    if !same || !key.is_good(app.clock.now()) {
        return Err(Reason::InvalidToken.into());
    }
    // A scope this version does not know can't be demanded by any of its methods.
    let scopes = key.scopes.iter().filter_map(|&number| Scope::try_from(i32::from(number)).ok());
    let caller = Caller::Service { id, scopes: scopes.collect() };
    app.service_keys.remember(secret, id, caller.clone(), key.expires_at);
    Ok(caller)
}
