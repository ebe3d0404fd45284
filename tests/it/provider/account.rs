//! Sign-in with the provider of an account: the members it admits, and attacks by an account and by its provider.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::{assert_failed, user_of};
use crate::{
    cases::{
        Scene,
        account_domain::{new_domain, set_address, verify_domain},
        account_provider::add_provider,
        join,
    },
    support::{
        Actor, PROTOCOLS, Protocol, Response, TestApp,
        oidc::{Browser, Page, Provider, builder_with},
    },
};

const UPDATE: &str = "AccountProviderService.UpdateAccountProvider";

/// An account with a proved mail domain and a provider.
pub(super) struct Company {
    pub(super) app: TestApp,
    pub(super) scene: Scene,
    /// The provider of the account.
    provider: Provider,
    /// Its id, which is its name in URLs.
    pub(super) id: String,
    pub(super) domain: String,
    /// The provider of the configuration, under the name `corp`.
    corp: Provider,
}

impl Company {
    pub(super) async fn start(values: Value) -> Self {
        let (corp, provider) = (Provider::start().await, Provider::start().await);
        let app = builder_with(&corp).start().await;
        let (scene, domain) = (Scene::new(&app).await, new_domain());
        verify_domain(&scene.cast.customer, &domain).await;
        let added = add_provider(&scene.cast.customer, &provider.issuer(), values).await;
        provider.claim("email", format!("ada@{domain}"));
        let id = added["id"].as_str().expect("an id").to_owned();
        assert_eq!(added["redirectUri"], json!(format!("http://app.example/auth/oidc/{id}/callback")));
        Self { app, scene, provider, id, domain, corp }
    }

    /// Signs the person of the provider in, in a new browser.
    pub(super) async fn sign_in(&self) -> (Page, Browser) {
        let mut browser = Browser::new(&self.app.endpoint);
        let page = browser.sign_in(&self.id).await;
        (page, browser)
    }

    /// Signs the person in, and returns the user and the browser.
    pub(super) async fn user(&self) -> (Value, Browser) {
        let (page, mut browser) = self.sign_in().await;
        let user = user_of(&self.app, &page, &mut browser).await;
        (user, browser)
    }

    pub(super) async fn update(&self, patch: Value) -> Value {
        let request = json!({ "accountProviderId": self.id, "accountProvider": patch });
        self.scene.cast.customer.rest(UPDATE, request).await.success().data().clone()
    }

    /// Returns the role of a user in the account, by its number; 0 without a membership.
    pub(super) async fn role(&self, user: &str) -> i64 {
        let account = self.scene.account();
        let query =
            format!("SELECT coalesce(max(role), 0) FROM members WHERE user_id = '{user}' AND account_id = '{account}'");
        self.app.database.number(&query).await
    }
}

