//! Sign-in, password reset and password change.

mod audited;
mod change;
mod login;
mod new_place;
mod prove;
mod reset;

use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    registration::ops::{Profile, create},
    user::{
        model::{EmailAddress, Role},
        store,
    },
};
use mainstay_kernel::{
    app::App,
    error::{Reason, Result},
    secret::random,
};

pub(crate) use super::store::{insert as store_reset, use_up as use_up_resets};
pub(crate) use audited::{of_user, record, refused};
pub use change::change_password;
pub use login::{Attempt, SignedIn, login};
pub(crate) use login::{Proved, authenticate, complete, finish, known_device};
pub(crate) use prove::{prove, prove_password};
pub use reset::{confirm_reset, request_reset};

/// The address of the demo account.
pub(crate) const DEMO_EMAIL: &str = "demo@example.com";

/// Creates the demo account, an admin, so that a new user can try everything. Only for the private Postgres. Returns
/// the address and a random password, which can't be shown again, or `None` if any user exists.
pub async fn ensure_demo_account(app: &App) -> Result<Option<(String, String)>> {
    if app.database.autocommit(async |connection| store::any(connection).await).await? {
        return Ok(None);
    }
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let password = SecretString::from(URL_SAFE_NO_PAD.encode(random::<15>()));
    let email = EmailAddress::parse(DEMO_EMAIL)?;
    let profile = Profile::new(email, "Demo".to_owned(), Role::Admin);
    match create(app, profile, password.clone()).await {
        Ok(_) => Ok(Some((DEMO_EMAIL.to_owned(), password.expose_secret().to_owned()))),
        Err(error) if error.reason() == Reason::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}
