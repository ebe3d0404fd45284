//! Sign-ins, and changes of credentials, in the audit log.

use std::net::IpAddr;

use mainstay_kernel::{
    app::App,
    audit::{self, Record, Refusals},
    error::Result,
    id::UserId,
    rate_limit::Network,
};

use crate::identity::{
    second_factor::id::RememberedDeviceId,
    tokens::Pair,
    user::model::{EmailAddress, Role, User},
};

/// Returns the record of an act on a user by the holder of a token from the user's mail.
pub(crate) fn of_user(user: UserId) -> Record {
    Record::about("identity.user", Some(user.0), None)
}

/// Records a sign-in, with the remembered device that took the place of a second factor.
pub(super) async fn signed_in(
    app: &App,
    user: &User,
    tokens: &Pair,
    is_known: bool,
    remembered: Option<RememberedDeviceId>,
) -> Result<()> {
    let record =
        Record::about("identity.user", Some(user.id.0), tokens.account).by(user.id, user.role != Role::Customer);
    let record = record.with("session", tokens.session.to_string()).with("isKnownNetwork", is_known);
    let record = match remembered {
        Some(device) => record.with("rememberedDevice", device.to_string()),
        None => record,
    };
    self::record(app, record).await
}

/// Records a refused sign-in, if it is one of those of its network in this hour that get an entry. `user` is known only
/// if the password was right.
pub(crate) async fn refused(app: &App, email: &EmailAddress, user: Option<&User>, from: IpAddr) -> Result<()> {
    let Some(count) = app.part::<Refusals<Network>>().count(Network::of(from), app.clock.now()) else { return Ok(()) };
    let record = match user {
        Some(user) => of_user(user.id),
        None => Record::about("identity.user", None, None),
    };
    self::record(app, record.refused().with("refusalsThisHour", count).with_personal("email", email.as_str())).await
}

/// Stores a record without a transaction.
pub(crate) async fn record(app: &App, record: Record) -> Result<()> {
    let now = app.clock.now();
    app.database.autocommit(async move |connection| audit::record(connection, record, now).await).await
}
