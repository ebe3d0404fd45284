//! Devices without a browser: the flow, and attacks on it.

use chrono::TimeDelta;
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::{Value, json};

use super::{
    Client, ISSUER, Stage, client, client_draft, field, form, leads_to, refresh, send, sign_in, signed_in,
    submit_during_deletion, succeeded, text, userinfo,
};
use crate::support::{Actor, PROTOCOLS, TestApp, eventually, oidc::Browser, people::Cast};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const LIST: &str = "TicketService.ListTickets";

/// A client on a device, which keeps no secret.
fn device_draft() -> Value {
    json!({
        "name": "Wall display",
        "grantTypes": ["OAUTH_GRANT_TYPE_DEVICE_CODE", "OAUTH_GRANT_TYPE_REFRESH_TOKEN"],
        "scopes": ["support.tickets.read"],
        "confidential": false,
    })
}

async fn begin(app: &TestApp, client: &Client) -> Result<Value, String> {
    let pairs = [("client_id", client.id.as_str()), ("scope", "openid email support.tickets.read")];
    succeeded(send(app, client, "/oauth2/device_authorization", &pairs).await)
}

async fn poll(app: &TestApp, client: &Client, begun: &Value) -> Result<Value, String> {
    let code = text(begun, "device_code");
    let pairs = [("grant_type", GRANT), ("client_id", client.id.as_str()), ("device_code", code.as_str())];
    succeeded(send(app, client, "/oauth2/token", &pairs).await)
}

/// Opens the page for the code.
async fn page(browser: &mut Browser, path: &str) -> String {
    let first = browser.open(path).await;
    assert_eq!(first.status, 200, "{first:#?}");
    let page = browser.open(&leads_to(&first.html)).await;
    assert_eq!(page.status, 200, "{page:#?}");
    page.html
}

/// Enters a code, and returns the next page.
async fn enter(browser: &mut Browser, code: &str) -> String {
    let html = page(browser, "/device").await;
    let sent = form(&[("user_code", code), ("csrf", &field(&html, "csrf"))]);
    let page = browser.submit("/session/device", &sent).await;
    assert_eq!(page.status, 200, "{page:#?}");
    page.html
}

async fn decide(browser: &mut Browser, html: &str, decision: &str) -> String {
    let (code, csrf) = (field(html, "user_code"), field(html, "csrf"));
    let sent = form(&[("user_code", &code), ("csrf", &csrf), ("decision", decision)]);
    let page = browser.submit("/session/device", &sent).await;
    assert_eq!(page.status, 200, "{page:#?}");
    page.html
}

/// Allows the device whose code the path of the page has the access.
pub(super) async fn connect(browser: &mut Browser, path: &str) {
    let code = field(&page(browser, path).await, "user_code");
    let html = enter(browser, &code).await;
    let done = decide(browser, &html, "allow").await;
    assert!(done.contains("Go back to your device"), "{done}");
}

fn is_wrong(html: &str) -> bool {
    html.contains("The code is wrong, or it has expired.")
}

impl Stage {
    async fn of_device() -> Self {
        Self::with(device_draft()).await
    }

    async fn begin(&self) -> Value {
        begin(&self.app, &self.client).await.expect("codes")
    }

    async fn poll(&self, begun: &Value) -> Result<Value, String> {
        poll(&self.app, &self.client, begun).await
    }

