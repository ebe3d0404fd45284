//! A sign-in takes a code of the app or a recovery code, each once.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use super::{VERIFY, add_to, answer, challenge, verify};
use crate::{
    session::{caller, new_session, refresh},
    support::{PROTOCOLS, Protocol, TestApp, totp},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_takes_the_password_and_a_code() {
    let (app, cast) = TestApp::start_with_cast().await;
    let other = new_session(&app, &cast.customer).await;
    let before = caller(&app, &other).rest("UserService.GetMe", json!({})).await.success();
    assert_eq!(before.data().get("secondFactorTime"), None);
    let factor = add_to(&app, &cast.customer).await;
    refresh(&app, &other, 0).await.failure("SESSION_REVOKED");
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 21").await, 1);
    for protocol in PROTOCOLS {
        let user = cast.customer.as_user();
        let login = json!({ "email": user.email, "password": user.password });
        let challenge = cast.anonymous.call(protocol, "AuthService.Login", login).await.success();
        assert_eq!(challenge.body["challenge"]["expiresIn"], 300, "{challenge:#?}");
        let token = challenge.text("/challenge/token");
        cast.anonymous.call(protocol, VERIFY, answer(&token, &factor.wrong(&app))).await.failure("WRONG_CODE");
        let pair = cast.anonymous.call(protocol, VERIFY, answer(&token, &factor.code(&app))).await.success();
        assert!(pair.text("/data/deviceToken").starts_with("mdv_"));
        let me = caller(&app, &pair).call(protocol, "UserService.GetMe", json!({})).await.success();
        assert!(me.data()["secondFactorTime"].is_string(), "{me:#?}");
        refresh(&app, &pair, 0).await.success();
    }
    // Others sign in as before.
    new_session(&app, &cast.colleague).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_accepted_once_also_of_requests_at_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    let user = cast.customer.as_user();
    let mut challenges = Vec::new();
    for _ in 0..5 {
        challenges.push(challenge(&app, user).await);
    }
    app.app.clock.advance(TimeDelta::seconds(60));
    let code = factor.code(&app);
    let answers = join_all(challenges[1..].iter().map(|challenge| verify(&app, challenge, &code))).await;
    assert_eq!(answers.iter().filter(|answer| answer.reason.is_empty()).count(), 1, "{answers:#?}");
    assert_eq!(answers.iter().filter(|answer| answer.reason == "WRONG_CODE").count(), 3, "{answers:#?}");
    verify(&app, &challenges[0], &code).await.failure("WRONG_CODE");
    // Nor an earlier code, which was never used.
    let earlier = totp(&factor.secret, app.app.clock.now() - TimeDelta::seconds(30));
    verify(&app, &challenges[0], &earlier).await.failure("WRONG_CODE");
    verify(&app, &challenges[0], &factor.code(&app)).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_works_once_also_of_requests_at_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    assert_eq!(factor.recovery.len(), 10);
    let user = cast.customer.as_user();
    let mut challenges = Vec::new();
    for _ in 0..4 {
        challenges.push(challenge(&app, user).await);
    }
    let code = factor.recovery[3].to_uppercase().replace('-', " ");
    let answers = join_all(challenges.iter().map(|challenge| verify(&app, challenge, &code))).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.reason.is_empty());
    assert!(good.len() == 1 && refused.iter().all(|answer| answer.reason == "WRONG_CODE"), "{refused:#?}");
    let me = caller(&app, &good[0]);
    let left = me.call(Protocol::Grpc, "SecondFactorService.GetSecondFactor", json!({})).await.success();
    assert_eq!(left.data()["recoveryCodesLeft"], 9, "{left:#?}");
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 23").await, 1);
    let used = "SELECT count(*) FROM audit_entries WHERE changes::text LIKE '%recovery code used%'";
    assert_eq!(app.database.number(used).await, 1);
    // New codes replace the others.
    let new = me.rest("SecondFactorService.RegenerateRecoveryCodes", json!({})).await.success();
    verify(&app, &challenges[0], &factor.recovery[4]).await.failure("WRONG_CODE");
    verify(&app, &challenges[0], &new.text("/data/recoveryCodes/0")).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_of_one_person() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (mine, theirs) = (add_to(&app, &cast.customer).await, add_to(&app, &cast.stranger).await);
    let challenge = challenge(&app, cast.customer.as_user()).await;
    verify(&app, &challenge, &theirs.code(&app)).await.failure("WRONG_CODE");
    verify(&app, &challenge, &theirs.recovery[0]).await.failure("WRONG_CODE");
    let pair = verify(&app, &challenge, &mine.code(&app)).await.success();
    let me = caller(&app, &pair).rest("UserService.GetMe", json!({})).await.success();
    assert_eq!(me.id(), cast.customer.as_user().id.to_string());
}

/// The holder of the password guesses codes; the owner signs in once the password is reset.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_limited_per_challenge_and_per_person() {
    let (app, cast) = TestApp::builder().set("RATE_LIMIT_LOGIN", "10/15m").start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let [first, second, third] =
        [challenge(&app, user).await, challenge(&app, user).await, challenge(&app, user).await];
    for challenge in [&first, &second] {
        for _ in 0..5 {
            verify(&app, challenge, &factor.wrong(&app)).await.failure("WRONG_CODE");
        }
        verify(&app, challenge, &factor.code(&app)).await.failure("RATE_LIMIT_EXCEEDED");
    }
    verify(&app, &third, &factor.code(&app)).await.failure("RATE_LIMIT_EXCEEDED");
    verify(&app, &third, &factor.recovery[0]).await.failure("RATE_LIMIT_EXCEEDED");
    // Codes without the password count for no person.
    let stranger = add_to(&app, &cast.stranger).await;
    for _ in 0..20 {
        verify(&app, "mch_AAAA", &stranger.wrong(&app)).await.failure("INVALID_TOKEN");
    }
    super::sign_in_fully(&app, cast.stranger.as_user(), &stranger).await;
    let token = crate::session::reset::create_token(&app.database, user).await;
    let reset = json!({ "token": token, "password": "a brand new password" });
    cast.anonymous.rest("AuthService.ConfirmPasswordReset", reset).await.success();
    let user = crate::support::people::User { password: "a brand new password".to_owned(), ..user.clone() };
    super::sign_in_fully(&app, &user, &factor).await;
}

/// The thief of a mailbox resets the password, and has a new epoch for codes each time.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_limited_per_person_and_day_whatever_the_password() {
    let (app, cast) = TestApp::builder().set("RATE_LIMIT_LOGIN", "1000/15m").start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    let mut user = cast.customer.as_user().clone();
    for round in 0..2 {
        for _ in 0..6 {
            let challenge = challenge(&app, &user).await;
            for _ in 0..5 {
                verify(&app, &challenge, &factor.wrong(&app)).await.failure("WRONG_CODE");
            }
        }
        let last = challenge(&app, &user).await;
        verify(&app, &last, &factor.wrong(&app)).await.failure("RATE_LIMIT_EXCEEDED");
        let token = crate::session::reset::create_token(&app.database, &user).await;
        let password = format!("a brand new password {round}");
        let reset = json!({ "token": token, "password": password });
        cast.anonymous.rest("AuthService.ConfirmPasswordReset", reset).await.success();
        user.password = password;
    }
    // The limits of the epoch are new. The 60 wrong codes of the day count for the person.
    let challenge = challenge(&app, &user).await;
    verify(&app, &challenge, &factor.code(&app)).await.failure("RATE_LIMIT_EXCEEDED");
}
