//! Sign-in and password reset.

mod reset;

use std::net::IpAddr;

use crate::identity::passwords::Passwords;
use crate::proto::identity::v1::Reason as IdentityReason;
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    auth::{limits, networks::KnownNetworks, password::Password},
    passwords::Verdict,
    registration::ops::{Profile, create},
    session::{model::Device, ops as session},
    tokens::Pair,
    user::{
        model::{EmailAddress, Role, User},
        store,
    },
};
use mainstay_kernel::{
    app::App,
    error::{Reason, Result},
    secret::random,
};

pub(crate) use super::store::insert as store_reset;
pub use reset::{confirm_reset, request_reset};

/// Begins a session. An unknown user costs the same as a known one: the same statement and the same hash.
///
/// # Errors
/// `INVALID_CREDENTIALS`, `RATE_LIMIT_EXCEEDED`, `OVERLOADED`; `UNAVAILABLE` if Postgres or the session store is
/// unreachable.
pub async fn login(
    app: &App,
    email: EmailAddress,
    password: SecretString,
    device: Device,
    from: IpAddr,
) -> Result<Pair> {
    let attempt = limits::sign_in(app, &email, from).await?;
    let verified = verify(app, &email, password).await;
    // Only a wrong password counts; the attempt was counted before, or else any number of concurrent ones would pass.
    if !matches!(verified, Ok(None)) {
        app.limiter.take_back(attempt).await;
    }
    let user = verified?.ok_or(IdentityReason::InvalidCredentials)?;
    let pair = session::begin(app, &user, device).await?;
    app.part::<KnownNetworks>().remember(&email, from).await;
    Ok(pair)
}

/// Returns the user with an address, if the password is right.
async fn verify(app: &App, email: &EmailAddress, password: SecretString) -> Result<Option<User>> {
    let found = app.database.autocommit(async move |connection| store::by_email(connection, email).await).await?;
    let (user, hash) = found.unzip();
    let verdict = app.part::<Passwords>().verify(Password::attempt(password), hash.clone()).await?;
    Ok(match (verdict, user) {
        (Verdict::Right, Some(user)) => Some(user),
        (Verdict::RightOnceMore(strong), Some(user)) => {
            strengthen(app, &user, hash.unwrap_or_default(), strong).await;
            Some(user)
        }
        (Verdict::Wrong, _) | (_, None) => None,
    })
}

/// Stores a stronger password hash. The old hash remains valid, so a failure is only logged; the next sign-in retries.
async fn strengthen(app: &App, user: &User, weak: String, strong: String) {
    let id = user.id;
    let strengthened =
        app.database.autocommit(async move |connection| store::strengthen(connection, id, &weak, &strong).await);
    if let Err(error) = strengthened.await {
        tracing::warn!(user = %id, reason = ?error.reason(), "a password hash could not be replaced by a stronger one");
    }
}

/// The address of the demo account.
const DEMO_EMAIL: &str = "demo@example.com";

/// Creates the demo account, an admin, so that a new user can try everything. Only for the private Postgres. Returns
/// the address and a random password, which can't be shown again, or `None` if any user exists.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn ensure_demo_account(app: &App) -> Result<Option<(String, String)>> {
    if app.database.autocommit(async |connection| store::any(connection).await).await? {
        return Ok(None);
    }
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let password = SecretString::from(URL_SAFE_NO_PAD.encode(random::<15>()));
    let email = EmailAddress::parse(DEMO_EMAIL)?;
    let profile = Profile { email, name: "Demo".to_owned(), account_name: String::new(), role: Role::Admin };
    match create(app, profile, password.clone()).await {
        Ok(_) => Ok(Some((DEMO_EMAIL.to_owned(), password.expose_secret().to_owned()))),
        Err(error) if error.reason() == Reason::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}
