//! The sign-out that an application begins, and attacks on it.

use serde_json::{Value, json};

use super::{
    SIGNED_OUT, Stage, agree, ask, authorize, client, client_draft, decision_of, exchange, field, form, leads_to,
    result, sign_out, signed_in, text,
};
use crate::support::oidc::Browser;

/// The path of a request of the application of a stage, in which some parameters are others.
fn request(tokens: &Value, changes: &[(&str, &str)]) -> String {
    let hint = text(tokens, "id_token");
    let mut pairs =
        vec![("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", SIGNED_OUT), ("state", "the state")];
    for change in changes {
        pairs.retain(|(name, _)| *name != change.0);
        pairs.push(*change);
    }
    format!("/oauth2/logout?{}", form(&pairs))
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.post("/session/refresh", &json!({})).await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_signs_a_person_out() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    // The application got its ID token hours ago.
    stage.app.app.clock.advance(chrono::TimeDelta::hours(2));
    let path = request(&tokens, &[("client_id", &stage.client.id)]);
    let html = ask(&mut stage.browser, &path).await;
    assert!(html.contains("Ticket reports") && html.contains(&stage.cast.customer.as_user().email), "{html}");
    assert!(!html.contains("<script"), "{html}");
    assert!(is_signed_in(&mut stage.browser).await, "the page asks");
    let html = ask(&mut stage.browser, &path).await;
    let back = sign_out(&mut stage.browser, &html, "allow").await;
    assert_eq!(back, format!("{SIGNED_OUT}?state=the+state"));
    assert!(!stage.browser.cookies.contains_key("mainstay_session"), "{:?}", stage.browser.cookies);
    assert!(!is_signed_in(&mut stage.browser).await);
    // A repetition has nothing to ask for.
    let first = stage.browser.open(&path).await;
    let page = stage.browser.open(&leads_to(&first.html)).await;
    assert_eq!((page.status, page.location), (303, back));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_stay_signed_in() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let html = ask(&mut stage.browser, &request(&tokens, &[])).await;
    let page = stage.browser.submit("/session/logout", &decision_of(&html, "deny")).await;
    assert!(page.status == 200 && page.html.contains("You stay signed in"), "{page:#?}");
    assert!(!page.html.contains("http-equiv"), "it leads nowhere: {page:#?}");
    assert!(is_signed_in(&mut stage.browser).await);
}

/// An application may send the request by a form, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_begins_a_sign_out() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let path = request(&tokens, &[]);
    let (_, sent) = path.split_once('?').expect("a query");
    let first = stage.browser.post_form("/oauth2/logout", sent).await;
    assert_eq!(first.status, 200, "{first:#?}");
    let page = stage.browser.open(&leads_to(&first.html)).await;
    assert!(page.html.contains("Ticket reports"), "{page:#?}");
}

/// Else the service would be an open redirector.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leads_to_an_address_that_is_not_registered() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    for uri in [
        "https://evil.example/",
        "https://reports.example/callback",
        "https://reports.example/signed-out/",
        "https://reports.example@evil.example/signed-out",
        "//evil.example",
        "/evil",
    ] {
        for mut browser in [stage.browser.clone(), Browser::new(&stage.app.endpoint)] {
            let first = browser.open(&request(&tokens, &[("post_logout_redirect_uri", uri)])).await;
            let page = browser.open(&leads_to(&first.html)).await;
            assert_eq!((page.status, page.location.as_str()), (400, ""), "{uri}: {page:#?}");
            assert!(!page.html.contains("evil") && !page.html.contains("http-equiv"), "{uri}: {page:#?}");
        }
    }
    assert!(is_signed_in(&mut stage.browser).await);
}

