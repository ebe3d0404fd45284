//! The pages that links open when no front end serves them.

use serde_json::json;

use super::{SENT, start, wait_for_mails};
use crate::support::{TestApp, mail::token, people::PASSWORD, unique};

pub(crate) struct Page {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(crate) html: String,
}

async fn read(response: reqwest::Response) -> Page {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // The HTML as a browser decodes it.
    let html = response.text().await.expect("a body").replace("&#x2f;", "/");
    Page { status, headers, html }
}

pub(crate) async fn get(app: &TestApp, path: &str) -> Page {
    let url = format!("{}{path}", app.endpoint.base());
    read(app.endpoint.http.get(url).header("accept-language", "de").send().await.expect("an answer")).await
}

pub(crate) async fn post(app: &TestApp, path: &str, fields: &[(&str, &str)], site: &str) -> Page {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let post = app.endpoint.http.post(format!("{}{path}", app.endpoint.base())).body(body);
    let post = post.header("content-type", "application/x-www-form-urlencoded").header("sec-fetch-site", site);
    read(post.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_reset_without_a_script() {
    let (provider, app, scene) = start().await;
    let who = scene.cast.customer.as_user();
    let form = get(&app, "/reset-password").await;
    assert!(form.status == 200 && form.html.contains("type=\"email\"") && form.html.contains("lang=\"de\""));
    for email in [who.email.as_str(), "unknown@example.com"] {
        let page = post(&app, "/reset-password", &[("email", email)], "same-origin").await;
        assert!(page.status == 200 && page.html.contains("Look into your mailbox"), "{}", page.html);
        // A provider sends the mail, and this server has the sign-in.
        assert!(page.html.contains("href=\"/session/sign-in\"") && !page.html.contains("outbox"), "{}", page.html);
    }
    let token = token(&provider.wait_for(1).await[0]);
    let form = get(&app, &format!("/reset-password?token={token}")).await;
    assert_eq!(form.status, 200);
    let header = |name: &str| form.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("form-action 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!((header("referrer-policy"), header("cache-control")), ("no-referrer", "no-store, no-transform"));
    assert!(form.html.contains(&format!("value=\"{token}\"")) && !form.html.contains("<script"), "{}", form.html);
    // The form's URL has no token, and no external resources are loaded.
    assert!(form.html.contains("action=\"/reset-password\"") && !form.html.contains("src="), "{}", form.html);

    let weak = post(&app, "/reset-password", &[("token", &token), ("password", "password1234")], "same-origin").await;
    assert_eq!(weak.status, 422);
    assert!(weak.html.contains("role=\"alert\"") && weak.html.contains(&token) && !weak.html.contains("password1234"));
    for site in ["cross-site", "same-site"] {
        let forged = post(&app, "/reset-password", &[("token", &token), ("password", PASSWORD)], site).await;
        assert!(forged.status == 403 && forged.html.contains("role=\"alert\""), "{site}: {}", forged.html);
        assert_eq!(post(&app, "/register", &[("email", "a@example.com")], site).await.status, 403);
    }
    let password = format!("brand new {}", unique());
    let page = post(&app, "/reset-password", &[("token", &token), ("password", &password)], "same-origin").await;
    assert!(page.status == 200 && page.html.contains("You can sign in"), "{}", page.html);
    let sign_in = json!({ "email": who.email, "password": password });
    scene.cast.anonymous.rest("AuthService.Login", sign_in).await.success();
    let again = post(&app, "/reset-password", &[("token", &token), ("password", &password)], "same-origin").await;
    assert!(again.status == 410 && again.html.contains("type=\"email\"") && !again.html.contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_created_without_a_script() {
    let (provider, app, scene) = start().await;
    let email = format!("{}@example.com", unique());
    let nobody = post(&app, "/register", &[("email", "nobody")], "same-origin").await;
    assert_eq!(nobody.status, 422);
    assert_eq!(post(&app, "/register", &[("email", &email)], "same-origin").await.status, 200);
    let token = token(&provider.wait_for(1).await[0]);
    assert!(get(&app, &format!("/register?token={token}")).await.html.contains("autocomplete=\"new-password\""));
    let name = "<b>Zoë</b> \"&\"";
    let weak =
        post(&app, "/register", &[("token", &token), ("name", name), ("password", "short")], "same-origin").await;
    assert!(weak.status == 422 && weak.html.contains("&lt;b&gt;Zoë") && !weak.html.contains("<b>"), "{}", weak.html);
    let fields = [("token", token.as_str()), ("name", name), ("password", PASSWORD)];
    assert_eq!(post(&app, "/register", &fields, "none").await.status, 200);
    let sign_in = json!({ "email": email, "password": PASSWORD });
    scene.cast.anonymous.rest("AuthService.Login", sign_in).await.success();
    wait_for_mails(&app.database, SENT, 1).await;
}

/// A body that is not a form or is too long, an unknown token, and HTML in a link's token.
#[tokio::test(flavor = "multi_thread")]
async fn strange_requests_are_refused() {
    let app = TestApp::start().await;
    let injected = get(&app, "/reset-password?token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(injected.status == 200 && !injected.html.contains("<script"), "{}", injected.html);
    let url = format!("{}/reset-password", app.endpoint.base());
    let json = app.endpoint.http.post(&url).json(&json!({ "token": "x" })).send().await.expect("an answer");
    assert_eq!(json.status(), 415);
    let long = "x".repeat(20_000);
    assert_eq!(post(&app, "/reset-password", &[("token", &long)], "same-origin").await.status, 413);
    let unknown = post(&app, "/reset-password", &[("token", "mpr_x"), ("password", PASSWORD)], "same-origin").await;
    assert_eq!(unknown.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_provider_says_where_its_mail_is() {
    let app = TestApp::start().await;
    let page = post(&app, "/register", &[("email", &format!("{}@example.com", unique()))], "same-origin").await;
    assert!(page.status == 200 && page.html.contains("in the folder outbox"), "{}", page.html);
}
