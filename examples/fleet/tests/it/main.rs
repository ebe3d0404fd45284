//! The module in a whole server: over REST, gRPC and Envoy.

mod background;
mod contract;
mod leases;
mod seam;
mod vehicles;

use mainstay_test_kit::{Client, TestServer};
use serde_json::{Value, json};

/// Starts a server with the module.
async fn start() -> TestServer {
    TestServer::start(mainstay::product().with(fleet::module())).await
}

/// Adds a vehicle.
async fn vehicle(admin: &Client, plate: &str) -> Value {
    admin.post("/api/v1/vehicles", json!({ "plate": plate, "model": "Volta 3" })).await.data()
}

/// Leases a vehicle.
async fn lease(customer: &Client, vehicle: &Value) -> Value {
    customer.post("/api/v1/leases", json!({ "vehicleId": vehicle["id"] })).await.data()
}

/// Returns the path of a resource.
fn path(collection: &str, resource: &Value) -> String {
    format!("/api/v1/{collection}/{}", resource["id"].as_str().expect("an id"))
}
