//! The second step of a sign-in by a page of the server's own origin.

use serde_json::{Value, json};

use super::add_to;
use crate::support::{Actor, Response, TestApp, rest};

async fn post(app: &TestApp, path: &str, body: Value) -> Response {
    let base = app.endpoint.base();
    let request = app.endpoint.http.post(format!("{base}{path}")).header("origin", base).json(&body);
    rest::read(request.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_set_after_the_code() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let first = post(&app, "/session", json!({ "email": user.email, "password": user.password })).await.success();
    assert_eq!((first.header("set-cookie"), first.header("cache-control")), (None, Some("no-store")), "{first:#?}");
    let token = first.text("/challenge/token");
    let answer = |code: String| json!({ "challengeToken": token, "code": code });
    let wrong = post(&app, "/session/second-factor", answer(factor.wrong(&app))).await.failure("WRONG_CODE");
    assert_eq!(wrong.header("set-cookie"), None, "{wrong:#?}");
    post(&app, "/session/second-factor", answer("1234567".to_owned())).await.failure("VALIDATION_FAILED");
    let done = post(&app, "/session/second-factor", answer(factor.code(&app))).await.success();
    assert!(done.header("set-cookie").is_some_and(|line| line.starts_with("mainstay_session=")), "{done:#?}");
    assert_eq!(done.data()["secondFactorRequired"], false);
    let me = Actor::bearer(&app.endpoint, done.text("/data/accessToken"));
    me.rest("UserService.GetMe", json!({})).await.success();
    // A page of another origin can't complete a sign-in.
    let base = app.endpoint.base();
    let foreign =
        app.endpoint.http.post(format!("{base}/session/second-factor")).header("origin", "https://evil.example");
    let foreign = rest::read(foreign.json(&answer(factor.code(&app))).send().await.expect("an answer")).await;
    assert_eq!(foreign.status, 403, "{foreign:#?}");
}
