//! The flow of an application.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    CALLBACK, ISSUER, Stage, agree, ask, authorize, claims, client_draft, decide, exchange, pass, refresh, result,
    sign_in, signed_in, text, userinfo,
};
use crate::support::{PROTOCOLS, TestApp, oidc::Browser};

async fn get(app: &TestApp, path: &str) -> Value {
    let response = app.endpoint.get(path).await;
    assert_eq!(response.status, 200, "{response:#?}");
    response.body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_signs_a_person_in() {
    let mut stage = Stage::new().await;
    let html = ask(&mut stage.browser, &authorize(&stage.client, &[])).await;
    assert!(html.contains("Ticket reports") && html.contains("Read your e-mail address"), "{html}");
    assert!(html.contains("<li>Read tickets</li>") && html.contains("<li>Keep the access"), "{html}");
    assert!(html.contains("The response goes to <strong>reports.example</strong>"), "{html}");
    assert!(html.contains(&stage.cast.customer.as_user().email) && !html.contains("<script"), "{html}");
    let back = decide(&mut stage.browser, &html, "allow").await;
    assert!(back.starts_with(&format!("{CALLBACK}?code=mac_")), "{back}");
    assert_eq!((result(&back, "state"), result(&back, "iss")), ("the state".to_owned(), ISSUER.to_owned()));
    let tokens = exchange(&stage.app, &stage.client, &result(&back, "code")).await.expect("tokens");
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(300)), "{tokens}");
    assert_eq!(tokens["scope"], "openid email profile support.tickets.read");
    let user = stage.cast.customer.as_user();
    let id = claims(&text(&tokens, "id_token"));
    assert_eq!((&id["iss"], &id["aud"]), (&json!(ISSUER), &json!(stage.client.id)));
    assert_eq!((&id["sub"], &id["nonce"]), (&json!(user.id), &json!("the nonce")));
    assert_eq!((&id["amr"], &id["acr"]), (&json!(["pwd"]), &json!("1")));
    let access = claims(&text(&tokens, "access_token"));
    assert_eq!((&access["client_id"], &access["scope"]), (&json!(stage.client.id), &tokens["scope"]));
    let (status, person) = userinfo(&stage.app, &text(&tokens, "access_token")).await;
    assert_eq!((status, &person["sub"], &person["email"]), (200, &json!(user.id), &json!(user.email)), "{person}");
    assert_eq!((&person["name"], &person["email_verified"]), (&json!("Somebody"), &json!(false)));
    for protocol in PROTOCOLS {
        stage.caller(&tokens).call(protocol, "TicketService.ListTickets", json!({})).await.success();
    }
    let next = refresh(&stage.app, &stage.client, &tokens).await.expect("new tokens");
    assert_eq!(claims(&text(&next, "id_token"))["auth_time"], id["auth_time"]);
    stage.caller(&next).rest("TicketService.ListTickets", json!({})).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_names_what_exists() {
    let mut stage = Stage::new().await;
    let metadata = get(&stage.app, "/.well-known/openid-configuration").await;
    assert_eq!(metadata, get(&stage.app, "/.well-known/oauth-authorization-server").await);
    assert_eq!(
        (&metadata["issuer"], &metadata["code_challenge_methods_supported"]),
        (&json!(ISSUER), &json!(["S256"]))
    );
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    for name in ["authorization", "device_authorization", "token", "userinfo", "revocation", "end_session"] {
        let url = text(&metadata, &format!("{name}_endpoint"));
        let path = url.strip_prefix(ISSUER).expect("of the issuer");
        assert_ne!(stage.browser.open(path).await.status, 404, "{path}");
    }
    let without = TestApp::start().await;
    let page = Browser::new(&without.endpoint).open("/.well-known/openid-configuration").await;
    assert_eq!(page.status, 404, "it has no issuer: {page:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_agrees_once_to_the_same_scopes() {
    let mut stage = Stage::new().await;
    agree(&mut stage.browser, &authorize(&stage.client, &[("scope", "openid")])).await;
    let again = pass(&mut stage.browser, &authorize(&stage.client, &[("scope", "openid"), ("prompt", "none")])).await;
    exchange(&stage.app, &stage.client, &result(&again, "code")).await.expect("tokens");
    // Another scope, and a client that asks to ask.
    ask(&mut stage.browser, &authorize(&stage.client, &[("scope", "openid email")])).await;
    ask(&mut stage.browser, &authorize(&stage.client, &[("scope", "openid"), ("prompt", "consent")])).await;
    let silent = authorize(&stage.client, &[("scope", "openid email"), ("prompt", "none")]);
    assert_eq!(result(&pass(&mut stage.browser, &silent).await, "error"), "consent_required");
    let html = ask(&mut stage.browser, &authorize(&stage.client, &[])).await;
    assert_eq!(result(&decide(&mut stage.browser, &html, "deny").await, "error"), "access_denied");
    let consents = stage.cast.customer.rest("OauthConsentService.ListOauthConsents", json!({})).await.success();
    assert_eq!((&consents.data()[0]["scopes"], consents.data()[1].is_null()), (&json!(["openid"]), true));
}

/// The person sees what the application reaches, in the language of the browser.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_names_the_account_and_the_permissions() {
    let mut draft = client_draft();
    draft["grantTypes"] = json!(["OAUTH_GRANT_TYPE_AUTHORIZATION_CODE"]);
    let mut stage = Stage::with(draft).await;
    let wish = [("scope", "openid support.tickets.read")];
    let html = ask(&mut stage.browser, &authorize(&stage.client, &wish)).await;
    assert!(html.contains("this account: <strong>Account</strong>"), "{html}");
    assert!(!html.contains("Keep the access"), "it gets no refresh token: {html}");
    let html = ask(&mut stage.browser, &authorize(&stage.client, &[("scope", "openid")])).await;
    assert!(!html.contains("this account"), "it reaches no data: {html}");
    let mut agent = signed_in(&stage.app, &stage.cast.agent).await;
    let html = ask(&mut agent, &authorize(&stage.client, &wish)).await;
    assert!(html.contains("the data of all accounts that your role reaches"), "{html}");
    stage.browser.language = "de";
    let html = ask(&mut stage.browser, &authorize(&stage.client, &wish)).await;
    assert!(html.contains("<li>Tickets lesen</li>") && html.contains("<html lang=\"de\">"), "{html}");
}