pub(super) fn id_of(user: &Value) -> &str {
    user["id"].as_str().expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn people_find_the_provider_by_their_address_and_become_members() {
    let company = Company::start(json!({})).await;
    for protocol in PROTOCOLS {
        let email = json!({ "email": format!("Ada@{}", company.domain.to_uppercase()) });
        let found =
            company.scene.cast.anonymous.call(protocol, "AuthService.FindSignInProvider", email).await.success();
        assert_eq!(found.data(), &json!({ "name": company.id, "label": "Engines" }));
    }
    let form = format!("email=ada%40{}", company.domain);
    let led = Browser::new(&company.app.endpoint).submit("/session/sign-in/company", &form).await;
    let url = format!("url=/auth/oidc/{}?return=%2Fconsole%2F\"", company.id);
    assert!(led.status == 200 && led.html.replace("&#x2f;", "/").contains(&url), "{led:#?}");
    company.provider.claim("groups", json!(["finance"]));
    let (user, mut browser) = company.user().await;
    assert_eq!(company.role(id_of(&user)).await, 5);
    let own = format!("SELECT count(*) FROM members WHERE user_id = '{}'", id_of(&user));
    assert_eq!(company.app.database.number(&own).await, 1, "the person has no account of the own");
    let refreshed = browser.post("/session/refresh", &json!({})).await;
    assert_eq!(refreshed.status, 200, "{refreshed:#?}");
    // The groups of each sign-in decide, and the access token of before is refused.
    let before = Actor::bearer(&company.app.endpoint, browser.access_token().await);
    company.provider.claim("groups", json!(["it"]));
    let (again, _) = company.user().await;
    assert_eq!((id_of(&again), company.role(id_of(&user)).await), (id_of(&user), 2));
    before.rest("UserService.GetMe", json!({})).await.failure("TOKEN_EXPIRED");
    let secret = "SELECT count(*) FROM account_providers WHERE encode(client_secret, 'escape') LIKE '%hunter2%'";
    assert_eq!(company.app.database.number(secret).await, 0, "the secret is stored in plain");
    let entries =
        "SELECT count(*) FROM audit_entries WHERE changes::text LIKE '%hunter2%' OR personal::text LIKE '%hunter2%'";
    assert_eq!(company.app.database.number(entries).await, 0, "the secret is in the audit log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_with_the_address_is_linked_and_an_owner_stays_one() {
    let company = Company::start(json!({})).await;
    let (customer, stranger) = (&company.scene.cast.customer, &company.scene.cast.stranger);
    for (who, role) in [(stranger, 5), (customer, 1)] {
        let email = format!("{}@{}", who.as_user().id.simple(), company.domain);
        set_address(&company.app.database, who, &email).await;
        company.provider.claim("sub", email.clone());
        company.provider.claim("email", email);
        let (user, _) = company.user().await;
        assert_eq!(id_of(&user), who.as_user().id.to_string());
        assert_eq!(company.role(id_of(&user)).await, role, "an owner keeps the role");
    }
    assert_eq!(company.app.database.number("SELECT count(*) FROM mails WHERE kind = 27").await, 2);
}

/// A provider speaks for the proved domains of its account alone, also for a person whom it has named before.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_a_foreign_domain_is_refused() {
    let company = Company::start(json!({})).await;
    company.user().await;
    let other = Scene::new(&company.app).await;
    let proved_by_other = new_domain();
    verify_domain(&other.cast.customer, &proved_by_other).await;
    for email in [
        json!(format!("ada@{proved_by_other}")),
        json!(format!("ada@sub.{}", company.domain)),
        json!(company.scene.cast.stranger.as_user().email),
        json!("ada@gmail.com"),
        json!(null),
        json!("nonsense"),
    ] {
        company.provider.claim("email", email);
        let (page, browser) = company.sign_in().await;
        assert_failed(&page, &browser, "ADDRESS_OF_ANOTHER_DOMAIN");
    }
    company.provider.claim("email", format!("ada@{}", company.domain));
    company.provider.claim("email_verified", false);
    let (page, browser) = company.sign_in().await;
    assert_failed(&page, &browser, "ADDRESS_OF_ANOTHER_DOMAIN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_lapsed_admits_no_person() {
    let company = Company::start(json!({})).await;
    company.user().await;
    company.app.database.sql("UPDATE account_domains SET state = 3, due_at = NULL").await;
    let (page, browser) = company.sign_in().await;
    assert_failed(&page, &browser, "ADDRESS_OF_ANOTHER_DOMAIN");
    let email = json!({ "email": format!("ada@{}", company.domain) });
    company.scene.cast.anonymous.rest("AuthService.FindSignInProvider", email).await.failure("NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staff_is_neither_linked_nor_signed_in() {
    let company = Company::start(json!({})).await;
    let agent = &company.scene.cast.agent;
    set_address(&company.app.database, agent, &format!("ada@{}", company.domain)).await;
    let (page, browser) = company.sign_in().await;
    assert_failed(&page, &browser, "ALREADY_EXISTS");
    // A link from before the role counts for nothing, either.
    company.provider.claim("email", format!("bob@{}", company.domain));
    let (user, _) = company.user().await;
    company.app.database.sql(&format!("UPDATE users SET role = 2 WHERE id = '{}'", id_of(&user))).await;
    let (page, browser) = company.sign_in().await;
    assert_failed(&page, &browser, "ALREADY_EXISTS");
}

/// An account may name the issuer of the configuration, and so may two accounts: each has other people.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_belongs_to_one_provider() {
    let company = Company::start(json!({})).await;
    let (mut browser, cast) = (Browser::new(&company.app.endpoint), &company.scene.cast);
    // The configured provider has linked the customer.
    let linked = format!(
        "INSERT INTO linked_identities (id, user_id, issuer, subject, created_at) \
         VALUES (gen_random_uuid(), '{}', '{}', 'victim', now())",
        cast.stranger.as_user().id,
        company.corp.issuer()
    );
    company.app.database.sql(&linked).await;
    let owner = Scene::new(&company.app).await;
    let domain = new_domain();
    verify_domain(&owner.cast.customer, &domain).await;
    let added = add_provider(&owner.cast.customer, &company.corp.issuer(), json!({})).await;
    company.corp.claim("sub", "victim");
    company.corp.claim("email", format!("victim@{domain}"));
    let page = browser.sign_in(added["id"].as_str().expect("an id")).await;
    let user = user_of(&company.app, &page, &mut browser).await;
    assert_ne!(id_of(&user), cast.stranger.as_user().id.to_string());
    let member = format!(
        "SELECT count(*) FROM members WHERE user_id = '{}' AND account_id = '{}'",
        id_of(&user),
        owner.account()
    );
    assert_eq!(company.app.database.number(&member).await, 1);
    let page = Browser::new(&company.app.endpoint).sign_in("corp").await;
    assert_eq!(
        page.location, "/console/",
        "the same person signs in with the configured provider as before: {page:#?}"
    );
}

/// A response of the account's provider is of no use for the configured one, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn providers_of_accounts_and_of_the_configuration_are_not_mixed_up() {
    let company = Company::start(json!({})).await;
    for (begun, other) in [(company.id.as_str(), "corp"), ("corp", company.id.as_str())] {
        let mut browser = Browser::new(&company.app.endpoint);
        let back = browser.begin(begun).await.replace(begun, other);
        let page = browser.open(&back).await;
        assert_failed(&page, &browser, "INVALID_TOKEN");
    }
    // A response in the name of another issuer (RFC 9207).
    company.provider.script().response_issuer = Some(company.corp.issuer());
    let (page, browser) = company.sign_in().await;
    assert_failed(&page, &browser, "INVALID_TOKEN");
}

/// A session of the stranger in an account, by the password.
pub(super) async fn new_session_of(company: &Company, account: &str) -> Response {
    let user = company.scene.cast.stranger.as_user();
    let login = json!({ "email": user.email, "password": user.password, "accountId": account });
    company.scene.cast.anonymous.rest("AuthService.Login", login).await.success()
}

/// Nobody gives more than they hold by a mapping of groups.
#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_gives_no_more_than_its_author_holds() {
    let company = Company::start(json!({})).await;
    let cast = &company.scene.cast;
    let scopes = json!(["identity.providers.manage", "support.tickets.read"]);
    let role = json!({ "name": "Sign-in", "description": "", "scopes": scopes });
    let role = cast.customer.rest("RoleService.CreateRole", role).await.success().id();
    let who = &cast.stranger;
    join(&company.app.database, who, &cast.customer, 5).await;
    let assign = format!(
        "UPDATE members SET role = NULL, custom_role_id = '{role}' WHERE user_id = '{}' AND account_id = '{}'",
        who.as_user().id,
        company.scene.account()
    );
    company.app.database.sql(&assign).await;
    let pair = new_session_of(&company, &company.scene.account()).await;
    let me = Actor::bearer(&company.app.endpoint, pair.text("/data/accessToken"));
    let update = |patch: Value| json!({ "accountProviderId": company.id, "accountProvider": patch });
    let admin = json!({ "groups": [{ "group": "it", "role": "MEMBER_ROLE_ADMIN" }] });
    for protocol in PROTOCOLS {
        me.call(protocol, UPDATE, update(admin.clone())).await.failure("PERMISSION_DENIED");
        me.call(protocol, UPDATE, update(json!({ "defaultRole": "MEMBER_ROLE_ADMIN" })))
            .await
            .failure("PERMISSION_DENIED");
    }
    // An admin of the account has no scope for the provider.
    let demote = assign.replace(&format!("role = NULL, custom_role_id = '{role}'"), "role = 2, custom_role_id = NULL");
    company.app.database.sql(&demote).await;
    let pair = new_session_of(&company, &company.scene.account()).await;
    let me = Actor::bearer(&company.app.endpoint, pair.text("/data/accessToken"));
    me.rest(UPDATE, update(json!({ "displayName": "Mine" }))).await.failure("PERMISSION_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_was_removed_does_not_come_back() {
    let company = Company::start(json!({})).await;
    let (user, _) = company.user().await;
    let query = format!("SELECT id::text FROM members WHERE user_id = '{}'", id_of(&user));
    let member = company.app.database.sql(&query).await[0][0].clone().expect("a member");
    company.scene.cast.customer.rest("MemberService.RemoveMember", json!({ "memberId": member })).await.success();
    let (page, browser) = company.sign_in().await;
    assert_failed(&page, &browser, "NO_ACCOUNT_TO_JOIN");
}

/// An account makes the server call no host of the own network.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_issuer_is_neither_stored_nor_called() {
    let company = Company::start(json!({})).await;
    let strict =
        builder_with(&company.corp).on(&company.app.database).set("ALLOW_PRIVATE_PROVIDERS", "false").start().await;
    // It was stored while private hosts were allowed.
    let started = Browser::new(&strict.endpoint).open(&format!("/auth/oidc/{}", company.id)).await;
    assert_eq!(started.location, "/console/?sign_in_error=UPSTREAM_FAILED", "{started:#?}");
    let scene = Scene::new(&strict).await;
    for issuer in [
        company.provider.issuer().as_str(),
        "http://id.example.com",
        "https://127.0.0.1",
        "https://169.254.169.254/latest",
        "https://localhost",
        "https://user@id.example.com",
        "file:///etc/passwd",
    ] {
        let request = crate::cases::account_provider::draft(issuer);
        let refused =
            scene.cast.customer.call(Protocol::Grpc, "AccountProviderService.CreateAccountProvider", request).await;
        refused.failure("VALIDATION_FAILED");
    }
}

