//! Creates users.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::identity::{
    account::store as account,
    auth::password::Password,
    passwords::Passwords,
    user::{
        model::{Account, EmailAddress, Language, Role, User},
        store as user,
    },
};
use mainstay_kernel::{
    app::App, database::Connection, error::Result, id::AccountId, secret::random, unit_of_work::Work,
};

/// The first user of an account to be created.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) email: EmailAddress,
    pub(crate) name: String,
    /// If empty, the user's name.
    pub(crate) account_name: String,
    pub(crate) role: Role,
    pub(crate) language: Language,
}

impl Profile {
    /// Makes the profile of a user whose account has the same name.
    pub(crate) fn new(email: EmailAddress, name: String, role: Role) -> Self {
        Self { email, name, account_name: String::new(), role, language: Language::default() }
    }
}

/// Creates an account and its first user, without confirming the address: the caller vouches for it.
///
/// # Errors
/// `ALREADY_EXISTS`, `VALIDATION_FAILED`, `OVERLOADED`.
pub(crate) async fn create(app: &App, profile: Profile, password: SecretString) -> Result<User> {
    // The password is hashed before the transaction begins, because hashing takes longer than the transaction should.
    let hash = app.part::<Passwords>().hash(Password::choose(password)?, &profile.email, &profile.name).await?;
    let now = app.clock.now();
    app.database
        .transaction(async move |work: &mut Work| insert(work.connection().await?, profile, &hash, now).await)
        .await
}

/// Creates an account and its first user, in the caller's transaction.
pub(super) async fn insert(
    connection: &mut Connection,
    profile: Profile,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<User> {
    let Profile { email, name, account_name, role, language } = profile;
    let account_name = if account_name.is_empty() { name.clone() } else { account_name };
    let account = Account { id: AccountId::generate(now), name: account_name, created_at: now };
    let new = User { language, ..User::new(account.id, email, name, role, now) };
    account::insert(connection, &account).await?;
    user::insert(connection, &new, hash).await?;
    Ok(new)
}

/// Creates an account and its first user, who can't sign in until the password is reset, in the caller's transaction.
///
/// # Errors
/// `ALREADY_EXISTS`.
pub(crate) async fn create_without_password(
    connection: &mut Connection,
    profile: Profile,
    now: DateTime<Utc>,
) -> Result<User> {
    insert(connection, profile, &no_password(), now).await
}

/// Returns a random password hash (PHC) that no password matches.
pub(crate) fn no_password() -> String {
    let (salt, hash) = (random::<16>(), random::<32>());
    format!("$argon2id$v=19$m=7168,t=5,p=1${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash))
}
