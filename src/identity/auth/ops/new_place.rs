//! Tells users of sign-ins from networks that they have not signed in from: it may be somebody else.

use chrono::TimeDelta;

use crate::{
    identity::user::model::User,
    mail::{model::Topic, ops as mail},
};
use mainstay_kernel::{app::App, error::Result, id::SessionId, unit_of_work::Work};

/// A user this young has not signed in from anywhere yet, and knows of the first time.
const NEW_USER_AGE: TimeDelta = TimeDelta::days(1);

/// Queues the mail about a session from a network that is not known.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable: the user is told, or the sign-in fails.
pub(super) async fn tell(app: &App, user: &User, session: SessionId) -> Result<()> {
    let now = app.clock.now();
    if now - user.created_at < NEW_USER_AGE {
        return Ok(());
    }
    let topic = Topic::SignIn { session, user: user.id };
    app.database.transaction(async move |work: &mut Work| mail::send(work.connection().await?, topic, now).await).await
}
