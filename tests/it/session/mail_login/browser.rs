//! Sign-in by mail by a page of the server's own origin, and by the page of the link.

use serde_json::json;

use super::{BY_MAIL, Sent, code, send};
use crate::{
    cases::{Scene, create_token, new_address},
    mail::pages,
    second_factor::add_to,
    support::{
        TestApp,
        oidc::Browser,
        people::{PASSWORD, User},
    },
};

/// Asks for a mail as a page of the app does.
async fn ask_in(browser: &mut Browser, app: &TestApp, user: &User) -> Sent {
    let begun = browser.post("/session/mail", &json!({ "email": user.email })).await;
    assert_eq!((begun.status, &begun.body["data"]["expiresIn"]), (200, &json!(900)), "{begun:#?}");
    assert_eq!(begun.body["data"].get("binding"), None, "the binding is in the cookie alone: {begun:#?}");
    let line = begun.set_cookies.first().expect("a cookie");
    assert!(line.starts_with("mainstay_mail_login=") && line.contains("SameSite=Strict"), "{line}");
    assert!(line.contains("HttpOnly") && line.contains("Max-Age=900"), "{line}");
    let token = send(&app.database, &user.email).await;
    Sent { binding: String::new(), token, code: code(app, &user.email).await }
}

/// Programs that look for malware open each link in a mail.
#[tokio::test(flavor = "multi_thread")]
async fn opening_the_link_signs_nobody_in() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut browser = Browser::new(&app.endpoint);
    let sent = ask_in(&mut browser, &app, cast.customer.as_user()).await;
    let path = format!("/sign-in?token={}", sent.token);
    // A scanner, and the browser itself before the button is pressed.
    for _ in 0..3 {
        for visitor in [&mut Browser::new(&app.endpoint), &mut browser] {
            let page = visitor.open(&path).await;
            assert!(page.status == 200 && page.set_cookies.is_empty(), "{page:#?}");
        }
    }
    let page = pages::get(&app, &path).await;
    assert!(page.html.contains("method=\"post\"") && page.html.contains(&sent.token), "{}", page.html);
    assert!(page.html.contains("lang=\"de\"") && !page.html.contains("<script"), "{}", page.html);
    assert_eq!(app.database.number(BY_MAIL).await, 0);
    let done = browser.submit("/session/mail/link", &format!("token={}", sent.token)).await;
    assert_eq!((done.status, done.location.as_str()), (303, "/console/"), "{done:#?}");
    let names: Vec<_> = browser.cookies.keys().map(String::as_str).collect();
    assert_eq!(names, ["mainstay_device", "mainstay_session"], "the binding is used up");
    let pair = browser.post("/session/refresh", &json!({})).await;
    assert!(pair.status == 200 && pair.body["data"]["accessToken"].is_string(), "{pair:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_works_in_the_browser_that_asked_only() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (mut own, mut other) = (Browser::new(&app.endpoint), Browser::new(&app.endpoint));
    let sent = ask_in(&mut own, &app, cast.customer.as_user()).await;
    let form = format!("token={}", sent.token);
    // Another browser without a cookie, and one that has asked for another address: login CSRF.
    let refused = other.submit("/session/mail/link", &form).await;
    assert_eq!((refused.status, refused.location.as_str()), (303, "/sign-in?failure=browser"), "{refused:#?}");
    assert!(refused.set_cookies.is_empty(), "{refused:#?}");
    let page = pages::get(&app, &refused.location).await;
    assert!(page.status == 403 && page.html.contains("nur in dem Browser"), "{}", page.html);
    ask_in(&mut other, &app, cast.stranger.as_user()).await;
    let refused = other.submit("/session/mail/link", &form).await;
    assert_eq!((refused.status, refused.location.as_str()), (303, "/sign-in?failure=link"), "{refused:#?}");
    assert!(refused.set_cookies.is_empty(), "{refused:#?}");
    assert_eq!(pages::get(&app, &refused.location).await.status, 410);
    assert_eq!(app.database.number(BY_MAIL).await, 0);
    assert_eq!(own.submit("/session/mail/link", &form).await.location, "/console/");
    let again = own.submit("/session/mail/link", &form).await;
    assert_eq!(again.location, "/sign-in?failure=browser", "the binding is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_signs_in_with_the_code() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut browser = Browser::new(&app.endpoint);
    let sent = ask_in(&mut browser, &app, cast.customer.as_user()).await;
    let typed = json!({ "code": sent.code });
    let none = Browser::new(&app.endpoint).post("/session/mail/code", &typed).await;
    assert_eq!(none.reason(), "INVALID_TOKEN", "{none:#?}");
    let wrong = browser.post("/session/mail/code", &sent.wrong_code()).await;
    assert_eq!(wrong.reason(), "MALFORMED_REQUEST", "a page names no binding: {wrong:#?}");
    for path in ["/session/mail", "/session/mail/code"] {
        let foreign = browser.post_form(path, "email=ada%40example.com").await;
        assert_eq!(foreign.reason(), "PERMISSION_DENIED", "{path}: {foreign:#?}");
    }
    let done = browser.post("/session/mail/code", &typed).await;
    assert!(done.status == 200 && done.body["data"]["accessToken"].is_string(), "{done:#?}");
    assert!(browser.cookies.contains_key("mainstay_session") && !browser.cookies.contains_key("mainstay_mail_login"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_for_the_second_factor_after_the_link_and_the_code() {
    let (app, cast) = TestApp::start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    let user = cast.customer.as_user();
    let mut browser = Browser::new(&app.endpoint);
    let sent = ask_in(&mut browser, &app, user).await;
    let done = browser.submit("/session/mail/link", &format!("token={}", sent.token)).await;
    assert_eq!(done.location, "/session/sign-in/second-factor?return=%2Fconsole%2F", "{done:#?}");
    assert!(!browser.cookies.contains_key("mainstay_session"), "{browser:#?}");
    let done = browser.post("/session/second-factor", &json!({ "code": factor.code(&app) })).await;
    assert!(done.status == 200 && browser.cookies.contains_key("mainstay_session"), "{done:#?}");
    let mut browser = Browser::new(&app.endpoint);
    let sent = ask_in(&mut browser, &app, user).await;
    let challenged = browser.post("/session/mail/code", &json!({ "code": sent.code })).await;
    let token = challenged.body["challenge"]["token"].as_str().expect("a challenge").to_owned();
    assert!(!browser.cookies.contains_key("mainstay_session"), "{browser:#?}");
    let answer = json!({ "challengeToken": token, "code": factor.code(&app) });
    assert_eq!(browser.post("/session/second-factor", &answer).await.status, 200);
}

/// A browser waits for the mail of one person, and accepts the invitation of another one meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_and_a_link_in_one_browser_are_not_mixed_up() {
    let (app, scene) = Scene::start().await;
    let (user, invited) = (scene.cast.stranger.as_user(), new_address());
    let mut browser = Browser::new(&app.endpoint);
    let sent = ask_in(&mut browser, &app, user).await;
    let token = create_token(&scene, &invited).await;
    browser.open(&format!("/invitation?token={token}")).await;
    let accept = format!("token={token}&name=Ada&password={}", PASSWORD.replace(' ', "+"));
    let accepted = browser.submit("/invitation", &accept).await;
    assert!(accepted.status == 200 && accepted.set_cookies.is_empty(), "no session begins: {accepted:#?}");
    // The token of one is not that of the other.
    let crossed = browser.submit("/session/mail/link", &format!("token={token}")).await;
    assert_eq!(crossed.location, "/sign-in?failure=link", "{crossed:#?}");
    let done = browser.submit("/session/mail/link", &format!("token={}", sent.token)).await;
    assert_eq!((done.status, done.location.as_str()), (303, "/console/"), "{done:#?}");
    let pair = browser.post("/session/refresh", &json!({})).await;
    assert_eq!(pair.body["data"]["accountId"], json!(user.account.to_string()), "the account of the mail's user");
    let of_invited = format!(
        "SELECT count(*) FROM sessions JOIN users ON users.id = sessions.user_id WHERE users.email = '{invited}'"
    );
    assert_eq!(app.database.number(&of_invited).await, 0);
}
