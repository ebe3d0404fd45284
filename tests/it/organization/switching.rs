//! A session has one account at a time.

use reqwest::Method;
use serde_json::json;

use super::join;
use crate::{
    cases::draft,
    session::{caller, new_session, refresh, revocation::two_instances},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, actor::sign_in, rest},
};

const SWITCH: &str = "AuthService.SwitchAccount";

async fn switch(app: &TestApp, pair: &Response, account: &str, protocol: Protocol) -> Response {
    let request = json!({ "refreshToken": pair.text("/data/refreshToken"), "accountId": account });
    Actor::anonymous(&app.endpoint).call(protocol, SWITCH, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_switches_between_the_accounts_of_its_user() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    join(&here.database, &cast.stranger, &cast.customer, 3).await;
    let [own, other] = [&cast.stranger, &cast.customer].map(|who| who.as_user().account.to_string());
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let request = json!({ "email": cast.stranger.as_user().email, "password": cast.stranger.as_user().password,
            "accountId": own });
        let pair = cast.anonymous.call(protocol, "AuthService.Login", request).await.success();
        let ticket = caller(&here, &pair).call(protocol, "TicketService.CreateTicket", draft()).await.success();
        assert_eq!((pair.text("/data/accountId"), ticket.text("/data/accountId")), (own.clone(), own.clone()));

        let next = switch(&there, &pair, &other, protocol).await.success();
        assert_eq!(next.text("/data/sessionId"), pair.text("/data/sessionId"), "the session is the same");
        let ticket = json!({ "ticketId": ticket.id() });
        caller(&here, &next).call(protocol, "TicketService.GetTicket", ticket.clone()).await.failure("NOT_FOUND");
        caller(&here, &pair).call(protocol, "TicketService.GetTicket", ticket).await.success();
        let me = caller(&there, &next).call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!((me.text("/accountId"), me.body["memberships"].as_array().map(Vec::len)), (other.clone(), Some(2)));
        let sessions = caller(&here, &next).call(protocol, "SessionService.ListSessions", json!({})).await.success();
        assert!(sessions.data().as_array().expect("a list").iter().any(|one| one["accountId"] == other.as_str()));

        // A refresh keeps the account; so does the next sign-in.
        let later = refresh(&here, &next, number).await.success();
        assert_eq!(later.text("/data/accountId"), other);
        assert_eq!(new_session(&here, &cast.stranger).await.text("/data/accountId"), other);
        // A refused switch does not consume the token.
        let foreign = cast.agent.as_user().account.to_string();
        switch(&here, &later, &foreign, protocol).await.failure("NOT_FOUND");
        refresh(&there, &later, number).await.success();
        // A token that was used before ends the session, as in a refresh.
        switch(&here, &pair, &own, protocol).await.failure("SESSION_REVOKED");
    }
}

/// A repetition within the grace gets the same pair; a concurrent switch to another account can't.
#[tokio::test]
async fn a_concurrent_switch_is_of_the_same_account() {
    let (app, cast) = TestApp::start_with_cast().await;
    join(&app.database, &cast.stranger, &cast.customer, 3).await;
    let [own, other] = [&cast.stranger, &cast.customer].map(|who| who.as_user().account.to_string());
    let pair = new_session(&app, &cast.stranger).await;
    let first = switch(&app, &pair, &other, Protocol::Rest).await.success();
    let again = switch(&app, &pair, &other, Protocol::Grpc).await.success();
    assert_eq!(first.text("/data/refreshToken"), again.text("/data/refreshToken"));
    assert_eq!(refresh(&app, &pair, 0).await.success().text("/data/accountId"), other);
    switch(&app, &pair, &own, Protocol::Rest).await.failure("CONFLICT");
}

