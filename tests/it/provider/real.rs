//! The provider of another author, as a process: discovery, RS256, PKCE, the client's secret in a header, `iss` in the
//! response, and the address at the userinfo endpoint.

use serde_json::json;

use super::{LIST, user_of};
use crate::support::{
    Actor,
    oidc::{Browser, RealProvider},
};

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_certified_provider_register_and_sign_in() {
    let provider = RealProvider::start().await;
    let app = provider.app().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut browser = Browser::new(&app.endpoint);
        let started = browser.open("/auth/oidc/real").await;
        let back = browser.authorize_fully(&started.location).await;
        let page = browser.open(&back).await;
        let user = user_of(&app, &page, &mut browser).await;
        assert_eq!((&user["email"], &user["name"]), (&json!("grace@real.example"), &json!("Grace")));
        let me = Actor::bearer(&app.endpoint, browser.access_token().await);
        let identities = me.rest(LIST, json!({})).await.success();
        assert_eq!(identities.data()[0]["provider"], "real");
        ids.push(user["id"].clone());
    }
    assert_eq!(ids[0], ids[1], "the second sign-in finds the user of the first");
}

/// The provider redeems a code once, and only with the verifier of the browser that asked for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certified_provider_refuses_a_code_with_another_verifier() {
    let provider = RealProvider::start().await;
    let app = provider.app().await;
    let mut attacker = Browser::new(&app.endpoint);
    let started = attacker.open("/auth/oidc/real").await;
    let stolen = attacker.authorize_fully(&started.location).await;
    let mut victim = Browser::new(&app.endpoint);
    let started = victim.open("/auth/oidc/real").await;
    let own = victim.authorize_fully(&started.location).await;
    let code = |path: &str| path.split(['?', '&']).find(|part| part.starts_with("code=")).expect("a code").to_owned();
    let page = victim.open(&own.replace(&code(&own), &code(&stolen))).await;
    assert_eq!(page.location, "/console/?sign_in_error=INVALID_TOKEN", "{page:#?}");
}
