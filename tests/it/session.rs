//! Sessions and how they end, and the changes of a user that end them.

mod breaches;
mod browser;
mod deactivation;
pub(crate) mod email_change;
mod ending;
mod impersonation;
mod import;
mod keys;
mod lifetimes;
pub(crate) mod mail_login;
mod of_others;
mod pages;
pub(crate) mod password;
mod refresh;
pub(crate) mod registration;
pub(crate) mod reset;
pub(crate) mod revocation;
mod role;
mod service_key;

use serde_json::json;

use crate::support::{Actor, PROTOCOLS, Response, TestApp, TestDatabase, actor::sign_in, unique};

/// Signs a user in.
pub(crate) async fn new_session(app: &TestApp, who: &Actor) -> Response {
    sign_in(&app.endpoint, who.as_user()).await.success()
}

/// Refreshes with the refresh token of `pair`, over gRPC and REST in turn.
pub(crate) async fn refresh(app: &TestApp, pair: &Response, turn: usize) -> Response {
    let request = json!({ "refreshToken": pair.text("/data/refreshToken") });
    Actor::anonymous(&app.endpoint).call(PROTOCOLS[turn % 2], "AuthService.Refresh", request).await
}

/// Keeps the sessions as they are, as a replica does that has received no later changes.
pub(crate) async fn keep_sessions(database: &TestDatabase) {
    database.sql("CREATE TABLE kept_sessions AS SELECT * FROM sessions").await;
}

/// Restores the sessions that were kept, as a failover to that replica does.
pub(crate) async fn restore_sessions(database: &TestDatabase) {
    database.sql("DELETE FROM sessions; INSERT INTO sessions SELECT * FROM kept_sessions").await;
}

/// A caller with the access token of `pair`.
pub(crate) fn caller(app: &TestApp, pair: &Response) -> Actor {
    Actor::bearer(&app.endpoint, pair.text("/data/accessToken"))
}

/// Returns a personal access token of a user, and links a person at a provider to the user.
pub(crate) async fn other_ways_in(app: &TestApp, who: &Actor) -> Actor {
    let request = json!({ "name": "A token", "scopes": ["support.tickets.read"], "kind": "SERVICE_KEY_KIND_PERSON" });
    let token = who.rest("ServiceKeyService.CreateServiceKey", request).await.success();
    let insert = format!(
        "INSERT INTO linked_identities (id, user_id, issuer, subject, created_at) \
         VALUES (gen_random_uuid(), '{}', 'https://id.example', '{}', now())",
        who.as_user().id,
        unique()
    );
    app.database.sql(&insert).await;
    let token = Actor::bearer(&app.endpoint, token.text("/secret"));
    token.rest("TicketService.ListTickets", json!({})).await.success();
    token
}
