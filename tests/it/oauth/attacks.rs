//! Attacks on the flow.

use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;

use super::{
    CALLBACK, ISSUER, Stage, VERIFIER, agree, ask, authorize, client, client_draft, exchange, exchange_with, field,
    form, pass, refresh, result, send, signed_in, text, userinfo,
};
use crate::support::{Actor, PROTOCOLS, TestApp, oidc::Browser};

/// Else the service would be an open redirector, and a code would reach an attacker.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_an_address_that_is_not_registered() {
    let mut stage = Stage::new().await;
    for uri in [
        "https://evil.example/callback",
        "https://reports.example/callback/",
        "https://reports.example/callback?x=1",
        "https://reports.example:443/callback",
        "https://reports.example@evil.example/callback",
        "https://reports.example/callback/../../evil",
        "",
    ] {
        let page = stage.browser.open(&authorize(&stage.client, &[("redirect_uri", uri)])).await;
        assert_eq!((page.status, page.location.as_str()), (400, ""), "{uri}: {page:#?}");
        assert!(!page.html.contains("evil") && !page.html.contains("refresh"), "{uri}: {page:#?}");
    }
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example%2F", authorize(&stage.client, &[]));
    let unknown = authorize(&stage.client, &[("client_id", "0197b608-1a2b-7c3d-8e4f-5a6b7c8d9e0f")]);
    for path in [twice, unknown] {
        let page = stage.browser.open(&path).await;
        assert_eq!((page.status, page.location.as_str()), (400, ""), "{page:#?}");
    }
    // The second page trusts the first one in nothing.
    let path = authorize(&stage.client, &[("redirect_uri", "https://evil.example/")]);
    let page = stage.browser.open(&path.replace("/oauth2/authorize", "/session/authorize")).await;
    assert_eq!((page.status, page.location.as_str()), (400, ""), "{page:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pkce_can_not_be_downgraded() {
    let mut stage = Stage::new().await;
    for changes in [
        &[("code_challenge", "")][..],
        &[("code_challenge_method", "")],
        &[("code_challenge_method", "plain"), ("code_challenge", VERIFIER)],
    ] {
        let page = stage.browser.open(&authorize(&stage.client, changes)).await;
        assert_eq!((page.status, result(&page.location, "error").as_str()), (303, "invalid_request"), "{page:#?}");
    }
    let code = stage.code().await;
    for verifier in ["", "x", &VERIFIER.to_lowercase()] {
        let refused = exchange_with(&stage.app, &stage.client, &code, verifier, CALLBACK).await;
        assert_eq!(refused.expect_err(verifier), "invalid_grant");
    }
    exchange(&stage.app, &stage.client, &code).await.expect("a wrong verifier does not use a code up");
}

