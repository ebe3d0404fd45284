//! Notifies users of sign-ins from unknown networks, which may be unauthorized.

use chrono::TimeDelta;

use crate::{
    identity::{mails::SignIn, user::model::User},
    mail::ops as mail,
};
use mainstay_kernel::{app::App, error::Result, id::SessionId, unit_of_work::Work};

/// A user younger than this has no known network yet, and expects the first sign-in.
const NEW_USER_AGE: TimeDelta = TimeDelta::days(1);

/// Queues the mail about a session from an unknown network.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable: the sign-in fails if its notice can't be queued.
pub(super) async fn tell(app: &App, user: &User, session: SessionId) -> Result<()> {
    let now = app.clock.now();
    if now - user.created_at < NEW_USER_AGE {
        return Ok(());
    }
    let parent = Some(user.id.0);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        mail::send::<SignIn>(work.connection().await?, session.0, parent, now).await
    });
    transaction.await
}
