//! What a user is without a factor.

use chrono::{DateTime, TimeDelta, Utc};

use crate::identity::{
    second_factor::store::{self, device, passkey},
    user::{model::User, store as users},
};
use mainstay_kernel::{database::Connection, error::Result};

/// How long a new passkey is removed by what the mailbox proves: a password reset, and the undo of a new address. A thief of the
/// password may have added it, and the mail about it went to the mailbox.
pub const NEW_PASSKEY: TimeDelta = TimeDelta::days(7);

/// Removes the passkeys that a locked user has added since a time, and returns the user as it is stored then.
pub async fn remove_added_since(
    connection: &mut Connection,
    user: User,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<User> {
    if passkey::delete_since(connection, user.id, since).await? == 0 {
        return Ok(user);
    }
    let others = passkey::count(connection, user.id).await?;
    let user = without_removed(connection, user, others, now).await?;
    users::update(connection, &user).await?;
    Ok(user)
}

/// Returns the next version of a locked user who has lost a passkey and still has others.
pub(super) async fn without_removed(
    connection: &mut Connection,
    user: User,
    others: usize,
    now: DateTime<Utc>,
) -> Result<User> {
    let has_app = store::find(connection, user.id).await?.is_some_and(|stored| stored.has_app());
    after_removal(connection, user, has_app || others > 0, now).await
}

/// Forgets the devices of a locked user after the removal of a factor, and returns the next version of the user. Without any
/// other factor, the recovery codes end, too.
pub(super) async fn after_removal(
    connection: &mut Connection,
    user: User,
    has_other: bool,
    now: DateTime<Utc>,
) -> Result<User> {
    device::delete_of_user(connection, user.id).await?;
    if !has_other {
        store::delete(connection, user.id, None).await?;
    }
    let since = user.second_factor_at.filter(|_| has_other);
    Ok(user.with_second_factor(since, now))
}
