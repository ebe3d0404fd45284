//! Wrong passwords are limited per account and network, per network, per site, and per account, with or without Redis.
//! Nothing else is limited, and guesses of third parties do not lock out the owner of an account.

use futures_util::future::join_all;
use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;

use crate::{
    session::reset,
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, people::User, unique},
};

/// The limit on wrong passwords of one account from one network.
const TRIES: usize = 2;
/// The limit on wrong passwords from one network, or of one account in a day from unknown networks.
const MANY: usize = 10 * TRIES;
/// The limit on wrong passwords from the networks of one site.
const OF_SITE: usize = 10 * MANY;

const WRONG: &str = "a wrong password";

async fn start_app(redis: &Redis) -> TestApp {
    let builder = TestApp::builder().set("REDIS_URL", redis.url()).set("RATE_LIMIT_LOGIN", "2/15m");
    builder.set("TRUSTED_PROXY_HOPS", "1").start().await
}

async fn call(app: &TestApp, protocol: Protocol, name: &str, request: serde_json::Value, address: &str) -> Response {
    Actor::anonymous(&app.endpoint).call_with(protocol, name, request, &[("x-forwarded-for", address)]).await
}

async fn try_password(app: &TestApp, protocol: Protocol, user: &User, password: &str, address: &str) -> Response {
    let request = json!({ "email": user.email, "password": password });
    call(app, protocol, "AuthService.Login", request, address).await
}

/// Tries wrong passwords, each from another network, until no attempts are left.
async fn guess_from_everywhere(app: &TestApp, user: &User) {
    let guesses = (0..MANY).map(async |number| {
        let address = format!("198.51.100.{number}");
        try_password(app, PROTOCOLS[number % 2], user, WRONG, &address).await.failure("INVALID_CREDENTIALS");
    });
    join_all(guesses).await;
}

#[tokio::test]
async fn guesses_at_one_account_from_one_network_are_limited() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.as_user();
    for protocol in [Protocol::Grpc, Protocol::Rest] {
        try_password(&app, protocol, user, WRONG, "192.0.2.7").await.failure("INVALID_CREDENTIALS");
    }
    for protocol in [Protocol::Grpc, Protocol::Rest] {
        // Accepting the right password would confirm it to a guesser.
        let response = try_password(&app, protocol, user, &user.password, "192.0.2.7").await;
        let response = response.failure("RATE_LIMIT_EXCEEDED");
        assert!(response.header("retry-after").is_some());
        assert_eq!(response.header("ratelimit-policy"), Some("\"login\";q=2;w=900"));
    }
    // An entry before the one of the deployment's own proxy is only the caller's claim.
    let forged = try_password(&app, Protocol::Rest, user, &user.password, "203.0.113.1, 192.0.2.7").await;
    forged.failure("RATE_LIMIT_EXCEEDED");
    // Neither the owner elsewhere nor another user of the network is affected.
    try_password(&app, Protocol::Rest, user, &user.password, "192.0.2.8").await.success();
    let other = cast.colleague.as_user();
    try_password(&app, Protocol::Rest, other, &other.password, "192.0.2.7").await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_one_account_from_many_networks_are_limited_and_do_not_keep_its_owner_out() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.as_user();
    try_password(&app, Protocol::Rest, user, &user.password, "192.0.2.1").await.success();
    guess_from_everywhere(&app, user).await;
    try_password(&app, Protocol::Rest, user, &user.password, "192.0.2.99").await.failure("RATE_LIMIT_EXCEEDED");
    // From a known network, the owner can still sign in, even after mistyping.
    try_password(&app, Protocol::Rest, user, "mistyped", "192.0.2.1").await.failure("INVALID_CREDENTIALS");
    try_password(&app, Protocol::Grpc, user, &user.password, "192.0.2.1").await.success();
    // From an unknown network, a password reset readmits the owner.
    let request = json!({ "email": user.email });
    call(&app, Protocol::Rest, "AuthService.RequestPasswordReset", request, "192.0.2.99").await.success();
    let password = format!("brand new {}", unique());
    let request = json!({ "token": reset::create_token(&app.database, user).await, "password": password });
    call(&app, Protocol::Rest, "AuthService.ConfirmPasswordReset", request, "192.0.2.99").await.success();
    try_password(&app, Protocol::Rest, user, &password, "192.0.2.99").await.success();
    try_password(&app, Protocol::Rest, user, &password, "192.0.2.98").await.failure("RATE_LIMIT_EXCEEDED");
    // An unknown address is limited in the same way.
    let nobody = User { email: format!("{}@example.com", unique()), ..user.clone() };
    guess_from_everywhere(&app, &nobody).await;
    try_password(&app, Protocol::Rest, &nobody, WRONG, "192.0.2.99").await.failure("RATE_LIMIT_EXCEEDED");
}

