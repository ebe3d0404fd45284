//! Sessions of applications, each begun in a session of the user.

use crate::identity::{
    session::{
        model::{Device, Grant, Session},
        ops::{life, owner, read},
        store as sessions,
    },
    tokens::Pair,
};
use mainstay_kernel::{
    app::App,
    error::{Reason, Result},
    id::{SessionId, UserId},
    unit_of_work::Work,
};

/// Returns the session of an application after the user gave it access in another session, which must continue. It is not
/// stored yet.
///
/// # Errors
/// `SESSION_REVOKED` if the user has signed out or left the account meanwhile; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn of_code(
    app: &App,
    (user, within): (UserId, SessionId),
    id: SessionId,
    device: Device,
    grant: Grant,
) -> Result<Session> {
    let session = read(app, user, within).await?.ok_or(Reason::SessionRevoked)?.session;
    if !session.is_alive(app.clock.now()) || session.grant.is_some() {
        return Err(Reason::SessionRevoked.into());
    }
    let owner = owner(app, &session, None).await?;
    let session = Session { epoch: owner.user.epoch.number, ..session };
    Ok(session.grant(id, device, grant, app.clock.now(), life(app)))
}

/// Stores the session of an application.
pub(crate) async fn begin_grant(work: &mut Work, session: &Session) -> Result<()> {
    let connection = work.connection().await?;
    if let Some(client) = session.client() {
        sessions::make_room(connection, session.user, client).await?;
    }
    sessions::insert(connection, session).await
}

/// Returns the session of an access token.
pub(crate) async fn of_access(app: &App, user: UserId, id: SessionId) -> Result<Option<Session>> {
    Ok(read(app, user, id).await?.map(|entry| entry.session))
}

/// Issues the first tokens of the session of an application.
///
/// # Errors
/// `SESSION_REVOKED`, `SECOND_FACTOR_REQUIRED`; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn issue_grant(app: &App, session: &Session) -> Result<Pair> {
    let pair = owner(app, session, None).await?.issue(app, session).await?;
    if pair.needs_second_factor { Err(Reason::SecondFactorRequired.into()) } else { Ok(pair) }
}