/// Another client of the session has switched its account meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_expects_another_account_changes_nothing() {
    let (app, cast) = TestApp::start_with_cast().await;
    join(&app.database, &cast.stranger, &cast.customer, 3).await;
    let [own, other] = [&cast.stranger, &cast.customer].map(|who| who.as_user().account.to_string());
    for protocol in PROTOCOLS {
        let refresh = async |pair: &Response, account: &str| {
            let request = json!({ "refreshToken": pair.text("/data/refreshToken"), "accountId": account });
            cast.anonymous.call(protocol, "AuthService.Refresh", request).await
        };
        let login = json!({ "email": cast.stranger.as_user().email, "password": cast.stranger.as_user().password,
            "accountId": own });
        let pair = cast.anonymous.call(protocol, "AuthService.Login", login).await.success();
        let pair = refresh(&pair, &own).await.success();
        let switched = switch(&app, &pair, &other, protocol).await.success();
        // The client of before the switch, whose token still yields the same pair, and one of after it.
        for token in [&pair, &switched, &switched] {
            refresh(token, &own).await.failure("CONFLICT");
        }
        let next = refresh(&switched, &other).await.success();
        assert_eq!(next.text("/data/accountId"), other);
        refresh(&next, "nonsense").await.failure("VALIDATION_FAILED");
        assert_eq!(refresh(&next, &other).await.success().text("/data/accountId"), other);
    }
}

/// Without the sessions, the next sign-in takes the oldest membership.
#[tokio::test(flavor = "multi_thread")]
async fn without_sessions_the_last_account_is_unknown() {
    let (app, cast) = TestApp::start_with_cast().await;
    join(&app.database, &cast.stranger, &cast.customer, 3).await;
    let [own, other] = [&cast.stranger, &cast.customer].map(|who| who.as_user().account.to_string());
    let pair = new_session(&app, &cast.stranger).await;
    switch(&app, &pair, &other, Protocol::Rest).await.success();
    assert_eq!(new_session(&app, &cast.stranger).await.text("/data/accountId"), other);
    app.database.sql("DELETE FROM sessions").await;
    assert_eq!(sign_in(&app.endpoint, cast.stranger.as_user()).await.success().text("/data/accountId"), own);
}

#[tokio::test]
async fn a_page_switches_with_the_cookie() {
    let (app, cast) = TestApp::start_with_cast().await;
    join(&app.database, &cast.stranger, &cast.customer, 3).await;
    let (user, other) = (cast.stranger.as_user(), cast.customer.as_user().account.to_string());
    let base = app.endpoint.base();
    let send = async |path: &str, cookie: &str, body: serde_json::Value| {
        let request = app.endpoint.http.request(Method::POST, format!("{base}{path}")).header("origin", &base);
        rest::read(request.header("cookie", cookie).json(&body).send().await.expect("an answer")).await
    };
    let cookie = |answer: &Response| {
        answer.header("set-cookie").and_then(|line| line.split(';').next()).expect("a cookie").to_owned()
    };
    let own = user.account.to_string();
    let credentials = json!({ "email": user.email, "password": user.password, "accountId": own });
    let signed = send("/session", "", credentials).await.success();
    assert_eq!(signed.text("/data/accountId"), own);
    let switched = send("/session/account", &cookie(&signed), json!({ "accountId": other })).await.success();
    assert_eq!(switched.text("/data/accountId"), other);
    // Another tab expects the account of before.
    for expected in [json!({ "accountId": own }), json!({ "accountId": own })] {
        send("/session/refresh", &cookie(&switched), expected).await.failure("CONFLICT");
    }
    send("/session/refresh", &cookie(&switched), json!({ "account": own })).await.failure("MALFORMED_REQUEST");
    let expected = send("/session/refresh", &cookie(&switched), json!({ "accountId": other })).await.success();
    let refreshed = send("/session/refresh", &cookie(&expected), json!({})).await.success();
    assert_eq!(refreshed.text("/data/accountId"), other);
    let me = caller(&app, &refreshed).rest("UserService.GetMe", json!({})).await.success();
    assert_eq!(me.text("/accountId"), other);
    for (cookie, body, reason) in [
        (cookie(&refreshed), json!({ "accountId": cast.agent.as_user().account.to_string() }), "NOT_FOUND"),
        (cookie(&refreshed), json!({ "account": other }), "MALFORMED_REQUEST"),
        (String::new(), json!({ "accountId": other }), "UNAUTHENTICATED"),
        ("mainstay_session=nonsense".to_owned(), json!({ "accountId": other }), "INVALID_TOKEN"),
    ] {
        send("/session/account", &cookie, body).await.failure(reason);
    }
    let foreign = app.endpoint.http.post(format!("{base}/session/account")).header("origin", "https://other.example");
    let foreign = foreign.header("cookie", cookie(&refreshed)).json(&json!({ "accountId": other }));
    rest::read(foreign.send().await.expect("an answer")).await.failure("PERMISSION_DENIED");
}