/// An attacker injects the code of a victim into a browser, whose client sends another verifier; or another client has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_of_one_client_and_one_browser() {
    let mut stage = Stage::new().await;
    let code = stage.code().await;
    let other = client(&stage.cast, client_draft()).await;
    assert_eq!(exchange(&stage.app, &other, &code).await.expect_err("of another client"), "invalid_grant");
    let injected = exchange_with(&stage.app, &stage.client, &code, &"a".repeat(43), CALLBACK).await;
    assert_eq!(injected.expect_err("of another browser"), "invalid_grant");
    let moved = exchange_with(&stage.app, &stage.client, &code, VERIFIER, "https://reports.example/other").await;
    assert_eq!(moved.expect_err("of another address"), "invalid_grant");
    let wrong = super::Client { secret: other.secret.clone(), ..stage.client.clone() };
    assert_eq!(exchange(&stage.app, &wrong, &code).await.expect_err("another secret"), "invalid_client");
    let none = super::Client { secret: String::new(), ..stage.client.clone() };
    assert_eq!(exchange(&stage.app, &none, &code).await.expect_err("no secret"), "invalid_client");
    exchange(&stage.app, &stage.client, &code).await.expect("tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_used_twice_ends_the_tokens_of_its_first_use() {
    let mut stage = Stage::new().await;
    let code = stage.code().await;
    let tokens = exchange(&stage.app, &stage.client, &code).await.expect("tokens");
    assert_eq!(exchange(&stage.app, &stage.client, &code).await.expect_err("the second use"), "invalid_grant");
    assert_eq!(userinfo(&stage.app, &text(&tokens, "access_token")).await.0, 401);
    assert_eq!(refresh(&stage.app, &stage.client, &tokens).await.expect_err("ended"), "invalid_grant");
    // Concurrent uses begin one session at most.
    let code = result(&agree(&mut stage.browser, &authorize(&stage.client, &[("prompt", "consent")])).await, "code");
    let uses = [(); 4].map(|()| exchange(&stage.app, &stage.client, &code));
    let won = futures_util::future::join_all(uses).await.into_iter().filter(Result::is_ok).count();
    assert!(won <= 1, "{won}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_is_used_again_ends_the_session() {
    let mut stage = Stage::new().await;
    let first = stage.tokens().await;
    let second = refresh(&stage.app, &stage.client, &first).await.expect("new tokens");
    let third = refresh(&stage.app, &stage.client, &second).await.expect("new tokens");
    let other = client(&stage.cast, client_draft()).await;
    assert_eq!(refresh(&stage.app, &other, &third).await.expect_err("of another client"), "invalid_grant");
    assert_eq!(refresh(&stage.app, &stage.client, &first).await.expect_err("used before"), "invalid_grant");
    assert_eq!(refresh(&stage.app, &stage.client, &third).await.expect_err("ended"), "invalid_grant");
    // The person stays signed in.
    stage.browser.access_token().await;
}

/// A page of another site sends the form, or one has the token of another session or another request.
#[tokio::test(flavor = "multi_thread")]
async fn a_consent_can_not_be_forged() {
    let mut stage = Stage::new().await;
    let html = ask(&mut stage.browser, &authorize(&stage.client, &[])).await;
    let (request, csrf) = (field(&html, "request"), field(&html, "csrf"));
    let sent = form(&[("request", &request), ("csrf", &csrf), ("decision", "allow")]);
    let foreign = stage.browser.post_form("/session/authorize", &sent).await;
    assert_eq!(foreign.status, 403, "{foreign:#?}");
    let other = request.replace("openid+email", "openid");
    assert_ne!(other, request);
    for (request, csrf) in [(&request, ""), (&request, "00"), (&other, csrf.as_str())] {
        let page = stage
            .browser
            .submit("/session/authorize", &form(&[("request", request), ("csrf", csrf), ("decision", "allow")]))
            .await;
        assert!(page.status == 403 || page.status == 400, "{page:#?}");
    }
    let mut attacker = signed_in(&stage.app, &stage.cast.stranger).await;
    let page = attacker.submit("/session/authorize", &sent).await;
    assert_eq!(page.status, 403, "the token is of another session: {page:#?}");
    assert_eq!(stage.app.database.number("SELECT count(*) FROM oauth_codes").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_shown_in_no_frame() {
    let stage = Stage::new().await;
    let page = stage.app.endpoint.get(&authorize(&stage.client, &[])).await;
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
}

/// An application has no more than the person, the client and the consent.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_does_not_become_the_user() {
    let mut draft = client_draft();
    draft["scopes"] = json!(["support.tickets.read", "identity.users.manage", "identity.service_keys.manage"]);
    let mut stage = Stage::with(draft).await;
    let wish = "openid support.tickets.read support.tickets.write identity.users.manage identity.service_keys.manage";
    let back = agree(&mut stage.browser, &authorize(&stage.client, &[("scope", wish)])).await;
    let tokens = exchange(&stage.app, &stage.client, &result(&back, "code")).await.expect("tokens");
    // Neither what the client may not ask for, nor what the person does not have.
    assert_eq!(tokens["scope"], "openid support.tickets.read identity.service_keys.manage");
    let caller = stage.caller(&tokens);
    let key = json!({ "name": "Key", "scopes": ["support.tickets.read"] });
    for protocol in PROTOCOLS {
        caller.call(protocol, "TicketService.ListTickets", json!({})).await.success();
        for (method, request) in [
            // Without a scope, a method is for the user.
            ("UserService.GetMe", json!({})),
            ("SessionService.ListSessions", json!({})),
            ("OauthConsentService.ListOauthConsents", json!({})),
            ("TicketService.CreateTicket", crate::cases::draft()),
            // It needs a recent sign-in, which is not the application's.
            ("ServiceKeyService.CreateServiceKey", key.clone()),
        ] {
            caller.call(protocol, method, request).await.failure("PERMISSION_DENIED");
        }
    }
    // Its refresh token is none of a sign-in.
    let token = text(&tokens, "refresh_token");
    let request = json!({ "refreshToken": token });
    stage.cast.anonymous.rest("AuthService.Refresh", request).await.failure("INVALID_TOKEN");
    let mut thief = Browser::new(&stage.app.endpoint);
    thief.cookies.insert("mainstay_session".to_owned(), token);
    let place = pass(&mut thief, &authorize(&stage.client, &[])).await;
    assert!(place.starts_with("/session/sign-in?return="), "it authorizes nothing: {place}");
    assert_eq!(thief.post("/session/refresh", &json!({})).await.reason(), "INVALID_TOKEN");
    refresh(&stage.app, &stage.client, &tokens).await.expect("the session continues");
    // And the refresh token of a sign-in is none of an application.
    let own = stage.browser.cookies["mainstay_session"].clone();
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", own.as_str())];
    assert_eq!(send(&stage.app, &stage.client, "/oauth2/token", &pairs).await.1["error"], "invalid_grant");
    stage.browser.access_token().await;
}

/// A token of one kind does not pass for another one.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_no_access_token() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let id_token = text(&tokens, "id_token");
    let caller = Actor::bearer(&stage.app.endpoint, id_token.clone());
    caller.rest("TicketService.ListTickets", json!({})).await.failure("INVALID_TOKEN");
    assert_eq!(userinfo(&stage.app, &id_token).await.0, 401);
    let own = stage.browser.access_token().await;
    assert_eq!(userinfo(&stage.app, &own).await.0, 403, "the session of the user has no scope openid");
    let none = "eyJhbGciOiJub25lIn0.e30.";
    assert_eq!(userinfo(&stage.app, none).await.0, 401);
}

/// A forged token, one of another kind and one of another client are inactive.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_clients_own_access_token_is_active() {
    let mut stage = Stage::new().await;
    let tokens = stage.tokens().await;
    let token = text(&tokens, "access_token");
    let (status, active) = send(&stage.app, &stage.client, "/oauth2/introspect", &[("token", &token)]).await;
    assert_eq!((status, &active["active"], &active["scope"]), (200, &json!(true), &tokens["scope"]), "{active}");
    let other = client(&stage.cast, client_draft()).await;
    assert_eq!(
        send(&stage.app, &other, "/oauth2/introspect", &[("token", &token)]).await.1,
        json!({ "active": false })
    );
    let (_, signed) = token.split_once('.').expect("three parts");
    let own = stage.browser.access_token().await;
    for token in [
        format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{}.", signed.split('.').next().expect("a payload")),
        format!("eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.{signed}"),
        text(&tokens, "id_token"),
        own,
    ] {
        let answer = send(&stage.app, &stage.client, "/oauth2/introspect", &[("token", &token)]).await;
        assert_eq!(answer, (200, json!({ "active": false })), "{token}");
    }
    let mut draft = client_draft();
    draft["confidential"] = false.into();
    let public = client(&stage.cast, draft).await;
    let pairs = [("client_id", public.id.as_str()), ("token", token.as_str())];
    assert_eq!(send(&stage.app, &public, "/oauth2/introspect", &pairs).await.0, 401);
}

