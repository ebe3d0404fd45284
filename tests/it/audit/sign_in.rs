//! Sign-ins, refusals and changes of credentials.

use serde_json::json;

use super::about;
use crate::support::{Actor, Protocol, TestApp};

const LOGIN: &str = "AuthService.Login";

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_an_entry_of_the_user() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (user, anonymous) = (cast.customer.as_user(), Actor::anonymous(&app.endpoint));
    let request = json!({ "email": user.email, "password": user.password });
    let session = anonymous.rest(LOGIN, request).await.success().text("/data/sessionId");
    let change = json!({ "currentPassword": user.password, "password": "correct horse battery" });
    cast.customer.rest("AuthService.ChangePassword", change).await.success();
    let entries = about(&cast.customer, &user.id.to_string()).await;
    let find =
        |method: &str| entries.iter().find(|entry| entry["method"] == method).unwrap_or_else(|| panic!("{method}"));
    let login = find(LOGIN);
    assert_eq!((&login["actorKind"], &login["actorId"]), (&json!("ACTOR_KIND_USER"), &json!(user.id.to_string())));
    assert_eq!(super::change(login, "session")["after"], json!(format!("\"{session}\"")));
    let changed = find("AuthService.ChangePassword");
    assert_eq!((&changed["actorKind"], &changed["outcome"]), (&json!("ACTOR_KIND_USER"), &json!("AUDIT_OUTCOME_DONE")));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_entries_that_become_rarer() {
    let app = TestApp::start().await;
    let anonymous = Actor::anonymous(&app.endpoint);
    for number in 0..9 {
        let request = json!({ "email": format!("guess-{number}@example.com"), "password": "a wrong password" });
        anonymous
            .call_with(Protocol::Rest, LOGIN, request, &[("x-forwarded-for", "192.0.2.9")])
            .await
            .failure("INVALID_CREDENTIALS");
    }
    let counts = app
        .database
        .sql(
            "SELECT changes #>> '{refusalsThisHour,after}', personal #>> '{fields,email,after}' FROM audit_entries \
              WHERE outcome = 2 ORDER BY id",
        )
        .await;
    let counts: Vec<_> = counts.iter().map(|row| (row[0].as_deref(), row[1].as_deref())).collect();
    let expected = [("1", "guess-0"), ("2", "guess-1"), ("4", "guess-3"), ("8", "guess-7")];
    let expected = expected.map(|(count, name)| (count.to_owned(), format!("{name}@example.com")));
    let expected: Vec<_> = expected.iter().map(|(count, name)| (Some(count.as_str()), Some(name.as_str()))).collect();
    assert_eq!(counts, expected);
}
