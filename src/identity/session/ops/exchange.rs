//! A refresh token is exchanged for a pair of the same or another account.

use crate::identity::{
    oauth_client::model::OauthClient,
    session::{
        model::{Proof, Refresh, Session},
        ops::{end::leave_session, owner, read, replace},
    },
    tokens::{Pair, Tokens},
};
use mainstay_kernel::{
    app::App,
    error::{Error, Reason, Result},
    id::{AccountId, SessionId, UserId},
};

/// The number of times an operation is retried after a concurrent change of the session.
const MAX_ATTEMPTS: usize = 8;

/// Exchanges a refresh token for a new pair. The user is read before the token is consumed, so that the client can
/// retry with the same token if Postgres is unreachable.
///
/// # Errors
/// `INVALID_TOKEN` if the text is not a refresh token of this service; `SESSION_REVOKED` if the session has ended, also
/// with the membership in its account, or if the token was used before, which ends the session; `PROVIDER_REQUIRED` if the
/// account requires another sign-in, and `REAUTHENTICATION_REQUIRED` if the session has ended in the account, in which cases the
/// token stays valid; `UNAVAILABLE` if Postgres is unreachable; `CONFLICT` if the session has another account than `expected`, in
/// which case nothing changes.
pub async fn refresh(app: &App, token: &str, expected: Option<AccountId>) -> Result<Pair> {
    exchange(app, token, expected.map_or(Target::Same, Target::Expected), None).await.map(|(pair, _)| pair)
}

/// Exchanges a refresh token for a pair of another account.
///
/// # Errors
/// As [`refresh`]; `NOT_FOUND` if the user is not a member of the account, and `SESSION_OF_ONE_ACCOUNT` for a session that
/// began with the provider of its account, in which cases the token stays valid; `CONFLICT` if a concurrent refresh was faster.
pub async fn switch(app: &App, token: &str, account: AccountId) -> Result<Pair> {
    exchange(app, token, Target::Other(account), None).await.map(|(pair, _)| pair)
}

/// Exchanges the refresh token of an application for a new pair, with the scopes that the client still may ask for.
///
/// # Errors
/// As [`refresh`]; `INVALID_TOKEN` for the token of another client, or of a sign-in.
pub(crate) async fn refresh_grant(app: &App, token: &str, client: &OauthClient) -> Result<(Pair, Session)> {
    exchange(app, token, Target::Same, Some(client)).await
}

/// The account of the pair that an exchange of a refresh token yields.
#[derive(Clone, Copy)]
enum Target {
    /// That of the session.
    Same,
    /// That of the session, which the client takes for this one. Another tab may have switched it.
    Expected(AccountId),
    /// Another one, from now on.
    Other(AccountId),
}

impl Target {
    /// Returns whether a session that stays as it is has the account.
    fn is_met(self, session: &Session) -> bool {
        let is_own = |account| session.account.is_some_and(|own| own.account == account);
        match self {
            Self::Same => true,
            Self::Expected(account) | Self::Other(account) => is_own(account),
        }
    }

    /// Returns the account to switch to.
    fn other(self) -> Option<AccountId> {
        match self {
            Self::Other(account) => Some(account),
            Self::Same | Self::Expected(_) => None,
        }
    }
}

async fn exchange(app: &App, token: &str, target: Target, client: Option<&OauthClient>) -> Result<(Pair, Session)> {
    let claim = app.part::<Tokens>().read_refresh(token).ok_or(Reason::InvalidToken)?;
    for _ in 0..MAX_ATTEMPTS {
        let entry = read(app, claim.user, claim.session).await?.ok_or(Reason::SessionRevoked)?;
        // An application does not become the user, and no application gets the tokens of another.
        if entry.session.client() != client.map(|client| client.id) {
            return Err(Reason::InvalidToken.into());
        }
        let now = app.clock.now();
        let next = match entry.session.clone().refresh(claim.generation, now) {
            Refresh::Over => return Err(Reason::SessionRevoked.into()),
            Refresh::Again(session) => {
                // Its token is the response, which can't be of two accounts.
                if !target.is_met(&session) {
                    return Err(Reason::Conflict.into());
                }
                let owner = owner(app, &session, None).await?;
                owner.check(app, &session, now)?;
                return Ok((owner.issue(app, &session).await?, session));
            }
            Refresh::Reused => return Err(end_after_reuse(app, &entry.session).await?),
            Refresh::Rotated(session) => session,
        };
        if target.other().is_none() && !target.is_met(&next) {
            return Err(Reason::Conflict.into());
        }
        let owner = owner(app, &next, target.other()).await?;
        owner.check(app, &entry.session, now)?;
        let next = Session { epoch: owner.user.epoch.number, ..next }.extend(owner.life(app));
        let mut next = next.of_account(owner.member.as_ref());
        if let (Some(grant), Some(client)) = (&mut next.grant, client) {
            grant.scopes = client.allowed(grant.scopes.iter().map(String::as_str));
        }
        if replace(app, &entry, &next).await? {
            return Ok((owner.issue(app, &next).await?, next));
        }
    }
    Err(Reason::Conflict.into())
}

/// Records in a session that its user has proved again who they are. Returns a pair with a new access token, and with the
/// refresh token that the client has.
///
/// # Errors
/// `SESSION_REVOKED`; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn renew(app: &App, user: UserId, id: SessionId, proof: Proof) -> Result<Pair> {
    for _ in 0..MAX_ATTEMPTS {
        let (entry, now) = (read(app, user, id).await?.ok_or(Reason::SessionRevoked)?, app.clock.now());
        if !entry.session.is_alive(now) {
            return Err(Reason::SessionRevoked.into());
        }
        let owner = owner(app, &entry.session, None).await?;
        let next = entry.session.clone().renew(proof);
        let next = Session { epoch: owner.user.epoch.number, ..next }.of_account(owner.member.as_ref());
        if replace(app, &entry, &next).await? {
            return owner.issue(app, &next).await;
        }
    }
    Err(Reason::Conflict.into())
}

/// Records in a session that its user has just proved a second factor.
///
/// # Errors
/// As [`renew`].
pub(crate) async fn prove_second_factor(app: &App, user: UserId, id: SessionId) -> Result<()> {
    let session = read(app, user, id).await?.ok_or(Reason::SessionRevoked)?.session;
    let proof = Proof { at: app.clock.now(), method: session.method, has_second_factor: true };
    renew(app, user, id, proof).await.map(drop)
}

/// Ends a session, one of whose refresh tokens was used twice (RFC 9700, 4.14.2): either use may be a thief's. The
/// usual cause is a client that lost the response, so the user's other sessions continue. Returns the error to respond
/// with.
async fn end_after_reuse(app: &App, session: &Session) -> Result<Error> {
    let (id, user) = (session.id, session.user);
    leave_session(app, user, id).await?;
    tracing::warn!(session = %id, user = %user, "a refresh token was reused; its session was ended");
    metrics::counter!("mainstay_refresh_tokens_reused_total").increment(1);
    Ok(Reason::SessionRevoked.into())
}
