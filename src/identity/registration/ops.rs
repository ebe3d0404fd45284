//! Registration: a token is sent to an e-mail address, and whoever has it creates the account.
//!
//! So every user has an address that was confirmed, nobody can use the address of somebody else, and only the owner of
//! an address learns whether it is registered. The name and the password come with the token, not before: nobody can
//! prepare an account for the owner of an address, or put text into a mail to them.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    identity::{
        account::store as account,
        auth::{limits, networks::KnownNetworks, password::Password},
        credential::model as token,
        passwords::Passwords,
        registration::{id::RegistrationId, model::Registration, store},
        user::{
            model::{Account, EmailAddress, Role, User},
            store as user,
        },
    },
    mail::{model::Subject, ops as mail},
};
use mainstay_kernel::{
    app::App,
    database::Connection,
    error::{Error, Reason, Result},
    id::AccountId,
    secret::random,
};

/// A user to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub password: SecretString,
    /// The user's name.
    pub name: String,
    /// The name of the customer organization; if empty, the user's name.
    pub account_name: String,
}

/// Sends a token to an address; if a user has it, the mail says so instead. The work is the same.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn request(app: &App, email: EmailAddress, from: IpAddr) -> Result<()> {
    limits::mail_request(app, from).await?;
    let now = app.clock.now();
    let registration = Registration::begin(email, now);
    app.database
        .transaction(async move |connection: &mut Connection| {
            store::insert(connection, &registration).await?;
            mail::send(connection, Subject::Registration(registration.id), now).await
        })
        .await
}

/// What the mail about a registration says.
#[derive(Debug)]
pub enum Notice {
    /// The token, with which the address can be confirmed.
    Token(Registration, SecretString),
    /// A user has the address.
    Known(Registration),
}

/// Makes the token of a registration, of which only the hash is stored; `None` if there is no such registration any more.
///
/// # Errors
/// Any error of Postgres.
pub(crate) async fn notice(connection: &mut Connection, id: RegistrationId) -> Result<Option<Notice>> {
    let Some(registration) = store::find(connection, id).await? else { return Ok(None) };
    if user::by_email(connection, &registration.email).await?.is_some() {
        return Ok(Some(Notice::Known(registration)));
    }
    let token = token::write_registration(&random());
    store::set_token(connection, id, token::hash(token.expose_secret())).await?;
    Ok(Some(Notice::Token(registration, token)))
}

/// Creates an account and its first user, a customer, and uses up the token, atomically.
///
/// # Errors
/// `INVALID_TOKEN` if the token is unknown, used or expired; `ALREADY_EXISTS` if an admin has created the user meanwhile;
/// `VALIDATION_FAILED`, `OVERLOADED`.
pub async fn confirm(app: &App, token: &str, new: NewUser, from: IpAddr) -> Result<User> {
    let (hash, now) = (token::hash(token), app.clock.now());
    let NewUser { password, name, account_name } = new;
    let password = Password::choose(password)?;
    // As with a reset: no hashing for callers without a token.
    if !app.database.autocommit(async move |connection| store::is_good(connection, hash, now).await).await? {
        return Err(Reason::InvalidToken.into());
    }
    let password_hash = app.part::<Passwords>().hash(password).await?;
    let created = app.database.transaction(async move |connection: &mut Connection| {
        let email = store::take(connection, hash, now).await?.ok_or(Reason::InvalidToken)?;
        let profile = Profile { email, name, account_name, role: Role::Customer };
        insert(connection, profile, &password_hash, now).await
    });
    let user: User = created.await?;
    tracing::info!(user = %user.id, "a user registered");
    app.part::<KnownNetworks>().remember(&user.email, from).await;
    Ok(user)
}

/// The first user of an account to be created.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) email: EmailAddress,
    pub(crate) name: String,
    /// If empty, the user's name.
    pub(crate) account_name: String,
    pub(crate) role: Role,
}

/// Creates an account and its first user, whose address somebody vouches for.
///
/// # Errors
/// `ALREADY_EXISTS`, `VALIDATION_FAILED`, `OVERLOADED`.
pub(crate) async fn create(app: &App, profile: Profile, password: SecretString) -> Result<User> {
    // Hash before the transaction begins, because hashing takes longer than the transaction should.
    let hash = app.part::<Passwords>().hash(Password::choose(password)?).await?;
    let now = app.clock.now();
    app.database
        .transaction(async move |connection: &mut Connection| insert(connection, profile, &hash, now).await)
        .await
}

async fn insert(connection: &mut Connection, profile: Profile, hash: &str, now: DateTime<Utc>) -> Result<User, Error> {
    let Profile { email, name, account_name, role } = profile;
    let account_name = if account_name.is_empty() { name.clone() } else { account_name };
    let account = Account { id: AccountId::generate(now), name: account_name, created_at: now };
    let new = User::new(account.id, email, name, role, now);
    account::insert(connection, &account).await?;
    user::insert(connection, &new, hash).await?;
    Ok(new)
}
