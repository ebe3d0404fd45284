//! Sessions and what ends them.

mod ending;
mod keys;
mod refresh;
pub(crate) mod reset;

use serde_json::json;

use crate::support::{Actor, Answer, DOORS, TestApp, actor::sign_in};

/// A sign-in of the customer of `app`.
async fn signed_in(app: &TestApp, who: &Actor) -> Answer {
    sign_in(&app.endpoint, who.who()).await.good()
}

/// What refreshing with the refresh token of `pair` says, over a door of the caller's choice.
async fn refresh(app: &TestApp, pair: &Answer, door: usize) -> Answer {
    let request = json!({ "refreshToken": pair.text("/data/refreshToken") });
    Actor::anonymous(&app.endpoint).call(DOORS[door % 2], "AuthService.Refresh", request).await
}

/// The session of `pair` as a caller.
fn caller(app: &TestApp, pair: &Answer) -> Actor {
    Actor::bearer(&app.endpoint, pair.text("/data/accessToken"))
}
