//! Sign-in by a page of the server's own origin, with the refresh token in a cookie.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{Actor, Response, TestApp, rest};

/// A request as a page of this origin sends it over HTTP.
fn own(app: &TestApp, method: Method, path: &str) -> RequestBuilder {
    let base = app.endpoint.base();
    app.endpoint.http.request(method, format!("{base}{path}")).header("origin", base)
}

async fn send(request: RequestBuilder) -> Response {
    rest::read(request.send().await.expect("an answer")).await
}

/// The value of the cookie that a response sets.
#[track_caller]
fn cookie(answer: &Response) -> String {
    let line = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:#?}"));
    line.split(';').next().expect("a pair").to_owned()
}

async fn sign_in(app: &TestApp, who: &Actor) -> Response {
    let body = json!({ "email": who.as_user().email, "password": who.as_user().password });
    send(own(app, Method::POST, "/session").json(&body)).await.success()
}

async fn refresh(app: &TestApp, cookie: &str) -> Response {
    send(own(app, Method::POST, "/session/refresh").header("cookie", cookie)).await
}

#[tokio::test]
async fn the_refresh_token_is_only_in_the_cookie() {
    let (app, cast) = TestApp::start_with_cast().await;
    let signed = sign_in(&app, &cast.customer).await;
    let line = signed.header("set-cookie").expect("a cookie").to_owned();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/session", "; Max-Age=2592000"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("Domain"), "{line}");
    assert_eq!(signed.data().get("refreshToken"), None);
    assert_eq!(signed.header("cache-control"), Some("no-store"));
    let token = signed.text("/data/accessToken");
    let me = Actor::bearer(&app.endpoint, token).rest("UserService.GetMe", json!({})).await.success();
    assert_eq!(me.text("/data/email"), cast.customer.as_user().email);
}

#[tokio::test]
async fn the_cookie_is_secure_if_the_page_came_over_tls() {
    let (app, cast) = TestApp::start_with_cast().await;
    let who = cast.customer.as_user();
    let base = app.endpoint.base();
    let line = async |origin: String| {
        let request = app.endpoint.http.post(format!("{base}/session")).header("origin", origin);
        let answer = send(request.json(&json!({ "email": who.email, "password": who.password }))).await.success();
        answer.header("set-cookie").expect("a cookie").to_owned()
    };
    let plain = line(base.clone()).await;
    assert!(plain.starts_with("mainstay_session=") && !plain.contains("; Secure"), "{plain}");
    let secure = line(base.replace("http:", "https:")).await;
    assert!(secure.starts_with("__Host-mainstay_session=") && secure.contains("; Secure"), "{secure}");
    assert!(secure.contains("; Path=/;") && !secure.contains("Domain"), "as the prefix demands: {secure}");
}

/// Every host of the site can set the plain cookie, also an attacker in the network who answers for one without TLS.
#[tokio::test]
async fn over_tls_the_plain_cookie_is_not_accepted() {
    for public_url in [None, Some("https://api.example.com")] {
        let app = TestApp::builder();
        let app = match public_url {
            Some(url) => app.set("PUBLIC_URL", url).start().await,
            None => app.start().await,
        };
        let cast = app.cast().await;
        let who = cast.customer.as_user();
        let base = app.endpoint.base();
        let refresh = async |cookie: &str, origin: &str| {
            let request = app.endpoint.http.post(format!("{base}/session/refresh")).header("cookie", cookie);
            request.header("origin", origin).send().await.expect("an answer").status().as_u16()
        };
        let secure = base.replace("http:", "https:");
        let sign_in = app.endpoint.http.post(format!("{base}/session")).header("origin", &secure);
        let signed = send(sign_in.json(&json!({ "email": who.email, "password": who.password }))).await.success();
        let current = cookie(&signed);
        let token = current.strip_prefix("__Host-").expect("the prefix");
        assert_eq!(refresh(token, &secure).await, 401, "{public_url:?}");
        // Without TLS in the configuration, the origin of the page decides.
        let of_plain_page = refresh(&format!("{token}; other=1"), &base).await;
        assert_eq!(of_plain_page, if public_url.is_some() { 401 } else { 200 });
        if public_url.is_some() {
            let planted = format!("mainstay_session=planted; {current}");
            assert_eq!(refresh(&planted, &secure).await, 200, "another host of the site has no say");
        }
    }
}

