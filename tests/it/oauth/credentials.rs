//! Client credentials: a client that acts for itself.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Client, Stage, claims, client, client_draft, send, succeeded, text, userinfo};
use crate::{
    cases::{draft, role::role, ticket},
    support::{Actor, PROTOCOLS, Protocol, eventually},
};

const LIST: &str = "TicketService.ListTickets";
const CREATE: &str = "OauthClientService.CreateOauthClient";
const UPDATE: &str = "OauthClientService.UpdateOauthClient";
const ROTATE: &str = "OauthClientService.RotateOauthClientSecret";

/// A client that acts for itself, of the platform or an account.
fn credentials(account: Option<&str>) -> Value {
    json!({
        "name": "Nightly report",
        "grantTypes": ["OAUTH_GRANT_TYPE_CLIENT_CREDENTIALS"],
        "scopes": ["support.tickets.read", "support.tickets.write"],
        "confidential": true,
        "accountId": account,
    })
}

impl Stage {
    async fn of_account() -> Self {
        let mut stage = Self::new().await;
        let account = stage.cast.customer.as_user().account.to_string();
        stage.client = client(&stage.cast, credentials(Some(&account))).await;
        stage
    }

    async fn of_platform() -> Self {
        Self::with(credentials(None)).await
    }

    /// Gets a token for the client itself; returns the code of the error otherwise.
    async fn own(&self, client: &Client, scope: &str) -> Result<Value, String> {
        let pairs = [("grant_type", "client_credentials"), ("scope", scope)];
        succeeded(send(&self.app, client, "/oauth2/token", &pairs).await)
    }

    /// A caller with a new token of the client itself, which works.
    async fn itself(&self) -> Actor {
        let caller = self.caller(&self.own(&self.client, "").await.expect("a token"));
        caller.rest(LIST, json!({})).await.success();
        caller
    }

    async fn change(&self, method: &str, rest: Value) -> Value {
        let mut request = json!({ "oauthClientId": self.client.id });
        request.as_object_mut().expect("an object").extend(rest.as_object().cloned().unwrap_or_default());
        self.cast.admin.rest(method, request).await.success().body
    }
}

async fn assert_refused(caller: &Actor, reason: &str) {
    eventually("the token is refused", async || caller.rest(LIST, json!({})).await.reason == reason).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_acts_for_itself() {
    let stage = Stage::of_platform().await;
    let own = ticket(&stage.cast.customer).await;
    let foreign = ticket(&stage.cast.stranger).await;
    let tokens = stage.own(&stage.client, "").await.expect("a token");
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(300)), "{tokens}");
    assert_eq!(tokens["scope"], "support.tickets.read support.tickets.write");
    assert!(tokens["refresh_token"].is_null() && tokens["id_token"].is_null(), "{tokens}");
    let token = text(&tokens, "access_token");
    let claims = claims(&token);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(stage.client.id), &json!(stage.client.id)));
    let caller = stage.caller(&tokens);
    for protocol in PROTOCOLS {
        for id in [&own, &foreign] {
            caller.call(protocol, "TicketService.GetTicket", json!({ "ticketId": id })).await.success();
        }
        // A method for persons, one for users, and one without the scope.
        for refused in ["UserService.GetMe", "OauthConsentService.ListOauthConsents", "OrderService.ListOrders"] {
            caller.call(protocol, refused, json!({})).await.failure("PERMISSION_DENIED");
        }
    }
    let (_, active) = send(&stage.app, &stage.client, "/oauth2/introspect", &[("token", &token)]).await;
    assert_eq!((&active["active"], &active["sub"]), (&json!(true), &json!(stage.client.id)), "{active}");
    assert_eq!((&active["scope"], &active["exp"]), (&tokens["scope"], &claims["exp"]), "{active}");
    let other = client(&stage.cast, credentials(None)).await;
    let (_, unknown) = send(&stage.app, &other, "/oauth2/introspect", &[("token", &token)]).await;
    assert_eq!(unknown, json!({ "active": false }));
    assert_eq!(userinfo(&stage.app, &token).await.0, 403, "the token has no person");
    let fewer = stage.own(&stage.client, "support.tickets.read").await.expect("a token");
    let mut request = draft();
    request["accountId"] = stage.cast.customer.as_user().account.to_string().into();
    stage.caller(&fewer).rest("TicketService.CreateTicket", request.clone()).await.failure("PERMISSION_DENIED");
    caller.rest("TicketService.CreateTicket", request).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_an_account_reaches_only_its_data() {
    let stage = Stage::of_account().await;
    let account = stage.cast.customer.as_user().account.to_string();
    let foreign = ticket(&stage.cast.stranger).await;
    let caller = stage.itself().await;
    for protocol in PROTOCOLS {
        let own = caller.call(protocol, "TicketService.CreateTicket", draft()).await.success();
        assert_eq!(own.text("/data/accountId"), account);
        let request = json!({ "ticketId": foreign });
        caller.call(protocol, "TicketService.GetTicket", request).await.failure("NOT_FOUND");
        caller.call(protocol, "UserService.ListUsers", json!({})).await.failure("PERMISSION_DENIED");
    }
    let entries = json!({ "method": "TicketService.CreateTicket" });
    let entries = stage.cast.customer.rest("AuditService.ListAuditEntries", entries).await.success();
    assert_eq!(entries.text("/data/0/actorKind"), "ACTOR_KIND_SERVICE");
    assert_eq!(entries.text("/data/0/actorId"), stage.client.id);
    let mut unknown = credentials(Some("0197b608-1a2b-7c3d-8e4f-5a6b7c8d9e0f"));
    stage.cast.admin.rest(CREATE, unknown.clone()).await.failure("NOT_FOUND");
    unknown["accountId"] = account.into();
    unknown["scopes"] = json!(["identity.oauth_clients.manage"]);
    stage.cast.admin.rest(CREATE, unknown).await.failure("VALIDATION_FAILED");
}

