//! Cancellation of operations.

use std::time::Duration;

use mainstay::operations::{
    id::OperationId,
    ops::{self as operations, Outcome, RunOperation},
};
use mainstay::support::import::{job::ImportTickets, model::ReadOptions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{begin, large, wait_for_end};
use crate::{
    cases::Scene,
    support::{Actor, Response, TestApp, database::connect, eventually, receiver::Receiver},
};

async fn cancel(who: &Actor, operation: &str) -> Response {
    who.rest("OperationService.CancelOperation", json!({ "operationId": operation })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_operation_never_starts_after_its_cancellation() {
    let (app, cast) = TestApp::start_with_cast().await;
    let operation = begin(&cast.agent, &cast.customer.as_user().account.to_string(), &large(), "one").await;
    cancel(&cast.service, &operation).await.failure("NOT_FOUND");
    let cancelled = cancel(&cast.agent, &operation).await.success();
    assert_eq!(cancelled.text("/data/state"), "OPERATION_STATE_CANCELLED");
    assert!(cancelled.data()["finishTime"].is_string() && cancelled.data()["failure"].is_null(), "{cancelled:?}");
    let again = cancel(&cast.admin, &operation).await.success();
    assert_eq!(again.data(), cancelled.data(), "it is unchanged");
    // Another run of its job would have nothing to do either.
    let job = RunOperation {
        operation: OperationId::parse(&operation).expect("an id"),
        request: ImportTickets { role: 2, options: ReadOptions::default() },
    };
    assert_eq!(operations::run(&app.app, &job, &CancellationToken::new()).await.expect("ended"), Outcome::Ended);
    for nothing in ["tickets", "upload_chunks", "jobs"] {
        assert_eq!(app.database.number(&format!("SELECT count(*) FROM {nothing}")).await, 0, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_operation_stops_at_a_checkpoint_and_keeps_its_rows() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    // The second batch inserts its tickets, then waits for a lock that this test holds.
    let gate = "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM added WHERE subject = 'Subject 1001') THEN PERFORM pg_advisory_xact_lock(7); END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER gate AFTER INSERT ON tickets
            REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION gate()";
    app.database.sql(gate).await;
    let lock_holder = connect(&app.database.url).await;
    lock_holder.batch_execute("SELECT pg_advisory_lock(7)").await.expect("locked");
    let operation = begin(&cast.agent, &cast.customer.as_user().account.to_string(), &large(), "one").await;
    app.database.locks_waited_for(1).await;
    // The second batch began beside the first one.
    let rows = "SELECT rows_done FROM operations";
    eventually("the first batch is stored", async || app.database.number(rows).await == 1000).await;
    let cancelled = cancel(&cast.agent, &operation).await.success();
    lock_holder.batch_execute("SELECT pg_advisory_unlock(7)").await.expect("unlocked");

    let jobs = "SELECT count(*) FROM jobs";
    eventually("the job has ended", async || app.database.number(jobs).await == 0).await;
    let progress = json!({
        "rowsTotal": "2500", "rowsDone": "1000", "rowsCreated": "990", "rowsKnown": "0", "rowsFailed": "10",
    });
    assert_eq!(cancelled.data()["progress"], progress);
    assert_eq!(&wait_for_end(&cast.agent, &operation).await, cancelled.data(), "nothing was done after the answer");
    for (what, count) in [
        ("SELECT count(*) FROM tickets", 990),
        ("SELECT count(*) FROM imported_rows", 990),
        ("SELECT count(*) FROM operation_errors", 10),
        ("SELECT count(*) FROM upload_chunks", 0),
    ] {
        assert_eq!(app.database.number(what).await, count, "{what}");
    }
    cancel(&cast.agent, &operation).await.success();
    // A new import of the rest recognizes the stored rows.
    app.database.sql("DROP TRIGGER gate ON tickets").await;
    let rest = begin(&cast.agent, &cast.customer.as_user().account.to_string(), &large(), "two").await;
    let progress = json!({
        "rowsTotal": "2500", "rowsDone": "2500", "rowsCreated": "1485", "rowsKnown": "990", "rowsFailed": "25",
    });
    assert_eq!(wait_for_end(&cast.agent, &rest).await["progress"], progress);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_the_cancellation_or_the_job_ends_an_operation_with_one_notification() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let url = "https://hooks.example.invalid/mainstay";
    let endpoint = json!({ "url": url, "eventTypes": ["operations.operation.finished"] });
    cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.success();
    for round in 0..6 {
        let operation = begin(&cast.agent, &account, "body\nOne\n", &format!("round-{round}")).await;
        // Sometimes before a worker takes the operation, sometimes during its run, sometimes after.
        tokio::time::sleep(Duration::from_millis(60 * round)).await;
        let answers = futures_util::future::join_all((0..6).map(|_| cancel(&cast.agent, &operation))).await;
        let result = wait_for_end(&cast.agent, &operation).await;
        for answer in answers {
            match result["state"].as_str() {
                Some("OPERATION_STATE_CANCELLED") => assert_eq!(answer.success().data(), &result),
                Some("OPERATION_STATE_SUCCEEDED") => drop(answer.failure("OPERATION_ENDED")),
                other => panic!("{other:?}"),
            }
        }
        let events = "SELECT count(*) FROM webhook_deliveries";
        assert_eq!(app.database.number(events).await, i64::try_from(round).expect("few") + 1, "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_notified_of_every_outcome() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true")).await;
    let receiver = Receiver::answering(&[204]).await;
    let endpoint = json!({ "url": receiver.url(), "eventTypes": ["operations.operation.finished"] });
    scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.success();
    let (agent, account) = (&scene.cast.agent, scene.account());
    let mut ids = Vec::new();
    for (key, text) in [("good", "body\nOne\n"), ("bad", "subject\nOne\n"), ("unwanted", "body\nTwo\n")] {
        ids.push(begin(agent, &account, text, key).await);
    }
    cancel(agent, &ids[2]).await.success();
    let _worker = TestApp::builder().on(&app.database).set("WEBHOOK_ALLOW_PRIVATE", "true").with_jobs().start().await;
    let mut states = Vec::new();
    for id in &ids {
        states.push(wait_for_end(agent, id).await["state"].clone());
    }
    assert_eq!(states, ["SUCCEEDED", "FAILED", "CANCELLED"].map(|state| json!(format!("OPERATION_STATE_{state}"))));
    let deliveries = receiver.wait_for(3).await;
    let mut events: Vec<_> = deliveries
        .iter()
        .map(|delivery| serde_json::from_str::<Value>(&delivery.body).expect("JSON"))
        .map(|event| (event["type"].clone(), event["data"]["id"].as_str().unwrap_or_default().to_owned()))
        .collect();
    events.sort_by(|one, other| one.1.cmp(&other.1));
    let mut expected: Vec<_> = ids.into_iter().map(|id| (json!("operations.operation.finished"), id)).collect();
    expected.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(events, expected);
}