#[tokio::test]
async fn a_refresh_rotates_the_cookie_and_a_stolen_one_ends_the_session() {
    let (app, cast) = TestApp::start_with_cast().await;
    let first = cookie(&sign_in(&app, &cast.customer).await);
    let second = cookie(&refresh(&app, &first).await.success());
    assert_ne!(first, second);
    let third = cookie(&refresh(&app, &second).await.success());
    // The grace period of concurrent refreshes covers one generation.
    let reused = refresh(&app, &first).await.failure("SESSION_REVOKED");
    assert!(reused.header("set-cookie").is_some_and(|line| line.contains("Max-Age=0")), "{reused:#?}");
    refresh(&app, &third).await.failure("SESSION_REVOKED");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_clears_the_cookie() {
    let (app, cast) = TestApp::start_with_cast().await;
    let signed = sign_in(&app, &cast.customer).await;
    let caller = Actor::bearer(&app.endpoint, signed.text("/data/accessToken"));
    let out = send(own(&app, Method::DELETE, "/session").header("cookie", cookie(&signed))).await.success();
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").is_some_and(|line| line.contains("Max-Age=0")), "{out:#?}");
    refresh(&app, &cookie(&signed)).await.failure("SESSION_REVOKED");
    caller.rest("UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
    // Signing out without a session succeeds, too.
    for cookie in ["mainstay_session=nonsense", "other=1"] {
        assert_eq!(send(own(&app, Method::DELETE, "/session").header("cookie", cookie)).await.success().status, 204);
    }
}

#[tokio::test]
async fn a_named_front_end_of_the_site_keeps_its_session_in_the_cookie() {
    const FRONT_END: &str = "https://app.example.com";
    let app = TestApp::builder().set("ALLOWED_ORIGINS", "https://app.example.com,https://other.example.com");
    let app = app.set("SESSION_ORIGINS", FRONT_END).start().await;
    let who = app.cast().await.customer;
    let base = app.endpoint.base();
    let of_page = |path: &str, origin: &str, site: &str| {
        let request = app.endpoint.http.post(format!("{base}{path}"));
        request.header("origin", origin).header("sec-fetch-site", site)
    };
    let body = json!({ "email": who.as_user().email, "password": who.as_user().password });
    let signed = send(of_page("/session", FRONT_END, "same-site").json(&body)).await.success();
    assert_eq!(signed.header("access-control-allow-origin"), Some(FRONT_END));
    assert_eq!(signed.header("access-control-allow-credentials"), Some("true"));
    let line = signed.header("set-cookie").expect("a cookie");
    assert!(line.starts_with("__Host-mainstay_session=") && line.contains("SameSite=Strict"), "{line}");
    assert!(!line.contains("Domain"), "{line}");
    let cookie = cookie(&signed);
    for (origin, site) in [
        ("https://other.example.com", "same-site"),
        ("https://evil.example.com", "same-site"),
        (FRONT_END, "cross-site"),
        (FRONT_END, "none"),
    ] {
        let refused = send(of_page("/session/refresh", origin, site).header("cookie", &cookie)).await;
        refused.failure("PERMISSION_DENIED");
    }
    let fresh = of_page("/session/refresh", FRONT_END, "same-site").header("cookie", &cookie);
    let fresh = send(fresh).await.success();
    let me = Actor::bearer(&app.endpoint, fresh.text("/data/accessToken"));
    me.rest("UserService.GetMe", json!({})).await.success();
    let own = app.endpoint.http.get(format!("{base}/api/v1/me")).header("cookie", self::cookie(&fresh));
    send(own.header("origin", FRONT_END).header("sec-fetch-site", "same-site")).await.failure("UNAUTHENTICATED");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let cookie = cookie(&sign_in(&app, &cast.customer).await);
    let base = app.endpoint.base();
    for (method, path) in [(Method::POST, "/session"), (Method::POST, "/session/refresh"), (Method::DELETE, "/session")]
    {
        for (name, value) in [
            ("origin", "http://stranger.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("x-nothing", "said"),
        ] {
            let request = app.endpoint.http.request(method.clone(), format!("{base}{path}"));
            let answer = send(request.header("cookie", &cookie).header(name, value)).await;
            assert_eq!(answer.failure("PERMISSION_DENIED").status, 403, "{method} {path} {name}: {value}");
        }
    }
    refresh(&app, &cookie).await.success();
}

#[tokio::test]
async fn the_cookie_is_no_credential_anywhere_else() {
    let (app, cast) = TestApp::start_with_cast().await;
    let cookie = cookie(&sign_in(&app, &cast.admin).await);
    for path in ["/api/v1/me", "/api/v1/tickets", "/api/v1/sessions"] {
        send(own(&app, Method::GET, path).header("cookie", &cookie)).await.failure("UNAUTHENTICATED");
    }
    let request = own(&app, Method::POST, "/api/v1/auth/logout").header("cookie", &cookie);
    send(request.json(&json!({}))).await.failure("UNAUTHENTICATED");
}

#[tokio::test]
async fn requests_other_than_sign_ins_are_refused() {
    let app = TestApp::start().await;
    refresh(&app, "other=1").await.failure("UNAUTHENTICATED");
    refresh(&app, "mainstay_session=nonsense").await.failure("INVALID_TOKEN");
    let post = async |body: String| send(own(&app, Method::POST, "/session").body(body)).await;
    post("{}".to_owned()).await.failure("MALFORMED_REQUEST");
    post(json!({ "email": "no address", "password": "p" }).to_string()).await.failure("VALIDATION_FAILED");
    post(json!({ "email": "nobody@example.com", "password": "p" }).to_string()).await.failure("INVALID_CREDENTIALS");
    post("x".repeat(9000)).await.failure("PAYLOAD_TOO_LARGE");
}
