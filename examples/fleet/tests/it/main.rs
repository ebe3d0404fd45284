//! Tests of the module in a complete server, over REST, gRPC and Envoy.

mod background;
mod chargers;
mod commands;
mod contract;
mod effects;
mod fuel_card;
mod leases;
mod operations;
mod people;
mod product;
mod seam;
mod tiles;
mod trips;
mod vehicles;
mod versions;

use mainstay::Product;
use mainstay_test_kit::{Client, TestDatabase, TestServer};
use serde_json::{Value, json};
use tokio::process::Command;

/// The product of most tests.
fn product() -> Product {
    mainstay::product().with(seam::with_starts(fleet::module()))
}

/// Starts a server with the module.
async fn start() -> TestServer {
    TestServer::start(product()).await
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

/// Runs the program on a database.
async fn run(arguments: &[&str], database: &TestDatabase) -> std::process::Output {
    run_with(&[], arguments, database).await
}

/// Runs the program on a database, with further variables.
async fn run_with(variables: &[(&str, &str)], arguments: &[&str], database: &TestDatabase) -> std::process::Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fleet"));
    program.args(arguments).env("DATABASE_URL", database.url()).env("SINGLE_INSTANCE", "true");
    program
        .env("SECRET_KEY", "dGVzdHMgc2VhbCB0aGVpciBrZXlzIHdpdGggdGhpcyE=")
        .env("FILES_URL", format!("file://{}", std::env::temp_dir().join("mainstay-tests").display()))
        .env("LISTEN_ADDR", "127.0.0.1:0")
        .env("METRICS_LISTEN_ADDR", "127.0.0.1:0")
        // Waiting for a connection is normal when all tests share two cores.
        .env("DATABASE_POOL_WAIT", "5s")
        .envs(variables.iter().copied());
    program.kill_on_drop(true).output().await.expect("the program runs")
}
