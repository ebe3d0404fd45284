//! Attacks on the pages of the sign-in.

use super::{CODE, PLACE, RETURN, SECOND_FACTOR, SIGN_IN, form, prove, submit};
use crate::{
    second_factor::add_to,
    support::{TestApp, oidc::Browser},
};

/// Login CSRF: a page of another site signs the browser of a victim in as the attacker.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let mut browser = Browser::new(&app.endpoint);
    for path in [SIGN_IN, SECOND_FACTOR, CODE, "/session/sign-in/mail", "/session/sign-in/company"] {
        let pairs = form(&[("email", &user.email), ("password", &user.password), ("code", "123456")]);
        let page = browser.post_form(path, &pairs).await;
        assert_eq!((page.status, page.reason()), (403, "PERMISSION_DENIED"), "{path}: {page:#?}");
        assert!(page.set_cookies.is_empty(), "{path}: {page:#?}");
    }
    // A person sees a page, which leads to the place that the browser has kept.
    browser.open(&format!("{SIGN_IN}{RETURN}")).await;
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = app.endpoint.http.post(format!("{}{SIGN_IN}", app.endpoint.base())).header("accept", "text/html,*/*");
    let request = request.header("origin", "https://evil.example").header("cookie", cookies.join("; "));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    let html = answer.text().await.expect("a page");
    assert!(html.contains("The sign-in failed. Try again."), "{html}");
    assert!(html.contains("value=\"&#x2f;console&#x2f;tickets?q=a\""), "{html}");
}

/// Session fixation: what an attacker has planted in the browser before is not the session afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_replaces_what_was_planted() {
    let (app, cast) = TestApp::start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    let mut attacker = Browser::new(&app.endpoint);
    prove(&mut attacker, cast.stranger.as_user()).await;
    // The cookies of the attacker's session, and a challenge that never was.
    let mut victim = attacker.clone();
    let names: Vec<_> = attacker.cookies.keys().filter(|name| name.contains("session")).cloned().collect();
    assert_eq!(names.len(), 1, "{attacker:#?}");
    let planted = attacker.cookies[&names[0]].clone();
    victim.cookies.insert("mainstay_challenge".to_owned(), "planted".to_owned());
    prove(&mut victim, cast.customer.as_user()).await;
    let page = submit(&mut victim, SECOND_FACTOR, &[("code", &factor.code(&app))]).await;
    assert_eq!(page.location, PLACE, "{page:#?}");
    assert_ne!(victim.cookies[&names[0]], planted, "{victim:#?}");
    // The attacker's token remains that of the attacker.
    let own = attacker.access_token().await;
    assert_ne!(own, victim.access_token().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_returns_to_no_other_site() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    for place in [
        "https://evil.example/",
        "//evil.example/console/",
        "/\\evil.example/console/",
        "/console/..//evil.example/",
        "/session/sign-in",
        "/api/v1/me",
        "javascript:alert(1)",
        "/console/\u{0}",
        "",
    ] {
        let mut browser = Browser::new(&app.endpoint);
        let page = browser.open(&format!("{SIGN_IN}?{}", form(&[("return", place)]))).await;
        assert!(!page.html.contains("evil") && !page.html.contains("javascript:"), "{place}: {}", page.html);
        let sent = [("return", place), ("email", &user.email), ("password", &user.password)];
        let page = browser.submit(SIGN_IN, &form(&sent)).await;
        let is_default = page.location == "/console/" || (page.location == "/console/%00" && place.ends_with('\u{0}'));
        assert!(page.status == 303 && is_default, "{place:?}: {page:#?}");
    }
}

/// Text of a link or of a form is never markup.
#[tokio::test(flavor = "multi_thread")]
async fn text_of_a_link_is_no_markup() {
    let app = TestApp::start().await;
    let mut browser = Browser::new(&app.endpoint);
    let script = "\"><script>alert(1)</script>";
    let query = form(&[("return", &format!("/console/{script}")), ("sign_in_error", script)]);
    let page = browser.open(&format!("{SIGN_IN}?{query}")).await;
    assert!(page.status == 200 && !page.html.contains("alert(1)</script>"), "{}", page.html);
    let page = submit(&mut browser, SIGN_IN, &[("email", script), ("password", "x")]).await;
    assert!(page.status == 422 && !page.html.contains("<script>alert"), "{}", page.html);
}

/// Clickjacking, and what the page of a secret tells others.
#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_shown_in_no_frame_and_run_no_inline_script() {
    let app = TestApp::start().await;
    let page = app.endpoint.get(SIGN_IN).await;
    let policy = page.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("img-src"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    assert_eq!(page.header("cache-control"), Some("no-store, no-transform"));
}
