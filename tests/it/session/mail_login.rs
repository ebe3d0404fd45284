//! Sign-in by mail: a mail works once, in the browser that asked for it, and takes the place of the password alone.

mod browser;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use futures_util::future::join_all;
use mainstay::identity::credential::model::write_mail_code;
use mainstay_dev_servers::{Redis, RedisOptions};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{email_change, reset};
use crate::{
    second_factor::add_to,
    support::{
        Actor, PROTOCOLS, Protocol, Response, TestApp, TestDatabase, actor::sign_in, people::User, proxy::Proxy, unique,
    },
};

const BEGIN: &str = "AuthService.BeginMailLogin";
const LOGIN: &str = "AuthService.LoginWithMail";
/// The number of sessions that began by mail.
const BY_MAIL: &str = "SELECT count(*) FROM sessions WHERE method = 4";

/// Stores that the mail to an address was sent. Returns the token in its link.
pub(super) async fn send(database: &TestDatabase, email: &str) -> String {
    let token = format!("mml_{}", unique());
    let statement = format!(
        "UPDATE mail_logins SET user_id = users.id, session_epoch = users.session_epoch, token_hash = sha256('{token}')
         FROM users WHERE users.email = '{email}' AND mail_logins.id =
             (SELECT id FROM mail_logins WHERE email = '{email}' ORDER BY expires_at DESC LIMIT 1)"
    );
    database.sql(&statement).await;
    token
}

/// Begins a sign-in of a user. Returns the binding, and the token in the link.
pub(crate) async fn begin(database: &TestDatabase, anonymous: &Actor, who: &Actor) -> (String, String) {
    let email = &who.as_user().email;
    let begun = anonymous.rest(BEGIN, json!({ "email": email })).await.success();
    (begun.text("/data/binding"), send(database, email).await)
}

/// What a mail contains, and what the browser keeps.
struct Sent {
    binding: String,
    token: String,
    code: String,
}

impl Sent {
    fn link(&self) -> Value {
        json!({ "binding": self.binding, "token": self.token })
    }

    fn code(&self) -> Value {
        json!({ "binding": self.binding, "code": self.code })
    }

    /// A code that is not that of the mail.
    fn wrong_code(&self) -> Value {
        let wrong = if self.code == "00000000" { "00000001" } else { "00000000" };
        json!({ "binding": self.binding, "code": wrong })
    }
}

/// Returns the code of the mail to an address.
pub(super) async fn code(app: &TestApp, email: &str) -> String {
    let newest = format!("SELECT id::text FROM mail_logins WHERE email = '{email}' ORDER BY expires_at DESC LIMIT 1");
    let rows = app.database.sql(&newest).await;
    let id = rows[0][0].as_deref().expect("an id");
    write_mail_code(&app.app.secret, Uuid::parse_str(id).expect("an id")).expose_secret().to_owned()
}

/// Asks for a mail from a network, and sends it.
async fn ask_from(app: &TestApp, protocol: Protocol, user: &User, address: &str) -> Sent {
    let request = json!({ "email": user.email });
    let begun = call_from(app, protocol, BEGIN, request, address).await.success();
    let token = send(&app.database, &user.email).await;
    Sent { binding: begun.text("/data/binding"), token, code: code(app, &user.email).await }
}

async fn ask(app: &TestApp, protocol: Protocol, user: &User) -> Sent {
    ask_from(app, protocol, user, "192.0.2.7").await
}

async fn call_from(app: &TestApp, protocol: Protocol, method: &str, request: Value, address: &str) -> Response {
    Actor::anonymous(&app.endpoint).call_with(protocol, method, request, &[("x-forwarded-for", address)]).await
}

async fn answer(app: &TestApp, protocol: Protocol, request: Value) -> Response {
    Actor::anonymous(&app.endpoint).call(protocol, LOGIN, request).await
}

