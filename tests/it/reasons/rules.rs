//! Business rules that no case of the table violates.

use serde_json::json;

use super::coverage::ReasonCoverage;
use crate::{
    cases::account_provider::add_provider,
    support::{
        PROTOCOLS, Protocol, TestApp,
        oidc::{Browser, Provider, builder_with},
        webhook,
    },
    webhook::inbound::{deliver, event_in_state, stored_event_id},
};

/// An inbound event that can't be accepted becomes dead at once; no caller waits for the response.
#[tokio::test(flavor = "multi_thread")]
async fn business_rule_violation() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    deliver(&cast.anonymous, Protocol::Rest, &webhook::event("payment_intent.succeeded")).await.success();
    let id = stored_event_id(&app.database).await;
    let dead = event_in_state(&app.database, &cast.admin, &id, "DEAD").await;
    assert!(dead["failure"].as_str().is_some_and(|why| why.starts_with("BUSINESS_RULE_VIOLATION")), "{dead}");
}

/// A browser returns from the provider of an account that has proved no domain.
#[tokio::test(flavor = "multi_thread")]
async fn address_of_another_domain() {
    let provider = Provider::start().await;
    let (app, cast) = builder_with(&provider).start_with_cast().await;
    let added = add_provider(&cast.customer, &provider.issuer(), json!({})).await;
    let page = Browser::new(&app.endpoint).sign_in(added["id"].as_str().expect("an id")).await;
    assert_eq!(page.location, "/console/?sign_in_error=ADDRESS_OF_ANOTHER_DOMAIN", "{page:#?}");
}

#[tokio::test]
async fn last_admin() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    let request = json!({ "userId": admin.as_user().id.to_string(), "role": "ROLE_AGENT" });
    let mut coverage = ReasonCoverage::of("LAST_ADMIN");
    for protocol in PROTOCOLS {
        coverage.failure(protocol, admin.call(protocol, "UserService.SetUserRole", request.clone()).await);
    }
}

#[tokio::test]
async fn registration_closed() {
    let app = TestApp::builder().set("REGISTRATION", "invitation").start().await;
    let anonymous = app.cast().await.anonymous;
    let mut coverage = ReasonCoverage::of("REGISTRATION_CLOSED");
    for protocol in PROTOCOLS {
        let request = json!({ "email": "ada@example.com" });
        coverage.failure(protocol, anonymous.call(protocol, "AuthService.Register", request).await);
    }
}

#[tokio::test]
async fn mail_sign_in_disabled() {
    let (_app, cast) = TestApp::builder().set("MAIL_SIGN_IN", "false").start_with_cast().await;
    let mut coverage = ReasonCoverage::of("MAIL_SIGN_IN_DISABLED");
    for protocol in PROTOCOLS {
        let request = json!({ "email": cast.customer.as_user().email });
        coverage.failure(protocol, cast.anonymous.call(protocol, "AuthService.BeginMailLogin", request).await);
        let request = json!({ "binding": "any", "token": "any" });
        cast.anonymous.call(protocol, "AuthService.LoginWithMail", request).await.failure("MAIL_SIGN_IN_DISABLED");
        let ways = cast.anonymous.call(protocol, "AuthService.ListSignInProviders", json!({})).await.success();
        assert_ne!(ways.body.get("mail"), Some(&json!(true)), "{ways:#?}");
    }
}

/// No passkey belongs to an address.
#[tokio::test]
async fn passkeys_unavailable() {
    let (_app, cast) = TestApp::builder().set("PUBLIC_URL", "https://192.0.2.1").start_with_cast().await;
    let mut coverage = ReasonCoverage::of("PASSKEYS_UNAVAILABLE");
    for protocol in PROTOCOLS {
        coverage.failure(protocol, cast.anonymous.call(protocol, "AuthService.BeginPasskeyLogin", json!({})).await);
        cast.customer.call(protocol, "PasskeyService.EnrollPasskey", json!({})).await.failure("PASSKEYS_UNAVAILABLE");
        // All else works.
        cast.customer.call(protocol, "PasskeyService.ListPasskeys", json!({})).await.success();
    }
}
