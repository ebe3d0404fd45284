//! The pages of this server: their changes have the page and the client, as calls have.

use serde_json::{Value, json};

use super::about;
use crate::{
    cases::{Scene, create_token as invite, new_address},
    session::{email_change, registration, reset},
    support::{TestApp, people::PASSWORD},
};

const AGENT: &str = "Browser/1.0";
const CLIENT: &str = "192.0.2.7";

/// Sends the form of a page, as a browser does, and returns the status.
async fn submit(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> u16 {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let post = app.endpoint.http.post(format!("{}{path}", app.endpoint.base())).body(body);
    let post = post.header("content-type", "application/x-www-form-urlencoded").header("sec-fetch-site", "same-origin");
    let post = post.header("user-agent", AGENT).header("x-forwarded-for", CLIENT);
    post.send().await.expect("an answer").status().as_u16()
}

/// Signs in as the console does, and returns the status.
async fn sign_in(app: &TestApp, email: &str, password: &str) -> u16 {
    let post = app.endpoint.http.post(format!("{}/session", app.endpoint.base())).header("origin", app.endpoint.base());
    let post = post.header("user-agent", AGENT).header("x-forwarded-for", CLIENT);
    post.json(&json!({ "email": email, "password": password })).send().await.expect("an answer").status().as_u16()
}

/// Checks that an entry is that of a page, by the client of these tests.
#[track_caller]
fn is_of_page(entry: &Value, page: &str) {
    assert_eq!(entry["method"], format!("page {page}"), "{entry:#}");
    assert_eq!((&entry["clientAddress"], &entry["userAgent"]), (&json!(CLIENT), &json!(AGENT)), "{entry:#}");
    assert_ne!(entry["actorKind"], "ACTOR_KIND_SYSTEM", "{entry:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_and_a_refused_one_have_their_client() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.agent.as_user();
    assert_eq!(sign_in(&app, &user.email, &user.password).await, 200);
    let signed_in = about(&cast.admin, &user.id.to_string()).await;
    let [entry] = signed_in.iter().filter(|entry| entry["method"] == "page /session").collect::<Vec<_>>()[..] else {
        panic!("{signed_in:#?}")
    };
    is_of_page(entry, "/session");
    assert_eq!((&entry["actorKind"], &entry["actorId"]), (&json!("ACTOR_KIND_STAFF"), &json!(user.id.to_string())));
    assert_eq!(sign_in(&app, &user.email, "a wrong password").await, 401);
    let refused = "SELECT method, personal ->> 'clientAddress', personal ->> 'userAgent', personal #>> '{fields,email,after}' \
                   FROM audit_entries WHERE outcome = 2";
    let expected = ["page /session", CLIENT, AGENT, &user.email].map(|text| Some(text.to_owned()));
    assert_eq!(app.database.sql(refused).await, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forms_of_mails_have_their_client() {
    let (app, scene) = Scene::start().await;
    let (cast, database) = (&scene.cast, &app.database);
    let user = cast.agent.as_user();
    let id = user.id.to_string();

    let token = reset::create_token(database, user).await;
    assert_eq!(submit(&app, "/reset-password", &[("token", &token), ("password", PASSWORD)]).await, 200);
    is_of_page(&about(&cast.admin, &id).await[0], "/reset-password");
    let token = email_change::create_token(database, user, &new_address()).await;
    assert_eq!(submit(&app, "/confirm-email", &[("token", &token)]).await, 200);
    is_of_page(&about(&cast.admin, &id).await[0], "/confirm-email");
    let other = cast.stranger.as_user();
    let token = email_change::create_undo_token(database, other, &new_address(), 10).await;
    assert_eq!(submit(&app, "/undo-email-change", &[("token", &token)]).await, 200);
    is_of_page(&about(&cast.admin, &other.id.to_string()).await[0], "/undo-email-change");

    let token = registration::create_token(database, &new_address()).await;
    assert_eq!(submit(&app, "/register", &[("token", &token), ("name", "Zoë"), ("password", PASSWORD)]).await, 200);
    let token = invite(&scene, &new_address()).await;
    assert_eq!(submit(&app, "/invitation", &[("token", &token), ("name", "Zoë"), ("password", PASSWORD)]).await, 200);
    let entries = "SELECT DISTINCT method, personal ->> 'clientAddress', personal ->> 'userAgent' FROM audit_entries \
                   WHERE method IN ('page /register', 'page /invitation') ORDER BY 1";
    let expected = ["/invitation", "/register"];
    let expected = expected.map(|page| [format!("page {page}"), CLIENT.to_owned(), AGENT.to_owned()].map(Some));
    assert_eq!(database.sql(entries).await, expected);
    // No entrance is left without an origin.
    assert_eq!(database.number("SELECT count(*) FROM audit_entries WHERE method = 'command'").await, 0);
}
