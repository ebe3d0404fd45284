//! Mainstay as an OpenID Connect provider: the flow of an application, the end of its access, and attacks.

mod attacks;
mod credentials;
mod device;
mod end;
mod flow;
mod judges;
mod logout;
mod pages;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use crate::{
    cases::oauth::{CALLBACK, SIGNED_OUT, client_draft, register},
    support::{
        Actor, TestApp, eventually,
        oidc::{Browser, Page},
        people::Cast,
    },
};

/// The base URL of the service, which is the issuer.
const ISSUER: &str = "http://app.example";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A registered client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    id: String,
    secret: String,
}

/// An app that is a provider, with a registered client and the browser of a customer who has signed in.
struct Stage {
    app: TestApp,
    cast: Cast,
    client: Client,
    browser: Browser,
}

impl Stage {
    async fn new() -> Self {
        Self::with(client_draft()).await
    }

    async fn with(draft: Value) -> Self {
        let (app, cast) = TestApp::builder().set("PUBLIC_URL", ISSUER).start_with_cast().await;
        let client = client(&cast, draft).await;
        let browser = signed_in(&app, &cast.customer).await;
        Self { app, cast, client, browser }
    }

    /// Gets a code for the client.
    async fn code(&mut self) -> String {
        let back = agree(&mut self.browser, &authorize(&self.client, &[])).await;
        result(&back, "code")
    }

    /// Gets tokens for the client.
    async fn tokens(&mut self) -> Value {
        let code = self.code().await;
        exchange(&self.app, &self.client, &code).await.expect("tokens")
    }

    /// A caller with the access token of a response.
    fn caller(&self, tokens: &Value) -> Actor {
        Actor::bearer(&self.app.endpoint, text(tokens, "access_token"))
    }
}

/// Registers a client.
pub(crate) async fn client(cast: &Cast, draft: Value) -> Client {
    let response = register(&cast.admin, draft).await;
    let secret = response["secret"].as_str().unwrap_or_default().to_owned();
    Client { id: text(&response["data"], "id"), secret }
}

/// A browser in which a user has signed in.
async fn signed_in(app: &TestApp, who: &Actor) -> Browser {
    let mut browser = Browser::new(&app.endpoint);
    sign_in(&mut browser, who).await;
    browser
}

