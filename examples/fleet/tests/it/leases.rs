//! Tests of leases: one open lease per vehicle, visible to its account.

use fleet::proto::fleet::v1::{CreateLeaseRequest, lease_service_client::LeaseServiceClient};
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{lease, path, start, vehicle};

#[tokio::test]
async fn a_vehicle_has_one_open_lease() {
    let server = start().await;
    let (admin, customer, other) = (server.admin().await, server.customer().await, server.customer().await);
    let vehicle = vehicle(&admin, "M-AI 1").await;
    let lease = lease(&customer, &vehicle).await;
    assert_eq!(lease["accountId"], customer.account().to_string());

    let response = other.post("/api/v1/leases", json!({ "vehicleId": vehicle["id"] })).await;
    response.failure(422, "VEHICLE_LEASED");
    assert_eq!(response.body["error"]["message"], "The vehicle is leased until its lease ends.");
    admin.delete(&path("vehicles", &vehicle)).await.failure(422, "VEHICLE_LEASED");

    let mut client = LeaseServiceClient::new(other.grpc());
    let vehicle_id = vehicle["id"].as_str().expect("an id").to_owned();
    let result = client.create_lease(CreateLeaseRequest { vehicle_id, account_id: None }).await;
    let status = result.expect_err("it is leased");
    let details = status.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!((status.code(), &*info.domain, &*info.reason), (Code::FailedPrecondition, "fleet", "VEHICLE_LEASED"));
}

#[tokio::test]
async fn of_concurrent_requests_one_gets_the_vehicle() {
    let server = start().await;
    let vehicle = vehicle(&server.admin().await, "M-AI 2").await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (customer, body) = (server.customer().await, json!({ "vehicleId": vehicle["id"] }));
        requests.spawn(async move { customer.post("/api/v1/leases", body).await.status });
    }
    let mut statuses = requests.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422, 422, 422, 422, 422, 422, 422]);
}

#[tokio::test]
async fn customers_see_the_leases_of_their_account() {
    let server = start().await;
    let (admin, customer, stranger) = (server.admin().await, server.customer().await, server.customer().await);
    let lease = lease(&customer, &vehicle(&admin, "M-AI 3").await).await;
    let path = path("leases", &lease);
    assert_eq!(customer.get(&path).await.data(), lease);
    assert_eq!(admin.get("/api/v1/leases").await.data(), json!([lease]));
    assert_eq!(customer.get("/api/v1/leases").await.data(), json!([lease]));
    assert_eq!(stranger.get("/api/v1/leases").await.data(), json!([]));
    stranger.get(&path).await.failure(404, "NOT_FOUND");
    stranger.post(&format!("{path}/end"), json!({})).await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn staff_lease_for_an_account_that_exists() {
    let server = start().await;
    let (admin, agent, customer) = (server.admin().await, server.agent().await, server.customer().await);
    let vehicle = vehicle(&admin, "M-AI 4").await;
    let request = |account: &str| json!({ "vehicleId": vehicle["id"], "accountId": account });
    agent.post("/api/v1/leases", json!({ "vehicleId": vehicle["id"] })).await.failure(422, "VALIDATION_FAILED");
    agent.post("/api/v1/leases", request("0197c3d2-0000-7000-8000-000000000000")).await.failure(404, "NOT_FOUND");
    let lease = agent.post("/api/v1/leases", request(&customer.account().to_string())).await.data();
    assert_eq!(customer.get(&path("leases", &lease)).await.data(), lease);
}

#[tokio::test]
async fn a_lease_ends_once() {
    let server = start().await;
    let customer = server.customer().await;
    let lease = lease(&customer, &vehicle(&server.admin().await, "M-AI 5").await).await;
    let end = format!("{}/end", path("leases", &lease));
    customer.with("if-match", "\"7\"").post(&end, json!({})).await.failure(412, "ETAG_MISMATCH");
    let latest = customer.with("if-match", "\"1\"").post(&end, json!({})).await.data();
    assert!(latest["endTime"].is_string(), "{latest}");
    customer.post(&end, json!({})).await.failure(422, "LEASE_ENDED");
    let again = customer.post("/api/v1/leases", json!({ "vehicleId": lease["vehicleId"] })).await;
    again.failure(422, "VEHICLE_RECHARGING");
}
