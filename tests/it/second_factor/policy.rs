//! Who must have a second factor: the staff by the configuration, and members by the owner of their account.

use mainstay::identity::session::{
    model::{Device, Proof},
    ops as sessions,
};
use serde_json::json;

use super::{add, sign_in_fully};
use crate::{
    cases::{grant, join},
    session::{caller, new_session, refresh},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp},
};

const GET_ME: &str = "UserService.GetMe";
const ENROLL: &str = "SecondFactorService.EnrollTotp";

/// The session is only good for adding a second factor.
async fn assert_limited(app: &TestApp, pair: &Response) {
    assert_eq!(pair.body["data"]["secondFactorRequired"], true, "{pair:#?}");
    for protocol in PROTOCOLS {
        let me = caller(app, pair);
        me.call(protocol, GET_ME, json!({})).await.success();
        me.call(protocol, "SecondFactorService.GetSecondFactor", json!({})).await.success();
        for method in ["TicketService.ListTickets", "SessionService.ListSessions", "SecondFactorService.RemoveTotp"] {
            let refused = me.call(protocol, method, json!({})).await.failure("SECOND_FACTOR_REQUIRED");
            assert_eq!(refused.status, 403, "{refused:#?}");
        }
        // A public method that grants more to the staff grants nothing more.
        me.call(protocol, "PostService.ListPosts", json!({})).await.success();
    }
}

async fn assert_full(app: &TestApp, pair: &Response) {
    assert_eq!(pair.body["data"]["secondFactorRequired"], false, "{pair:#?}");
    caller(app, pair).rest("TicketService.ListTickets", json!({})).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_without_a_factor_can_only_add_one() {
    let (app, cast) = TestApp::builder().set("SECOND_FACTOR_STAFF", "required").start_with_cast().await;
    assert_full(&app, &new_session(&app, &cast.customer).await).await;
    for who in [&cast.agent, &cast.admin] {
        let pair = new_session(&app, who).await;
        assert_limited(&app, &pair).await;
        let next = refresh(&app, &pair, 0).await.success();
        assert_limited(&app, &next).await;
        let factor = add(&app, &next).await;
        let next = refresh(&app, &next, 1).await.success();
        assert_full(&app, &next).await;
        let pair = sign_in_fully(&app, who.as_user(), &factor).await;
        assert_full(&app, &pair).await;
        // A user who removes the factor must add another.
        caller(&app, &pair).rest("SecondFactorService.RemoveTotp", json!({})).await.success();
        assert_limited(&app, &refresh(&app, &pair, 0).await.success()).await;
        assert_limited(&app, &new_session(&app, who).await).await;
    }
}

/// A session from before the factor, such as one whose mark was lost, proves it once.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_the_proof_authenticates_again() {
    let (app, cast) = TestApp::builder().set("SECOND_FACTOR_STAFF", "required").start_with_cast().await;
    let factor = add(&app, &new_session(&app, &cast.agent).await).await;
    let id = mainstay_kernel::id::UserId(cast.agent.as_user().id);
    let read = async move |connection: &mut mainstay_kernel::database::Connection| {
        mainstay::identity::user::store::get(connection, mainstay_kernel::caller::Visibility::All, id).await
    };
    let user = app.app.database.autocommit(read).await.expect("a user");
    let (device, proof) = (Device::default(), Proof::password(app.app.clock.now()));
    let pair = sessions::begin(&app.app, &user, device, None, None, proof).await.expect("a session");
    let token = secrecy::ExposeSecret::expose_secret(&pair.access).to_owned();
    let me = Actor::bearer(&app.endpoint, token);
    me.call(Protocol::Grpc, "TicketService.ListTickets", json!({})).await.failure("SECOND_FACTOR_REQUIRED");
    me.call(Protocol::Grpc, ENROLL, json!({})).await.failure("ALREADY_EXISTS");
    let password = &cast.agent.as_user().password;
    let proof = json!({ "currentPassword": password, "code": factor.code(&app) });
    let renewed = me.rest("AuthService.Reauthenticate", proof).await.success();
    let me = Actor::bearer(&app.endpoint, renewed.text("/data/accessToken"));
    me.call(Protocol::Grpc, "TicketService.ListTickets", json!({})).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_requires_it_of_the_members() {
    let (app, cast) = TestApp::start_with_cast().await;
    join(&app.database, &cast.stranger, &cast.customer, 3).await;
    let [own, other] = [&cast.stranger, &cast.customer].map(|who| who.as_user().account.to_string());
    let login = json!({ "email": cast.stranger.as_user().email, "password": cast.stranger.as_user().password, "accountId": other });
    let member = cast.anonymous.rest("AuthService.Login", login.clone()).await.success();
    assert_full(&app, &member).await;
    let require = json!({ "accountId": other, "account": { "requireSecondFactor": true } });
    grant(&app.database, &cast.colleague, 2).await;
    cast.colleague.rest("AccountService.UpdateAccount", require.clone()).await.failure("PERMISSION_DENIED");
    let account = cast.customer.rest("AccountService.UpdateAccount", require).await.success();
    assert_eq!(account.data()["requireSecondFactor"], true);
    // At the refresh, at the sign-in, and at the switch.
    let member = refresh(&app, &member, 0).await.success();
    assert_limited(&app, &member).await;
    assert_limited(&app, &cast.anonymous.call(Protocol::Grpc, "AuthService.Login", login).await.success()).await;
    let switch = |pair: &Response, account: &str| json!({ "refreshToken": pair.text("/data/refreshToken"), "accountId": account });
    let mine = cast.anonymous.call(Protocol::Grpc, "AuthService.SwitchAccount", switch(&member, &own)).await.success();
    assert_full(&app, &mine).await;
    let back = cast.anonymous.rest("AuthService.SwitchAccount", switch(&mine, &other)).await.success();
    assert_limited(&app, &back).await;
    add(&app, &back).await;
    assert_full(&app, &refresh(&app, &back, 0).await.success()).await;
}
