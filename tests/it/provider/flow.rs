//! The flow: a registration, a sign-in, the second factor, and a provider that is unavailable.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use mainstay_kernel::clock::Clock;
use serde_json::json;

use super::{assert_failed, sign_in, user_of};
use crate::{
    cases::{
        Scene,
        account_domain::{new_domain, verify_domain},
    },
    second_factor::add_to,
    support::{
        Actor, PROTOCOLS, TestApp,
        oidc::{Browser, Provider, app_with, builder_with},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_person_registers_and_signs_in_again() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let (page, mut browser) = sign_in(&app).await;
    let user = user_of(&app, &page, &mut browser).await;
    assert_eq!((&user["email"], &user["name"]), (&json!(provider.email()), &json!("Ada")));
    assert_eq!(user["role"], "ROLE_CUSTOMER");
    // The provider's address changes, and the person stays the same.
    provider.claim("email", "other@corp.example");
    let (page, mut browser) = sign_in(&app).await;
    let again = user_of(&app, &page, &mut browser).await;
    assert_eq!((&again["id"], &again["email"]), (&user["id"], &user["email"]));
    assert_eq!(app.database.number("SELECT count(*) FROM linked_identities").await, 1);
    let entries = "SELECT count(*) FROM audit_entries WHERE changes::text LIKE '%session%'";
    assert!(app.database.number(entries).await >= 2, "sign-ins are in the audit log");
    for name in browser.cookies.keys() {
        assert!(!name.contains("provider"), "the cookie of the sign-in is gone: {browser:#?}");
    }
}

/// The first sign-in with a provider registers the person, who joins the account of the mail domain, if the provider has
/// verified the address.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_person_joins_the_account_of_the_mail_domain() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let scene = Scene::new(&app).await;
    let name = new_domain();
    verify_domain(&scene.cast.customer, &name).await;
    provider.claim("email", format!("ada@{name}"));
    provider.claim("email_verified", false);
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "REGISTRATION_CLOSED");
    provider.claim("email_verified", true);
    let (page, mut browser) = sign_in(&app).await;
    let user = user_of(&app, &page, &mut browser).await;
    let memberships = format!(
        "SELECT account_id::text, role::text FROM members WHERE user_id = '{}'",
        user["id"].as_str().expect("an id")
    );
    let joined = [Some(scene.account()), Some("3".to_owned())];
    assert_eq!(app.database.sql(&memberships).await, [joined.to_vec()], "{user}");
}

