//! Tests of vehicles: create, read, list, update and delete.

use fleet::proto::fleet::v1::{
    CreateVehicleRequest, GetVehicleRequest, VehicleStatus, vehicle_service_client::VehicleServiceClient,
};
use mainstay_kernel::error::Reason;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{lease, path, start, vehicle};

#[tokio::test]
async fn a_vehicle_can_be_created_read_changed_and_removed() {
    let server = start().await;
    let admin = server.admin().await;

    let response = admin.post("/api/v1/vehicles", json!({ "plate": "M-AI 1", "model": "Volta 3" })).await.success();
    assert_eq!((response.status, response.header("etag")), (201, "\"1\""));
    let location = response.header("location").to_owned();
    let vehicle = response.data();
    assert_eq!(location, path("vehicles", &vehicle));
    assert_eq!(vehicle["status"], "VEHICLE_STATUS_AVAILABLE");

    let customer = server.customer().await;
    assert_eq!(customer.get(&location).await.data(), vehicle);
    assert_eq!(customer.get(&format!("{location}?readMask=plate")).await.data(), json!({ "plate": "M-AI 1" }));

    let latest = admin.patch(&location, json!({ "model": "Volta 4" })).await.data();
    assert_eq!(
        (&latest["model"], &latest["plate"], &latest["version"]),
        (&json!("Volta 4"), &json!("M-AI 1"), &json!("2"))
    );
    admin.patch(&format!("{location}?updateMask=plate"), json!({})).await.failure(422, "VALIDATION_FAILED");

    assert_eq!(admin.delete(&location).await.status, 204);
    admin.get(&location).await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_change_needs_the_current_version() {
    let server = start().await;
    let admin = server.admin().await;
    let vehicle = path("vehicles", &vehicle(&admin, "M-AI 2").await);
    admin.with("if-match", "\"1\"").patch(&vehicle, json!({ "model": "Volta 4" })).await.success();
    let stale = admin.with("if-match", "\"1\"");
    stale.patch(&vehicle, json!({ "model": "Volta 5" })).await.failure(412, "ETAG_MISMATCH");
    stale.delete(&vehicle).await.failure(412, "ETAG_MISMATCH");
}

#[tokio::test]
async fn a_plate_belongs_to_one_vehicle() {
    let server = start().await;
    let admin = server.admin().await;
    vehicle(&admin, "M-AI 3").await;
    let other = vehicle(&admin, "M-AI 4").await;
    let again = json!({ "plate": "M-AI 3", "model": "Volta 3" });
    admin.post("/api/v1/vehicles", again).await.failure(409, "ALREADY_EXISTS");
    admin.patch(&path("vehicles", &other), json!({ "plate": "M-AI 3" })).await.failure(409, "ALREADY_EXISTS");
}

#[tokio::test]
async fn a_repeated_request_gets_the_stored_response() {
    let server = start().await;
    let admin = server.admin().await.with("idempotency-key", "the-same");
    let request = json!({ "plate": "M-AI 5", "model": "Volta 3" });
    let first = admin.post("/api/v1/vehicles", request.clone()).await.success();
    let second = admin.post("/api/v1/vehicles", request).await.success();
    assert_eq!((second.status, second.header("idempotent-replayed")), (201, "true"));
    assert_eq!(first.body, second.body);
    let other = json!({ "plate": "M-AI 6", "model": "Volta 3" });
    admin.post("/api/v1/vehicles", other).await.failure(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn lists_have_pages_and_a_filter() {
    let server = start().await;
    let admin = server.admin().await;
    let mut vehicles = Vec::new();
    for number in 0..5 {
        vehicles.insert(0, vehicle(&admin, &format!("M-AI {number}")).await);
    }
    let first = admin.get("/api/v1/vehicles?pageSize=2").await.success();
    assert_eq!(first.body["data"], json!(vehicles[..2]));
    assert_eq!((&first.body["meta"]["total"], &first.body["meta"]["totalPages"]), (&json!("5"), &json!(3)));
    let token = first.body["meta"]["nextPageToken"].as_str().expect("a second page");
    let second = admin.get(&format!("/api/v1/vehicles?pageSize=2&pageToken={token}")).await.success();
    assert_eq!(second.body["data"], json!(vehicles[2..4]));

    lease(&server.customer().await, &vehicles[0]).await;
    let on_lease = admin.get("/api/v1/vehicles?status=VEHICLE_STATUS_LEASED").await.data();
    assert_eq!(on_lease.as_array().map(Vec::len), Some(1));
    assert_eq!(on_lease[0]["id"], vehicles[0]["id"]);
    admin
        .get(&format!("/api/v1/vehicles?status=VEHICLE_STATUS_LEASED&pageToken={token}"))
        .await
        .failure(422, "VALIDATION_FAILED");
}

#[tokio::test]
async fn the_generated_grpc_client_works() {
    let server = start().await;
    let mut client = VehicleServiceClient::new(server.admin().await.grpc());
    let request = CreateVehicleRequest { plate: "M-AI 7".into(), model: "Volta 3".into() };
    let vehicle = client.create_vehicle(request).await.expect("a vehicle").into_inner().data.expect("data");
    assert_eq!(vehicle.status(), VehicleStatus::Available);
    let request = GetVehicleRequest { vehicle_id: vehicle.id().to_owned(), read_mask: None };
    let current = client.get_vehicle(request).await.expect("the vehicle").into_inner().data;
    assert_eq!(current, Some(vehicle));

    let status = client.create_vehicle(CreateVehicleRequest::default()).await.expect_err("it has no plate");
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!((&*info.domain, &*info.reason), ("mainstay", Reason::ValidationFailed.facts().code));
}

#[tokio::test]
async fn requests_go_through_envoy() {
    let server = start().await;
    let (_envoy, url) = server.envoy().await;
    let admin = server.admin().await.at(url);
    let vehicle = vehicle(&admin, "M-AI 8").await;
    assert_eq!(admin.get(&path("vehicles", &vehicle)).await.data(), vehicle);
    let mut client = VehicleServiceClient::new(admin.grpc());
    let id = vehicle["id"].as_str().expect("an id").to_owned();
    let response = client.get_vehicle(GetVehicleRequest { vehicle_id: id, read_mask: None }).await;
    assert_eq!(response.expect("the vehicle").into_inner().data.expect("data").plate(), "M-AI 8");

    let customer = server.customer().await.at(admin.url());
    lease(&customer, &vehicle).await;
    let again = customer.post("/api/v1/leases", json!({ "vehicleId": vehicle["id"] })).await;
    again.failure(422, "VEHICLE_LEASED");
}
