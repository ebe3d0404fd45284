//! Callers of every role.
//!
//! Users are stored directly, and signed in without a password, because a real sign-in computes a deliberately slow
//! hash.

use mainstay::identity::{
    account::{model::Account, store as accounts},
    member::{
        model::{Member, MemberRole},
        store as members,
    },
    session::{model::Device, ops as sessions},
    user::{
        model::{EmailAddress, Role, User},
        store as users,
    },
};
use mainstay_kernel::unit_of_work::Work;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::{Client, TestServer};

impl TestServer {
    /// Returns a caller without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(self.url(), None, None)
    }

    /// Returns a new admin.
    pub async fn admin(&self) -> Client {
        self.user(Role::Admin).await
    }

    /// Returns a new agent.
    pub async fn agent(&self) -> Client {
        self.user(Role::Agent).await
    }

    /// Returns a new customer, the owner of a new account.
    pub async fn customer(&self) -> Client {
        self.user(Role::Customer).await
    }

    /// Returns a service with a new key of these scopes.
    ///
    /// # Panics
    /// Panics if no module declares one of the scopes.
    pub async fn service(&self, scopes: &[&str]) -> Client {
        let request = json!({ "name": "A service of a test", "scopes": scopes });
        let key = self.admin().await.post("/api/v1/service-keys", request).await.success();
        let secret = key.body["secret"].as_str().expect("the secret of the key");
        Client::new(self.url(), Some(secret.to_owned()), None)
    }

    /// Signs a user in. Repeat this after the clock is advanced, because access tokens expire.
    ///
    /// # Panics
    /// Panics if the server's databases do not answer.
    pub async fn sign_in(&self, user: &User) -> Client {
        let device = Device::new("mainstay-test-kit", "127.0.0.1".to_owned());
        let tokens = sessions::begin(self.app(), user, device, None).await.expect("a session");
        Client::new(self.url(), Some(tokens.access.expose_secret().to_owned()), Some((user.clone(), tokens.account)))
    }

    async fn user(&self, role: Role) -> Client {
        let now = self.app().clock.now();
        let account = Account::new("An account of a test".to_owned(), now);
        let email = EmailAddress::parse(&format!("{}@example.com", mainstay_kernel::id::new(now)));
        let user = User::new(email.expect("an address"), "A user of a test".to_owned(), role, now);
        let owner = Member::new(account.id, user.id, MemberRole::OWNER, now);
        let row = user.clone();
        let insert = self.app().database.transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            accounts::insert(connection, &account).await?;
            // No password has this hash.
            users::insert(connection, &row, "none").await?;
            members::insert(connection, &owner).await
        });
        insert.await.expect("a new user");
        self.sign_in(&user).await
    }
}
