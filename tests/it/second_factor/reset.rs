//! The reset of a factor that its user has lost.

use chrono::TimeDelta;
use mainstay::identity::second_factor::ops;
use serde_json::json;

use super::{add_to, challenge, sign_in_fully};
use crate::{
    session::{caller, new_session, refresh},
    support::{Protocol, TestApp},
};

const RESET: &str = "UserService.ResetSecondFactor";
const TASK: &str = "reset_second_factors";

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_resets_a_factor_a_day_later() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let pair = sign_in_fully(&app, user, &factor).await;
    let request = json!({ "userId": user.id.to_string() });
    let first = cast.admin.rest(RESET, request.clone()).await.success();
    app.app.clock.advance(TimeDelta::minutes(1));
    let again = cast.admin.call(Protocol::Grpc, RESET, request).await.success();
    assert_eq!(first.text("/data/resetTime"), again.text("/data/resetTime"), "a repetition postpones nothing");
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 24").await, 1);
    app.app.clock.advance(TimeDelta::hours(23));
    assert_eq!(app.run_task(TASK).await.expect("runs"), 0);
    challenge(&app, user).await;
    app.app.clock.advance(TimeDelta::hours(1));
    assert_eq!(app.run_task(TASK).await.expect("runs"), 1);
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 22").await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM second_factors").await, 0);
    refresh(&app, &pair, 0).await.failure("SESSION_REVOKED");
    new_session(&app, &cast.customer).await;
    let entries = "SELECT count(*) FROM audit_entries WHERE changes::text LIKE '%secondFactor%reset%'";
    assert_eq!(app.database.number(entries).await, 3);
}

/// A thief who has talked an admin into a reset loses to the user, who still has the app.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_the_app_cancels_a_reset() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    cast.admin.rest(RESET, json!({ "userId": user.id.to_string() })).await.success();
    // A recovery code may be in the hands of the thief.
    let token = challenge(&app, user).await;
    super::verify(&app, &token, &factor.recovery[0]).await.success();
    assert_eq!(app.database.number("SELECT count(*) FROM second_factors WHERE reset_at IS NOT NULL").await, 1);
    let pair = sign_in_fully(&app, user, &factor).await;
    let state = caller(&app, &pair).rest("SecondFactorService.GetSecondFactor", json!({})).await;
    assert_eq!(state.success().data().get("resetTime"), None);
    app.app.clock.advance(TimeDelta::hours(25));
    assert_eq!(app.run_task(TASK).await.expect("runs"), 0);
    challenge(&app, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_resets_a_factor_at_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    add_to(&app, &cast.admin).await;
    let email = &cast.admin.as_user().email;
    ops::reset(&app.app, email).await.expect("it is removed");
    new_session(&app, &cast.admin).await;
    let error = ops::reset(&app.app, email).await.expect_err("there is none any more");
    assert_eq!(error.reason().facts().code, "NO_SECOND_FACTOR");
}
