//! Admins list and redrive dead jobs.

use serde_json::json;

use crate::support::{Actor, TestApp};

async fn list_dead(admin: &Actor, kind: &str) -> Vec<String> {
    let answer = admin.rest("DeadJobService.ListDeadJobs", json!({ "kind": kind })).await.success();
    let jobs = answer.data().as_array().expect("jobs").clone();
    assert!(jobs.iter().all(|job| job["failure"] == "it failed" && job["attempts"] == 5), "{jobs:#?}");
    jobs.iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_listed_and_run_again() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    // Kinds that no worker runs.
    app.database
        .sql(
            "INSERT INTO jobs (id, kind, key, payload, max_attempts, attempts, last_error, dead_at)
             SELECT n, CASE WHEN n < 1003 THEN 'one' ELSE 'other' END, 'key ' || n, '{}', 5, 5, 'it failed',
                 now() - n * interval '1 minute' FROM generate_series(1001, 1004) AS n",
        )
        .await;
    assert_eq!(list_dead(&admin, "").await, ["1001", "1002", "1003", "1004"]);
    assert_eq!(list_dead(&admin, "other").await, ["1003", "1004"]);
    let redrive = async |request| {
        let answer = admin.rest("DeadJobService.RedriveDeadJobs", request).await.success();
        answer.data()["count"].clone()
    };
    assert_eq!(redrive(json!({ "ids": ["1001", "1003", "7"] })).await, 2);
    assert_eq!(list_dead(&admin, "").await, ["1002", "1004"]);
    assert_eq!(redrive(json!({ "kind": "one" })).await, 1);
    assert_eq!(list_dead(&admin, "").await, ["1004"]);
    let again = "SELECT count(*) FROM jobs WHERE attempts = 0 AND kind IN ('one', 'other')";
    assert_eq!(app.database.number(again).await, 3);
}
