//! Creates users.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::identity::{
    account::{model::Account, store as account},
    account_domain::{model::AccountDomain, ops::joining},
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
use mainstay_kernel::{
    app::App, audit::Record, database::Connection, error::Result, id::AccountId, secret::random, unit_of_work::Work,
};

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

    /// Returns the user, and an account for it.
    fn into_user(self, now: DateTime<Utc>) -> (User, Account) {
        let Self { email, name, account_name, role, language } = self;
        let account = Account::new(if account_name.is_empty() { name.clone() } else { account_name }, now);
        (User { language, ..User::new(email, name, role, now) }, account)
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
        .transaction(async move |work: &mut Work| {
            let (user, account) = insert(work.connection().await?, profile, &hash, now).await?;
            work.audit(Record::created(&user).in_account(Some(account.id)));
            Ok(user)
        })
        .await
}

/// Creates a user and an account that the user owns, in the caller's transaction.
async fn insert(connection: &Connection, profile: Profile, hash: &str, now: DateTime<Utc>) -> Result<(User, Account)> {
    let (new, account) = profile.into_user(now);
    user::insert(connection, &new, hash).await?;
    own(connection, &account, &new, now).await?;
    Ok((new, account))
}

async fn own(connection: &Connection, account: &Account, user: &User, now: DateTime<Utc>) -> Result<()> {
    account::insert(connection, account).await?;
    member::insert(connection, &Member::new(account.id, user.id, MemberRole::OWNER, now)).await
}

/// A registered user.
pub(crate) struct Registered {
    pub(crate) user: User,
    /// The account that the user owns, or has joined.
    account: AccountId,
    /// The mail domain by which the user has joined the account.
    joined_by: Option<AccountDomain>,
}

impl Registered {
    /// Returns the entry of the audit log.
    pub(crate) fn record(&self) -> Record {
        let record = Record::created(&self.user).by(self.user.id, false).in_account(Some(self.account));
        match &self.joined_by {
            Some(domain) => record.with("joinedByDomain", domain.domain.as_str()),
            None => record,
        }
    }
}

/// Creates a user whose address is confirmed. The user joins the account that has verified the domain of the address, or else
/// owns a new account. Without a hash, the user has no password.
///
/// # Errors
/// `ALREADY_EXISTS`.
pub(crate) async fn register(
    connection: &Connection,
    profile: Profile,
    hash: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Registered> {
    let joined_by = joining(connection, &profile.email, None, now).await?;
    let (user, account) = profile.into_user(now);
    user::insert_confirmed(connection, &user, hash.unwrap_or(&no_password())).await?;
    if hash.is_none() {
        user::forget_password(connection, user.id).await?;
    }
    let account = match &joined_by {
        Some(domain) => {
            let member = Member::new(domain.account, user.id, domain.member_role(), now);
            member::insert(connection, &member).await?;
            tracing::info!(account = %domain.account, user = %user.id, domain = %domain.id, "a new user joined an account by its mail domain");
            domain.account
        }
        None => {
            own(connection, &account, &user, now).await?;
            account.id
        }
    };
    Ok(Registered { user, account, joined_by })
}

/// Creates a user without a password as a member of an account, whose provider vouches for the address.
///
/// # Errors
/// `ALREADY_EXISTS`.
pub(crate) async fn register_in(
    connection: &Connection,
    profile: Profile,
    account: AccountId,
    role: MemberRole,
    now: DateTime<Utc>,
) -> Result<Registered> {
    let (user, _) = profile.into_user(now);
    user::insert_confirmed(connection, &user, &no_password()).await?;
    user::forget_password(connection, user.id).await?;
    member::insert(connection, &Member::new(account, user.id, role, now)).await?;
    Ok(Registered { user, account, joined_by: None })
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
