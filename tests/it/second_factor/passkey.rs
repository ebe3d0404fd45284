//! Passkeys: sign-in alone, as a second factor, and as proof of a recent authentication.

mod browser;
mod factors;
mod hostile;
mod sign_in;

use serde_json::{Value, json};

use crate::{
    session::{caller, new_session},
    support::{Actor, Response, TestApp, authenticator::Authenticator},
};

const CONFIRM: &str = "PasskeyService.ConfirmPasskey";
const LOGIN: &str = "AuthService.LoginWithPasskey";

/// Begins adding a passkey. Returns the token and the options.
async fn begin(who: &Actor) -> (String, String) {
    let begun = who.rest("PasskeyService.EnrollPasskey", json!({})).await.success();
    (begun.text("/data/token"), begun.text("/data/options"))
}

fn confirmation(token: &str, credential: &str) -> Value {
    json!({ "token": token, "credential": credential, "name": "Phone" })
}

/// A passkey of a user.
pub(super) struct Added {
    pub(super) authenticator: Authenticator,
    id: String,
    recovery: Vec<String>,
}

/// Adds a passkey in a session.
async fn add(app: &TestApp, pair: &Response) -> Added {
    add_as(&caller(app, pair)).await
}

/// Adds a passkey to a user in a new session.
pub(super) async fn add_to(app: &TestApp, who: &Actor) -> Added {
    add(app, &new_session(app, who).await).await
}

pub(super) async fn add_as(who: &Actor) -> Added {
    let mut authenticator = Authenticator::new();
    let (token, options) = begin(who).await;
    let request = confirmation(&token, &authenticator.create(&options));
    let added = who.rest(CONFIRM, request).await.success();
    let recovery = added.data()["recoveryCodes"].as_array().expect("codes").iter();
    let recovery = recovery.map(|code| code.as_str().expect("a code").to_owned()).collect();
    Added { authenticator, id: added.text("/data/passkey/id"), recovery }
}

/// Begins a sign-in. Returns the token and the options.
async fn begin_login(app: &TestApp) -> (String, String) {
    let anonymous = Actor::anonymous(&app.endpoint);
    let begun = anonymous.rest("AuthService.BeginPasskeyLogin", json!({})).await.success();
    (begun.text("/data/token"), begun.text("/data/options"))
}

/// Signs in with a passkey alone.
async fn login(app: &TestApp, authenticator: &mut Authenticator) -> Response {
    let (token, options) = begin_login(app).await;
    let request = json!({ "token": token, "credential": authenticator.get(&options) });
    Actor::anonymous(&app.endpoint).rest(LOGIN, request).await
}
