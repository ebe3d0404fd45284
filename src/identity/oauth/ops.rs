//! Authorizations of applications: the consent, the code, and the tokens.

mod authorize;
mod consent;
mod device;
mod logout;
mod tokens;

use mainstay_kernel::app::App;

use crate::identity::config::IdentityConfig;

pub(crate) use authorize::{Absent, Decision, Outcome, authorize};
pub(crate) use consent::{list, withdraw};
pub(crate) use device::{Asked, Begun, Entry, Visit, begin, visit};
pub(crate) use logout::{SignOut, sign_out};
pub(crate) use tokens::{
    Failure, Issued, Person, end, exchange, exchange_device, inspect, issue_to_client, person, refresh,
};

/// Returns the issuer of ID tokens, which is the base URL of this service; `None` if the configuration does not name it.
pub(crate) fn issuer(app: &App) -> Option<&str> {
    app.config.section::<IdentityConfig>().public_url.as_deref()
}