/// Returns the methods of authentication in an access token.
fn methods(pair: &Response) -> Value {
    let token = pair.text("/data/accessToken");
    let body = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a body")).expect("base64");
    serde_json::from_slice::<Value>(&body).expect("JSON")["amr"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_signs_in_once_by_the_link_or_the_code() {
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        for is_link in [true, false] {
            let sent = ask(&app, protocol, cast.customer.as_user()).await;
            let request = if is_link { sent.link() } else { sent.code() };
            let pair = answer(&app, protocol, request).await.success();
            assert_eq!(methods(&pair), json!(["otp"]));
            let me = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
            let me = me.call(protocol, "UserService.GetMe", json!({})).await.success();
            assert_eq!(me.text("/data/email"), cast.customer.as_user().email);
            for again in [sent.link(), sent.code()] {
                answer(&app, protocol, again).await.failure("INVALID_TOKEN");
            }
        }
    }
    let entries = "SELECT count(*) FROM audit_entries WHERE method = 'AuthService.LoginWithMail'";
    assert_eq!(app.database.number(entries).await, 6);
}

/// A code is read from one screen and typed on another.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_may_have_spaces_and_hyphens() {
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let sent = ask(&app, protocol, cast.customer.as_user()).await;
        let (first, last) = sent.code.split_at(4);
        let request = json!({ "binding": sent.binding, "code": format!(" {first} - {last}") });
        answer(&app, protocol, request).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_answers_at_once_one_signs_in() {
    let (app, cast) = TestApp::start_with_cast().await;
    let sent = ask(&app, Protocol::Rest, cast.customer.as_user()).await;
    let answers = (0..8).map(|number| {
        let request = if number % 4 < 2 { sent.link() } else { sent.code() };
        answer(&app, PROTOCOLS[number % 2], request)
    });
    let mut reasons: Vec<_> = join_all(answers).await.into_iter().map(|answer| answer.reason).collect();
    reasons.sort();
    assert_eq!(reasons[0], "", "{reasons:?}");
    assert!(reasons[1..].iter().all(|reason| reason == "INVALID_TOKEN"), "{reasons:?}");
}

/// A mail that is forwarded, or read by someone else, is of no use without what the browser keeps.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_belongs_to_the_browser_that_asked_for_it() {
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let own = ask(&app, protocol, cast.customer.as_user()).await;
        let other = ask(&app, protocol, cast.stranger.as_user()).await;
        let link = json!({ "binding": other.binding, "token": own.token });
        answer(&app, protocol, link).await.failure("INVALID_TOKEN");
        let code = json!({ "binding": other.binding, "code": own.code });
        answer(&app, protocol, code).await.failure("WRONG_CODE");
        for binding in ["nonsense", &own.token] {
            answer(&app, protocol, json!({ "binding": binding, "token": own.token })).await.failure("INVALID_TOKEN");
            answer(&app, protocol, json!({ "binding": binding, "code": own.code })).await.failure("INVALID_TOKEN");
        }
        answer(&app, protocol, own.link()).await.success();
        answer(&app, protocol, other.code()).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_mail_leaves_the_earlier_one() {
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let [first, second] =
            [ask(&app, protocol, cast.customer.as_user()).await, ask(&app, protocol, cast.customer.as_user()).await];
        let of_the_first = json!({ "binding": second.binding, "token": first.token });
        answer(&app, protocol, of_the_first).await.failure("INVALID_TOKEN");
        for sent in [first.link(), second.code()] {
            answer(&app, protocol, sent).await.success();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_expires_and_is_removed() {
    let (app, cast) = TestApp::start_with_cast().await;
    let sent = ask(&app, Protocol::Rest, cast.customer.as_user()).await;
    app.app.clock.advance(TimeDelta::minutes(15));
    for expired in [sent.link(), sent.code()] {
        answer(&app, Protocol::Grpc, expired).await.failure("INVALID_TOKEN");
    }
    assert_eq!(app.run_task("expire_mail_logins").await.expect("a run"), 0, "it is kept for a day");
    app.app.clock.advance(TimeDelta::days(1) + TimeDelta::seconds(1));
    assert_eq!(app.run_task("expire_mail_logins").await.expect("a run"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_end_a_sign_in() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let sent = ask(&app, Protocol::Rest, user).await;
    let guesses = (0..8).map(|number| answer(&app, PROTOCOLS[number % 2], sent.wrong_code()));
    let reasons: Vec<_> = join_all(guesses).await.into_iter().map(|answer| answer.reason).collect();
    assert_eq!(reasons.iter().filter(|reason| *reason == "WRONG_CODE").count(), 5, "{reasons:?}");
    for ended in [sent.code(), sent.link()] {
        answer(&app, Protocol::Rest, ended).await.failure("INVALID_TOKEN");
    }
    // All other ways remain.
    sign_in(&app.endpoint, user).await.success();
    let next = ask(&app, Protocol::Rest, user).await;
    answer(&app, Protocol::Rest, next.code()).await.success();
}

/// A stranger may ask for mail to an address, and guess.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_for_an_address_are_limited_and_lock_out_no_other_way() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let builder = TestApp::builder().set("REDIS_URL", redis.url()).set("TRUSTED_PROXY_HOPS", "1");
    let (app, cast) = builder.start_with_cast().await;
    let user = cast.customer.as_user();
    for number in 0..6 {
        let address = format!("198.51.100.{number}");
        let sent = ask_from(&app, Protocol::Rest, user, &address).await;
        for guess in 0..5 {
            let guessed = call_from(&app, PROTOCOLS[guess % 2], LOGIN, sent.wrong_code(), &address).await;
            guessed.failure("WRONG_CODE");
        }
    }
    let sent = ask(&app, Protocol::Rest, user).await;
    for protocol in [Protocol::Grpc, Protocol::Rest] {
        // Accepting the right code would confirm it to a guesser.
        let refused = answer(&app, protocol, sent.code()).await.failure("RATE_LIMIT_EXCEEDED");
        assert!(refused.header("retry-after").is_some(), "{refused:#?}");
    }
    answer(&app, Protocol::Rest, sent.link()).await.success();
    sign_in(&app.endpoint, user).await.success();
    // The codes of other addresses have limits of their own.
    let other = ask(&app, Protocol::Rest, cast.stranger.as_user()).await;
    answer(&app, Protocol::Rest, other.code()).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_still_asked_for() {
    let (app, cast) = TestApp::start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    for protocol in PROTOCOLS {
        for is_link in [true, false] {
            let sent = ask(&app, protocol, cast.customer.as_user()).await;
            let request = if is_link { sent.link() } else { sent.code() };
            let challenged = answer(&app, protocol, request).await.success();
            assert_eq!(challenged.body.get("data").filter(|data| !data.is_null()), None, "{challenged:#?}");
            let verify = json!({ "challengeToken": challenged.text("/challenge/token"), "code": factor.code(&app) });
            let pair = cast.anonymous.call(protocol, "AuthService.VerifySecondFactor", verify).await.success();
            assert_eq!(methods(&pair), json!(["otp", "mfa"]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_the_staff_applies() {
    let (app, cast) = TestApp::builder().set("SECOND_FACTOR_STAFF", "required").start_with_cast().await;
    for (who, protocol) in [&cast.agent, &cast.admin].into_iter().zip(PROTOCOLS) {
        let sent = ask(&app, protocol, who.as_user()).await;
        let pair = answer(&app, protocol, sent.link()).await.success();
        assert_eq!(pair.body["data"]["secondFactorRequired"], true, "{pair:#?}");
        let me = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
        me.call(protocol, "TicketService.ListTickets", json!({})).await.failure("SECOND_FACTOR_REQUIRED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_user_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let request = json!({ "userId": user.id.to_string(), "reason": "Left the company" });
    let sent = ask(&app, Protocol::Rest, user).await;
    cast.admin.rest("UserService.DeactivateUser", request).await.success();
    // Only the right answer reveals the state.
    answer(&app, Protocol::Grpc, sent.wrong_code()).await.failure("WRONG_CODE");
    answer(&app, Protocol::Grpc, sent.link()).await.failure("USER_DEACTIVATED");
    answer(&app, Protocol::Rest, sent.link()).await.failure("INVALID_TOKEN");
    assert_eq!(app.database.number(BY_MAIL).await, 0);
}

/// A thief of the mailbox has read the mail. The owner sets another password, or another address, before it is used.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_ends_with_the_sessions_of_its_time_and_with_the_address() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let sent = ask(&app, Protocol::Rest, user).await;
    let password =
        json!({ "token": reset::create_token(&app.database, user).await, "password": "a brand new password" });
    cast.anonymous.rest("AuthService.ConfirmPasswordReset", password).await.success();
    answer(&app, Protocol::Rest, sent.link()).await.failure("INVALID_TOKEN");
    let sent = ask(&app, Protocol::Rest, user).await;
    let token = email_change::create_token(&app.database, user, &email_change::new_address()).await;
    cast.anonymous.rest("AuthService.ConfirmEmailChange", json!({ "token": token })).await.success();
    answer(&app, Protocol::Rest, sent.code()).await.failure("INVALID_TOKEN");
}

/// Neither the response nor its cost depends on whether the address is known.
#[tokio::test]
async fn a_request_does_not_reveal_whether_a_user_exists() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    // A single connection, so that all prepared statements exist before counting.
    let (app, cast) = builder.set("DATABASE_POOL_SIZE", "1").start_with_cast().await;
    let existing = cast.customer.as_user().email.clone();
    let unknown = format!("{}@example.com", unique());
    let ask = async |protocol, email: &str| {
        let before = proxy.statements();
        let begun = cast.anonymous.call(protocol, BEGIN, json!({ "email": email })).await.success();
        (begun.data()["expiresIn"].clone(), begun.text("/data/binding"), proxy.statements() - before)
    };
    ask(Protocol::Grpc, &existing).await;
    for protocol in PROTOCOLS {
        let (known, unknown) = (ask(protocol, &existing).await, ask(protocol, &unknown).await);
        assert_eq!((known.0, known.2), (unknown.0, unknown.2));
        assert_eq!(known.1.len(), unknown.1.len());
        for binding in [known.1, unknown.1] {
            let guess = json!({ "binding": binding, "code": "00000000" });
            answer(&app, protocol, guess).await.failure("WRONG_CODE");
            answer(&app, protocol, json!({ "binding": binding, "token": "any" })).await.failure("INVALID_TOKEN");
        }
    }
    assert_eq!(database.number("SELECT count(*) FROM mails WHERE due_at <= now()").await, 1 + 2 * 3);
    assert_eq!(
        database.number("SELECT count(*) FROM mail_logins WHERE user_id IS NOT NULL").await,
        0,
        "as in the mail"
    );
    assert_eq!(database.number(BY_MAIL).await, 0);
}

/// A code that nobody was sent signs nobody in, even if it is guessed.
#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_an_unknown_address_is_always_wrong() {
    let (app, cast) = TestApp::start_with_cast().await;
    let email = format!("{}@example.com", unique());
    let begun = cast.anonymous.rest(BEGIN, json!({ "email": email })).await.success();
    let request = json!({ "binding": begun.text("/data/binding"), "code": code(&app, &email).await });
    answer(&app, Protocol::Rest, request).await.failure("WRONG_CODE");
}

/// A sign-in is decided in Postgres, and its limits count there, too.
#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_by_mail_without_redis() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (app, cast) = TestApp::builder().set("REDIS_URL", redis.url()).start_with_cast().await;
    redis.crash();
    for protocol in PROTOCOLS {
        let sent = ask(&app, protocol, cast.customer.as_user()).await;
        answer(&app, protocol, sent.wrong_code()).await.failure("WRONG_CODE");
        answer(&app, protocol, sent.code()).await.success();
        answer(&app, protocol, sent.link()).await.failure("INVALID_TOKEN");
    }
}
