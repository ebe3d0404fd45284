//! Second factors: an authenticator app at sign-in, who must have one, and methods that require a recent authentication.

mod browser;
mod bypass;
mod challenges;
mod codes;
mod devices;
mod keys;
mod passkey;
mod policy;
mod reset;
mod step_up;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    session::{caller, new_session},
    support::{Actor, Response, TestApp, actor::sign_in, people::User, totp},
};

const VERIFY: &str = "AuthService.VerifySecondFactor";

/// The second factor of a user.
pub(crate) struct Factor {
    secret: String,
    pub(crate) recovery: Vec<String>,
}

impl Factor {
    /// Returns a code that was not used before: the clock goes on by a step.
    pub(crate) fn code(&self, app: &TestApp) -> String {
        app.app.clock.advance(TimeDelta::seconds(30));
        totp(&self.secret, app.app.clock.now())
    }

    /// Returns a code that is wrong for hours.
    pub(crate) fn wrong(&self, app: &TestApp) -> String {
        totp(&self.secret, app.app.clock.now() + TimeDelta::hours(9))
    }
}

/// Adds a second factor in a session.
async fn add(app: &TestApp, pair: &Response) -> Factor {
    add_as(app, &caller(app, pair)).await
}

async fn add_as(app: &TestApp, me: &Actor) -> Factor {
    let enrolled = me.rest("SecondFactorService.EnrollTotp", json!({})).await.success();
    let factor = Factor { secret: enrolled.text("/data/secret"), recovery: Vec::new() };
    let request = json!({ "code": factor.code(app) });
    let codes = me.rest("SecondFactorService.ConfirmTotp", request).await.success();
    let recovery = codes.data()["recoveryCodes"].as_array().expect("codes").iter();
    Factor { recovery: recovery.map(|code| code.as_str().expect("a code").to_owned()).collect(), ..factor }
}

/// Adds a second factor to a user in a new session.
pub(crate) async fn add_to(app: &TestApp, who: &Actor) -> Factor {
    add(app, &new_session(app, who).await).await
}

/// Signs a user in by the password, which only earns a challenge.
async fn challenge(app: &TestApp, user: &User) -> String {
    let challenge = sign_in(&app.endpoint, user).await.success();
    assert_eq!(challenge.body.get("data").filter(|data| !data.is_null()), None, "{challenge:#?}");
    challenge.text("/challenge/token")
}

fn answer(challenge: &str, code: &str) -> Value {
    json!({ "challengeToken": challenge, "code": code })
}

async fn verify(app: &TestApp, challenge: &str, code: &str) -> Response {
    Actor::anonymous(&app.endpoint).rest(VERIFY, answer(challenge, code)).await
}

/// Signs a user with a second factor in.
async fn sign_in_fully(app: &TestApp, user: &User, factor: &Factor) -> Response {
    let challenge = challenge(app, user).await;
    verify(app, &challenge, &factor.code(app)).await.success()
}
