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
    role::{id::RoleId, model::Granted},
    session::{
        model::{Device, Proof},
        ops as sessions,
    },
    user::{
        model::{EmailAddress, Role, User},
        store as users,
    },
};
use mainstay_kernel::{
    contract::policy::{self, BuiltInRole},
    unit_of_work::Work,
};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::{Client, TestServer};

impl TestServer {
    /// Returns a caller without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(self.url(), None, None)
    }

    /// Returns a new admin. As for all callers, the access token is valid for 5 minutes of the server's clock.
    ///
    /// # Panics
    /// This function and the following ones panic like [`sign_in`](Self::sign_in).
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
        let proof = Proof::password(self.app().clock.now());
        let tokens = sessions::begin(self.app(), user, device, None, None, proof).await.expect("a session");
        Client::new(self.url(), Some(tokens.access.expose_secret().to_owned()), Some((user.clone(), tokens.account)))
    }

    /// Returns a caller with the access token of a built-in role, of a user whose platform role is that of the built-in one.
    pub async fn with_role(&self, role: BuiltInRole) -> Client {
        self.with_grant(role.role(), &Granted::BuiltIn(role)).await
    }

    /// Returns a caller with the access token of a custom role with these scopes: of the staff or of a new account.
    pub async fn with_scopes(&self, of_staff: bool, scopes: &[&str]) -> Client {
        let id = RoleId::generate(self.app().clock.now());
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let role = if of_staff { policy::Role::Agent } else { policy::Role::Customer };
        self.with_grant(role, &Granted::Custom { id, version: 1, scopes }).await
    }

    async fn with_grant(&self, role: policy::Role, granted: &Granted) -> Client {
        let role = match role {
            policy::Role::Agent => Role::Agent,
            policy::Role::Admin => Role::Admin,
            _ => Role::Customer,
        };
        let (user, member) = self.new_user(role).await;
        let device = Device::new("mainstay-test-kit", "127.0.0.1".to_owned());
        let tokens = sessions::begin_with(self.app(), &user, Some(&member), granted, device).await.expect("a session");
        Client::new(self.url(), Some(tokens.access.expose_secret().to_owned()), Some((user, tokens.account)))
    }

    async fn user(&self, role: Role) -> Client {
        let (user, _) = self.new_user(role).await;
        self.sign_in(&user).await
    }

    async fn new_user(&self, role: Role) -> (User, Member) {
        let now = self.app().clock.now();
        let account = Account::new("An account of a test".to_owned(), now);
        let email = EmailAddress::parse(&format!("{}@example.com", mainstay_kernel::id::new(now)));
        let user = User::new(email.expect("an address"), "A user of a test".to_owned(), role, now);
        let owner = Member::new(account.id, user.id, MemberRole::OWNER, now);
        let (row, member) = (user.clone(), owner.clone());
        let insert = self.app().database.transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            accounts::insert(connection, &account).await?;
            // No password has this hash.
            users::insert(connection, &row, "none").await?;
            members::insert(connection, &owner).await
        });
        insert.await.expect("a new user");
        (user, member)
    }
}