#[tokio::test(flavor = "multi_thread")]
async fn anyone_reads_the_names_of_the_providers() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    for protocol in PROTOCOLS {
        let list = Actor::anonymous(&app.endpoint).call(protocol, "AuthService.ListSignInProviders", json!({})).await;
        assert_eq!(list.success().data(), &json!([{ "name": "corp", "label": "Corp" }]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_cookie_belongs_to_this_host_only() {
    let provider = Provider::start().await;
    let app = builder_with(&provider).set("PUBLIC_URL", "https://app.example").start().await;
    let started = Browser::new(&app.endpoint).open("/auth/oidc/corp").await;
    let line = started.set_cookies.first().expect("a cookie");
    assert!(line.starts_with("__Host-mainstay_provider="), "{line}");
    for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=600"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(started.location.contains("redirect_uri=https%3A%2F%2Fapp.example%2Fauth%2Foidc%2Fcorp%2Fcallback"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_second_factor_types_a_code() {
    let provider = Provider::start().await;
    let (app, cast) = builder_with(&provider).set("OIDC_CORP_DOMAINS", "example.com").start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    link_to(&app, &provider, &cast.customer).await;
    let (page, mut browser) = sign_in(&app).await;
    assert_eq!(page.location, "/console/?sign_in=second_factor", "{page:#?}");
    assert_eq!(browser.post("/session/refresh", &json!({})).await.reason(), "UNAUTHENTICATED");
    let wrong = browser.post("/session/second-factor", &json!({ "code": factor.wrong(&app) })).await;
    assert_eq!(wrong.reason(), "WRONG_CODE");
    let done = browser.post("/session/second-factor", &json!({ "code": factor.code(&app) })).await;
    assert_eq!(done.status, 200, "{done:#?}");
    assert!(!browser.cookies.keys().any(|name| name.contains("challenge")), "{browser:#?}");
    let token = done.body["data"]["accessToken"].as_str().expect("a token");
    Actor::bearer(&app.endpoint, token).rest("UserService.GetMe", json!({})).await.success();
    // Without the cookie there is no challenge.
    let none = Browser::new(&app.endpoint).post("/session/second-factor", &json!({ "code": "123456" })).await;
    assert_eq!(none.reason(), "INVALID_TOKEN");
}

/// The browser withholds the cookie of the device from the return, so that the sign-in keeps it from the beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_device_needs_no_code() {
    let provider = Provider::start().await;
    let (app, cast) = builder_with(&provider).set("OIDC_CORP_DOMAINS", "example.com").start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    link_to(&app, &provider, &cast.customer).await;
    let (_, mut browser) = sign_in(&app).await;
    let answer = json!({ "code": factor.code(&app), "rememberDevice": true });
    assert_eq!(browser.post("/session/second-factor", &answer).await.status, 200);
    let callback = browser.begin("corp").await;
    let device = browser.cookies.remove("mainstay_device").expect("the cookie of the device");
    let page = browser.open(&callback).await;
    assert_eq!(page.location, "/console/", "{page:#?}");
    // On another device, and once it is forgotten.
    let (page, _) = sign_in(&app).await;
    assert_eq!(page.location, "/console/?sign_in=second_factor", "{page:#?}");
    let forget = format!("DELETE FROM remembered_devices WHERE user_id = '{}'", cast.customer.as_user().id);
    app.database.sql(&forget).await;
    browser.cookies.insert("mainstay_device".to_owned(), device);
    let page = browser.sign_in("corp").await;
    assert_eq!(page.location, "/console/?sign_in=second_factor", "{page:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staff_needs_the_second_factor_of_the_policy() {
    let provider = Provider::start().await;
    let (app, cast) = builder_with(&provider).set("SECOND_FACTOR_STAFF", "required").start_with_cast().await;
    link_to(&app, &provider, &cast.admin).await;
    let (_, mut browser) = sign_in(&app).await;
    let refreshed = browser.post("/session/refresh", &json!({})).await;
    assert_eq!(refreshed.body["data"]["secondFactorRequired"], true, "{refreshed:#?}");
}

/// Links the person of a provider to a user in the database.
async fn link_to(app: &TestApp, provider: &Provider, who: &Actor) {
    let subject = provider.script().claims["sub"].as_str().expect("a subject").to_owned();
    let (id, issuer) = (who.as_user().id, provider.issuer());
    let insert = format!(
        "INSERT INTO linked_identities (id, user_id, issuer, subject, created_at) \
         VALUES (gen_random_uuid(), '{id}', '{issuer}', '{subject}', now())"
    );
    app.database.sql(&insert).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_user_does_not_sign_in() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let cast = app.cast().await;
    link_to(&app, &provider, &cast.customer).await;
    let request = json!({ "userId": cast.customer.as_user().id.to_string(), "reason": "Left" });
    cast.admin.rest("UserService.DeactivateUser", request).await.success();
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "USER_DEACTIVATED");
}

/// A provider that is unavailable stops neither the start nor the other sign-ins.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_unavailable_stops_only_its_own_sign_ins() {
    let provider = Provider::start().await;
    let app = builder_with(&provider).set("OIDC_CORP_ISSUER", "http://127.0.0.1:9").start().await;
    let started = Browser::new(&app.endpoint).open("/auth/oidc/corp").await;
    let place = "/console/?sign_in_error=UPSTREAM_FAILED";
    assert_eq!((started.status, started.location.as_str()), (303, place), "{started:#?}");
    assert_eq!(Browser::new(&app.endpoint).open("/auth/oidc/other").await.reason(), "NOT_FOUND");
    let cast = app.cast().await;
    crate::session::new_session(&app, &cast.customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_another_domain_does_not_register() {
    let provider = Provider::start().await;
    let app = builder_with(&provider).set("REGISTRATION", "example.org").start().await;
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "REGISTRATION_CLOSED");
    provider.claim("email", "ada@example.org");
    let (page, mut browser) = sign_in(&app).await;
    user_of(&app, &page, &mut browser).await;
}

/// The calls of one sign-in may take longer together than a request of the API.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_signs_people_in() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let back = browser.begin("corp").await;
    let (email, subject) = (provider.email(), provider.script().claims["sub"].clone());
    provider.claim("email", json!(null));
    provider.script().userinfo = Some(json!({ "sub": subject, "email": email, "email_verified": true }));
    provider.script().delay = Duration::from_millis(1800);
    let began = Instant::now();
    let page = browser.open(&back).await;
    assert!(began.elapsed() > Duration::from_secs(5), "the tokens, the keys, and the address");
    user_of(&app, &page, &mut browser).await;
}

/// A browser does not send the cookie of the device with the return from a provider. The sign-in replaces it by no other one.
#[tokio::test(flavor = "multi_thread")]
async fn the_device_keeps_its_cookie() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let (page, mut browser) = sign_in(&app).await;
    user_of(&app, &page, &mut browser).await;
    assert!(page.set_cookies.iter().any(|line| line.contains("mainstay_session=")), "{page:#?}");
    assert!(!page.set_cookies.iter().any(|line| line.contains("mainstay_device=")), "{page:#?}");
}