/// Metadata of the account's provider leads to no other issuer.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_a_foreign_issuer_is_refused() {
    let company = Company::start(json!({})).await;
    company.provider.script().metadata = json!({ "issuer": company.corp.issuer() });
    let started = Browser::new(&company.app.endpoint).open(&format!("/auth/oidc/{}", company.id)).await;
    assert_eq!(started.location, "/console/?sign_in_error=UPSTREAM_FAILED", "{started:#?}");
}

/// Anybody can begin a sign-in: an issuer that fails is not called by each one.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_read_of_an_issuer_is_remembered() {
    let company = Company::start(json!({})).await;
    let path = format!("/auth/oidc/{}", company.id);
    let mut browser = Browser::new(&company.app.endpoint);
    company.provider.script().metadata = json!({ "issuer": company.corp.issuer() });
    browser.open(&path).await;
    company.provider.script().metadata = json!({});
    let again = browser.open(&path).await;
    assert_eq!(again.location, "/console/?sign_in_error=UPSTREAM_FAILED", "{again:#?}");
    company.app.app.clock.advance(chrono::TimeDelta::seconds(11));
    company.user().await;
}

/// An issuer that does not answer holds eight requests, and one call.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_issuer_holds_few_requests() {
    let company = Company::start(json!({})).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let issuer = format!("http://{}", listener.local_addr().expect("an address"));
    let owner = Scene::new(&company.app).await;
    verify_domain(&owner.cast.customer, &new_domain()).await;
    let added = add_provider(&owner.cast.customer, &issuer, json!({})).await;
    let path = format!("/auth/oidc/{}", added["id"].as_str().expect("an id"));
    let mut begun = JoinSet::new();
    for _ in 0..12 {
        let (mut browser, path) = (Browser::new(&company.app.endpoint), path.clone());
        begun.spawn(async move { browser.open(&path).await.location });
    }
    for _ in 0..4 {
        let refused = begun.join_next().await.expect("one is refused").expect("no panic");
        assert_eq!(refused, "/console/?sign_in_error=CIRCUIT_OPEN");
    }
    // A change of the provider gives no more places.
    let request = json!({ "accountProviderId": added["id"], "accountProvider": { "displayName": "Another" } });
    owner.cast.customer.rest(UPDATE, request).await.success();
    let more = Browser::new(&company.app.endpoint).open(&path).await;
    assert_eq!(more.location, "/console/?sign_in_error=CIRCUIT_OPEN", "{more:#?}");
    // The failure is the answer for those who wait, too: nobody answers a second call.
    let (mut call, _) = listener.accept().await.expect("a call");
    assert_ne!(call.read(&mut [0; 1024]).await.expect("a request"), 0);
    call.write_all(b"HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n").await.expect("written");
    let failed: Vec<_> = begun.join_all().await;
    assert_eq!(failed, ["/console/?sign_in_error=UPSTREAM_FAILED"; 8]);
    // Other providers are not affected.
    company.user().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_outlives_a_rotation_of_the_secret_key() {
    let company = Company::start(json!({})).await;
    let sealed = "SELECT md5(client_secret) FROM account_providers";
    let before = company.app.database.sql(sealed).await;
    let resealed = mainstay::identity::account_provider::ops::reseal(&company.app.app).await.expect("it can be opened");
    assert_eq!(resealed, 1);
    assert_ne!(company.app.database.sql(sealed).await, before);
    company.user().await;
}
