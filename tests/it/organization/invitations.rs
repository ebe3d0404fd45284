//! Invitations: the holder of the mail's token joins once, and no other caller.

use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::{Value, json};

use super::{count_members, create_invitation, create_token, new_address};
use crate::{
    cases::Scene,
    mail::pages::{get, post},
    session::{caller, new_session},
    support::{
        Actor, PROTOCOLS, Protocol, TestApp,
        mail::{MailProvider, token},
        people::PASSWORD,
    },
};

const CREATE: &str = "InvitationService.CreateInvitation";
const ACCEPT: &str = "InvitationService.AcceptInvitation";
const REGISTER: &str = "InvitationService.AcceptInvitationAsNewUser";
const PREVIEW: &str = "InvitationService.PreviewInvitation";

async fn start_with_mail() -> (MailProvider, TestApp, Scene) {
    let provider = MailProvider::start().await;
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs().set_all(provider.variables())).await;
    (provider, app, scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_person_joins_with_the_token_of_the_mail() {
    let (provider, app, scene) = start_with_mail().await;
    let cast = &scene.cast;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let email = new_address();
        let request = json!({ "email": email.to_uppercase(), "role": "MEMBER_ROLE_VIEWER" });
        let invitation = cast.customer.call(protocol, CREATE, request.clone()).await.success();
        assert_eq!((invitation.status, invitation.text("/data/email")), (201, email.clone()));
        cast.customer.call(protocol, CREATE, request).await.failure("ALREADY_EXISTS");
        let mails = provider.wait_for(2 * number + 1).await;
        let mail = mails.last().expect("one more");
        let text = mail["text"].as_str().expect("text");
        assert!(
            mail["to"] == json!([email]) && text.contains("https://api.shop.example/invitation?token=miv_"),
            "{text}"
        );
        let first = token(mail);

        let resend = json!({ "invitationId": invitation.id() });
        let resent = cast.customer.call(protocol, "InvitationService.ResendInvitation", resend).await.success();
        assert_eq!(resent.text("/data/version"), "2");
        let mails = provider.wait_for(2 * number + 2).await;
        assert_eq!(token(mails.last().expect("one more")), first, "the link of the first mail stays valid");

        let preview = cast.anonymous.call(protocol, PREVIEW, json!({ "token": first })).await.success();
        assert_eq!((preview.text("/data/email"), preview.text("/data/accountName")), (email.clone(), "Account".into()));
        assert_eq!(
            (&preview.data()["isRegistered"], preview.text("/data/role")),
            (&json!(false), "MEMBER_ROLE_VIEWER".into())
        );
        let accept = json!({ "token": first, "password": PASSWORD, "name": "Zoë" });
        let member = cast.anonymous.call(protocol, REGISTER, accept.clone()).await.success();
        assert_eq!((member.text("/data/role"), member.text("/data/name")), ("MEMBER_ROLE_VIEWER".into(), "Zoë".into()));
        for (method, request) in [(REGISTER, accept), (PREVIEW, json!({ "token": first }))] {
            cast.anonymous.call(protocol, method, request).await.failure("INVALID_TOKEN");
        }
        let login = json!({ "email": email, "password": PASSWORD });
        let pair = cast.anonymous.call(protocol, "AuthService.Login", login).await.success();
        assert_eq!(pair.text("/data/accountId"), scene.account());
        caller(&app, &pair).call(protocol, "TicketService.ListTickets", json!({})).await.success();
    }
    // The database holds no token.
    let dump = app.database.sql("SELECT token_hash::text FROM invitations").await;
    assert!(dump.is_empty(), "{dump:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_user_with_the_address_accepts() {
    let app = TestApp::start().await;
    for protocol in PROTOCOLS {
        let scene = Scene::new(&app).await;
        let cast = &scene.cast;
        let token = create_token(&scene, &cast.stranger.as_user().email).await;
        let preview = cast.anonymous.call(protocol, PREVIEW, json!({ "token": token })).await.success();
        assert_eq!(preview.data()["isRegistered"], true);
        for other in [&cast.agent, &cast.colleague] {
            let refused = other.call(protocol, ACCEPT, json!({ "token": token })).await;
            assert_eq!(refused.failure("INVITATION_FOR_ANOTHER_ADDRESS").status, 422);
        }
        let as_new = json!({ "token": token, "password": PASSWORD, "name": "Zoë" });
        cast.anonymous.call(protocol, REGISTER, as_new).await.failure("ALREADY_EXISTS");
        let member = cast.stranger.call(protocol, ACCEPT, json!({ "token": token })).await.success();
        assert_eq!(member.text("/data/accountId"), scene.account());
        cast.stranger.call(protocol, ACCEPT, json!({ "token": token })).await.failure("INVALID_TOKEN");
        // The session keeps its account until it switches.
        let me = cast.stranger.call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!(me.text("/accountId"), cast.stranger.as_user().account.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_accepted_at_once_yields_one_member() {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let scene = Scene::new(&here).await;
    let before = count_members(&scene).await;
    let token = create_token(&scene, &scene.cast.stranger.as_user().email).await;
    let pair = new_session(&here, &scene.cast.stranger).await;
    let accept = |number: usize| {
        let who = caller(if number.is_multiple_of(2) { &here } else { &there }, &pair);
        let request = json!({ "token": token });
        async move { who.call(PROTOCOLS[number % 2], ACCEPT, request).await.reason }
    };
    let reasons = join_all((0..8).map(accept)).await;
    assert_eq!(reasons.iter().filter(|reason| reason.is_empty()).count(), 1, "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.is_empty() || reason == "INVALID_TOKEN"), "{reasons:?}");
    assert_eq!(count_members(&scene).await, before + 1);

    let email = new_address();
    let token = create_token(&scene, &email).await;
    let register = |number: usize| {
        let who = Actor::anonymous(if number.is_multiple_of(2) { &here.endpoint } else { &there.endpoint });
        let request = json!({ "token": token, "password": PASSWORD, "name": "Zoë" });
        async move { who.call(PROTOCOLS[number % 2], REGISTER, request).await.reason }
    };
    let reasons = join_all((0..4).map(register)).await;
    assert_eq!(reasons.iter().filter(|reason| reason.is_empty()).count(), 1, "{reasons:?}");
    assert_eq!(count_members(&scene).await, before + 2);
    assert_eq!(here.database.number(&format!("SELECT count(*) FROM users WHERE email = '{email}'")).await, 1);
}

/// One instance sends the invitation, Redis loses its data, and requests at once accept it on another instance.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_outlives_the_data_of_redis() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let provider = MailProvider::start().await;
    let with_redis = || TestApp::builder().set("REDIS_URL", redis.url()).set_all(provider.variables());
    let here = with_redis().with_jobs().start().await;
    let there = with_redis().on(&here.database).start().await;
    let scene = Scene::new(&here).await;
    let before = count_members(&scene).await;
    let (known, new) = (scene.cast.stranger.as_user().email.clone(), new_address());
    for (number, email) in [&known, &new].into_iter().enumerate() {
        let request = json!({ "email": email, "role": "MEMBER_ROLE_MEMBER" });
        scene.cast.customer.call(PROTOCOLS[number], CREATE, request).await.success();
    }
    let mails = provider.wait_for(2).await;
    let token_of = |email: &str| {
        let mail = mails.iter().find(|mail| mail["to"] == json!([email]));
        token(mail.expect("a mail to each"))
    };
    let pair = new_session(&here, &scene.cast.stranger).await;
    let client = redis::Client::open(redis.url()).expect("a client");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.expect("emptied");

    let accept = |number: usize| {
        let (who, request) = (caller(&there, &pair), json!({ "token": token_of(&known) }));
        async move { who.call(PROTOCOLS[number % 2], ACCEPT, request).await.reason }
    };
    let register = |number: usize| {
        let who = Actor::anonymous(&there.endpoint);
        let request = json!({ "token": token_of(&new), "password": PASSWORD, "name": "Zoë" });
        async move { who.call(PROTOCOLS[number % 2], REGISTER, request).await.reason }
    };
    let (accepted, registered) = join(join_all((0..4).map(accept)), join_all((0..4).map(register))).await;
    for reasons in [accepted, registered] {
        assert_eq!(reasons.iter().filter(|reason| reason.is_empty()).count(), 1, "{reasons:?}");
        assert!(reasons.iter().all(|reason| reason.is_empty() || reason == "INVALID_TOKEN"), "{reasons:?}");
    }
    assert_eq!(count_members(&scene).await, before + 2);
}

#[tokio::test]
async fn an_invitation_expires_is_resent_and_revoked() {
    let (app, scene) = Scene::start().await;
    let id = create_invitation(&scene).await;
    let token = create_token(&scene, &new_address()).await;
    app.app.clock.advance(TimeDelta::days(7) + TimeDelta::minutes(1));
    let anonymous = &scene.cast.anonymous;
    anonymous.rest(PREVIEW, json!({ "token": token })).await.failure("INVALID_TOKEN");
    let admin = caller(&app, &new_session(&app, &scene.cast.customer).await);
    let request = json!({ "invitationId": id });
    let resent = admin.rest("InvitationService.ResendInvitation", request.clone()).await.success();
    assert_eq!(resent.text("/data/version"), "2");
    // An expired invitation of an address makes room for another one.
    let expired = app.database.sql("SELECT email FROM invitations WHERE version = 1").await[0][0].clone().expect("one");
    let again = json!({ "email": expired, "role": "MEMBER_ROLE_ADMIN" });
    admin.call(Protocol::Grpc, CREATE, again.clone()).await.success();
    admin.call(Protocol::Grpc, CREATE, again).await.failure("ALREADY_EXISTS");
    admin.rest("InvitationService.RevokeInvitation", request.clone()).await.success();
    admin.rest("InvitationService.GetInvitation", request).await.failure("NOT_FOUND");
    app.app.clock.advance(TimeDelta::days(38));
    assert_eq!(app.run_task("expire_invitations").await.expect("done"), 1);
}

/// The pages of this server, for a new user and for one who has the address.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_accepted_without_a_script() {
    let (app, scene) = Scene::start().await;
    let email = new_address();
    let token = create_token(&scene, &email).await;
    let form = get(&app, &format!("/invitation?token={token}")).await;
    assert!(form.status == 200 && form.html.contains("autocomplete=\"new-password\""), "{}", form.html);
    assert!(form.html.contains(&email) && form.html.contains("name=\"name\"") && form.html.contains("lang=\"de\""));
    let weak = [("token", token.as_str()), ("name", "Zoë"), ("password", "password1234")];
    let page = post(&app, "/invitation", &weak, "same-origin").await;
    assert!(page.status == 422 && page.html.contains("role=\"alert\"") && page.html.contains(&token));
    assert_eq!(post(&app, "/invitation", &weak, "cross-site").await.status, 403);
    let good = [("token", token.as_str()), ("name", "Zoë"), ("password", PASSWORD)];
    let page = post(&app, "/invitation", &good, "same-origin").await;
    assert!(page.status == 200 && page.html.contains("You are a member now"), "{}", page.html);
    assert_eq!(post(&app, "/invitation", &good, "same-origin").await.status, 410);

    let user = scene.cast.stranger.as_user();
    let token = create_token(&scene, &user.email).await;
    let form = get(&app, &format!("/invitation?token={token}")).await;
    assert!(form.html.contains("autocomplete=\"current-password\"") && !form.html.contains("name=\"name\""));
    let wrong = post(&app, "/invitation", &[("token", &token), ("password", "not this one")], "same-origin").await;
    assert!(wrong.status == 422 && wrong.html.contains("The password is wrong"), "{}", wrong.html);
    let page = post(&app, "/invitation", &[("token", &token), ("password", &user.password)], "same-origin").await;
    assert_eq!(page.status, 200);
    assert_eq!(count_members(&scene).await, 4);
    assert_eq!(get(&app, "/invitation?token=miv_x").await.status, 410);
}

#[tokio::test]
async fn a_member_sends_few_invitations_a_day() {
    let (_app, scene) = Scene::start().await;
    let id = create_invitation(&scene).await;
    let mut refused = None;
    for number in 1..=200 {
        let request = json!({ "invitationId": id });
        let who = if number % 2 == 0 { &scene.cast.customer } else { &scene.cast.colleague };
        let answer = who.call(Protocol::Grpc, "InvitationService.ResendInvitation", request).await;
        if answer.reason == "RATE_LIMIT_EXCEEDED" {
            refused = Some(number);
            break;
        }
        answer.success();
    }
    // Each person may send 50.
    assert_eq!(refused, Some(100));
    // Another account is not affected.
    let request = json!({ "email": new_address(), "role": "MEMBER_ROLE_MEMBER" });
    scene.cast.stranger.rest(CREATE, request).await.success();
}

/// Mail programs make links of what looks like one, and a stranger chooses the names.
#[tokio::test(flavor = "multi_thread")]
async fn the_names_in_the_mail_of_an_invitation_are_no_links() {
    let (provider, app, scene) = start_with_mail().await;
    let (account, inviter) = ("Pay at https://evil.example/pay", "Eve of www.evil.example or eve@evil.example");
    let (customer, id) = (&scene.cast.customer, scene.account());
    let rename = json!({ "accountId": id, "account": { "name": account } });
    customer.rest("AccountService.UpdateAccount", rename).await.success();
    let rename = json!({ "userId": customer.as_user().id.to_string(), "user": { "name": inviter } });
    customer.rest("UserService.UpdateUser", rename).await.success();
    create_invitation(&scene).await;
    let mails = provider.wait_for(1).await;
    let mail = mails.last().expect("one");
    for part in ["/text", "/html", "/headers/subject"] {
        let content = mail.pointer(part).and_then(Value::as_str).unwrap_or_default();
        let lower = content.to_lowercase();
        assert!(lower.contains("evil"), "{part}: {content}");
        for link in ["://evil", "www.evil", "evil.example", "@evil"] {
            assert!(!lower.contains(link), "{part}: {content}");
        }
    }
    let request = json!({ "token": token(mail) });
    let preview = Actor::anonymous(&app.endpoint).rest(PREVIEW, request).await.success();
    assert_eq!(
        (preview.text("/data/accountName"), preview.text("/data/inviterName")),
        (account.into(), inviter.into())
    );
}
