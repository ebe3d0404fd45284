//! Access tokens of clients themselves (RFC 6749, 4.4), by which a client acts as a service, like the holder of a service key.

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    app::App,
    caller::Caller,
    error::{Error, Reason, Result},
    id::ServiceKeyId,
};
use secrecy::SecretString;

use crate::identity::{
    credential::model::{self as secrets, Fingerprint},
    oauth_client::{
        id::OauthClientId,
        model::{GrantType, OauthClient},
        store::{self, Hashes},
    },
    revocation::model::TokenClaims,
    signing_key::ops as signing_key,
    tokens::{Access, Tokens},
};

/// Issues a token of a client, which has proved a secret.
///
/// # Errors
/// `UNAVAILABLE` if no key signs tokens.
pub(crate) async fn issue(
    app: &App,
    client: &OauthClient,
    secret: Fingerprint,
    scopes: &[String],
) -> Result<SecretString> {
    let tokens = app.part::<Tokens>();
    if let Some(token) = tokens.issue_to_client(client, secret, scopes)? {
        return Ok(token);
    }
    signing_key::refresh(app).await?;
    let token = tokens.issue_to_client(client, secret, scopes)?;
    token.ok_or_else(|| Error::unavailable(anyhow::anyhow!("no key signs access tokens")))
}

/// Returns the caller of a token, whose signature is verified, and caches it. The caller has those scopes of the token that the
/// client still has.
///
/// # Errors
/// `INVALID_TOKEN` if the token was revoked, its secret is no longer accepted, or the client has lost the grant since or was deleted;
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn verify(app: &App, credential: &str, access: Access, secret: Fingerprint) -> Result<Caller> {
    let (id, token) = (OauthClientId(access.caller.principal()), access.claims.session);
    let found = app.database.autocommit(async move |connection| store::of_token(connection, id, token).await).await?;
    let (client, hashes) = found.ok_or(Reason::InvalidToken)?;
    let end = end(&client, &hashes, secret, app.clock.now()).ok_or(Reason::InvalidToken)?;
    if !client.may_use(GrantType::ClientCredentials) || access.claims.epoch != client.credentials_epoch {
        return Err(Reason::InvalidToken.into());
    }
    let held = access.caller.scopes().iter().filter(|scope| client.scopes.iter().any(|name| name == scope.as_str()));
    let caller = Caller::Service { id: ServiceKeyId(id.0), account: client.account, scopes: held.cloned().collect() };
    let claims = TokenClaims { key: Some(client.current()), ..access.claims };
    let expires_at = end.map_or(access.expires_at, |end| access.expires_at.min(end));
    app.part::<Tokens>().insert_verified(credential, Access { caller: caller.clone(), claims, expires_at, ..access });
    Ok(caller)
}

/// Returns when the secret of a token ends, if it does; `None` if it is not accepted.
fn end(
    client: &OauthClient,
    hashes: &Hashes,
    secret: Fingerprint,
    now: DateTime<Utc>,
) -> Option<Option<DateTime<Utc>>> {
    let is = |stored: &Option<Vec<u8>>| stored.as_deref().is_some_and(|hash| secrets::fingerprint(hash) == secret);
    if is(&hashes.current) {
        return Some(None);
    }
    let end = client.earlier_expires_at.filter(|end| now < *end && is(&hashes.earlier))?;
    Some(Some(end))
}
