//! Attacks on the flow.

use axum::http::StatusCode;
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;

use super::{assert_failed, sign_in, user_of};
use crate::support::{
    TestApp,
    oidc::{Browser, Provider, app_with, builder_with},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_the_state_is_refused() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let back = browser.begin("corp").await;
    let code = back.split('&').find(|part| part.starts_with("code=")).expect("a code");
    for query in [format!("?{code}"), format!("?{code}&state=foreign"), format!("?{code}&state="), String::new()] {
        let mut copy = browser.clone();
        let page = copy.open(&format!("/auth/oidc/corp/callback{query}")).await;
        assert_failed(&page, &copy, "INVALID_TOKEN");
    }
    // The state twice is none.
    let state = back.split(['?', '&']).find(|part| part.starts_with("state=")).expect("a state");
    let mut copy = browser.clone();
    let page = copy.open(&format!("{back}&{state}")).await;
    assert_failed(&page, &copy, "INVALID_TOKEN");
    let page = browser.open(&back).await;
    user_of(&app, &page, &mut browser).await;
}

/// An attacker sends a victim to the callback with the code of the attacker (login CSRF), or injects a stolen code.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_of_no_use_in_another_browser() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut attacker = Browser::new(&app.endpoint);
    let back = attacker.begin("corp").await;
    let mut victim = Browser::new(&app.endpoint);
    let page = victim.open(&back).await;
    assert_failed(&page, &victim, "INVALID_TOKEN");
    // The victim has begun a sign-in, too. Even with the state of the victim, the code needs another verifier.
    let own = victim.begin("corp").await;
    let part = |path: &str, name: &str| {
        let parts = path.split(['?', '&']);
        parts.map(str::to_owned).find(|part| part.starts_with(name)).expect("it is there")
    };
    let mixed = own.replace(&part(&own, "code="), &part(&back, "code="));
    let mut copy = victim.clone();
    let page = copy.open(&mixed).await;
    assert_failed(&page, &copy, "INVALID_TOKEN");
}

/// Also with a provider that accepts a code again.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_counts_once() {
    let provider = Provider::start().await;
    provider.script().is_code_reusable = true;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let back = browser.begin("corp").await;
    let mut copy = browser.clone();
    let page = browser.open(&back).await;
    user_of(&app, &page, &mut browser).await;
    // A thief of the cookie and the URL.
    let page = copy.open(&back).await;
    assert_failed(&page, &copy, "INVALID_TOKEN");
    // The cookie of the browser is gone.
    let page = browser.open(&back).await;
    assert_eq!(page.location, "/console/?sign_in_error=INVALID_TOKEN");
}

/// Each return causes calls of the provider.
#[tokio::test(flavor = "multi_thread")]
async fn the_returns_to_a_network_are_limited() {
    // All tests have the same address, so a small limit needs a separate Redis.
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let provider = Provider::start().await;
    let builder = builder_with(&provider).set("REDIS_URL", redis.url());
    let app = builder.set("RATE_LIMIT_LOGIN", "1/1h").start().await;
    for _ in 0..10 {
        let (page, mut browser) = sign_in(&app).await;
        user_of(&app, &page, &mut browser).await;
    }
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "RATE_LIMIT_EXCEEDED");
}

/// A malicious provider sends the browser on to an honest one, to learn the code that is meant for the honest one.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_of_another_provider_is_refused() {
    let (honest, evil) = (Provider::start().await, Provider::start().await);
    let settings = evil.settings("evil");
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let app = builder_with(&honest).set("OIDC_PROVIDERS", "corp,evil").set_all(settings).start().await;
    let mut browser = Browser::new(&app.endpoint);
    let back = browser.begin("evil").await;
    // At the redirect URI of the other provider.
    let mut copy = browser.clone();
    let page = copy.open(&back.replace("/evil/", "/corp/")).await;
    assert_failed(&page, &copy, "INVALID_TOKEN");
    // With another issuer, or without the one that the metadata promises (RFC 9207).
    for issuer in [Some(honest.issuer()), None] {
        evil.script().response_issuer = issuer;
        let page = browser.sign_in("evil").await;
        assert_failed(&page, &browser, "INVALID_TOKEN");
    }
}