/// A traveler's device has signed in at home, and third parties have guessed since.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_has_signed_in_is_admitted_on_every_network() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let (user, other) = (cast.customer.as_user(), cast.colleague.as_user());
    let device = async |user: &User, protocol| {
        let signed_in = try_password(&app, protocol, user, &user.password, "192.0.2.1").await.success();
        signed_in.text("/data/deviceToken")
    };
    let (token, foreign) = (device(user, Protocol::Grpc).await, device(other, Protocol::Rest).await);
    guess_from_everywhere(&app, user).await;
    let sign_in = async |protocol, password: &str, token: &str, address: &str| {
        let request = json!({ "email": user.email, "password": password, "deviceToken": token });
        call(&app, protocol, "AuthService.Login", request, address).await
    };
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let address = format!("203.0.113.{number}");
        for wrong in ["", "mdv_AAAA", &foreign, &token.to_uppercase()] {
            sign_in(protocol, &user.password, wrong, &address).await.failure("RATE_LIMIT_EXCEEDED");
        }
        let signed_in = sign_in(protocol, &user.password, &token, &address).await.success();
        assert!(signed_in.text("/data/deviceToken").starts_with("mdv_"), "{signed_in:#?}");
    }
    // Nor do guesses from the same network keep the device out.
    for _ in 0..TRIES {
        try_password(&app, Protocol::Rest, other, WRONG, "192.0.2.1").await.failure("INVALID_CREDENTIALS");
    }
    let sign_in_there = json!({ "email": other.email, "password": other.password, "deviceToken": foreign });
    try_password(&app, Protocol::Rest, other, &other.password, "192.0.2.1").await.failure("RATE_LIMIT_EXCEEDED");
    call(&app, Protocol::Rest, "AuthService.Login", sign_in_there, "192.0.2.1").await.success();
    // A device's stolen token permits a few guesses, from any network.
    for number in 0..TRIES {
        let address = format!("203.0.113.{}", 100 + number);
        sign_in(PROTOCOLS[number % 2], WRONG, &token, &address).await.failure("INVALID_CREDENTIALS");
    }
    let refusal = sign_in(Protocol::Rest, WRONG, &token, "203.0.113.200").await.failure("RATE_LIMIT_EXCEEDED");
    assert_eq!(refusal.header("ratelimit-policy"), Some("\"login-device\";q=2;w=900"));
}

