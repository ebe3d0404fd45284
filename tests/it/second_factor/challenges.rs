//! A challenge is good for one thing, for a short time.

use chrono::TimeDelta;
use serde_json::json;

use super::{add_to, challenge, sign_in_fully, verify};
use crate::{
    session::caller,
    support::{Actor, PROTOCOLS, TestApp},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_no_access_token_and_the_reverse() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let token = challenge(&app, user).await;
    for protocol in PROTOCOLS {
        let bearer = Actor::bearer(&app.endpoint, &token);
        bearer.call(protocol, "UserService.GetMe", json!({})).await.failure("INVALID_TOKEN");
        let refresh = json!({ "refreshToken": token });
        cast.anonymous.call(protocol, "AuthService.Refresh", refresh).await.failure("INVALID_TOKEN");
    }
    let pair = verify(&app, &token, &factor.code(&app)).await.success();
    for other in ["/data/accessToken", "/data/refreshToken", "/data/deviceToken"] {
        let refused = verify(&app, &pair.text(other), &factor.code(&app)).await;
        // An access token is longer than a challenge may be.
        assert!(["INVALID_TOKEN", "VALIDATION_FAILED"].contains(&refused.reason.as_str()), "{other}: {refused:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_expires_and_ends_with_the_sessions_of_its_user() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let token = challenge(&app, user).await;
    app.app.clock.advance(TimeDelta::seconds(300));
    verify(&app, &token, &factor.code(&app)).await.failure("INVALID_TOKEN");
    let (token, pair) = (challenge(&app, user).await, sign_in_fully(&app, user, &factor).await);
    caller(&app, &pair).rest("SessionService.RevokeAllSessions", json!({})).await.success();
    verify(&app, &token, &factor.code(&app)).await.failure("INVALID_TOKEN");
    // Without the factor, there is nothing to verify.
    let (token, pair) = (challenge(&app, user).await, sign_in_fully(&app, user, &factor).await);
    caller(&app, &pair).rest("SecondFactorService.RemoveTotp", json!({})).await.success();
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 22").await, 1);
    verify(&app, &token, &factor.code(&app)).await.failure("INVALID_TOKEN");
    let removed = verify(&app, &token, &factor.recovery[0]).await;
    assert_eq!(removed.reason, "INVALID_TOKEN");
    crate::session::new_session(&app, &cast.customer).await;
}
