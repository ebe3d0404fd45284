//! The features that the contract provides without code in the module: access, the API description, reflection, Envoy's
//! configuration, and a separate schema.

use mainstay_kernel::contract::policy::Access;
use mainstay_test_kit::TestServer;
use serde_json::json;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{lease, start, vehicle};

#[tokio::test]
async fn erasures_and_exports_cover_the_tables() {
    start().await.check_personal_data().await;
}

#[tokio::test]
async fn each_table_has_a_retention_or_a_reason() {
    start().await.check_retention().await;
}

#[tokio::test]
async fn exactly_the_callers_with_a_grant_may_call() {
    let server = start().await;
    assert_eq!(server.check_access("fleet.v1").await, 12, "the methods of all services");
    assert_eq!(server.check_access("fleet.v2").await, 5);
    // A watch is not read to its end, and callers who reach everything need another scope.
    assert_eq!(server.check_access("mainstay.operations.v1").await, 7);
    assert_eq!(server.check_access("mainstay.payments.v1").await, 6);
    for method in server.app().contract.policies.iter() {
        assert!(method.access == Access::Public || !method.grants.is_empty(), "no caller may call {}", method.name);
    }
}

#[tokio::test]
async fn a_service_needs_the_scope_of_the_method() {
    let server = start().await;
    vehicle(&server.admin().await, "M-AI 1").await;
    let reader = server.service(&["fleet.vehicles.read"]).await;
    assert_eq!(reader.get("/api/v1/vehicles").await.data().as_array().map(Vec::len), Some(1));
    let request = json!({ "plate": "M-AI 2", "model": "Volta 3" });
    reader.post("/api/v1/vehicles", request.clone()).await.failure(403, "PERMISSION_DENIED");
    let writer = server.service(&["fleet.vehicles.write"]).await;
    assert_eq!(writer.post("/api/v1/vehicles", request).await.status, 201);
}

#[tokio::test]
async fn servers_with_different_modules_run_in_one_process() {
    let (with, without) = (start().await, TestServer::start(mainstay::product()).await);
    let scopes = json!({ "name": "reader", "scopes": ["fleet.vehicles.read"] });
    for (server, has_module) in [(&with, true), (&without, false)] {
        let document = server.anonymous().get("/openapi.json").await.body;
        assert_eq!(document["paths"].get("/api/v1/leases").is_some(), has_module);
        assert_eq!(document.to_string().contains("VEHICLE_LEASED"), has_module, "reasons");
        assert_eq!(document.to_string().contains("fleet.leases.write"), has_module, "scopes");
        let admin = server.admin().await;
        let response = admin.post("/api/v1/service-keys", scopes.clone()).await;
        assert_eq!(response.status, if has_module { 201 } else { 422 }, "{:#}", response.body);
        if !has_module {
            admin.get("/api/v1/vehicles").await.failure(404, "ROUTE_NOT_FOUND");
        }
    }
    // The server that was opened first still reads the reasons of its modules, also from a stored response.
    let (admin, customer) = (with.admin().await, with.customer().await);
    let vehicle = vehicle(&admin, "M-AI 1").await;
    lease(&customer, &vehicle).await;
    let keyed = with.customer().await.with("idempotency-key", "two-servers");
    for _ in 0..2 {
        keyed.post("/api/v1/leases", json!({ "vehicleId": vehicle["id"] })).await.failure(422, "VEHICLE_LEASED");
    }
}

#[tokio::test]
async fn the_api_description_has_the_module() {
    let server = start().await;
    let document = server.anonymous().get("/openapi.json").await.body;
    let operation = &document["paths"]["/api/v1/leases"]["post"];
    assert_eq!(operation["operationId"], "LeaseService_CreateLease", "{operation:#}");
    let required = document["components"]["schemas"]["Lease"]["required"].to_string();
    assert!(required.contains("vehicleId") && !required.contains("orderId"), "{required}");
    let text = document.to_string();
    for part in ["VEHICLE_LEASED", "fleet.leases.write", "Volta 3", "/api/v1/leases/{leaseId}/end"] {
        assert!(text.contains(part), "the document lacks {part}");
    }
    let page = server.anonymous().get("/docs").await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn reflection_has_the_module() {
    let server = start().await;
    let mut client = ServerReflectionClient::new(server.anonymous().grpc());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let requests = futures_util::stream::iter([request]);
    let mut responses = client.server_reflection_info(requests).await.expect("reflection").into_inner();
    let response = responses.message().await.expect("a response").and_then(|response| response.message_response);
    let Some(MessageResponse::ListServicesResponse(list)) = response else { panic!("no list: {response:?}") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["fleet.v1.VehicleService", "fleet.v1.LeaseService", "mainstay.orders.v1.OrderService"] {
        assert!(names.iter().any(|other| other == name), "{name} is not in {names:?}");
    }
}

#[tokio::test]
async fn envoys_configuration_has_the_module() {
    let configuration = start().await.envoy_configuration("descriptors.binpb".as_ref());
    for part in ["fleet.v1.VehicleService", "fleet.v1.LeaseService"] {
        assert!(configuration.contains(part), "the configuration lacks {part}");
    }
}

#[tokio::test]
async fn the_tables_are_in_a_schema_of_their_own() {
    let server = start().await;
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'fleet' ORDER BY 1";
    let expected = ["__diesel_schema_migrations", "leases", "vehicles"];
    assert_eq!(server.database().sql(tables).await, expected, "add them with `Module::migrations`");
    let versions = "SELECT version FROM fleet.__diesel_schema_migrations ORDER BY 1";
    assert_eq!(server.database().sql(versions).await, ["20261122000001", "20261127000853", "20261127001033"]);
}

/// The migrations of the product's modules included, which no other test checks.
#[tokio::test]
async fn the_version_before_each_migration_can_go_on_after_it() {
    mainstay_test_kit::check_migrations(crate::product()).await;
}

#[tokio::test]
async fn the_variables_are_listed_with_the_others() {
    let server = start().await;
    let variables = mainstay_kernel::module::Modules::of(server.app()).variables();
    let variable = variables.iter().find(|variable| variable.name == "LEASE_DAYS").expect("the variable");
    assert_eq!(variable.default, "30");
}