/// A provider that has a session of the browser may have asked nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_sign_in_is_no_recent_authentication() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let now = Clock::default().now().timestamp();
    let (.., mut browser) = sign_in(&app).await;
    let recent = async |browser: &mut Browser| browser.post("/session/oidc/corp", &json!({})).await.reason().to_owned();
    assert_eq!(recent(&mut browser).await, "", "the person has authenticated just now");
    for silent in [json!(null), json!(now - 3600), json!(0)] {
        provider.claim("auth_time", silent.clone());
        let (page, mut browser) = sign_in(&app).await;
        user_of(&app, &page, &mut browser).await;
        assert_eq!(recent(&mut browser).await, "REAUTHENTICATION_REQUIRED", "{silent}");
    }
    // A time in the future counts as now.
    provider.claim("auth_time", now + 3600);
    let (.., mut browser) = sign_in(&app).await;
    assert_eq!(recent(&mut browser).await, "");
    app.app.clock.advance(TimeDelta::minutes(11));
    assert_eq!(recent(&mut browser).await, "REAUTHENTICATION_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_sign_in_makes_the_provider_ask_again() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let usual = browser.open("/auth/oidc/corp").await.location;
    assert!(!usual.contains("prompt=") && !usual.contains("max_age="), "{usual}");
    let fresh = browser.open("/auth/oidc/corp?return=/console/&fresh").await.location;
    assert!(fresh.contains("&prompt=login&max_age=0"), "{fresh}");
    let back = browser.authorize(&fresh).await;
    let page = browser.open(&back).await;
    user_of(&app, &page, &mut browser).await;
}

/// GitHub's responses name an issuer below its base URL (RFC 9207).
#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_github_registers_and_signs_in_again() {
    let provider = Provider::start().await;
    let app = builder_with(&provider).set("OIDC_CORP_PRESET", "github").start().await;
    provider.script().response_issuer = Some(format!("{}/login/oauth", provider.issuer()));
    let (page, mut browser) = sign_in(&app).await;
    let user = user_of(&app, &page, &mut browser).await;
    assert_eq!(user["email"], json!(provider.email()));
    let stored = format!("SELECT count(*) FROM linked_identities WHERE issuer = '{}'", provider.issuer());
    assert_eq!(app.database.number(&stored).await, 1, "the person keeps the issuer of the configuration");
    // A linked person needs no address.
    provider.claim("email", json!(null));
    let (page, mut browser) = sign_in(&app).await;
    assert_eq!(user_of(&app, &page, &mut browser).await["id"], user["id"]);
    for other in [provider.issuer(), "https://evil.example/login/oauth".to_owned()] {
        provider.script().response_issuer = Some(other);
        let (page, browser) = sign_in(&app).await;
        assert_failed(&page, &browser, "INVALID_TOKEN");
    }
}