/// A thief of an earlier password has made a token with each sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_one_account_permit_few_guesses_together() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.as_user();
    let mut tokens = Vec::new();
    for _ in 0..=MANY / TRIES {
        let signed_in = try_password(&app, Protocol::Rest, user, &user.password, "192.0.2.1").await.success();
        tokens.push(signed_in.text("/data/deviceToken"));
    }
    let guess = async |number: usize| {
        let request = json!({ "email": user.email, "password": WRONG, "deviceToken": tokens[number / TRIES] });
        call(&app, PROTOCOLS[number % 2], "AuthService.Login", request, &format!("203.0.113.{number}")).await
    };
    for number in 0..MANY {
        guess(number).await.failure("INVALID_CREDENTIALS");
    }
    let refusal = guess(MANY).await.failure("RATE_LIMIT_EXCEEDED");
    assert_eq!(refusal.header("ratelimit-policy"), Some("\"login-devices\";q=20;w=900"));
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_many_accounts_from_one_network_are_limited() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.as_user();
    // An IPv6 network is a /64.
    let guesses = (0..MANY).map(async |number| {
        let other = User { email: format!("{}@example.com", unique()), ..user.clone() };
        let address = format!("2001:db8:1:2::{number:x}");
        try_password(&app, PROTOCOLS[number % 2], &other, WRONG, &address).await.failure("INVALID_CREDENTIALS");
    });
    join_all(guesses).await;
    try_password(&app, Protocol::Rest, user, &user.password, "2001:db8:1:2:3::1").await.failure("RATE_LIMIT_EXCEEDED");
    try_password(&app, Protocol::Rest, user, &user.password, "2001:db8:1:3::1").await.success();
}

/// An IPv6 subscriber has practically unlimited networks.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_and_mails_from_the_networks_of_one_site_are_limited() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.as_user();
    let in_network = |number: usize| format!("2001:db8:1:{number:x}::1");
    let register = async |protocol: Protocol, address: &str| {
        let request = json!({ "email": format!("{}@example.com", unique()) });
        call(&app, protocol, "AuthService.Register", request, address).await
    };
    let numbers: Vec<_> = (0..OF_SITE).collect();
    for some in numbers.chunks(MANY) {
        let attempts = some.iter().copied().map(async |number| {
            let other = User { email: format!("{}@example.com", unique()), ..user.clone() };
            let (protocol, address) = (PROTOCOLS[number % 2], in_network(number));
            try_password(&app, protocol, &other, WRONG, &address).await.failure("INVALID_CREDENTIALS");
            register(protocol, &address).await.success();
        });
        join_all(attempts).await;
    }
    let next = in_network(OF_SITE);
    let response = try_password(&app, Protocol::Rest, user, &user.password, &next).await;
    let policy = format!("\"login-site\";q={OF_SITE};w=900");
    assert_eq!(response.failure("RATE_LIMIT_EXCEEDED").header("ratelimit-policy"), Some(&*policy));
    register(Protocol::Rest, &next).await.failure("RATE_LIMIT_EXCEEDED");
    let elsewhere = "2001:db8:2::1";
    try_password(&app, Protocol::Rest, user, &user.password, elsewhere).await.success();
    register(Protocol::Rest, elsewhere).await.success();
}

/// An office behind one address signs in concurrently, repeatedly: right passwords and invalid requests use up no
/// attempt.
#[tokio::test(flavor = "multi_thread")]
async fn only_wrong_passwords_count() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let [one, two] = [cast.customer.as_user(), cast.colleague.as_user()];
    for number in 0..2 * TRIES {
        let protocol = PROTOCOLS[number % 2];
        let signed_in = [one, two].map(|user| try_password(&app, protocol, user, &user.password, "192.0.2.7"));
        for answer in join_all(signed_in).await {
            answer.success();
        }
        let invalid = json!({ "email": one.email, "password": "" });
        call(&app, protocol, "AuthService.Login", invalid, "192.0.2.7").await.failure("VALIDATION_FAILED");
    }
    for _ in 0..TRIES {
        try_password(&app, Protocol::Rest, one, WRONG, "192.0.2.7").await.failure("INVALID_CREDENTIALS");
    }
    try_password(&app, Protocol::Rest, one, &one.password, "192.0.2.7").await.failure("RATE_LIMIT_EXCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_guesses_are_counted_before_they_are_made() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.as_user();
    let guesses = (0..20).map(|number| try_password(&app, PROTOCOLS[number % 2], user, WRONG, "192.0.2.7"));
    let reasons: Vec<_> = join_all(guesses).await.into_iter().map(|answer| answer.reason).collect();
    let attempts = reasons.iter().filter(|reason| *reason == "INVALID_CREDENTIALS").count();
    assert_eq!(attempts, TRIES, "{reasons:?}");
}

