//! ID tokens of a provider that answers wrongly.

use chrono::TimeDelta;
use mainstay_kernel::clock::Clock;
use serde_json::{Value, json};

use super::{assert_failed, sign_in, user_of};
use crate::support::oidc::{Provider, Signature, app_with};

/// Checks that a change of the claims makes the sign-in fail, and that the right claims sign in.
async fn assert_refused(changes: &[(&str, Value)]) {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let right = provider.script().claims.clone();
    for (claim, value) in changes {
        provider.claim(claim, value.clone());
        let (page, browser) = sign_in(&app).await;
        assert_failed(&page, &browser, "INVALID_TOKEN");
        provider.script().claims = right.clone();
    }
    let (page, mut browser) = sign_in(&app).await;
    user_of(&app, &page, &mut browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_client_is_refused() {
    assert_refused(&[("aud", json!("other")), ("aud", json!(["mainstay", "other"])), ("azp", json!("other"))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_sign_in_is_refused() {
    assert_refused(&[("nonce", json!("of another sign-in")), ("nonce", json!(null))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_issuer_is_refused() {
    assert_refused(&[("iss", json!("https://evil.example"))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_time_is_refused() {
    let now = Clock::default().now().timestamp();
    assert_refused(&[("exp", json!(now - 120)), ("iat", json!(now + 600)), ("iat", json!(now - 3600))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_wrong_signature_is_refused() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    for signature in [Signature::None, Signature::HmacOfPublicKey, Signature::OtherKey] {
        provider.script().signature = signature;
        let (page, browser) = sign_in(&app).await;
        assert_failed(&page, &browser, "INVALID_TOKEN");
    }
    provider.script().signature = Signature::Right;
    let (page, mut browser) = sign_in(&app).await;
    user_of(&app, &page, &mut browser).await;
}

/// A new key is read at once, and an unknown one does not make the server read the keys more than once a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_found_and_unknown_keys_are_bounded() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let (page, mut browser) = sign_in(&app).await;
    user_of(&app, &page, &mut browser).await;
    assert_eq!(provider.script().keys_read, 1);
    app.app.clock.advance(TimeDelta::minutes(2));
    provider.script().key = 1;
    let now = (Clock::default().now() + TimeDelta::minutes(2)).timestamp();
    provider.claim("iat", now);
    provider.claim("exp", now + 300);
    let (page, mut browser) = sign_in(&app).await;
    user_of(&app, &page, &mut browser).await;
    assert_eq!(provider.script().keys_read, 2);
    {
        let mut script = provider.script();
        (script.key, script.is_key_published) = (2, false);
    }
    for _ in 0..3 {
        let (page, browser) = sign_in(&app).await;
        assert_failed(&page, &browser, "INVALID_TOKEN");
    }
    assert_eq!(provider.script().keys_read, 2, "less than a minute has passed");
}

/// A provider withdraws a key that was stolen.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_key_is_refused_after_ten_minutes() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let (page, mut browser) = sign_in(&app).await;
    user_of(&app, &page, &mut browser).await;
    provider.script().is_key_published = false;
    app.app.clock.advance(TimeDelta::minutes(11));
    let now = (Clock::default().now() + TimeDelta::minutes(11)).timestamp();
    provider.claim("iat", now);
    provider.claim("exp", now + 300);
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "INVALID_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_of_another_person_is_refused() {
    let provider = Provider::start().await;
    let app = app_with(&provider).await;
    let email = provider.email();
    provider.claim("email", json!(null));
    provider.script().userinfo = Some(json!({ "sub": "another", "email": email, "email_verified": true }));
    let (page, browser) = sign_in(&app).await;
    assert_failed(&page, &browser, "INVALID_TOKEN");
}

/// Metadata of another issuer leads to another provider.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_another_issuer_is_refused() {
    let provider = Provider::start().await;
    provider.script().metadata = json!({ "issuer": "https://evil.example" });
    let app = app_with(&provider).await;
    let started = crate::support::oidc::Browser::new(&app.endpoint).open("/auth/oidc/corp").await;
    assert_eq!(started.location, "/console/?sign_in_error=UPSTREAM_FAILED", "{started:#?}");
}
