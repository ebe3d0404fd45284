//! Creates users.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::identity::{
    account::{model::Account, store as account},
    auth::password::Password,
    member::{
        model::{Member, MemberRole},
        store as member,
    },
    passwords::Passwords,
    user::{
        model::{EmailAddress, Language, Role, User},
        store as user,
    },
};
use mainstay_kernel::{app::App, database::Connection, error::Result, secret::random, unit_of_work::Work};

/// A user to be created, with an account.
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

/// Creates a user and an account that the user owns, without confirming the address: the caller vouches for it.
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
        .map(|(user, _)| user)
}

/// Creates a user and an account that the user owns, in the caller's transaction.
pub(super) async fn insert(
    connection: &Connection,
    profile: Profile,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<(User, Account)> {
    let Profile { email, name, account_name, role, language } = profile;
    let account = Account::new(if account_name.is_empty() { name.clone() } else { account_name }, now);
    let new = User { language, ..User::new(email, name, role, now) };
    let owner = Member::new(account.id, new.id, MemberRole::OWNER, now);
    account::insert(connection, &account).await?;
    user::insert(connection, &new, hash).await?;
    member::insert(connection, &owner).await?;
    Ok((new, account))
}

/// Creates a user and an account that the user owns. The user can't sign in until the password is reset.
///
/// # Errors
/// `ALREADY_EXISTS`.
pub(crate) async fn create_without_password(
    connection: &mut Connection,
    profile: Profile,
    now: DateTime<Utc>,
) -> Result<(User, Account)> {
    insert(connection, profile, &no_password(), now).await
}

/// Returns a random password hash (PHC) that no password matches.
pub(crate) fn no_password() -> String {
    let (salt, hash) = (random::<16>(), random::<32>());
    format!("$argon2id$v=19$m=7168,t=5,p=1${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash))
}