/// Without an ID token of this service, anyone may have made the request: it leads nowhere, and names no application.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_hint_leads_nowhere() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let right = text(&tokens, "id_token");
    let [header, payload, _] = right.split('.').collect::<Vec<_>>()[..] else { panic!("{right}") };
    let access = text(&tokens, "access_token");
    for hint in [
        "",
        "x",
        &format!("{header}.{payload}."),
        &format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."),
        access.as_str(),
    ] {
        let path = request(&tokens, &[("id_token_hint", hint), ("client_id", &stage.client.id)]);
        let mut signed_out = Browser::new(&stage.app.endpoint);
        let first = signed_out.open(&path).await;
        let page = signed_out.open(&leads_to(&first.html)).await;
        assert!(page.status == 200 && page.html.contains("You are signed out"), "{hint}: {page:#?}");
        assert!(!page.html.contains("reports.example"), "{hint}: {page:#?}");
        let html = ask(&mut stage.browser, &path).await;
        assert!(!html.contains("Ticket reports"), "{hint}: {html}");
    }
    let path = request(&tokens, &[("id_token_hint", "")]);
    let html = ask(&mut stage.browser, &path).await;
    let page = stage.browser.submit("/session/logout", &decision_of(&html, "allow")).await;
    assert!(page.html.contains("You are signed out") && !page.html.contains("http-equiv"), "{page:#?}");
    assert!(!is_signed_in(&mut stage.browser).await);
}

/// The address of one application is none of another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_is_of_one_client() {
    let mut stage = Stage::new().await;
    let mut draft = client_draft();
    draft["postLogoutRedirectUris"] = json!(["https://other.example/bye"]);
    let other = client(&stage.cast, draft).await;
    let tokens = stage.tokens().await;
    for changes in [
        &[("client_id", other.id.as_str())][..],
        &[("post_logout_redirect_uri", "https://other.example/bye")],
        &[("client_id", other.id.as_str()), ("post_logout_redirect_uri", "https://other.example/bye")],
    ] {
        let first = stage.browser.open(&request(&tokens, changes)).await;
        let page = stage.browser.open(&leads_to(&first.html)).await;
        assert_eq!((page.status, page.location.as_str()), (400, ""), "{changes:?}: {page:#?}");
    }
    // A deleted application leads nowhere.
    let gone = json!({ "oauthClientId": stage.client.id });
    stage.cast.admin.rest("OauthClientService.DeleteOauthClient", gone).await.success();
    let mut browser = Browser::new(&stage.app.endpoint);
    let first = browser.open(&request(&tokens, &[])).await;
    let page = browser.open(&leads_to(&first.html)).await;
    assert_eq!((page.status, page.location.as_str()), (200, ""), "{page:#?}");
}

/// A page of another site signs the person out, so that they sign in again where the attacker waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_can_not_be_forged() {
    let mut stage = Stage::new().await;
    let code = result(&agree(&mut stage.browser, &authorize(&stage.client, &[])).await, "code");
    let tokens = exchange(&stage.app, &stage.client, &code).await.expect("tokens");
    let html = ask(&mut stage.browser, &request(&tokens, &[])).await;
    let sent = decision_of(&html, "allow");
    let foreign = stage.browser.post_form("/session/logout", &sent).await;
    assert_eq!(foreign.status, 403, "{foreign:#?}");
    let (request, csrf) = (field(&html, "request"), field(&html, "csrf"));
    let other = request.replace("the+state", "another");
    assert_ne!(other, request);
    for (request, csrf) in [(&request, ""), (&request, "00"), (&other, csrf.as_str())] {
        let form = form(&[("request", request), ("csrf", csrf), ("decision", "allow")]);
        let page = stage.browser.submit("/session/logout", &form).await;
        assert!(page.status == 403 || page.status == 400, "{page:#?}");
    }
    // The token of the page is of one session.
    let mut victim = signed_in(&stage.app, &stage.cast.stranger).await;
    let page = victim.submit("/session/logout", &sent).await;
    assert_eq!(page.status, 403, "{page:#?}");
    assert!(is_signed_in(&mut victim).await && is_signed_in(&mut stage.browser).await);
}