/// The client compares the issuer, so that a code of this service reaches no other provider (RFC 9207).
#[tokio::test(flavor = "multi_thread")]
async fn each_response_names_the_issuer() {
    let mut stage = Stage::new().await;
    let back = agree(&mut stage.browser, &authorize(&stage.client, &[])).await;
    assert_eq!(result(&back, "iss"), ISSUER);
    let refused = stage.browser.open(&authorize(&stage.client, &[("response_type", "token")])).await;
    assert_eq!(result(&refused.location, "error"), "unsupported_response_type");
    assert_eq!(
        (result(&refused.location, "iss"), result(&refused.location, "state")),
        (ISSUER.to_owned(), "the state".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_bounded() {
    // All tests have the same address, so a small limit needs a separate Redis.
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let builder = TestApp::builder().set("PUBLIC_URL", ISSUER).set("REDIS_URL", redis.url());
    let (app, cast) = builder.set("RATE_LIMIT_LOGIN", "1/1h").start_with_cast().await;
    let right = client(&cast, client_draft()).await;
    let wrong = super::Client { secret: "guess".to_owned(), ..right.clone() };
    for _ in 0..12 {
        let answer = send(&app, &right, "/oauth2/introspect", &[("token", "unknown")]).await;
        assert_eq!(answer.0, 200, "what is right does not count: {answer:?}");
    }
    for _ in 0..10 {
        assert_eq!(exchange(&app, &wrong, "code").await.expect_err("a guess"), "invalid_client");
    }
    assert_eq!(send(&app, &right, "/oauth2/introspect", &[("token", "unknown")]).await.0, 429);
}

/// The person signs out, or another person signs in, while a code is on its way.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_ends_with_the_session_of_the_person() {
    let mut stage = Stage::new().await;
    let code = stage.code().await;
    let token = stage.browser.access_token().await;
    Actor::bearer(&stage.app.endpoint, token).rest("AuthService.Logout", json!({})).await.success();
    assert_eq!(exchange(&stage.app, &stage.client, &code).await.expect_err("signed out"), "invalid_grant");
}

/// The sign-in returns to a page of this service alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_returns_to_this_service() {
    let stage = Stage::new().await;
    let mut browser = Browser::new(&stage.app.endpoint);
    let place = pass(&mut browser, &authorize(&stage.client, &[("return", "https://evil.example/")])).await;
    assert!(
        place.starts_with("/session/sign-in?return=%2Fsession%2Fauthorize%3F") && !place.contains("evil"),
        "{place}"
    );
}
