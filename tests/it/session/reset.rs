//! Password resets: a single-use token, and every session ends.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version, password_hash::SaltString};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use mainstay::identity::{
    auth::password::{DUMMY, Password},
    passwords::Passwords,
    user::model::EmailAddress,
};
use mainstay_kernel::secret::SecretKey;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{caller, new_session, other_ways_in, refresh};
use crate::support::{PROTOCOLS, Protocol, TestApp, TestDatabase, eventually, people::User, proxy::Proxy, unique};

/// Creates the token that the mail would contain, without sending a mail.
pub(crate) async fn create_token(database: &TestDatabase, user: &User) -> String {
    let token = format!("mpr_{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(unique())));
    let statement = format!(
        "INSERT INTO password_resets (token_hash, user_id, expires_at)
         VALUES (sha256('{token}'), '{}', now() + interval '1 hour')",
        user.id
    );
    database.sql(&statement).await;
    token
}

#[tokio::test]
async fn a_reset_sets_the_password_once_and_ends_every_session() {
    let (app, cast) = TestApp::start_with_cast().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let who = [&cast.customer, &cast.colleague, &cast.stranger][number];
        let pairs = [new_session(&app, who).await, new_session(&app, who).await];
        let token = create_token(&app.database, who.as_user()).await;
        let password = format!("brand new {}", unique());
        let request = json!({ "token": token, "password": password });
        let short = json!({ "token": token, "password": "short" });
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", short).await.failure("VALIDATION_FAILED");
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", request.clone()).await.success();
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", request).await.failure("INVALID_TOKEN");
        for (turn, pair) in pairs.iter().enumerate() {
            refresh(&app, pair, turn).await.failure("SESSION_REVOKED");
        }
        let sign_in = |password: &str| json!({ "email": who.as_user().email, "password": password });
        let old = sign_in(&who.as_user().password);
        cast.anonymous.call(protocol, "AuthService.Login", old).await.failure("INVALID_CREDENTIALS");
        let pair = cast.anonymous.call(protocol, "AuthService.Login", sign_in(&password)).await.success();
        caller(&app, &pair).call(protocol, "UserService.GetMe", json!({})).await.success();
    }
}

/// A thief of the password may have made a personal access token.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_every_personal_access_token() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = other_ways_in(&app, &cast.customer).await;
    let reset = create_token(&app.database, cast.customer.as_user()).await;
    let request = json!({ "token": reset, "password": format!("brand new {}", unique()) });
    cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await.success();
    let list = async || token.rest("TicketService.ListTickets", json!({})).await.reason;
    eventually("the token is refused", async || list().await == "INVALID_TOKEN").await;
    assert_eq!(app.database.number("SELECT count(*) FROM linked_identities").await, 1, "the user's own choice");
}

#[tokio::test]
async fn one_token_uses_up_the_others_of_its_user() {
    let (app, cast) = TestApp::start_with_cast().await;
    let [first, second] = [
        create_token(&app.database, cast.customer.as_user()).await,
        create_token(&app.database, cast.customer.as_user()).await,
    ];
    let foreign = create_token(&app.database, cast.stranger.as_user()).await;
    let confirm = |token: &str| json!({ "token": token, "password": format!("brand new {}", unique()) });
    for (token, reason) in [(&second, ""), (&first, "INVALID_TOKEN"), (&foreign, "")] {
        let response = cast.anonymous.rest("AuthService.ConfirmPasswordReset", confirm(token)).await;
        assert_eq!(response.reason, reason, "{response:#?}");
    }
}

#[tokio::test]
async fn a_common_password_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = create_token(&app.database, cast.customer.as_user()).await;
    let email = cast.customer.as_user().email.as_str();
    let common = ["password1234", "qwertyuiop12", "aaaaaaaaaaaa", email];
    for (protocol, password) in PROTOCOLS.into_iter().cycle().zip(common) {
        let request = json!({ "token": token, "password": password });
        let response = cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", request).await;
        response.failure("VALIDATION_FAILED");
    }
    let request = json!({ "token": token, "password": "four words nobody else has" });
    cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await.success();
}

/// An error for lack of a slot must not reveal whether a user exists either.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_needs_a_hashing_slot_for_an_unknown_user_too() {
    let (app, cast) = TestApp::builder().set("MAX_PASSWORD_HASHING", "1").start_with_cast().await;
    let existing = cast.customer.as_user().email.clone();
    let unknown = format!("{}@example.com", unique());
    let slot = app.app.part::<Passwords>().place().await.expect("the only slot");
    let sign_in = async |email: &str| {
        let request = json!({ "email": email, "password": "a wrong password" });
        cast.anonymous.rest("AuthService.Login", request).await
    };
    let (one, other) = tokio::join!(sign_in(&existing), sign_in(&unknown));
    one.failure("OVERLOADED");
    other.failure("OVERLOADED");
    drop(slot);
    sign_in(&existing).await.failure("INVALID_CREDENTIALS");
    sign_in(&unknown).await.failure("INVALID_CREDENTIALS");
}

