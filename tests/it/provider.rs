//! Sign-in with OpenID Connect providers: the flow, the rules for links, and attacks.

mod account;
mod account_sessions;
mod attacks;
mod flow;
mod linking;
mod real;
mod tokens;

use serde_json::{Value, json};

use crate::support::{
    Actor, TestApp,
    oidc::{Browser, Page},
};

const LIST: &str = "LinkedIdentityService.ListLinkedIdentities";
const DELETE: &str = "LinkedIdentityService.DeleteLinkedIdentity";

/// Checks that a sign-in failed with a reason, and that the browser has no session.
#[track_caller]
fn assert_failed(page: &Page, browser: &Browser, reason: &str) {
    assert_eq!(
        (page.status, page.location.as_str()),
        (303, format!("/console/?sign_in_error={reason}").as_str()),
        "{page:#?}"
    );
    assert!(!browser.cookies.keys().any(|name| name.contains("session")), "{browser:#?}");
}

/// Checks that a sign-in succeeded, and returns its user.
async fn user_of(app: &TestApp, page: &Page, browser: &mut Browser) -> Value {
    assert_eq!((page.status, page.location.as_str()), (303, "/console/"), "{page:#?}");
    let me = Actor::bearer(&app.endpoint, browser.access_token().await);
    me.rest("UserService.GetMe", json!({})).await.success().data().clone()
}

/// Signs the person of the provider `corp` in, in a new browser.
async fn sign_in(app: &TestApp) -> (Page, Browser) {
    let mut browser = Browser::new(&app.endpoint);
    let page = browser.sign_in("corp").await;
    (page, browser)
}
