//! Sessions of applications, each begun in a session of the user.

use crate::identity::{
    session::{
        model::{Device, Grant, Session},
        ops::{owner, read},
        store as sessions,
    },
    tokens::Pair,
};
use chrono::{DateTime, Utc};
use mainstay_kernel::{
    app::App,
    database::Connection,
    error::{Reason, Result},
    id::{SessionId, UserId},
    unit_of_work::Work,
};

/// Returns the session of an application after the user gave it access in another session, which must continue. It is not
/// stored yet.
///
/// # Errors
/// `SESSION_REVOKED` if the user has signed out or left the account meanwhile; `REAUTHENTICATION_REQUIRED` if the session has
/// ended in the account; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn of_code(
    app: &App,
    (user, within): (UserId, SessionId),
    id: SessionId,
    device: Device,
    grant: Grant,
) -> Result<Session> {
    let session = read(app, user, within).await?.ok_or(Reason::SessionRevoked)?.session;
    let now = app.clock.now();
    if !session.is_alive(now) || session.grant.is_some() {
        return Err(Reason::SessionRevoked.into());
    }
    let owner = owner(app, &session, None).await?;
    owner.check(app, &session, now)?;
    let session = Session { epoch: owner.user.epoch.number, ..session };
    Ok(session.grant(id, device, grant, now, owner.life(app)))
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

/// Returns when a session ends in its membership, unless it is used.
///
/// # Errors
/// `SESSION_REVOKED` if there is none; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn end_of(connection: &mut Connection, user: UserId, id: SessionId) -> Result<DateTime<Utc>> {
    let found = sessions::list(connection, user).await?.into_iter().find(|(session, _)| session.id == id);
    let (session, limits) = found.ok_or(Reason::SessionRevoked)?;
    Ok(session.end_within(limits))
}

/// Issues the first tokens of the session of an application.
///
/// # Errors
/// `SESSION_REVOKED`, `SECOND_FACTOR_REQUIRED`; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn issue_grant(app: &App, session: &Session) -> Result<Pair> {
    let pair = owner(app, session, None).await?.issue(app, session).await?;
    if pair.needs_second_factor { Err(Reason::SecondFactorRequired.into()) } else { Ok(pair) }
}
