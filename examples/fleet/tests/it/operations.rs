//! Tests of the operation that ends the leases of an account.

use std::os::unix::process::ExitStatusExt as _;

use mainstay_test_kit::{Client, Response, TestServer};
use serde_json::{Value, json};

use crate::{path, run_with, start};

/// The signal of `kill -9`.
const SIGKILL: i32 = 9;

/// Adds 25 leased vehicles of the customer's account, more than two steps of the operation.
async fn lease_many(server: &TestServer, customer: &Client) {
    let account = customer.account();
    let leases = format!(
        "WITH vehicle AS (INSERT INTO fleet.vehicles (id, plate, model, status, created_at, updated_at)
             SELECT gen_random_uuid(), 'M-AI ' || n, 'Volta 3', 2, now(), now() FROM generate_series(1, 25) AS n
             RETURNING id)
         INSERT INTO fleet.leases (id, vehicle_id, account_id, expires_at, created_at, updated_at)
         SELECT gen_random_uuid(), id, '{account}', now() + interval '9 days', now() - interval '1 minute', now()
         FROM vehicle"
    );
    server.database().sql(&leases).await;
}

/// Begins the operation, and returns its path.
async fn begin(caller: &Client, customer: &Client) -> String {
    path("operations", &end_leases(caller, customer).await.data())
}

async fn end_leases(caller: &Client, customer: &Client) -> Response {
    caller.post("/api/v1/leases/end", json!({ "accountId": customer.account().to_string() })).await
}

async fn ended(server: &TestServer) -> Vec<String> {
    server.database().sql("SELECT count(*) FROM fleet.leases WHERE ended_at IS NOT NULL").await
}

fn state_and_progress(operation: &Value) -> (&Value, &Value, &Value) {
    let progress = &operation["progress"];
    (&operation["state"], &progress["rowsTotal"], &progress["rowsCreated"])
}

#[tokio::test]
async fn an_operation_of_the_module_reports_its_progress_and_its_name() {
    let server = start().await;
    let (admin, customer, other) = (server.admin().await, server.customer().await, server.customer().await);
    lease_many(&server, &customer).await;
    let path = begin(&admin, &customer).await;
    let operation = admin.get(&path).await.data();
    assert_eq!(
        (&operation["kindName"], &operation["kind"]),
        (&json!("fleet.end_leases"), &json!("OPERATION_KIND_UNSPECIFIED"))
    );
    assert_eq!(operation["state"], "OPERATION_STATE_PENDING");
    other.get(&path).await.failure(403, "PERMISSION_DENIED");
    server.run_jobs().await;
    let operation = admin.get(&path).await.data();
    assert_eq!(state_and_progress(&operation), (&json!("OPERATION_STATE_SUCCEEDED"), &json!("25"), &json!("25")));
    assert_eq!(ended(&server).await, ["25"]);
    let unknown = json!({ "accountId": "00000000-0000-7000-8000-000000000000" });
    admin.post("/api/v1/leases/end", unknown).await.failure(404, "NOT_FOUND");
}

/// The client polls what the response names, and a repeated request says how far the operation is.
#[tokio::test]
async fn the_response_is_the_operation_and_a_replay_has_its_present_state() {
    let server = start().await;
    let (admin, customer) = (server.admin().await.with("idempotency-key", "end"), server.customer().await);
    lease_many(&server, &customer).await;
    let begun = end_leases(&admin, &customer).await;
    let path = path("operations", &begun.data());
    assert_eq!((begun.status, begun.header("location"), begun.header("retry-after")), (202, path.as_str(), "1"));
    assert_eq!(begun.data(), admin.get(&path).await.data());
    server.run_jobs().await;
    let again = end_leases(&admin, &customer).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));
    assert_eq!(again.data()["state"], "OPERATION_STATE_SUCCEEDED");
    assert_eq!(again.data(), admin.get(&path).await.data());
    assert_eq!(server.database().sql("SELECT count(*) FROM operations").await, ["1"]);
}

/// A service key needs no scope of another module for the operations that it begins.
#[tokio::test]
async fn a_key_with_the_scope_of_the_kind_polls_and_cancels_what_it_began() {
    let server = start().await;
    let customer = server.customer().await;
    let key = server.service(&["fleet.leases.write"]).await;
    let path = begin(&key, &customer).await;
    let cancel = format!("{path}/cancel");
    assert_eq!(key.get(&path).await.data()["kindName"], "fleet.end_leases");
    let listed = async |key: &Client| key.get("/api/v1/operations").await.data().as_array().map(Vec::len);
    assert_eq!(listed(&key).await, Some(1));
    let other = server.service(&["fleet.leases.write"]).await;
    other.get(&path).await.failure(404, "NOT_FOUND");

    // A key that may read operations of the kind, and one that may not, as if each had begun this one.
    for (scope, status) in [("fleet.leases.read", 403), ("fleet.vehicles.read", 404)] {
        let reader = server.service(&[scope]).await;
        let hand_over =
            format!("UPDATE operations SET owner_id = (SELECT id FROM service_keys WHERE scopes = ARRAY['{scope}'])");
        server.database().sql(&hand_over).await;
        let (code, count) = if status == 403 { ("PERMISSION_DENIED", 1) } else { ("NOT_FOUND", 0) };
        assert_eq!(listed(&reader).await, Some(count), "{scope}");
        assert_eq!(reader.get(&path).await.status, if count == 1 { 200 } else { 404 }, "{scope}");
        assert_eq!(reader.get(&format!("{path}/errors")).await.status, if count == 1 { 200 } else { 404 }, "{scope}");
        reader.post(&cancel, json!({})).await.failure(status, code);
    }

    let path = begin(&key, &customer).await;
    let canceled = key.post(&format!("{path}/cancel"), json!({})).await.data();
    assert_eq!(canceled["state"], "OPERATION_STATE_CANCELLED");
}