/// Navigates to a page like a browser of a person; returns the status, and the page or where it leads.
async fn shown(app: &TestApp, path: &str) -> (u16, String) {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let request = http.get(format!("{}{path}", app.endpoint.base())).header("accept", "text/html,*/*");
    let answer = request.send().await.expect("an answer");
    let (status, location) = (answer.status().as_u16(), answer.headers().get("location").cloned());
    match location {
        Some(location) => (status, location.to_str().expect("ASCII").to_owned()),
        None => (status, answer.text().await.expect("a page")),
    }
}

/// A link or a bookmark outlives the provider that it names.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_was_removed_leads_a_person_back_to_the_ways_to_sign_in() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let place = "/session/sign-in?return=%2Fdevice&sign_in_error=NOT_FOUND";
    assert_eq!(shown(&app, "/auth/oidc/gone?return=/device").await, (303, place.to_owned()));
    let page = shown(&app, place).await;
    assert!(page.0 == 200 && page.1.contains("the provider was removed"), "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_leads_to_pages_of_this_origin_only() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    for path in [
        "//evil.example",
        "https:evil.example",
        "https://evil.example",
        "/%5Cevil.example",
        "/%09/evil.example",
        "evil",
    ] {
        let page = browser.open(&format!("/auth/oidc/corp?return={path}")).await;
        assert_eq!((page.status, page.reason()), (422, "VALIDATION_FAILED"), "{path}: {page:#?}");
    }
    // A person sees a page.
    let page = shown(&app, "/auth/oidc/corp?return=//evil.example").await;
    assert!(page.0 == 422 && page.1.contains("The sign-in failed. Try again."), "{page:?}");
    browser.open("/session/sign-in?return=/device").await;
    assert!(browser.cookies.contains_key("mainstay_place"), "{browser:#?}");
    let started = browser.open("/auth/oidc/corp?return=/console/tickets?page=2").await;
    let back = browser.authorize(&started.location).await;
    assert_eq!(browser.open(&back).await.location, "/console/tickets?page=2");
    assert!(!browser.cookies.contains_key("mainstay_place"), "a later sign-in leads elsewhere: {browser:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sign_in_has_a_code_challenge() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let [first, second] = [browser.open("/auth/oidc/corp").await, browser.open("/auth/oidc/corp").await];
    let of = |url: &str, name: &str| {
        let url: url::Url = url.parse().expect("a URL");
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).expect("it is there")
    };
    for name in ["code_challenge", "state", "nonce"] {
        assert_ne!(of(&first.location, name), of(&second.location, name), "{name}");
    }
    assert_eq!(of(&first.location, "code_challenge_method"), "S256");
    // The provider refuses a request without one, so that no downgrade goes unnoticed.
    let without = first.location.replace("code_challenge_method=S256", "code_challenge_method=plain");
    let refused = reqwest::get(&without).await.expect("an answer");
    assert_eq!(refused.status(), 400);
}

/// Some providers refuse a wrong code like wrong credentials. Only the latter concern an operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_looks_like_no_wrong_credentials() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    for status in [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        provider.script().refusal = status;
        let mut browser = Browser::new(&app.endpoint);
        let back = browser.begin("corp").await;
        let code = back.split(['?', '&']).find(|part| part.starts_with("code=")).expect("a code");
        let page = browser.open(&back.replace(code, "code=x")).await;
        assert_failed(&page, &browser, "INVALID_TOKEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_provider_is_reported() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let back = browser.begin("corp").await;
    let state = back.split(['?', '&']).find(|part| part.starts_with("state=")).expect("a state");
    let page = browser.open(&format!("/auth/oidc/corp/callback?{state}&error=access_denied")).await;
    assert_failed(&page, &browser, "PERMISSION_DENIED");
}

/// No page of another origin begins a link, which would bind the attacker's identity to the victim.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_begins_no_link() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let mut browser = Browser::new(&app.endpoint);
    let page = browser.sign_in("corp").await;
    user_of(&app, &page, &mut browser).await;
    let refused = browser.post_form("/session/oidc/corp", "").await;
    assert_eq!(refused.reason(), "PERMISSION_DENIED", "{refused:#?}");
    let anonymous = Browser::new(&app.endpoint).post("/session/oidc/corp", &json!({})).await;
    assert_eq!(anonymous.reason(), "UNAUTHENTICATED", "{anonymous:#?}");
}
