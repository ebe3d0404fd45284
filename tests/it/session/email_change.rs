//! The change of an address: the holder of the new address confirms it, the holder of the old one can undo it, and
//! no other caller learns anything.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{caller, new_session, other_ways_in, refresh, registration, reset};
use crate::support::{
    PROTOCOLS, Protocol, Response, TestApp, TestDatabase,
    database::connect,
    eventually,
    people::{PASSWORD, User},
    proxy::Proxy,
    unique,
};

const REQUEST: &str = "AuthService.RequestEmailChange";
const CONFIRM: &str = "AuthService.ConfirmEmailChange";
const UNDO: &str = "AuthService.UndoEmailChange";

pub(crate) fn new_address() -> String {
    format!("{}@example.com", unique())
}

fn new_token() -> String {
    format!("mec_{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(unique())))
}

/// Creates the token that the mail to a new address would contain, without sending a mail.
pub(crate) async fn create_token(database: &TestDatabase, user: &User, email: &str) -> String {
    let (token, id) = (new_token(), user.id);
    let statement = format!(
        "INSERT INTO email_changes (id, user_id, new_email, session_epoch, token_hash, expires_at)
         SELECT gen_random_uuid(), id, '{email}', session_epoch, sha256('{token}'), now() + interval '24 hours'
         FROM users WHERE id = '{id}'"
    );
    database.sql(&statement).await;
    token
}

/// Creates the token that the notice to the address before would contain, of a change that was confirmed some seconds
/// ago.
pub(crate) async fn create_undo_token(database: &TestDatabase, user: &User, old: &str, seconds: i64) -> String {
    let (token, id) = (new_token(), user.id);
    let statement = format!(
        "INSERT INTO email_changes (id, user_id, new_email, session_epoch, token_hash, old_email, confirmed_at, expires_at)
         SELECT gen_random_uuid(), id, email, session_epoch, sha256('{token}'), '{old}',
             now() - interval '{seconds} seconds', now() + interval '7 days' FROM users WHERE id = '{id}'"
    );
    database.sql(&statement).await;
    token
}

async fn address(app: &TestApp, user: &User) -> String {
    let rows = app.database.sql(&format!("SELECT email FROM users WHERE id = '{}'", user.id)).await;
    rows[0][0].clone().expect("an address")
}

async fn send(app: &TestApp, protocol: Protocol, method: &str, token: &str) -> Response {
    crate::support::Actor::anonymous(&app.endpoint).call(protocol, method, json!({ "token": token })).await
}

#[tokio::test]
async fn a_token_changes_the_address_once_and_sessions_go_on() {
    let (app, cast) = TestApp::start_with_cast().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let who = [&cast.customer, &cast.agent, &cast.admin][number];
        let user = who.as_user();
        let pair = new_session(&app, who).await;
        let (email, reset) = (new_address(), reset::create_token(&app.database, user).await);
        let token = create_token(&app.database, user, &email).await;
        let sibling = create_token(&app.database, user, &new_address()).await;
        send(&app, protocol, UNDO, &token).await.failure("INVALID_TOKEN");
        let answer = send(&app, protocol, CONFIRM, &token).await.success();
        assert_eq!(answer.status, 204);
        for used in [&token, &sibling, "mec_nonsense"] {
            send(&app, protocol, CONFIRM, used).await.failure("INVALID_TOKEN");
            send(&app, protocol, UNDO, used).await.failure("INVALID_TOKEN");
        }
        let me = caller(&app, &pair).call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!((me.text("/data/email"), me.text("/data/version")), (email.clone(), "2".to_owned()));
        refresh(&app, &pair, number).await.success();
        let sign_in = |email: &str| json!({ "email": email, "password": PASSWORD });
        cast.anonymous.call(protocol, "AuthService.Login", sign_in(&email)).await.success();
        cast.anonymous.call(protocol, "AuthService.Login", sign_in(&user.email)).await.failure("INVALID_CREDENTIALS");
        // A reset token was sent to the address before.
        let confirm = json!({ "token": reset, "password": "a brand new password" });
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", confirm).await.failure("INVALID_TOKEN");
    }
    let late = create_token(&app.database, cast.customer.as_user(), &new_address()).await;
    app.app.clock.advance(TimeDelta::hours(25));
    send(&app, Protocol::Rest, CONFIRM, &late).await.failure("INVALID_TOKEN");
    app.app.clock.advance(TimeDelta::days(8));
    assert_eq!(app.run_task("expire_email_changes").await.expect("a run"), 4, "and the three that can't be undone");
}