/// The other address of the person is verified.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_github_with_an_unverified_primary_address_does_not_register() {
    let provider = Provider::start().await;
    let app = builder_with(&provider).set("OIDC_CORP_PRESET", "github").start().await;
    provider.script().response_issuer = Some(format!("{}/login/oauth", provider.issuer()));
    provider.claim("email_verified", false);
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "REGISTRATION_CLOSED");
    assert_eq!(app.database.number("SELECT count(*) FROM linked_identities").await, 0);
}

/// Some providers have the address at their userinfo endpoint only.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_may_come_from_userinfo() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let (email, subject) = (provider.email(), provider.script().claims["sub"].clone());
    provider.claim("email", json!(null));
    provider.script().userinfo = Some(json!({ "sub": subject, "email": email, "email_verified": true }));
    let (page, mut browser) = sign_in(&app).await;
    assert_eq!(user_of(&app, &page, &mut browser).await["email"], json!(email));
}

/// Of a provider that answers by a form, the browser sends the cookie beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_may_be_a_form() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let back = browser.begin("corp").await;
    let (path, form) = back.split_once('?').expect("a query");
    let page = browser.post_form(path, form).await;
    user_of(&app, &page, &mut browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_expires() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let back = browser.begin("corp").await;
    app.app.clock.advance(TimeDelta::minutes(10));
    let page = browser.open(&back).await;
    assert_failed(&page, &browser, "INVALID_TOKEN");
}

/// The browser withholds strict cookies from a navigation that began at the provider, so that a page of this server leads on.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_reads_the_session_is_reached_by_a_page() {
    let provider = Provider::start().await;
    let (app, cast) = builder_with(&provider).set("OIDC_CORP_DOMAINS", "example.com").start_with_cast().await;
    let mut browser = Browser::new(&app.endpoint);
    let page = browser.open("/session/sign-in?return=%2Fsession%2Fauthorize%3Fprompt%3Dlogin").await;
    let start = "/auth/oidc/corp?return=%2Fsession%2Fauthorize%3Fprompt%3Dlogin&fresh=";
    let link = page.html.replace("&#x2f;", "/").replace("&amp;", "&");
    assert!(link.contains(&format!("href=\"{start}\"")), "{link}");
    let follow = async |browser: &mut Browser| {
        let started = browser.open(start).await;
        let back = browser.authorize(&started.location).await;
        let page = browser.open(&back).await;
        assert_eq!((page.status, page.location.as_str()), (200, ""), "{page:#?}");
        page.html.replace("&#x2f;", "/")
    };
    let leads_to = |html: &str, url: &str| html.contains(&format!("content=\"0; url={url}\""));
    let html = follow(&mut browser).await;
    assert!(leads_to(&html, "/session/authorize?prompt=login"), "{html}");
    // With a second factor, and after a failure.
    let factor = add_to(&app, &cast.customer).await;
    provider.claim("sub", "the customer");
    link_to(&app, &provider, &cast.customer).await;
    let mut browser = Browser::new(&app.endpoint);
    let html = follow(&mut browser).await;
    let asked = "/session/sign-in/second-factor?return=%2Fsession%2Fauthorize%3Fprompt%3Dlogin";
    assert!(leads_to(&html, asked), "{html}");
    assert!(browser.open(asked).await.html.contains("one-time-code"));
    let code = format!("return=%2Fsession%2Fauthorize%3Fprompt%3Dlogin&code={}", factor.code(&app));
    let done = browser.submit("/session/sign-in/second-factor", &code).await;
    let html = done.html.replace("&#x2f;", "/");
    assert!(leads_to(&html, "/session/authorize?prompt=login"), "Chromium applies form-action to redirects: {done:#?}");
    provider.claim("email_verified", false);
    provider.claim("sub", "another person");
    provider.claim("email", "another@corp.example");
    let html = follow(&mut Browser::new(&app.endpoint)).await;
    let failed =
        "/session/sign-in?return=%2Fsession%2Fauthorize%3Fprompt%3Dlogin&amp;sign_in_error=REGISTRATION_CLOSED";
    assert!(leads_to(&html, failed), "{html}");
}
