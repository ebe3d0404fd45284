//! The sessions of the provider of an account: what they open, and when they end.

use serde_json::json;

use super::account::{Company, id_of, new_session_of};
use crate::{
    cases::{account_domain::set_address, draft, join, oauth::client_draft},
    oauth,
    second_factor::add_to,
    session::{new_session, refresh, reset},
    support::{Actor, PROTOCOLS, oidc::Browser, people::PASSWORD},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_provider_opens_its_account_alone() {
    let company = Company::start(json!({})).await;
    let cast = &company.scene.cast;
    let who = &cast.stranger;
    set_address(&company.app.database, who, &format!("ada@{}", company.domain)).await;
    let (_, mut browser) = company.user().await;
    let own = who.as_user().account.to_string();
    let switch = browser.post("/session/account", &json!({ "accountId": own })).await;
    assert_eq!(switch.reason(), "SESSION_OF_ONE_ACCOUNT", "{switch:#?}");
    let link = browser.post("/session/oidc/corp", &json!({})).await;
    assert_eq!(link.reason(), "SESSION_OF_ONE_ACCOUNT", "{link:#?}");
    // The refused switch has not consumed the token.
    let me = Actor::bearer(&company.app.endpoint, browser.access_token().await);
    for protocol in PROTOCOLS {
        for (method, request) in [
            ("PasskeyService.EnrollPasskey", json!({})),
            ("SecondFactorService.EnrollTotp", json!({})),
            ("DataExportService.CreateDataExport", json!({})),
        ] {
            me.call(protocol, method, request).await.failure("PERMISSION_DENIED");
        }
    }
    // A personal access token is of the account of the session.
    let token = json!({ "name": "Mine", "kind": "SERVICE_KEY_KIND_PERSON", "scopes": ["support.tickets.read"] });
    let other = json!({ "name": "Other", "kind": "SERVICE_KEY_KIND_PERSON", "scopes": ["support.tickets.read"], "accountId": own });
    me.rest("ServiceKeyService.CreateServiceKey", token).await.success();
    me.rest("ServiceKeyService.CreateServiceKey", other).await.failure("NOT_FOUND");
}

/// The challenge of a second factor keeps the provider of the sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_after_a_second_factor_is_confined_too() {
    let company = Company::start(json!({ "enforced": true })).await;
    let who = &company.scene.cast.stranger;
    let factor = add_to(&company.app, who).await;
    set_address(&company.app.database, who, &format!("ada@{}", company.domain)).await;
    let (page, mut browser) = company.sign_in().await;
    assert_eq!(page.location, "/console/?sign_in=second_factor", "{page:#?}");
    let done = browser.post("/session/second-factor", &json!({ "code": factor.code(&company.app) })).await;
    assert_eq!(done.body["data"]["accountId"], json!(company.scene.account()), "{done:#?}");
    let own = json!({ "accountId": who.as_user().account.to_string() });
    assert_eq!(browser.post("/session/account", &own).await.reason(), "SESSION_OF_ONE_ACCOUNT");
}

