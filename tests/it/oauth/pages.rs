//! The way from an application over the pages of the sign-in, without a script.

use super::{Stage, authorize, decide, exchange, field, form, leads_to, pass, result};
use crate::{second_factor::add_to, support::oidc::Browser};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_by_forms_and_comes_back() {
    let stage = Stage::new().await;
    let factor = add_to(&stage.app, &stage.cast.customer).await;
    let user = stage.cast.customer.as_user();
    let mut browser = Browser::new(&stage.app.endpoint);
    let place = pass(&mut browser, &authorize(&stage.client, &[])).await;
    let page = browser.open(&place).await;
    assert_eq!(page.status, 200, "{page:#?}");
    let path = field(&page.html, "return");
    assert!(path.starts_with("/session/authorize?"), "{path}");
    let sent = form(&[("return", &path), ("email", &user.email), ("password", &user.password)]);
    let challenged = browser.submit("/session/sign-in", &sent).await;
    assert_eq!(challenged.status, 303, "{challenged:#?}");
    let page = browser.open(&challenged.location).await;
    assert_eq!(field(&page.html, "return"), path);
    let sent = form(&[("return", &path), ("code", &factor.code(&stage.app))]);
    let done = browser.submit("/session/sign-in/second-factor", &sent).await;
    // Not a redirect: the page of the application may follow, which `form-action` excludes.
    assert_eq!((done.status, leads_to(&done.html)), (200, path.clone()), "{done:#?}");
    let consent = browser.open(&path).await;
    let back = decide(&mut browser, &consent.html, "allow").await;
    exchange(&stage.app, &stage.client, &result(&back, "code")).await.expect("tokens");
}

/// A person who needs a second factor first gets to the console, which leads back to the authorization.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_a_second_factor_is_led_to_it() {
    let mut stage = Stage::new().await;
    let account = stage.cast.customer.as_user().account;
    let policy = format!("UPDATE accounts SET requires_second_factor = true WHERE id = '{account}'");
    stage.app.database.sql(&policy).await;
    let first = stage.browser.open(&authorize(&stage.client, &[])).await;
    let place = leads_to(&first.html);
    let page = stage.browser.open(&place).await;
    assert_eq!(page.status, 403, "{page:#?}");
    let (_, rest) = page.html.split_once("<a href=\"").expect("a link");
    let link = rest.split_once('"').expect("its end").0.replace("&#x2f;", "/").replace("&amp;", "&");
    let query = link.strip_prefix("/console/?").unwrap_or_else(|| panic!("{link}"));
    let back = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "return").expect("the way back");
    assert_eq!(back.1, place);
    let page = stage.browser.open("/session/device").await;
    assert!(page.status == 403 && page.html.contains("session%2Fdevice%3Fuser_code%3D"), "{page:#?}");
}