/// A thief of the password has asked for a change.
#[tokio::test]
async fn a_change_ends_with_the_sessions_of_its_time() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    for protocol in PROTOCOLS {
        let token = create_token(&app.database, user, &new_address()).await;
        let confirm = json!({
            "token": reset::create_token(&app.database, user).await, "password": format!("brand new {}", unique()),
        });
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", confirm).await.success();
        send(&app, protocol, CONFIRM, &token).await.failure("INVALID_TOKEN");
    }
    let token = create_token(&app.database, user, &new_address()).await;
    let deactivation = json!({ "userId": user.id.to_string(), "reason": "Lost the phone" });
    cast.admin.rest("UserService.DeactivateUser", deactivation).await.success();
    send(&app, Protocol::Rest, CONFIRM, &token).await.failure("INVALID_TOKEN");
    assert_eq!(address(&app, user).await, user.email);
}

/// A user who has unsubscribed stays so with another address, and after its undoing. A bounce stays with the address.
#[tokio::test]
async fn an_unsubscription_follows_the_address() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let (old, email) = (&user.email, new_address());
    let rows = format!("('{old}', 3, now()), ('{old}', 1, now())");
    app.database.sql(&format!("INSERT INTO mail_suppressions (address, reason, created_at) VALUES {rows}")).await;
    let listed = async || {
        let all = "SELECT string_agg(address || ' ' || reason, ', ' ORDER BY reason) FROM mail_suppressions";
        app.database.sql(all).await[0][0].clone().expect("rows")
    };
    let token = create_token(&app.database, user, &email).await;
    send(&app, Protocol::Rest, CONFIRM, &token).await.success();
    assert_eq!(listed().await, format!("{old} 1, {email} 3"));
    let undo = create_undo_token(&app.database, user, old, 0).await;
    send(&app, Protocol::Rest, UNDO, &undo).await.success();
    assert_eq!(listed().await, format!("{old} 1, {old} 3"));
}

#[tokio::test]
async fn an_undone_change_leaves_nothing_to_a_thief() {
    let (app, cast) = TestApp::start_with_cast().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let who = [&cast.customer, &cast.agent, &cast.admin][number];
        let user = who.as_user();
        let (first, mine, thiefs) = (new_address(), new_address(), new_address());
        // The user once moved from `first` to `mine`. The thief moves on to two addresses.
        let earlier = create_undo_token(&app.database, user, &first, 300).await;
        let token = create_undo_token(&app.database, user, &mine, 60).await;
        let of_thief = create_undo_token(&app.database, user, &thiefs, 30).await;
        let waiting = create_token(&app.database, user, &new_address()).await;
        let pair = new_session(&app, who).await;
        let reset = reset::create_token(&app.database, user).await;
        send(&app, protocol, CONFIRM, &token).await.failure("INVALID_TOKEN");
        send(&app, protocol, UNDO, &token).await.success();
        assert_eq!(address(&app, user).await, mine);
        caller(&app, &pair).call(protocol, "UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");
        refresh(&app, &pair, number).await.failure("SESSION_REVOKED");
        let sign_in = json!({ "email": mine, "password": PASSWORD });
        cast.anonymous.call(protocol, "AuthService.Login", sign_in).await.failure("INVALID_CREDENTIALS");
        let confirm = json!({ "token": reset, "password": "a brand new password" });
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", confirm).await.failure("INVALID_TOKEN");
        for used in [&token, &of_thief] {
            send(&app, protocol, UNDO, used).await.failure("INVALID_TOKEN");
        }
        send(&app, protocol, CONFIRM, &waiting).await.failure("INVALID_TOKEN");
        // A mail with a reset token goes to the restored address.
        let resets = format!("SELECT count(*) FROM mails WHERE kind = 1 AND parent_id = '{}'", user.id);
        assert_eq!(app.database.number(&resets).await, 1);
        // `mine` may be the thief's address.
        send(&app, protocol, UNDO, &earlier).await.success();
        assert_eq!(address(&app, user).await, first);
    }
    let late = create_undo_token(&app.database, cast.stranger.as_user(), &new_address(), 0).await;
    app.app.clock.advance(TimeDelta::days(7) + TimeDelta::minutes(1));
    send(&app, Protocol::Rest, UNDO, &late).await.failure("INVALID_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_change_ends_every_other_way_in() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = other_ways_in(&app, &cast.customer).await;
    other_ways_in(&app, &cast.stranger).await;
    let undo = create_undo_token(&app.database, cast.customer.as_user(), &new_address(), 60).await;
    send(&app, Protocol::Rest, UNDO, &undo).await.success();
    let list = async || token.rest("TicketService.ListTickets", json!({})).await.reason;
    eventually("the token is refused", async || list().await == "INVALID_TOKEN").await;
    assert_eq!(app.database.number("SELECT count(*) FROM linked_identities").await, 1, "that of the other user");
    assert_eq!(
        app.database.number("SELECT count(*) FROM service_keys WHERE revoked_at IS NULL AND user_id IS NOT NULL").await,
        1
    );
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 28").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_steps_take_effect_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let token = create_token(&app.database, user, &new_address()).await;
    let answers = join_all((0..6).map(|number| send(&app, PROTOCOLS[number % 2], CONFIRM, &token))).await;
    assert_eq!(answers.iter().filter(|answer| answer.reason.is_empty()).count(), 1, "{answers:#?}");
    assert!(answers.iter().all(|answer| matches!(&*answer.reason, "" | "INVALID_TOKEN")), "{answers:#?}");
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 13").await, 1);
    let token = create_undo_token(&app.database, user, &user.email, 0).await;
    let answers = join_all((0..6).map(|number| send(&app, PROTOCOLS[number % 2], UNDO, &token))).await;
    assert_eq!(answers.iter().filter(|answer| answer.reason.is_empty()).count(), 1, "{answers:#?}");
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 1").await, 1);
    // Two changes of one user: the first to be confirmed drops the other.
    let tokens = [
        create_token(&app.database, user, &new_address()).await,
        create_token(&app.database, user, &new_address()).await,
    ];
    let answers = join_all(tokens.iter().map(|token| send(&app, Protocol::Grpc, CONFIRM, token))).await;
    let mut reasons: Vec<_> = answers.iter().map(|answer| answer.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["", "INVALID_TOKEN"]);
}