/// The steps before the crash are kept, and the next worker continues after them.
#[tokio::test]
async fn another_worker_continues_the_operation_of_a_dead_one() {
    let server = start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    lease_many(&server, &customer).await;
    let path = begin(&admin, &customer).await;
    let died = run_with(&[("MAINSTAY_FAULTS", "fleet.end_leases=kill")], &["worker"], server.database()).await;
    assert_eq!(died.status.signal(), Some(SIGKILL), "{}", String::from_utf8_lossy(&died.stderr));
    let operation = admin.get(&path).await.data();
    assert_eq!(state_and_progress(&operation), (&json!("OPERATION_STATE_RUNNING"), &json!("25"), &json!("10")));
    assert_eq!(ended(&server).await, ["10"]);

    // The lease of the dead worker is over.
    server.database().sql("UPDATE jobs SET due_at = now()").await;
    server.run_jobs().await;
    let operation = admin.get(&path).await.data();
    assert_eq!(state_and_progress(&operation), (&json!("OPERATION_STATE_SUCCEEDED"), &json!("25"), &json!("25")));
    let versions = server.database().sql("SELECT DISTINCT version FROM fleet.leases").await;
    assert_eq!(versions, ["2"], "each lease ended once");
}

#[tokio::test]
async fn a_canceled_operation_keeps_what_it_did_and_does_no_more() {
    let server = start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    lease_many(&server, &customer).await;
    let path = begin(&admin, &customer).await;
    let died = run_with(&[("MAINSTAY_FAULTS", "fleet.end_leases=kill")], &["worker"], server.database()).await;
    assert_eq!(died.status.signal(), Some(SIGKILL), "{}", String::from_utf8_lossy(&died.stderr));
    let canceled = admin.post(&format!("{path}/cancel"), json!({})).await.data();
    assert_eq!(state_and_progress(&canceled), (&json!("OPERATION_STATE_CANCELLED"), &json!("25"), &json!("10")));
    server.database().sql("UPDATE jobs SET due_at = now()").await;
    server.run_jobs().await;
    assert_eq!(ended(&server).await, ["10"]);
    assert_eq!(admin.get(&path).await.data(), canceled);
    let waiting = server.database().sql("SELECT count(*) FROM jobs WHERE kind = 'fleet.end_leases'").await;
    assert_eq!(waiting, ["0"]);

    // One that waits has no job after its cancellation.
    let path = begin(&admin, &customer).await;
    admin.post(&format!("{path}/cancel"), json!({})).await.success();
    assert_eq!(server.database().sql("SELECT count(*) FROM jobs WHERE kind = 'fleet.end_leases'").await, ["0"]);
}

/// Another version of the program may carry out the operation, so that the caller is to repeat the request.
#[tokio::test]
async fn an_operation_of_a_module_that_is_gone_is_listed_and_can_not_be_canceled() {
    let server = start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    let path = begin(&admin, &customer).await;
    server.database().sql("UPDATE operations SET kind_name = 'depots.move'").await;
    assert_eq!(admin.get("/api/v1/operations").await.data()[0]["kindName"], "depots.move");
    admin.post(&format!("{path}/cancel"), json!({})).await.failure(503, "UNAVAILABLE");
}

/// Otherwise it would remain until its account is erased. One that a server of another version may carry out is kept, and so
/// is one of a module that is present, however long it waits.
#[tokio::test]
async fn an_operation_of_a_module_that_is_gone_fails_in_the_end() {
    let server = start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    let (lost, present) = (begin(&admin, &customer).await, begin(&admin, &customer).await);
    let id = lost.rsplit_once('/').expect("an id").1;
    let gone = format!(
        "UPDATE operations SET kind_name = 'depots.move' WHERE id = '{id}';
         UPDATE jobs SET kind = 'depots.move', key = 'depots.move:{id}' WHERE key = 'fleet.end_leases:{id}'"
    );
    server.database().sql(&gone).await;
    let waiting = "SELECT count(*) FROM jobs WHERE kind IN ('depots.move', 'fleet.end_leases')";
    for (age, state, jobs) in [(29, "PENDING", "2"), (31, "FAILED", "1")] {
        server.database().sql(&format!("UPDATE operations SET updated_at = now() - interval '{age} days'")).await;
        server.run_task("fail_orphaned_operations").await;
        let operation = admin.get(&lost).await.data();
        assert_eq!(operation["state"], format!("OPERATION_STATE_{state}"), "after {age} days");
        assert_eq!(server.database().sql(waiting).await, [jobs]);
        assert_eq!(admin.get(&present).await.data()["state"], "OPERATION_STATE_PENDING");
    }
    let failure = admin.get(&lost).await.data()["failure"].clone();
    assert_eq!(failure["code"], "UNAVAILABLE", "{failure:#}");
}