/// Each of these requests sends mail to an address of the caller's choice.
#[tokio::test(flavor = "multi_thread")]
async fn registrations_and_resets_from_one_network_are_limited() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let ask = async |number: usize, address: &str| {
        let name = ["Register", "RequestPasswordReset", "BeginMailLogin"][number % 3];
        let request = json!({ "email": format!("{}@example.com", unique()) });
        call(&app, PROTOCOLS[number / 3 % 2], &format!("AuthService.{name}"), request, address).await
    };
    for answer in join_all((0..MANY).map(|number| ask(number, "192.0.2.7"))).await {
        answer.success();
    }
    for number in 0..3 {
        ask(number, "192.0.2.7").await.failure("RATE_LIMIT_EXCEEDED");
        ask(number, "192.0.2.8").await.success();
    }
}

/// Unicode has many spellings that some readers treat as the same ASCII letters.
#[tokio::test]
async fn no_spelling_of_an_address_has_attempts_of_its_own() {
    let app = TestApp::start().await;
    let mut user = app.cast().await.customer.as_user().clone();
    let email = format!("i.{}", user.email);
    app.database.sql(&format!("UPDATE users SET email = '{email}' WHERE id = '{}'", user.id)).await;
    for protocol in PROTOCOLS {
        for spelling in ["\u{130}", "\u{131}", "i\u{307}", "\u{ff49}"] {
            user.email = email.replacen('i', spelling, 1);
            try_password(&app, protocol, &user, &user.password, "192.0.2.1").await.failure("VALIDATION_FAILED");
        }
        user.email = email.to_uppercase();
        try_password(&app, protocol, &user, &user.password, "192.0.2.1").await.success();
    }
    let capital = format!("UPDATE users SET email = 'A{email}' WHERE id = '{}' RETURNING 1", user.id);
    let client = crate::support::database::connect(&app.database.url).await;
    assert!(client.batch_execute(&capital).await.is_err(), "the database stores the folded form alone");
}

/// Only wrong passwords count, also in Postgres.
#[tokio::test]
async fn correct_sign_ins_are_not_limited_without_redis() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.as_user();
    redis.crash();
    for number in 0..3 * TRIES {
        try_password(&app, PROTOCOLS[number % 2], user, &user.password, "192.0.2.1").await.success();
    }
    assert_eq!(app.database.number("SELECT count(*) FROM attempt_limits").await, 0);
    // A correct password takes back its own attempt, and not an earlier one.
    for number in 0..TRIES {
        try_password(&app, PROTOCOLS[number % 2], user, WRONG, "192.0.2.1").await.failure("INVALID_CREDENTIALS");
        if number + 1 < TRIES {
            try_password(&app, PROTOCOLS[number % 2], user, &user.password, "192.0.2.1").await.success();
        }
    }
    try_password(&app, PROTOCOLS[0], user, WRONG, "192.0.2.1").await.failure("RATE_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn postgres_counts_attempts_without_redis() {
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let app = start_app(&redis).await;
    let cast = app.cast().await;
    let user = cast.customer.as_user();
    redis.crash();
    let mut reasons = Vec::new();
    for number in 0..TRIES + 3 {
        reasons.push(try_password(&app, PROTOCOLS[number % 2], user, WRONG, "192.0.2.1").await.reason);
    }
    let attempts = reasons.iter().filter(|reason| *reason == "INVALID_CREDENTIALS").count();
    assert!((1..=TRIES).contains(&attempts), "{reasons:?}");
    assert_eq!(reasons.last().map(String::as_str), Some("RATE_LIMIT_EXCEEDED"), "{reasons:?}");
    assert!(app.database.number("SELECT count(*) FROM attempt_limits").await > 0);
}