/// A client asks for more than it has, or as what it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_only_what_it_has() {
    let stage = Stage::of_platform().await;
    for scope in ["openid", "support.tickets.read identity.users.manage"] {
        assert_eq!(stage.own(&stage.client, scope).await.expect_err(scope), "invalid_scope");
    }
    let wrong = Client { secret: "guess".to_owned(), ..stage.client.clone() };
    assert_eq!(stage.own(&wrong, "").await.expect_err("a guess"), "invalid_client");
    let of_people = client(&stage.cast, client_draft()).await;
    assert_eq!(stage.own(&of_people, "").await.expect_err("not its grant"), "unauthorized_client");
    let codes = [("grant_type", "authorization_code"), ("code", "code")];
    let refused = succeeded(send(&stage.app, &stage.client, "/oauth2/token", &codes).await);
    assert_eq!(refused.expect_err("not its grant"), "unauthorized_client");
    let mut public = credentials(None);
    public["confidential"] = false.into();
    stage.cast.admin.rest(CREATE, public).await.failure("VALIDATION_FAILED");
}

/// Otherwise a member of the staff would get every scope by a client.
#[tokio::test(flavor = "multi_thread")]
async fn a_registrar_gives_a_client_only_what_the_registrar_has() {
    let stage = Stage::of_platform().await;
    let agent = stage.cast.agent.as_user().clone();
    let role = role(&stage.cast.admin, &["identity.oauth_clients.manage", "support.tickets.read"]).await;
    let assign = json!({ "userId": agent.id.to_string(), "role": "ROLE_AGENT", "staffRoleId": role });
    stage.cast.admin.rest("UserService.SetUserRole", assign).await.success();
    let lead = Actor::user(&stage.app.endpoint, agent);
    lead.rest(CREATE, credentials(None)).await.failure("PERMISSION_DENIED");
    lead.rest(ROTATE, json!({ "oauthClientId": stage.client.id })).await.failure("PERMISSION_DENIED");
    let mut weak = credentials(None);
    weak["scopes"] = json!(["support.tickets.read"]);
    let weak = lead.rest(CREATE, weak).await.success().id();
    let more = json!({ "scopes": ["support.tickets.read", "support.tickets.write"] });
    lead.rest(UPDATE, json!({ "oauthClientId": weak, "oauthClient": more })).await.failure("PERMISSION_DENIED");
    let less = json!({ "scopes": ["support.tickets.read"] });
    lead.rest(UPDATE, json!({ "oauthClientId": stage.client.id, "oauthClient": less })).await.success();
    lead.rest(ROTATE, json!({ "oauthClientId": weak })).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_of_a_client_ends_with_the_client_its_scopes_and_its_grant() {
    let stage = Stage::of_platform().await;
    let caller = stage.itself().await;
    stage.change(UPDATE, json!({ "oauthClient": { "scopes": ["support.tickets.write"] } })).await;
    assert_refused(&caller, "PERMISSION_DENIED").await;
    stage.change(UPDATE, json!({ "oauthClient": { "scopes": ["support.tickets.read"] } })).await;
    eventually("the scope is there again", async || caller.rest(LIST, json!({})).await.status == 200).await;
    let people = json!({
        "grantTypes": ["OAUTH_GRANT_TYPE_AUTHORIZATION_CODE"], "redirectUris": ["https://reports.example/callback"],
    });
    stage.change(UPDATE, json!({ "oauthClient": people })).await;
    assert_refused(&caller, "INVALID_TOKEN").await;
    let itself = json!({ "grantTypes": ["OAUTH_GRANT_TYPE_CLIENT_CREDENTIALS"], "redirectUris": [] });
    let mask = "grantTypes,redirectUris";
    stage.change(UPDATE, json!({ "oauthClient": itself, "updateMask": mask })).await;
    // A grant that is given again revives no token.
    caller.rest(LIST, json!({})).await.failure("INVALID_TOKEN");
    let caller = stage.itself().await;
    caller.rest(LIST, json!({})).await.success();
    stage.change("OauthClientService.DeleteOauthClient", json!({})).await;
    assert_refused(&caller, "INVALID_TOKEN").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_the_secret_of_the_client() {
    let mut stage = Stage::of_platform().await;
    let caller = stage.itself().await;
    let rotated = stage.change(ROTATE, json!({ "overlapSeconds": 60 })).await;
    let earlier = caller.rest(LIST, json!({})).await;
    assert_eq!(earlier.status, 200, "the overlap has begun: {earlier:#?}");
    stage.client.secret = text(&rotated, "secret");
    let current = stage.itself().await;
    stage.app.app.clock.advance(TimeDelta::seconds(61));
    assert_refused(&caller, "INVALID_TOKEN").await;
    current.rest(LIST, json!({})).await.success();
    stage.change(ROTATE, json!({ "overlapSeconds": 0 })).await;
    assert_refused(&current, "INVALID_TOKEN").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_client_is_revoked_and_expires() {
    let stage = Stage::of_platform().await;
    let [revoked, kept] = [stage.own(&stage.client, "").await, stage.own(&stage.client, "").await];
    let [revoked, kept] = [revoked.expect("a token"), kept.expect("another one")];
    let other = client(&stage.cast, credentials(None)).await;
    let token = text(&revoked, "access_token");
    assert_eq!(send(&stage.app, &other, "/oauth2/revoke", &[("token", &token)]).await.0, 200);
    stage.caller(&revoked).rest(LIST, json!({})).await.success();
    assert_eq!(send(&stage.app, &stage.client, "/oauth2/revoke", &[("token", &token)]).await.0, 200);
    assert_refused(&stage.caller(&revoked), "INVALID_TOKEN").await;
    stage.caller(&kept).rest(LIST, json!({})).await.success();
    stage.app.app.clock.advance(TimeDelta::seconds(306));
    stage.caller(&kept).rest(LIST, json!({})).await.failure("TOKEN_EXPIRED");
}

/// A request is repeated with a new token of the same client. Another client uses the same key for another request.
#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_of_one_client() {
    let mut stage = Stage::of_account().await;
    let request = draft();
    let create = async |caller: &Actor| {
        let headers = [("idempotency-key", "nightly")];
        let created = caller.call_with(Protocol::Rest, "TicketService.CreateTicket", request.clone(), &headers).await;
        created.success().id()
    };
    let first = create(&stage.itself().await).await;
    assert_eq!(create(&stage.itself().await).await, first);
    let account = stage.cast.customer.as_user().account.to_string();
    stage.client = client(&stage.cast, credentials(Some(&account))).await;
    assert_ne!(create(&stage.itself().await).await, first);
}
