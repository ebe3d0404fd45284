//! Which person at a provider signs in which user.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{DELETE, LIST, assert_failed, sign_in, user_of};
use crate::support::{
    Actor, PROTOCOLS, Protocol, TestApp,
    database::connect,
    oidc::{Browser, Page, Provider, app_with, builder_with},
    people::PASSWORD,
};

/// Signs a user in with the password, in a new browser.
async fn browser_of(app: &TestApp, who: &Actor) -> Browser {
    let mut browser = Browser::new(&app.endpoint);
    let user = who.as_user();
    let page = browser.post("/session", &json!({ "email": user.email, "password": user.password })).await;
    assert_eq!(page.status, 200, "{page:#?}");
    browser
}

/// Links the person of the provider to the user of a browser.
async fn link(browser: &mut Browser) -> Page {
    let started = browser.post("/session/oidc/corp", &json!({ "returnPath": "/console/security" })).await;
    let url = started.body["data"]["url"].as_str().unwrap_or_else(|| panic!("{started:#?}")).to_owned();
    let back = browser.authorize(&url).await;
    browser.open(&back).await
}

async fn identities(who: &Actor, protocol: Protocol) -> Vec<Value> {
    who.call(protocol, LIST, json!({})).await.success().data().as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_in_user_links_and_unlinks_a_person() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let cast = app.cast().await;
    for (protocol, who) in PROTOCOLS.into_iter().zip([&cast.customer, &cast.admin, &cast.stranger]) {
        let mut browser = browser_of(&app, who).await;
        let page = link(&mut browser).await;
        assert_eq!(page.location, "/console/security?sign_in=linked", "{page:#?}");
        let list = identities(who, protocol).await;
        assert_eq!(
            (list.len(), &list[0]["provider"], &list[0]["issuer"]),
            (1, &json!("corp"), &json!(provider.issuer()))
        );
        assert_eq!(list[0]["email"], json!(provider.email()));
        let (page, mut other) = sign_in(&app).await;
        assert_eq!(user_of(&app, &page, &mut other).await["id"], json!(who.as_user().id.to_string()));
        // A repetition changes nothing.
        assert_eq!(link(&mut browser).await.location, "/console/security?sign_in=linked");
        let id = json!({ "linkedIdentityId": list[0]["id"] });
        who.call(protocol, DELETE, id.clone()).await.success();
        who.call(protocol, DELETE, id).await.failure("NOT_FOUND");
        assert!(identities(who, protocol).await.is_empty());
    }
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 27").await, 3);
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 28").await, 3);
    let entries = "SELECT count(*) FROM audit_entries WHERE changes::text LIKE '%linkedIdentity%linked%'";
    assert_eq!(app.database.number(entries).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_linked_to_one_user() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let cast = app.cast().await;
    link(&mut browser_of(&app, &cast.customer).await).await;
    let page = link(&mut browser_of(&app, &cast.stranger).await).await;
    assert_eq!(page.location, "/console/security?sign_in_error=ALREADY_EXISTS");
    assert!(identities(&cast.stranger, Protocol::Rest).await.is_empty());
    // An admin sees the identities of a user.
    let request = json!({ "userId": cast.customer.as_user().id.to_string() });
    let list =
        cast.admin.call(Protocol::Grpc, "LinkedIdentityService.ListUserLinkedIdentities", request).await.success();
    assert_eq!(list.data().as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_needs_a_recent_sign_in_and_the_session_at_its_end() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let cast = app.cast().await;
    let mut browser = browser_of(&app, &cast.customer).await;
    let started = browser.post("/session/oidc/corp", &json!({})).await;
    let back = browser.authorize(started.body["data"]["url"].as_str().expect("a URL")).await;
    cast.customer.rest("SessionService.RevokeAllSessions", json!({})).await.success();
    assert_eq!(browser.open(&back).await.location, "/console/?sign_in_error=SESSION_REVOKED");
    let mut browser = browser_of(&app, &cast.customer).await;
    app.app.clock.advance(TimeDelta::minutes(11));
    let late = browser.post("/session/oidc/corp", &json!({})).await;
    assert_eq!(late.reason(), "REAUTHENTICATION_REQUIRED", "{late:#?}");
    assert_eq!(app.database.number("SELECT count(*) FROM linked_identities").await, 0);
}

/// An attacker registers the address of a victim at a provider that does not verify it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_address_of_a_user_is_of_no_use() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let cast = app.cast().await;
    provider.claim("email", cast.customer.as_user().email.clone());
    for (verified, reason) in [
        (json!(false), "REGISTRATION_CLOSED"),
        (json!(null), "REGISTRATION_CLOSED"),
        // The provider may have verified it long ago.
        (json!(true), "ALREADY_EXISTS"),
    ] {
        provider.claim("email_verified", verified);
        let (page, browser) = sign_in(&app).await;
        assert_failed(&page, &browser, reason);
    }
    assert_eq!(app.database.number("SELECT count(*) FROM linked_identities").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_links_the_customers_of_its_domains_and_never_the_staff() {
    let provider = Provider::start().await;
    let (app, cast) =
        builder_with(&provider).set("OIDC_CORP_DOMAINS", "example.com,corp.example").start_with_cast().await;
    let domain = |who: &Actor| who.as_user().email.split('@').nth(1).expect("a domain").to_owned();
    for who in [&cast.customer, &cast.agent, &cast.admin] {
        assert_eq!(domain(who), "example.com", "the cast has addresses of one domain");
    }
    for (who, verified) in [(&cast.customer, json!(null)), (&cast.stranger, json!(true))] {
        provider.claim("sub", who.as_user().id.to_string());
        provider.claim("email", who.as_user().email.clone());
        provider.claim("email_verified", verified);
        let (page, mut browser) = sign_in(&app).await;
        assert_eq!(user_of(&app, &page, &mut browser).await["id"], json!(who.as_user().id.to_string()));
    }
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 27").await, 2);
    for who in [&cast.agent, &cast.admin] {
        provider.claim("sub", who.as_user().id.to_string());
        provider.claim("email", who.as_user().email.clone());
        let (page, browser) = sign_in(&app).await;
        assert_failed(&page, &browser, "ALREADY_EXISTS");
    }
    provider.claim("sub", "another");
    provider.claim("email", cast.colleague.as_user().email.clone());
    provider.claim("email_verified", false);
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "REGISTRATION_CLOSED");
}

/// While a sign-in waits for the customer's row, the customer joins the staff.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_joins_the_staff_meanwhile_is_not_linked() {
    let provider = Provider::start().await;
    let (app, cast) = builder_with(&provider).set("OIDC_CORP_DOMAINS", "example.com").start_with_cast().await;
    let user = cast.customer.as_user();
    provider.claim("email", user.email.clone());
    let mut browser = Browser::new(&app.endpoint);
    let back = browser.begin("corp").await;
    let outside = connect(&app.database.url).await;
    let change = format!("BEGIN; UPDATE users SET role = 2 WHERE id = '{}'", user.id);
    outside.batch_execute(&change).await.expect("the lock");
    let end = tokio::spawn(async move {
        let page = browser.open(&back).await;
        (page, browser)
    });
    app.database.locks_waited_for(1).await;
    outside.batch_execute("COMMIT").await.expect("the lock goes");
    let (page, browser) = end.await.expect("no panic");
    assert_failed(&page, &browser, "ALREADY_EXISTS");
    assert_eq!(app.database.number("SELECT count(*) FROM linked_identities").await, 0);
}

/// A provider that linked itself to a customer does not decide who an agent is.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_joins_the_staff_loses_the_identities() {
    let provider = Provider::start().await;
    let (app, cast) = builder_with(&provider).set("OIDC_CORP_DOMAINS", "example.com").start_with_cast().await;
    let user = cast.customer.as_user();
    provider.claim("email", user.email.clone());
    let (page, mut browser) = sign_in(&app).await;
    assert_eq!(user_of(&app, &page, &mut browser).await["id"], json!(user.id.to_string()));
    let role = |role: &str| json!({ "userId": user.id.to_string(), "role": role });
    cast.admin.rest("UserService.SetUserRole", role("ROLE_AGENT")).await.success();
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "ALREADY_EXISTS");
    // An agent who links a person keeps the person as an admin.
    let agent = Actor::user(&app.endpoint, user.clone());
    link(&mut browser_of(&app, &agent).await).await;
    cast.admin.rest("UserService.SetUserRole", role("ROLE_ADMIN")).await.success();
    let (page, mut browser) = sign_in(&app).await;
    assert_eq!(user_of(&app, &page, &mut browser).await["id"], json!(user.id.to_string()));
}

