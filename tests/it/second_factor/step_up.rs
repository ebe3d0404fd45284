//! Methods that require a recent authentication, whichever way they are called.

use chrono::TimeDelta;
use mainstay_kernel::contract::{Method, policy::Role};
use serde_json::json;

use super::{add_to, sign_in_fully};
use crate::{
    cases::{self, Scene},
    session::{caller, email_change, new_session, refresh},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, methods, people::PASSWORD},
};

const REQUIRED: &str = "REAUTHENTICATION_REQUIRED";

fn protected() -> Vec<&'static Method> {
    methods().into_iter().filter(|method| method.max_auth_age.is_some()).collect()
}

/// A session whose sign-in is 11 minutes ago.
async fn aged(app: &TestApp, pair: Response) -> Response {
    app.app.clock.advance(TimeDelta::minutes(11));
    refresh(app, &pair, 0).await.success()
}

#[test]
fn the_methods_that_need_a_recent_authentication() {
    let mut names: Vec<_> = protected().into_iter().map(|method| method.name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "AccountDomainService.CreateAccountDomain",
        "AccountProviderService.CreateAccountProvider",
        "AccountProviderService.DeleteAccountProvider",
        "AccountProviderService.UpdateAccountProvider",
        "AccountService.TransferOwnership",
        "DataExportService.CreateDataExport",
        "ImpersonationService.StartImpersonation",
        "LinkedIdentityService.DeleteLinkedIdentity",
        "OauthClientService.CreateOauthClient",
        "OauthClientService.DeleteOauthClient",
        "OauthClientService.RotateOauthClientSecret",
        "OauthClientService.UpdateOauthClient",
        "PasskeyService.ConfirmPasskey",
        "PasskeyService.EnrollPasskey",
        "PasskeyService.RemovePasskey",
        "RoleService.CreateRole",
        "RoleService.DeleteRole",
        "RoleService.UpdateRole",
        "SecondFactorService.ConfirmTotp",
        "SecondFactorService.EnrollTotp",
        "SecondFactorService.RegenerateRecoveryCodes",
        "SecondFactorService.RemoveTotp",
        "ServiceKeyService.CreateServiceKey",
        "ServiceKeyService.RotateServiceKey",
        "UserService.ResetSecondFactor",
        "UserService.SetUserRole",
    ];
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_sign_in_is_refused_over_every_protocol_and_renewed() {
    for method in protected() {
        // The clock of the app moves on, but not that of the authenticator app in the cases.
        let app = TestApp::start().await;
        let call = (cases::good_case(&method.name).call)(Scene::new(&app).await).await;
        let pair = aged(&app, new_session_of(&app, &call.who).await).await;
        let me = caller(&app, &pair);
        for protocol in PROTOCOLS {
            let refused = call.send_as(&me, protocol, &method.name).await.failure(REQUIRED);
            assert_eq!(refused.status, 401, "{refused:#?}");
            let challenge = refused.header("www-authenticate");
            assert_eq!(challenge, Some(r#"Bearer error="insufficient_user_authentication", max_age=600"#));
            assert_eq!(refused.body["error"]["metadata"]["maxAgeSeconds"], "600", "{refused:#?}");
        }
        let proof = json!({ "currentPassword": PASSWORD });
        let renewed = me.rest("AuthService.Reauthenticate", proof).await.success();
        let me = Actor::bearer(&app.endpoint, renewed.text("/data/accessToken"));
        let done = call.send_as(&me, Protocol::Grpc, &method.name).await;
        assert_ne!(done.reason, REQUIRED, "{}: {done:#?}", method.name);
        // The refresh token stays valid, and the next access token is as recent.
        let next = refresh(&app, &pair, 1).await.success();
        let done = call.send_as(&caller(&app, &next), Protocol::Rest, &method.name).await;
        assert_ne!(done.reason, REQUIRED, "{}: {done:#?}", method.name);
    }
}

/// An invitation as an owner has the effect of a transfer, and an account without its policy that of a removed factor.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_method_makes_an_owner_or_lifts_the_policy_with_an_old_sign_in() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let me = caller(&app, &aged(&app, new_session(&app, &cast.customer).await).await);
    let invite = |role: &str| json!({ "email": "thief@example.com", "role": role });
    let policy = json!({ "accountId": account, "account": { "requireSecondFactor": true } });
    for protocol in PROTOCOLS {
        me.call(protocol, "InvitationService.CreateInvitation", invite("MEMBER_ROLE_OWNER")).await.failure(REQUIRED);
        me.call(protocol, "AccountService.UpdateAccount", policy.clone()).await.failure(REQUIRED);
    }
    me.rest("InvitationService.CreateInvitation", invite("MEMBER_ROLE_VIEWER")).await.success();
}

/// Signs in with the password alone, although the case may have added a second factor.
async fn new_session_of(app: &TestApp, who: &Actor) -> Response {
    app.database.sql("UPDATE users SET second_factor_at = NULL WHERE second_factor_at IS NOT NULL").await;
    new_session(app, who).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_authentication_takes_the_password_and_the_code() {
    let (app, cast) = TestApp::start_with_cast().await;
    let factor = add_to(&app, &cast.admin).await;
    let pair = aged(&app, sign_in_fully(&app, cast.admin.as_user(), &factor).await).await;
    let (me, key) = (caller(&app, &pair), json!({ "name": "A key", "scopes": ["support.tickets.read"] }));
    for protocol in PROTOCOLS {
        me.call(protocol, "ServiceKeyService.CreateServiceKey", key.clone()).await.failure(REQUIRED);
        let prove = async |password: &str, code: Option<String>| {
            me.call(protocol, "AuthService.Reauthenticate", json!({ "currentPassword": password, "code": code })).await
        };
        prove("not this one", Some(factor.code(&app))).await.failure("WRONG_PASSWORD");
        prove(PASSWORD, None).await.failure("VALIDATION_FAILED");
        prove(PASSWORD, Some(factor.wrong(&app))).await.failure("WRONG_CODE");
        me.call(protocol, "ServiceKeyService.CreateServiceKey", key.clone()).await.failure(REQUIRED);
        let renewed = prove(PASSWORD, Some(factor.code(&app))).await.success();
        let me = Actor::bearer(&app.endpoint, renewed.text("/data/accessToken"));
        me.call(protocol, "ServiceKeyService.CreateServiceKey", key.clone()).await.success();
    }
}

/// A refresh and a switch renew the tokens, not the authentication.
#[tokio::test(flavor = "multi_thread")]
async fn neither_a_refresh_nor_a_switch_is_an_authentication() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut pair = aged(&app, new_session(&app, &cast.customer).await).await;
    let account = cast.customer.as_user().account.to_string();
    let role = json!({ "accountId": account, "name": "A role", "scopes": ["support.tickets.read"] });
    for turn in 0..2 {
        caller(&app, &pair).rest("RoleService.CreateRole", role.clone()).await.failure(REQUIRED);
        pair = refresh(&app, &pair, turn).await.success();
    }
    let switch = json!({ "refreshToken": pair.text("/data/refreshToken"), "accountId": account });
    let pair = cast.anonymous.rest("AuthService.SwitchAccount", switch).await.success();
    caller(&app, &pair).rest("RoleService.CreateRole", role).await.failure(REQUIRED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_and_an_address_change_with_a_recent_code() {
    let (app, cast) = TestApp::start_with_cast().await;
    let change = json!({ "currentPassword": PASSWORD, "password": "a brand new password" });
    let address = json!({ "currentPassword": PASSWORD, "email": email_change::new_address() });
    let requests = [("AuthService.RequestEmailChange", address), ("AuthService.ChangePassword", change)];
    let factor = add_to(&app, &cast.customer).await;
    let pair = aged(&app, sign_in_fully(&app, cast.customer.as_user(), &factor).await).await;
    for (method, request) in &requests {
        for protocol in PROTOCOLS {
            let refused = caller(&app, &pair).call(protocol, method, request.clone()).await.failure(REQUIRED);
            assert!(refused.header("www-authenticate").is_some_and(|value| value.contains("max_age=600")));
        }
    }
    // The password alone suffices, as before, without a second factor.
    let without = aged(&app, new_session(&app, &cast.stranger).await).await;
    let recent = sign_in_fully(&app, cast.customer.as_user(), &factor).await;
    for (method, request) in requests {
        for pair in [&recent, &without] {
            caller(&app, pair).rest(method, request.clone()).await.success();
        }
    }
}

/// A batch must not do what a method with a recent authentication does. The list is pinned, so that an addition is
/// deliberate.
#[test]
fn no_batch_does_what_a_recent_authentication_protects() {
    let mut batches: Vec<_> = methods()
        .into_iter()
        .map(|method| method.name.as_str())
        .filter(|name| ["Batch", "Import", "Bulk"].iter().any(|word| name.contains(word)))
        .collect();
    batches.sort_unstable();
    let expected = [
        "TicketService.BatchCreateTickets",
        "TicketService.BatchGetTickets",
        "TicketService.BulkChangeTickets",
        "TicketService.ImportTickets",
        "TicketService.UndoBulkChange",
        "UserService.BatchGetUsers",
    ];
    assert_eq!(batches, expected);
    for method in protected() {
        assert!(method.grant(Role::Service).is_none(), "{}: services are not asked", method.name);
    }
}