async fn sign_in(browser: &mut Browser, who: &Actor) {
    let user = who.as_user();
    let page = browser.post("/session", &json!({ "email": user.email, "password": user.password })).await;
    assert_eq!(page.status, 200, "{page:#?}");
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("{name}: {value:#}")).to_owned()
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The path of an authorization request, in which some parameters are others.
pub(crate) fn authorize(client: &Client, changes: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let mut pairs = vec![
        ("client_id", client.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid email profile support.tickets.read"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    for change in changes {
        pairs.retain(|(name, _)| *name != change.0);
        pairs.push(*change);
    }
    format!("/oauth2/authorize?{}", form(&pairs))
}

/// Returns the address to which a page leads by itself.
fn leads_to(html: &str) -> String {
    let (_, rest) = html.split_once("content=\"0; url=").unwrap_or_else(|| panic!("the page stays: {html}"));
    let (url, _) = rest.split_once('"').expect("the end of the attribute");
    unescaped(url)
}

fn unescaped(html: &str) -> String {
    html.replace("&#x2f;", "/").replace("&#x27;", "'").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The value of a hidden field.
fn field(html: &str, name: &str) -> String {
    let (_, rest) = html.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {html}"));
    unescaped(rest.split_once('"').expect("the end of the attribute").0)
}

/// Opens the page that asks the person for a decision.
async fn ask(browser: &mut Browser, path: &str) -> String {
    let first = browser.open(path).await;
    assert_eq!(first.status, 200, "{first:#?}");
    let page = browser.open(&leads_to(&first.html)).await;
    assert_eq!(page.status, 200, "{page:#?}");
    page.html
}

/// Decides on the page for the consent, and returns the address to which that leads.
async fn decide(browser: &mut Browser, html: &str, decision: &str) -> String {
    let page = browser.submit("/session/authorize", &decision_of(html, decision)).await;
    assert_eq!(page.status, 200, "{page:#?}");
    leads_to(&page.html)
}

/// Decides on the page for the sign-out, and returns the address to which that leads.
async fn sign_out(browser: &mut Browser, html: &str, decision: &str) -> String {
    let page = browser.submit("/session/logout", &decision_of(html, decision)).await;
    assert_eq!(page.status, 200, "{page:#?}");
    leads_to(&page.html)
}

/// The form of a page with a decision.
fn decision_of(html: &str, decision: &str) -> String {
    let (request, csrf) = (field(html, "request"), field(html, "csrf"));
    form(&[("request", &request), ("csrf", &csrf), ("decision", decision)])
}

/// Submits a form while the client is deleted, and returns the page that follows.
async fn submit_during_deletion(stage: &mut Stage, path: &str, sent: &str) -> Page {
    const DELETE: &str =
        "DO $$ BEGIN PERFORM id FROM oauth_clients FOR UPDATE; PERFORM pg_sleep(2); DELETE FROM oauth_clients; END $$";
    const SLEEPING: &str =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let (database, browser) = (&stage.app.database, &mut stage.browser);
    let submit = async {
        eventually("the deletion has the lock", async || database.number(SLEEPING).await == 1).await;
        browser.submit(path, sent).await
    };
    // The statement fails as the victim of a deadlock.
    let (_, page) = tokio::join!(database.sql(DELETE), submit);
    page
}

/// Agrees, and returns the address of the client with the result.
pub(crate) async fn agree(browser: &mut Browser, path: &str) -> String {
    let html = ask(browser, path).await;
    decide(browser, &html, "allow").await
}

/// Begins an authorization for which no page is shown, and returns where it leads.
async fn pass(browser: &mut Browser, path: &str) -> String {
    let first = browser.open(path).await;
    let page = browser.open(&leads_to(&first.html)).await;
    assert_eq!(page.status, 303, "{page:#?}");
    page.location
}

/// A parameter of the address of the client.
pub(crate) fn result(url: &str, name: &str) -> String {
    let url: Url = url.parse().unwrap_or_else(|error| panic!("{error}: {url}"));
    let value = url.query_pairs().find(|(other, _)| other == name).map(|(_, value)| value.into_owned());
    value.unwrap_or_else(|| panic!("{name}: {url}"))
}

/// Sends a form to an endpoint, with the credentials of a client in the header; returns the status and the body.
async fn send(app: &TestApp, client: &Client, path: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{}{path}", app.endpoint.base()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form(pairs));
    let request = if client.secret.is_empty() { request } else { request.basic_auth(&client.id, Some(&client.secret)) };
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

/// Exchanges a code for tokens; returns the code of the error otherwise.
pub(crate) async fn exchange(app: &TestApp, client: &Client, code: &str) -> Result<Value, String> {
    exchange_with(app, client, code, VERIFIER, CALLBACK).await
}

async fn exchange_with(app: &TestApp, client: &Client, code: &str, verifier: &str, uri: &str) -> Result<Value, String> {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", client.id.as_str()),
        ("code", code),
        ("code_verifier", verifier),
        ("redirect_uri", uri),
    ];
    succeeded(send(app, client, "/oauth2/token", &pairs).await)
}

fn succeeded((status, body): (u16, Value)) -> Result<Value, String> {
    if status == 200 { Ok(body) } else { Err(text(&body, "error")) }
}

/// Exchanges a refresh token.
pub(crate) async fn refresh(app: &TestApp, client: &Client, tokens: &Value) -> Result<Value, String> {
    let token = text(tokens, "refresh_token");
    let pairs = [("grant_type", "refresh_token"), ("client_id", client.id.as_str()), ("refresh_token", token.as_str())];
    succeeded(send(app, client, "/oauth2/token", &pairs).await)
}

/// Reads the person of an access token; returns the status and the claims.
async fn userinfo(app: &TestApp, token: &str) -> (u16, Value) {
    let request = reqwest::Client::new().get(format!("{}/oauth2/userinfo", app.endpoint.base())).bearer_auth(token);
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

/// The claims of a token, whose signature is not verified here.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("Base64url")).expect("JSON")
}