/// Every way into an account that requires its provider: a password, a switch, a refresh, a mail, a reset, and a token of before.
#[tokio::test(flavor = "multi_thread")]
async fn members_reach_an_account_with_an_enforced_provider_by_its_sessions_only() {
    let company = Company::start(json!({})).await;
    let (app, cast) = (&company.app, &company.scene.cast);
    let account = company.scene.account();
    let who = &cast.stranger;
    join(&app.database, who, &cast.customer, 3).await;
    let login = json!({ "email": who.as_user().email, "password": who.as_user().password, "accountId": account });
    let anonymous = &cast.anonymous;
    let inside = anonymous.rest("AuthService.Login", login.clone()).await.success();
    let outside = new_session_of(&company, &who.as_user().account.to_string()).await;
    let me = Actor::bearer(&app.endpoint, inside.text("/data/accessToken"));
    let token = json!({ "name": "Early", "kind": "SERVICE_KEY_KIND_PERSON", "scopes": ["support.tickets.read"] });
    let early = me.rest("ServiceKeyService.CreateServiceKey", token).await.success().text("/secret");
    let owner = new_session(app, &cast.customer).await;

    app.app.clock.advance(chrono::TimeDelta::seconds(1));
    company.update(json!({ "enforced": true })).await;
    me.rest("TicketService.ListTickets", json!({})).await.failure("TOKEN_EXPIRED");
    for protocol in PROTOCOLS {
        let refused = anonymous.call(protocol, "AuthService.Login", login.clone()).await;
        refused.failure("PROVIDER_REQUIRED");
        let switch = json!({ "refreshToken": outside.text("/data/refreshToken"), "accountId": account });
        anonymous.call(protocol, "AuthService.SwitchAccount", switch).await.failure("PROVIDER_REQUIRED");
    }
    let refused = refresh(app, &inside, 1).await;
    assert_eq!(refused.body["error"]["metadata"]["provider"], json!(company.id), "{refused:#?}");
    refused.failure("PROVIDER_REQUIRED");
    Actor::bearer(&app.endpoint, early).rest("TicketService.ListTickets", json!({})).await.failure("PROVIDER_REQUIRED");
    // Other accounts of the person stay open, and a reset of the password changes nothing.
    refresh(app, &outside, 0).await.success();
    let reset_token = reset::create_token(&app.database, who.as_user()).await;
    let password = json!({ "token": reset_token, "password": format!("{PASSWORD} again") });
    anonymous.rest("AuthService.ConfirmPasswordReset", password).await.success();
    let again = json!({ "email": who.as_user().email, "password": format!("{PASSWORD} again"), "accountId": account });
    anonymous.rest("AuthService.Login", again.clone()).await.failure("PROVIDER_REQUIRED");
    let anywhere = json!({ "email": again["email"], "password": again["password"] });
    let elsewhere = anonymous.rest("AuthService.Login", anywhere).await.success();
    assert_eq!(elsewhere.text("/data/accountId"), who.as_user().account.to_string());
    // Owners mend what fails.
    refresh(app, &owner, 0).await.success();
    new_session(app, &cast.customer).await;
    // The provider opens the account, and a token of its session does as well.
    set_address(&app.database, who, &format!("ada@{}", company.domain)).await;
    let (_, mut browser) = company.user().await;
    let me = Actor::bearer(&app.endpoint, browser.access_token().await);
    let token = json!({ "name": "Late", "kind": "SERVICE_KEY_KIND_PERSON", "scopes": ["support.tickets.read"] });
    let late = me.rest("ServiceKeyService.CreateServiceKey", token).await.success().text("/secret");
    Actor::bearer(&app.endpoint, late).rest("TicketService.ListTickets", json!({})).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_identities_end_with_the_provider() {
    let company = Company::start(json!({})).await;
    let (user, mut browser) = company.user().await;
    let me = Actor::bearer(&company.app.endpoint, browser.access_token().await);
    let request = json!({ "accountProviderId": company.id });
    company.scene.cast.customer.rest("AccountProviderService.DeleteAccountProvider", request).await.success();
    me.rest("UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
    let refreshed = browser.post("/session/refresh", &json!({})).await;
    assert_eq!(refreshed.reason(), "SESSION_REVOKED", "{refreshed:#?}");
    assert_eq!(company.app.database.number("SELECT count(*) FROM linked_identities").await, 0);
    assert_eq!(company.role(id_of(&user)).await, 5, "the member stays");
    let started = Browser::new(&company.app.endpoint).open(&format!("/auth/oidc/{}", company.id)).await;
    assert_eq!(started.reason(), "NOT_FOUND", "{started:#?}");
}

/// An application reaches what the session reaches in which the person agreed, and ends with the provider.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_stays_in_the_account_of_the_provider() {
    let company = Company::start(json!({})).await;
    let cast = &company.scene.cast;
    let who = &cast.stranger;
    set_address(&company.app.database, who, &format!("ada@{}", company.domain)).await;
    let (_, mut browser) = company.user().await;
    let client = oauth::client(cast, client_draft()).await;
    let back = oauth::agree(&mut browser, &oauth::authorize(&client, &[])).await;
    let tokens = oauth::exchange(&company.app, &client, &oauth::result(&back, "code")).await.expect("tokens");
    let application = Actor::bearer(&company.app.endpoint, oauth::text(&tokens, "access_token"));
    let own = who.rest("TicketService.CreateTicket", draft()).await.success().id();
    let of_company = cast.customer.rest("TicketService.CreateTicket", draft()).await.success().id();
    for protocol in PROTOCOLS {
        let read =
            async |id: &str| application.call(protocol, "TicketService.GetTicket", json!({ "ticketId": id })).await;
        read(&of_company).await.success();
        read(&own).await.failure("NOT_FOUND");
    }
    let request = json!({ "accountProviderId": company.id });
    cast.customer.rest("AccountProviderService.DeleteAccountProvider", request).await.success();
    application.rest("TicketService.ListTickets", json!({})).await.failure("SESSION_REVOKED");
    let refused = oauth::refresh(&company.app, &client, &tokens).await;
    assert_eq!(refused.expect_err("the session has ended"), "invalid_grant");
}