    /// Allows a device the access.
    async fn allow(&mut self, begun: &Value) {
        connect(&mut self.browser, &format!("/device?user_code={}", text(begun, "user_code"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_connects_a_device() {
    let mut stage = Stage::of_device().await;
    let begun = stage.begin().await;
    assert_eq!((&begun["expires_in"], &begun["interval"]), (&json!(600), &json!(5)), "{begun}");
    assert_eq!(begun["verification_uri"], format!("{ISSUER}/device"));
    assert_eq!(stage.poll(&begun).await.expect_err("no decision yet"), "authorization_pending");
    let complete = text(&begun, "verification_uri_complete");
    let path = complete.strip_prefix(ISSUER).expect("of the issuer");
    let code = text(&begun, "user_code");
    let html = page(&mut stage.browser, path).await;
    assert_eq!(field(&html, "user_code"), code, "the person compares it");
    assert!(!html.contains("Wall display") && !html.contains("<script"), "{html}");
    let html = enter(&mut stage.browser, &code.to_lowercase().replace('-', " ")).await;
    let email = &stage.cast.customer.as_user().email;
    for shown in
        ["Wall display", "Read your e-mail address", "Read tickets", code.as_str(), "127.0.0.1", email.as_str()]
    {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    decide(&mut stage.browser, &html, "allow").await;
    let tokens = stage.poll(&begun).await.expect("tokens");
    assert_eq!(tokens["scope"], "openid email support.tickets.read");
    let (status, person) = userinfo(&stage.app, &text(&tokens, "access_token")).await;
    assert_eq!((status, &person["email"]), (200, &json!(email)), "{person}");
    for protocol in PROTOCOLS {
        stage.caller(&tokens).call(protocol, LIST, json!({})).await.success();
    }
    let tokens = refresh(&stage.app, &stage.client, &tokens).await.expect("new tokens");
    // The consent is listed, and its withdrawal ends the access.
    let withdraw = json!({ "oauthClientId": stage.client.id });
    stage.cast.customer.rest("OauthConsentService.DeleteOauthConsent", withdraw).await.success();
    assert_eq!(refresh(&stage.app, &stage.client, &tokens).await.expect_err("ended"), "invalid_grant");
    let token = text(&tokens, "access_token");
    eventually("the access token is refused", async || userinfo(&stage.app, &token).await.0 == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_and_comes_back_to_the_code() {
    let stage = Stage::of_device().await;
    let begun = stage.begin().await;
    let mut browser = Browser::new(&stage.app.endpoint);
    let code = text(&begun, "user_code");
    let first = browser.open(&format!("/device?user_code={code}&return=https%3A%2F%2Fevil.example")).await;
    let place = browser.open(&leads_to(&first.html)).await;
    assert_eq!(place.status, 303, "{place:#?}");
    assert_eq!(place.location, format!("/session/sign-in?return=%2Fsession%2Fdevice%3Fuser_code%3D{code}"));
    sign_in(&mut browser, &stage.cast.customer).await;
    let page = browser.open(&format!("/session/device?user_code={code}")).await;
    assert_eq!(field(&page.html, "user_code"), code);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_denies_a_device_the_access() {
    let mut stage = Stage::of_device().await;
    let begun = stage.begin().await;
    let html = enter(&mut stage.browser, &text(&begun, "user_code")).await;
    let done = decide(&mut stage.browser, &html, "deny").await;
    assert!(done.contains("The device has no access."), "{done}");
    assert_eq!(stage.poll(&begun).await.expect_err("denied"), "access_denied");
    // The decision is final.
    assert!(is_wrong(&decide(&mut stage.browser, &html, "allow").await));
    assert_eq!(stage.poll(&begun).await.expect_err("denied"), "access_denied");
    let consents = stage.cast.customer.rest("OauthConsentService.ListOauthConsents", json!({})).await.success();
    assert!(consents.data()[0].is_null(), "{consents:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_polls_too_fast_is_slowed_down() {
    let stage = Stage::of_device().await;
    let begun = stage.begin().await;
    let mut answers = Vec::new();
    for seconds in [0, 2, 6, 10] {
        stage.app.app.clock.advance(TimeDelta::seconds(seconds));
        answers.push(stage.poll(&begun).await.expect_err("no decision yet"));
    }
    assert_eq!(answers, ["authorization_pending", "slow_down", "slow_down", "slow_down"]);
    stage.app.app.clock.advance(TimeDelta::seconds(20));
    assert_eq!(stage.poll(&begun).await.expect_err("slow enough"), "authorization_pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_codes_of_a_device_expire() {
    let mut stage = Stage::of_device().await;
    let [begun, allowed] = [stage.begin().await, stage.begin().await];
    stage.allow(&allowed).await;
    stage.app.app.clock.advance(TimeDelta::seconds(601));
    for begun in [&begun, &allowed] {
        assert_eq!(stage.poll(begun).await.expect_err("it is late"), "expired_token");
    }
    assert!(is_wrong(&enter(&mut stage.browser, &text(&begun, "user_code")).await));
    assert_eq!(stage.app.run_task("expire_oauth_codes").await.expect("it runs"), 0);
    stage.app.app.clock.advance(TimeDelta::days(1));
    assert_eq!(stage.app.run_task("expire_oauth_codes").await.expect("it runs"), 2);
}

/// A thief has the code of a device, or uses it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_is_of_one_client_and_counts_once() {
    let mut stage = Stage::of_device().await;
    let begun = stage.begin().await;
    let other = client(&stage.cast, device_draft()).await;
    stage.allow(&begun).await;
    assert_eq!(poll(&stage.app, &other, &begun).await.expect_err("of another client"), "invalid_grant");
    let tokens = stage.poll(&begun).await.expect("tokens");
    assert_eq!(stage.poll(&begun).await.expect_err("the second use"), "invalid_grant");
    assert_eq!(refresh(&stage.app, &stage.client, &tokens).await.expect_err("ended"), "invalid_grant");
    let begun = stage.begin().await;
    stage.allow(&begun).await;
    let uses = [(); 4].map(|()| stage.poll(&begun));
    let won: Vec<_> = futures_util::future::join_all(uses).await.into_iter().flatten().collect();
    assert!(won.len() <= 1, "{won:?}");
    for tokens in won {
        assert_eq!(refresh(&stage.app, &stage.client, &tokens).await.expect_err("ended"), "invalid_grant");
    }
}

/// A client without the grant, and a confidential one without its secret, get no codes.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_client_with_the_grant_gets_codes() {
    let stage = Stage::of_device().await;
    let of_people = client(&stage.cast, client_draft()).await;
    assert_eq!(begin(&stage.app, &of_people).await.expect_err("not its grant"), "unauthorized_client");
    let mut draft = device_draft();
    draft["confidential"] = true.into();
    let confidential = client(&stage.cast, draft).await;
    begin(&stage.app, &confidential).await.expect("codes");
    let without = Client { secret: String::new(), ..confidential };
    assert_eq!(begin(&stage.app, &without).await.expect_err("no secret"), "invalid_client");
}

/// A page of another site sends the form, or one has the token of another session or another code.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_about_a_device_can_not_be_forged() {
    let mut stage = Stage::of_device().await;
    let [begun, other] = [stage.begin().await, stage.begin().await];
    let (code, other) = (text(&begun, "user_code"), text(&other, "user_code"));
    let html = enter(&mut stage.browser, &code).await;
    let (entry, csrf) = (page(&mut stage.browser, "/device").await, field(&html, "csrf"));
    let sent = |code: &str, csrf: &str| form(&[("user_code", code), ("csrf", csrf), ("decision", "allow")]);
    let foreign = stage.browser.post_form("/session/device", &sent(&code, &csrf)).await;
    assert_eq!(foreign.status, 403, "{foreign:#?}");
    for forged in [sent(&other, &csrf), sent(&code, &field(&entry, "csrf")), sent(&code, "00")] {
        let page = stage.browser.submit("/session/device", &forged).await;
        assert_eq!(page.status, 403, "{forged}: {page:#?}");
    }
    // Another site can't make a person enter a code either, which would count as a guess.
    let page = stage.browser.submit("/session/device", &form(&[("user_code", &code), ("csrf", &csrf)])).await;
    assert_eq!(page.status, 403, "{page:#?}");
    let mut colleague = signed_in(&stage.app, &stage.cast.colleague).await;
    let page = colleague.submit("/session/device", &sent(&code, &csrf)).await;
    assert_eq!(page.status, 403, "{page:#?}");
    assert_eq!(stage.poll(&begun).await.expect_err("no decision yet"), "authorization_pending");
}

/// The person signs out while the device waits, or between the question and the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_ends_with_the_session_of_the_person() {
    let mut stage = Stage::of_device().await;
    let [allowed, asked] = [stage.begin().await, stage.begin().await];
    stage.allow(&allowed).await;
    let html = enter(&mut stage.browser, &text(&asked, "user_code")).await;
    let token = stage.browser.access_token().await;
    Actor::bearer(&stage.app.endpoint, token).rest("AuthService.Logout", json!({})).await.success();
    assert_eq!(stage.poll(&allowed).await.expect_err("signed out"), "invalid_grant");
    let sent =
        form(&[("user_code", &field(&html, "user_code")), ("csrf", &field(&html, "csrf")), ("decision", "allow")]);
    let page = stage.browser.submit("/session/device", &sent).await;
    assert_eq!(page.status, 303, "the person signs in again: {page:#?}");
    assert_eq!(stage.poll(&asked).await.expect_err("no decision yet"), "authorization_pending");
}

/// Somebody sends a person a link to the attacker's code.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_whose_device_asks() {
    let mut stage = Stage::of_device().await;
    let begun = stage.begin().await;
    stage.app.database.sql("UPDATE oauth_devices SET ip_address = '203.0.113.9'").await;
    stage.app.app.clock.advance(TimeDelta::minutes(7));
    let html = enter(&mut stage.browser, &text(&begun, "user_code")).await;
    for warning in ["203.0.113.9", "7 min ago", "another network than this browser", "the device would be theirs"] {
        assert!(html.contains(warning), "{warning}: {html}");
    }
    // A link neither decides nor shows a text of its own.
    let path = format!("/session/device?user_code={}&decision=allow", text(&begun, "user_code"));
    stage.browser.open(&path).await;
    let html = page(&mut stage.browser, "/device?user_code=Call%20555-0100").await;
    assert!(!html.contains("555-0100"), "{html}");
    assert_eq!(stage.poll(&begun).await.expect_err("no decision yet"), "authorization_pending");
}

/// The code may be another person's, so that a client of the operator asks, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_operator_asks_for_the_consent_too() {
    let mut stage = Stage::of_device().await;
    let mut draft = device_draft();
    draft["confidential"] = true.into();
    draft["firstParty"] = true.into();
    stage.client = client(&stage.cast, draft).await;
    let begun = stage.begin().await;
    let html = enter(&mut stage.browser, &text(&begun, "user_code")).await;
    assert!(html.contains("Wall display") && html.contains("name=\"decision\""), "{html}");
    assert_eq!(stage.poll(&begun).await.expect_err("no decision yet"), "authorization_pending");
    let consents = "SELECT count(*) FROM oauth_consents";
    assert_eq!(stage.app.database.number(consents).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_device_is_german_in_a_german_browser() {
    let mut stage = Stage::of_device().await;
    stage.browser.language = "de-AT,de;q=0.9,en;q=0.5";
    let begun = stage.begin().await;
    let html = page(&mut stage.browser, "/device").await;
    assert!(html.contains("<html lang=\"de\">") && html.contains("Ein Gerät verbinden"), "{html}");
    let html = enter(&mut stage.browser, &text(&begun, "user_code")).await;
    for german in ["Zugriff eines Geräts erlauben", "Ihre E-Mail-Adresse lesen", "Ablehnen"] {
        assert!(html.contains(german), "{german}: {html}");
    }
}

/// The deletion locks the client, and then its requests. A decision does so in the same order.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_and_the_deletion_of_its_client_do_not_deadlock() {
    let mut stage = Stage::of_device().await;
    let begun = stage.begin().await;
    let html = enter(&mut stage.browser, &text(&begun, "user_code")).await;
    let (code, csrf) = (field(&html, "user_code"), field(&html, "csrf"));
    let sent = form(&[("user_code", &code), ("csrf", &csrf), ("decision", "allow")]);
    let decided = submit_during_deletion(&mut stage, "/session/device", &sent).await;
    assert!(is_wrong(&decided.html), "the request is gone: {decided:#?}");
}

/// An app with small limits, which need a separate Redis: all tests have the same address.
async fn limited() -> (Redis, TestApp, Cast, Client) {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let builder = TestApp::builder().set("PUBLIC_URL", ISSUER).set("REDIS_URL", redis.url());
    let (app, cast) = builder.set("RATE_LIMIT_LOGIN", "2/1h").start_with_cast().await;
    let client = client(&cast, device_draft()).await;
    (redis, app, cast, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_user_codes_are_bounded() {
    let (_redis, app, cast, client) = limited().await;
    let (mut attacker, mut person) = (signed_in(&app, &cast.stranger).await, signed_in(&app, &cast.customer).await);
    for guess in ["BBBB-BBBB", "not a code", "CCCC-CCCC"] {
        assert!(is_wrong(&enter(&mut attacker, guess).await), "{guess}");
    }
    let begun = begin(&app, &client).await.expect("codes");
    let code = text(&begun, "user_code");
    let html = page(&mut attacker, "/device").await;
    let sent = form(&[("user_code", &code), ("csrf", &field(&html, "csrf"))]);
    let refused = attacker.submit("/session/device", &sent).await;
    assert_eq!(refused.status, 429, "{refused:#?}");
    // Others enter their codes, as often as they are right.
    for _ in 0..4 {
        assert!(enter(&mut person, &code).await.contains("Wall display"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_codes_for_one_network_are_bounded() {
    let (_redis, app, _cast, client) = limited().await;
    for _ in 0..20 {
        begin(&app, &client).await.expect("codes");
    }
    let pairs = [("client_id", client.id.as_str())];
    assert_eq!(send(&app, &client, "/oauth2/device_authorization", &pairs).await.0, 429);
    assert_eq!(app.database.number("SELECT count(*) FROM oauth_devices").await, 20);
}
