//! Users inserted directly into the database, because registration computes a deliberately slow password hash for each.

use std::sync::LazyLock;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version, password_hash::SaltString};
use mainstay_kernel::contract::policy::Role;
use uuid::Uuid;

pub(crate) use super::actor::User;
use super::{Actor, Endpoint, TestDatabase, unique};

/// The password of every test user.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Computed once, with the app's own parameters: a cheaper hash would be replaced at the first sign-in, at full cost.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let salt = SaltString::from_b64("dGVzdHMgc2FsdCB0aGlz").expect("a salt");
    let params = Params::new(7168, 5, 1, None).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(PASSWORD.as_bytes(), &salt).expect("a hash").to_string()
});

/// Returns a new id.
pub(crate) fn fresh_id() -> Uuid {
    mainstay_kernel::id::new(mainstay_kernel::clock::Clock::default().now())
}

/// Inserts users in one batch, each an owner of the account.
pub(crate) async fn users(database: &TestDatabase, roles: &[(Role, Option<Uuid>)]) -> Vec<User> {
    let mut statements = String::new();
    let mut users = Vec::new();
    for (role, account) in roles {
        let email = format!("{}@example.com", unique());
        let user = User {
            id: fresh_id(),
            account: account.unwrap_or_else(fresh_id),
            email,
            password: PASSWORD.to_owned(),
            role: *role,
        };
        let User { id, account, email, role, .. } = &user;
        let (role, hash, member) = (*role as i32, &*HASH, fresh_id());
        // A distinct time for each, because now() is the same for all: lists are sorted by time, and their order would
        // be undefined.
        statements.push_str(&format!(
            "INSERT INTO accounts (id, name, created_at) VALUES ('{account}', 'Account', now()) ON CONFLICT DO NOTHING;
             INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)
             VALUES ('{id}', '{email}', 'Somebody', {role}, '{hash}', clock_timestamp(), clock_timestamp());
             INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
             VALUES ('{member}', '{account}', '{id}', 1, clock_timestamp(), clock_timestamp());"
        ));
        users.push(user);
    }
    database.sql(&statements).await;
    users
}

/// Every scope of a service key.
pub(crate) fn every_scope() -> Vec<String> {
    let policies = super::policies();
    policies.scopes().map(|scope| scope.name.to_string()).collect()
}

/// One caller of each kind, for the access tests.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) anonymous: Actor,
    pub(crate) customer: Actor,
    /// A customer of the same account.
    pub(crate) colleague: Actor,
    /// A customer of another account.
    pub(crate) stranger: Actor,
    pub(crate) agent: Actor,
    pub(crate) admin: Actor,
    /// A service with every scope.
    pub(crate) service: Actor,
}

impl Cast {
    /// Creates new users that no other test uses.
    pub(crate) async fn new(endpoint: &Endpoint, database: &TestDatabase) -> Self {
        let account = fresh_id();
        let roles = [
            (Role::Customer, Some(account)),
            (Role::Customer, Some(account)),
            (Role::Customer, None),
            (Role::Agent, None),
            (Role::Admin, None),
        ];
        let users = users(database, &roles).await;
        let [customer, colleague, stranger, agent, admin] =
            <[User; 5]>::try_from(users).expect("five").map(|user| Actor::user(endpoint, user));
        let service = Actor::service(&admin, &every_scope());
        Self { anonymous: Actor::anonymous(endpoint), customer, colleague, stranger, agent, admin, service }
    }
}
