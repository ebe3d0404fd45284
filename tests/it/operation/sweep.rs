//! Expired data is removed.

use chrono::TimeDelta;

use serde_json::json;

use super::{begin, wait_for_end};
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn stored_answers_expire_after_a_day_and_keys_after_a_month() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    begin(&cast.agent, &account, "body\nOne\n", "one").await;
    app.database
        .sql("INSERT INTO attempt_limits SELECT sha256('x'), now(); INSERT INTO password_resets SELECT sha256('x'), id, now() FROM users LIMIT 1")
        .await;
    let expire = async || {
        for task in ["expire_keys", "expire_attempt_limits", "expire_resets"] {
            app.run_task(task).await.expect("done");
        }
    };
    let answers = "SELECT count(*) FROM idempotency_keys WHERE answer IS NOT NULL";
    let query = "SELECT (SELECT count(*) FROM idempotency_keys) * 100 + (SELECT count(*) FROM attempt_limits) * 10 \
                + (SELECT count(*) FROM password_resets)";
    expire().await;
    assert_eq!(app.database.number(answers).await, 1);
    app.app.clock.advance(TimeDelta::hours(25));
    expire().await;
    assert_eq!(app.database.number(answers).await, 0);
    assert_eq!(app.database.number(query).await, 100, "only the key is left");
    app.app.clock.advance(TimeDelta::days(30));
    expire().await;
    assert_eq!(app.database.number(query).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_and_their_rows_are_removed_a_month_after_they_end() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let old = begin(&cast.agent, &account, "subject,body\nOne,\n", "one").await;
    wait_for_end(&cast.agent, &old).await;
    app.database.sql("UPDATE operations SET finished_at = finished_at - interval '29 days'").await;
    let forget = async || app.run_task("forget_operations").await.expect("done");
    assert_eq!(forget().await, 0, "a month has not passed");
    app.database.sql("UPDATE operations SET finished_at = finished_at - interval '2 days'").await;
    let waiting = "INSERT INTO operations (id, kind, state, owner_id, account_id, format, created_at, updated_at) \
                   SELECT gen_random_uuid(), 1, 1, owner_id, account_id, 1, now() - interval '1 year', now() FROM operations";
    app.database.sql(waiting).await;
    assert_eq!(forget().await, 1);
    let query = "SELECT (SELECT count(*) FROM operations WHERE state = 1) * 10 \
                + (SELECT count(*) FROM operations WHERE state > 2) + (SELECT count(*) FROM operation_errors)";
    assert_eq!(app.database.number(query).await, 10, "the unfinished operation stays, and nothing of the other one");
    let get = json!({ "operationId": old });
    cast.agent.rest("OperationService.GetOperation", get).await.failure("NOT_FOUND");
}

/// An operation may have any number of invalid rows; no statement removes more than a batch.
#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_an_operation_are_removed_in_batches() {
    const BOUNDED: &str = "
        CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM gone) > 1000 THEN RAISE EXCEPTION 'too many at once'; END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER refuse_many AFTER DELETE ON operation_errors REFERENCING OLD TABLE AS gone
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_many();
        UPDATE operations SET finished_at = finished_at - interval '31 days';
        INSERT INTO operation_errors
            SELECT id, 1000 + n, 'INVALID', 'Not valid.' FROM operations, generate_series(1, 2500) AS n";
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let old = begin(&cast.agent, &account, "subject,body\nOne,\n", "one").await;
    wait_for_end(&cast.agent, &old).await;
    app.database.sql(BOUNDED).await;
    assert_eq!(app.run_task("forget_operations").await.expect("done"), 1);
    let query = "SELECT (SELECT count(*) FROM operations) + (SELECT count(*) FROM operation_errors)";
    assert_eq!(app.database.number(query).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_removed_after_a_month() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    for key in ["one", "two", "three"] {
        begin(&cast.agent, &account, "body\nOne\n", key).await;
    }
    // A job that may still be retried, one that died recently, and one that died long ago.
    let age = "UPDATE jobs SET created_at = now() - interval '40 days', \
               dead_at = CASE id % 3 WHEN 1 THEN now() - interval '29 days' WHEN 2 THEN now() - interval '31 days' END";
    app.database.sql(age).await;
    assert_eq!(app.run_task("forget_dead_jobs").await.expect("done"), 1);
    assert_eq!(app.database.number("SELECT count(*) FROM jobs").await, 2);
}

/// Rows that Postgres timestamped expire by its clock, even if the worker's clock is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_ahead_removes_nothing_too_early() {
    let app = TestApp::start().await;
    let timed = "INSERT INTO attempt_limits VALUES (sha256('x'), now() + interval '10 minutes');
        INSERT INTO revocations (subject, revoked_at) VALUES (gen_random_uuid(), now());
        INSERT INTO changes (topic, resource_id, account_id, version, is_deleted)
            VALUES ('x', gen_random_uuid(), gen_random_uuid(), 1, false);
        INSERT INTO jobs (kind, key, payload, max_attempts, dead_at) VALUES ('x', 'x', '{}', 5, now())";
    app.database.sql(timed).await;
    app.app.clock.advance(TimeDelta::days(1000));
    for task in ["expire_attempt_limits", "expire_revocations", "forget_changes", "forget_dead_jobs"] {
        assert_eq!(app.run_task(task).await.expect("done"), 0, "{task}");
    }
}