/// An identity at a provider that the configuration does not name any more is no way to sign in.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_a_removed_provider_counts_for_nothing() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let (page, mut browser) = sign_in(&app).await;
    let user = user_of(&app, &page, &mut browser).await;
    let insert = format!(
        "INSERT INTO linked_identities (id, user_id, issuer, subject, created_at) \
         VALUES (gen_random_uuid(), '{}', 'https://removed.example', '1', now())",
        user["id"].as_str().expect("an id")
    );
    app.database.sql(&insert).await;
    let me = Actor::bearer(&app.endpoint, browser.access_token().await);
    let list = identities(&me, Protocol::Rest).await;
    let id = |provider: &Value| {
        let one = list.iter().find(|one| one["provider"] == *provider).expect("it is listed");
        json!({ "linkedIdentityId": one["id"] })
    };
    me.rest(DELETE, id(&json!("corp"))).await.failure("LAST_SIGN_IN_METHOD");
    me.rest(DELETE, id(&json!(null))).await.success();
}

/// A user without a password keeps a way to sign in, and gets a password by a reset.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_to_sign_in_stays() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let (page, mut browser) = sign_in(&app).await;
    let user = user_of(&app, &page, &mut browser).await;
    let me = Actor::bearer(&app.endpoint, browser.access_token().await);
    let id = json!({ "linkedIdentityId": identities(&me, Protocol::Rest).await[0]["id"] });
    for protocol in PROTOCOLS {
        me.call(protocol, DELETE, id.clone()).await.failure("LAST_SIGN_IN_METHOD");
    }
    let login = json!({ "email": user["email"], "password": PASSWORD });
    let anonymous = Actor::anonymous(&app.endpoint);
    anonymous.rest("AuthService.Login", login.clone()).await.failure("INVALID_CREDENTIALS");
    let token = format!("mpr_{}", crate::support::unique());
    let insert = format!(
        "INSERT INTO password_resets (token_hash, user_id, expires_at) \
         VALUES (sha256('{token}'), '{}', now() + interval '1 hour')",
        user["id"].as_str().expect("an id")
    );
    app.database.sql(&insert).await;
    let reset = json!({ "token": token, "password": PASSWORD });
    anonymous.rest("AuthService.ConfirmPasswordReset", reset).await.success();
    let pair = anonymous.rest("AuthService.Login", login).await.success();
    let me = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
    me.rest(DELETE, id).await.success();
}
