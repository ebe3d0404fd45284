//! Sign-in with a passkey by a page of the server's own origin.

use serde_json::{Value, json};

use super::{add, begin_login};
use crate::{
    session::new_session,
    support::{Response, TestApp, rest},
};

async fn post(app: &TestApp, path: &str, cookie: &str, body: Value) -> Response {
    let base = app.endpoint.base();
    let request = app.endpoint.http.post(format!("{base}{path}")).header("origin", base).header("cookie", cookie);
    rest::read(request.json(&body).send().await.expect("an answer")).await
}

fn cookie(answer: &Response) -> String {
    let line = answer.header("set-cookie").expect("a cookie");
    assert!(line.contains("HttpOnly") && line.contains("SameSite=Strict"), "{line}");
    line.split(';').next().expect("a pair").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceremony_belongs_to_the_browser_that_began_it() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    let begun = post(&app, "/session/passkey/options", "", json!({})).await.success();
    assert_eq!(begun.header("cache-control"), Some("no-store"), "{begun:#?}");
    assert_eq!(begun.data().get("token"), None, "the token is in the cookie alone: {begun:#?}");
    let (kept, options) = (cookie(&begun), begun.text("/data/options"));
    assert!(kept.starts_with("mainstay_passkey="), "{kept}");
    let credential = added.authenticator.get(&options);
    let without = post(&app, "/session/passkey", "", json!({ "credential": credential })).await;
    without.failure("INVALID_TOKEN");
    // The ceremony of another browser is another one.
    let other = cookie(&post(&app, "/session/passkey/options", "", json!({})).await.success());
    post(&app, "/session/passkey", &other, json!({ "credential": credential })).await.failure("INVALID_PASSKEY");
    let token = json!({ "credential": credential, "token": begin_login(&app).await.0 });
    post(&app, "/session/passkey", &kept, token).await.failure("MALFORMED_REQUEST");
    let done = post(&app, "/session/passkey", &kept, json!({ "credential": credential })).await.success();
    assert_eq!(done.data()["secondFactorRequired"], false, "{done:#?}");
    assert!(done.data().get("refreshToken").is_none(), "{done:#?}");
    post(&app, "/session/passkey", &kept, json!({ "credential": credential })).await.failure("INVALID_TOKEN");
    let base = app.endpoint.base();
    for path in ["/session/passkey/options", "/session/passkey", "/session/second-factor/options"] {
        let foreign = app.endpoint.http.post(format!("{base}{path}")).header("origin", "https://evil.example");
        let foreign = rest::read(foreign.json(&json!({})).send().await.expect("an answer")).await;
        assert_eq!(foreign.status, 403, "{path}: {foreign:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_completes_a_sign_in_with_a_passkey() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    let user = cast.customer.as_user();
    let credentials = json!({ "email": user.email, "password": user.password });
    let first = post(&app, "/session", "", credentials).await.success();
    let token = first.text("/challenge/token");
    let begun = post(&app, "/session/second-factor/options", "", json!({ "challengeToken": token })).await.success();
    let passkey = added.authenticator.get(&begun.text("/data/options"));
    let answer = json!({ "challengeToken": token, "passkey": passkey });
    post(&app, "/session/second-factor", "", answer).await.success();
    let nonsense = json!({ "challengeToken": "nonsense" });
    post(&app, "/session/second-factor/options", "", nonsense).await.failure("INVALID_TOKEN");
}
