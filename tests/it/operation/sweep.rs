//! What nobody does any more is ended, and what has had its time goes.

use chrono::TimeDelta;
use mainstay::jobs;

use super::{begin, ended};
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_without_a_job_is_ended() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let account = cast.customer.who().account.to_string();
    let waiting = begin(&cast.agent, &account, "body\nOne\n", "one").await;
    jobs::sweep(&app.app).await.expect("swept");
    assert_eq!(app.database.number("SELECT state FROM operations").await, 1, "one that waits is left alone");
    app.database.sql("UPDATE graphile_worker._private_jobs SET attempts = max_attempts").await;
    jobs::sweep(&app.app).await.expect("swept");
    assert_eq!(ended(&cast.agent, &waiting).await["state"], "OPERATION_STATE_FAILED");
    assert_eq!(app.database.number("SELECT count(*) FROM upload_chunks").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_after_a_day_and_keys_after_a_month() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let account = cast.customer.who().account.to_string();
    begin(&cast.agent, &account, "body\nOne\n", "one").await;
    app.database
        .sql("INSERT INTO login_limits SELECT sha256('x'), now(); INSERT INTO password_resets SELECT sha256('x'), id, now() FROM users LIMIT 1")
        .await;
    let answers = "SELECT count(*) FROM idempotency_keys WHERE answer IS NOT NULL";
    let left = "SELECT (SELECT count(*) FROM idempotency_keys) * 100 + (SELECT count(*) FROM login_limits) * 10 \
                + (SELECT count(*) FROM password_resets)";
    jobs::sweep(&app.app).await.expect("swept");
    assert_eq!(app.database.number(answers).await, 1);
    app.app.clock.turn(TimeDelta::hours(25));
    jobs::sweep(&app.app).await.expect("swept");
    assert_eq!(app.database.number(answers).await, 0);
    assert_eq!(app.database.number(left).await, 100, "the key is left, and nothing else");
    app.app.clock.turn(TimeDelta::days(30));
    jobs::sweep(&app.app).await.expect("swept");
    assert_eq!(app.database.number(left).await, 0);
}
