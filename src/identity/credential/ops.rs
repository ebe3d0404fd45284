//! Authenticates the caller by the credential sent: an access token of a user or of a client of OAuth, or a service key.

use std::net::IpAddr;

use futures_util::future::BoxFuture;

use crate::identity::{
    credential::model as token,
    oauth_client::ops as oauth_client,
    revocation::model::TokenClaims,
    service_key::ops as service_key,
    signing_key::ops as signing_key,
    tokens::{Access, TokenError, Tokens},
    user::store::{self as user, Standing},
};
use mainstay_kernel::{
    app::App,
    caller::{Authenticator, Caller},
    error::{Error, Reason, Result},
};

/// The authenticator of the server: access tokens of users and of clients of OAuth, and service keys.
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
    fn cached(&self, credential: &str, from: Option<IpAddr>) -> Option<Caller> {
        self.app.part::<Tokens>().get_verified(credential, from)
    }

    fn verify<'a>(&'a self, credential: &'a str, from: Option<IpAddr>) -> BoxFuture<'a, Result<Caller>> {
        Box::pin(verify(&self.app, credential, from))
    }
}

/// Returns the caller of a credential, and caches it.
///
/// # Errors
/// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `SESSION_REVOKED`, `PERMISSION_DENIED`; `UNAVAILABLE` if Postgres is needed and
/// unreachable.
pub(crate) async fn verify(app: &App, credential: &str, from: Option<IpAddr>) -> Result<Caller> {
    if let Some(caller) = app.part::<Tokens>().get_verified(credential, from) {
        return Ok(caller);
    }
    if credential.starts_with(token::SERVICE) {
        return service_key::verify(app, credential, from).await;
    }
    let tokens = app.part::<Tokens>();
    let access = match tokens.verify(credential) {
        Err(TokenError::UnknownKey) => {
            tokens.reload_for_unknown_key(signing_key::refresh(app)).await?;
            tokens.verify(credential)?
        }
        verified => verified?,
    };
    match access.secret {
        Some(secret) => oauth_client::verify(app, credential, access, secret).await,
        None => verify_session(app, credential, access).await,
    }
}

/// Checks in Postgres that neither the session, nor all sessions of the user, nor the membership have ended since the
/// token was signed, and that the membership and the custom role of the token are the current ones.
async fn verify_session(app: &App, credential: &str, access: Access) -> Result<Caller> {
    check(app, access.claims).await?;
    if let Some(staff) = access.impersonator {
        let ended = |error: Error| if error.is_unavailable() { error } else { Reason::SessionRevoked.into() };
        check(app, staff).await.map_err(ended)?;
    }
    let caller = access.caller.clone();
    app.part::<Tokens>().insert_verified(credential, access);
    Ok(caller)
}

/// Checks the claims of a token in Postgres.
async fn check(app: &App, claims: TokenClaims) -> Result<()> {
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
    Ok(())
}