/// Otherwise the response time would reveal whether a user exists: without a hash, it is a hundredth.
#[tokio::test]
async fn an_unknown_user_costs_a_hash() {
    let passwords = Passwords::new(1, &SecretKey::new([1; 32]));
    let email = EmailAddress::parse("ada@example.com").expect("an address");
    let mut fastest = [Duration::MAX; 2];
    for round in 0..20 {
        let hash = (round % 2 == 0).then(|| DUMMY.to_owned());
        let start = Instant::now();
        passwords.verify(Password::attempt("whatever it is".into()), &email, hash).await.expect("a verdict");
        fastest[round % 2] = fastest[round % 2].min(start.elapsed());
    }
    let [existing, unknown] = fastest;
    assert!(unknown > existing / 10, "{unknown:?}, and {existing:?} for one who exists");
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = create_token(&app.database, cast.customer.as_user()).await;
    app.app.clock.advance(chrono::TimeDelta::minutes(61));
    let request = json!({ "token": token, "password": "a brand new password" });
    cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await.failure("INVALID_TOKEN");
}

/// Neither the response nor its cost depends on whether the address is known: for an unknown one, a mail without a
/// recipient is queued.
#[tokio::test]
async fn a_reset_request_does_not_reveal_whether_a_user_exists() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    // A single connection, so that all prepared statements exist before counting.
    let (_app, cast) = builder.set("DATABASE_POOL_SIZE", "1").start_with_cast().await;
    let existing = json!({ "email": cast.customer.as_user().email });
    let unknown = json!({ "email": format!("{}@example.com", unique()) });
    let request_reset = async |protocol, who: &serde_json::Value| {
        let before = proxy.statements();
        let response = cast.anonymous.call(protocol, "AuthService.RequestPasswordReset", who.clone()).await.success();
        (response.comparable(), proxy.statements() - before)
    };
    request_reset(Protocol::Grpc, &existing).await;
    for protocol in PROTOCOLS {
        assert_eq!(request_reset(protocol, &existing).await, request_reset(protocol, &unknown).await);
    }
    let queued = "SELECT count(*) FROM mails WHERE due_at <= now()";
    assert_eq!(database.number(queued).await, 1 + 2 * 3);
    let to = format!("SELECT count(*) FROM mails WHERE parent_id = '{}'", cast.customer.as_user().id);
    assert_eq!(database.number(&to).await, 1 + 3);
    assert_eq!(database.number("SELECT count(*) FROM password_resets").await, 0, "the token is created on sending");
}

/// A password is set on one operating system and entered on another.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_the_same_in_every_form_of_unicode() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let (composed, decomposed) =
        ("gr\u{fc}ne Stra\u{df}e 12 \u{e9}t\u{e9}", "gru\u{308}ne\u{a0}Stra\u{df}e 12 e\u{301}te\u{301}");
    let sign_in = async |protocol, password: &str| {
        let request = json!({ "email": user.email, "password": password });
        cast.anonymous.call(protocol, "AuthService.Login", request).await
    };
    for set in [composed, decomposed] {
        let token = create_token(&app.database, user).await;
        let request = json!({ "token": token, "password": set });
        cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await.success();
        for protocol in PROTOCOLS {
            for typed in [composed, decomposed] {
                sign_in(protocol, typed).await.success();
            }
        }
        sign_in(Protocol::Rest, "gru\u{308}ne Strasse 12 ete").await.failure("INVALID_CREDENTIALS");
    }
    // A hash from before the normalization was made of the raw text; the sign-in replaces it.
    let salt = SaltString::from_b64("dGVzdHMgc2FsdCB0aGlz").expect("a salt");
    let params = Params::new(7168, 5, 1, None).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let old = argon2.hash_password(decomposed.as_bytes(), &salt).expect("a hash").to_string();
    app.database.sql(&format!("UPDATE users SET password_hash = '{old}' WHERE id = '{}'", user.id)).await;
    sign_in(Protocol::Rest, composed).await.failure("INVALID_CREDENTIALS");
    sign_in(Protocol::Rest, decomposed).await.success();
    for protocol in PROTOCOLS {
        sign_in(protocol, composed).await.success();
    }
    let with_old_hash = format!("SELECT count(*) FROM users WHERE password_hash = '{old}'");
    assert_eq!(app.database.number(&with_old_hash).await, 0);
}