/// Two users and a registration ask for one address. An external lock ensures that all have begun.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_belongs_to_one_user() {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let cast = here.cast().await;
    let email = new_address();
    let (one, two) = (cast.customer.as_user(), cast.stranger.as_user());
    let tokens = [create_token(&here.database, one, &email).await, create_token(&here.database, two, &email).await];
    let registered = registration::create_token(&here.database, &email).await;
    let outside = connect(&here.database.url).await;
    let lock = format!("BEGIN; SELECT FROM users WHERE id IN ('{}', '{}') FOR UPDATE", one.id, two.id);
    outside.batch_execute(&lock).await.expect("the locks");
    let (first, second, ()) = tokio::join!(
        send(&here, Protocol::Rest, CONFIRM, &tokens[0]),
        send(&there, Protocol::Grpc, CONFIRM, &tokens[1]),
        async {
            here.database.locks_waited_for(2).await;
            outside.batch_execute("COMMIT").await.expect("the locks go");
        }
    );
    let mut reasons = [first.reason, second.reason];
    reasons.sort_unstable();
    assert_eq!(reasons, ["", "ALREADY_EXISTS"]);
    let confirm = json!({ "token": registered, "password": PASSWORD, "name": "Zoë" });
    let answer = cast.anonymous.rest("AuthService.ConfirmRegistration", confirm).await;
    answer.failure("ALREADY_EXISTS");
    // The holder of the address before has registered it again.
    let token = create_undo_token(&here.database, cast.agent.as_user(), &email, 0).await;
    send(&here, Protocol::Rest, UNDO, &token).await.failure("ALREADY_EXISTS");
    assert_eq!(address(&here, cast.agent.as_user()).await, cast.agent.as_user().email);
}

/// Neither the response nor the statements depend on whether the address is registered.
#[tokio::test]
async fn a_request_does_not_reveal_whether_a_user_exists() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    // A single connection, so that all prepared statements exist before counting.
    let (_app, cast) = builder.set("DATABASE_POOL_SIZE", "1").start_with_cast().await;
    let request = async |protocol, email: &str| {
        let request = json!({ "currentPassword": PASSWORD, "email": email });
        let before = proxy.statements();
        let answer = cast.customer.call(protocol, REQUEST, request).await.success();
        (answer.comparable(), proxy.statements() - before)
    };
    request(Protocol::Grpc, &cast.stranger.as_user().email).await;
    for protocol in PROTOCOLS {
        let taken = request(protocol, &cast.stranger.as_user().email.to_uppercase()).await;
        assert_eq!(taken, request(protocol, &new_address()).await);
    }
    assert_eq!(database.number("SELECT count(*) FROM email_changes").await, 1, "each replaces the one before");
    assert_eq!(database.number("SELECT count(*) FROM email_changes WHERE token_hash IS NOT NULL").await, 0);
}

#[tokio::test]
async fn a_request_takes_the_password_and_another_address() {
    let (app, cast) = TestApp::start_with_cast().await;
    let own = &cast.customer.as_user().email;
    for protocol in PROTOCOLS {
        let request = async |current: &str, email: &str| -> Value {
            let request = json!({ "currentPassword": current, "email": email });
            let answer = cast.customer.call(protocol, REQUEST, request).await;
            json!([answer.reason, answer.body["error"]["fields"]])
        };
        assert_eq!(request("a wrong password", &new_address()).await[0], "WRONG_PASSWORD");
        assert_eq!(request(PASSWORD, "zoë").await[0], "VALIDATION_FAILED");
        assert_eq!(request("", &new_address()).await[0], "VALIDATION_FAILED");
        let same = request(PASSWORD, &own.to_uppercase()).await;
        assert_eq!(same[0], "VALIDATION_FAILED");
        let service = json!({ "currentPassword": PASSWORD, "email": new_address() });
        cast.service.call(protocol, REQUEST, service).await.failure("PERMISSION_DENIED");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM email_changes").await, 0);
}