/// The audit log tells what a person did from what an application did for the person.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_names_the_application_beside_the_person() {
    let mut draft = client_draft();
    draft["scopes"] = json!(["support.tickets.write"]);
    let mut stage = Stage::with(draft).await;
    let wish = [("scope", "openid support.tickets.write")];
    let back = agree(&mut stage.browser, &authorize(&stage.client, &wish)).await;
    let tokens = exchange(&stage.app, &stage.client, &result(&back, "code")).await.expect("tokens");
    let user = stage.cast.customer.as_user().id.to_string();
    for protocol in PROTOCOLS {
        let made = stage.caller(&tokens).call(protocol, "TicketService.CreateTicket", crate::cases::draft()).await;
        let request = json!({ "resourceId": made.success().id() });
        let seen = stage.cast.admin.call(protocol, "AuditService.ListAuditEntries", request).await.success();
        let entry = &seen.data()[0];
        assert_eq!((&entry["actorId"], &entry["oauthClientId"]), (&json!(user), &json!(stage.client.id)), "{entry:#}");
        let changes = entry["changes"].as_array().expect("a list");
        assert!(changes.iter().all(|change| change["name"] != "application"), "{entry:#}");
    }
    let own = stage.cast.customer.rest("TicketService.CreateTicket", crate::cases::draft()).await.success().id();
    let seen = stage.cast.admin.rest("AuditService.ListAuditEntries", json!({ "resourceId": own })).await.success();
    assert!(seen.data()[0]["oauthClientId"].is_null(), "the person alone: {:#}", seen.data());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_the_operator_asks_for_no_consent() {
    let mut draft = client_draft();
    draft["firstParty"] = true.into();
    let mut stage = Stage::with(draft).await;
    let back = pass(&mut stage.browser, &authorize(&stage.client, &[])).await;
    exchange(&stage.app, &stage.client, &result(&back, "code")).await.expect("tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_has_no_secret_and_any_port_of_the_loopback() {
    let mut draft = client_draft();
    draft["confidential"] = false.into();
    draft["redirectUris"] = json!(["http://127.0.0.1/back"]);
    let mut stage = Stage::with(draft).await;
    let uri = "http://127.0.0.1:51004/back";
    let back = agree(&mut stage.browser, &authorize(&stage.client, &[("redirect_uri", uri)])).await;
    assert!(back.starts_with(&format!("{uri}?code=")), "{back}");
    let code = result(&back, "code");
    super::exchange_with(&stage.app, &stage.client, &code, super::VERIFIER, uri).await.expect("tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_and_comes_back() {
    let mut stage = Stage::new().await;
    let mut browser = Browser::new(&stage.app.endpoint);
    let place = pass(&mut browser, &authorize(&stage.client, &[])).await;
    assert!(place.starts_with("/session/sign-in?return=%2Fsession%2Fauthorize%3F"), "{place}");
    let path = result(&format!("{ISSUER}{place}"), "return");
    sign_in(&mut browser, &stage.cast.customer).await;
    let page = browser.open(&path).await;
    assert!(page.html.contains("Ticket reports"), "{page:#?}");
    decide(&mut browser, &page.html, "allow").await;
    let silent = authorize(&stage.client, &[("prompt", "none")]);
    let refused = pass(&mut Browser::new(&stage.app.endpoint), &silent).await;
    assert_eq!(result(&refused, "error"), "login_required");
    // The application wants the person to sign in now, or recently.
    for wish in [("prompt", "login"), ("max_age", "60")] {
        stage.app.app.clock.advance(TimeDelta::seconds(61));
        let place = pass(&mut stage.browser, &authorize(&stage.client, &[wish])).await;
        let path = result(&format!("{ISSUER}{place}"), "return");
        let before = stage.browser.open(&path).await;
        assert_eq!((before.status, &before.location), (303, &place), "the earlier sign-in does not suffice");
        sign_in(&mut stage.browser, &stage.cast.customer).await;
        let page = stage.browser.open(&path).await;
        let back =
            if page.status == 303 { page.location } else { decide(&mut stage.browser, &page.html, "allow").await };
        let tokens = exchange(&stage.app, &stage.client, &result(&back, "code")).await.expect("tokens");
        let at = claims(&text(&tokens, "id_token"))["auth_time"].as_i64().expect("a time");
        assert!(stage.app.app.clock.now().timestamp() - at <= 1, "{tokens}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_accepted_for_the_overlap() {
    let mut stage = Stage::new().await;
    let earlier = stage.client.clone();
    let rotate = json!({ "oauthClientId": stage.client.id, "overlapSeconds": 60 });
    let rotated = stage.cast.admin.rest("OauthClientService.RotateOauthClientSecret", rotate).await.success();
    let current = super::Client { secret: rotated.text("/secret"), ..earlier.clone() };
    for client in [&earlier, &current] {
        let code = stage.code_again().await;
        exchange(&stage.app, client, &code).await.expect("both are accepted");
    }
    stage.app.app.clock.advance(TimeDelta::seconds(61));
    let code = stage.code_again().await;
    assert_eq!(exchange(&stage.app, &earlier, &code).await.expect_err("it has ended"), "invalid_client");
    exchange(&stage.app, &current, &code).await.expect("a wrong secret does not use a code up");
}

impl Stage {
    /// Gets a code, whether or not the person has agreed before.
    async fn code_again(&mut self) -> String {
        let path = authorize(&self.client, &[("prompt", "consent")]);
        result(&agree(&mut self.browser, &path).await, "code")
    }
}
