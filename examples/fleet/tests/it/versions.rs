//! Tests of a resource in two versions of the API, the earlier of which is deprecated.

use fleet::proto::fleet::{
    v1::{self, vehicle_service_client::VehicleServiceClient as V1},
    v2::{self, vehicle_service_client::VehicleServiceClient},
};
use mainstay_test_kit::{Response, TestServer};
use serde_json::{Value, json};

use crate::{path, start};

const DEPRECATION: &str = "@1795737600";
const SUNSET: &str = "Tue, 01 Jun 2027 00:00:00 GMT";
const LINK: &str = "</docs>; rel=\"deprecation\"; type=\"text/html\"";

/// The path of a vehicle in the present version.
fn v2(vehicle: &Value) -> String {
    path("vehicles", vehicle).replace("/v1/", "/v2/")
}

fn plate(region: &str, number: &str) -> Value {
    json!({ "region": region, "number": number })
}

fn end_of(response: &Response) -> [&str; 3] {
    ["deprecation", "sunset", "link"].map(|name| response.header(name))
}

#[tokio::test]
async fn each_version_reads_what_the_other_wrote() {
    let server = start().await;
    let admin = server.admin().await;
    let request = json!({ "licensePlate": plate("M", "AI 2036"), "model": "Volta 3" });
    let created = admin.post("/api/v2/vehicles", request.clone()).await.success();
    let vehicle = created.data();
    assert_eq!((created.status, created.header("etag")), (201, "\"1\""));
    assert_eq!(created.header("location"), v2(&vehicle));
    assert_eq!((&vehicle["licensePlate"], vehicle.get("plate")), (&plate("M", "AI 2036"), None));

    let earlier = admin.get(&path("vehicles", &vehicle)).await.success();
    assert_eq!((&earlier.data()["plate"], earlier.header("etag")), (&json!("M-AI 2036"), "\"1\""));
    admin.patch(&path("vehicles", &vehicle), json!({ "plate": "1-ABC-234" })).await.success();
    let latest = admin.get(&v2(&vehicle)).await.success();
    assert_eq!((&latest.data()["licensePlate"], latest.header("etag")), (&plate("1-ABC", "234"), "\"2\""));
    admin.patch(&path("vehicles", &vehicle), json!({ "plate": "A 1" })).await.success();
    assert_eq!(admin.get(&v2(&vehicle)).await.data()["licensePlate"], json!({ "number": "A 1" }), "without a region");

    // The version of a resource is one, whichever API reads it, and so is the rule of its plate.
    let stale = admin.with("if-match", "\"2\"");
    stale.patch(&v2(&vehicle), json!({ "model": "Volta 4" })).await.failure(412, "ETAG_MISMATCH");
    stale.patch(&path("vehicles", &vehicle), json!({ "model": "Volta 4" })).await.failure(412, "ETAG_MISMATCH");
    let patch = json!({ "licensePlate": plate("M", "AI 2037") });
    let patched = admin.with("if-match", "\"3\"").patch(&v2(&vehicle), patch).await.success();
    assert_eq!((&patched.data()["model"], &patched.data()["version"]), (&json!("Volta 3"), &json!("4")));
    let taken = json!({ "plate": "M-AI 2037", "model": "Volta 3" });
    admin.post("/api/v1/vehicles", taken).await.failure(409, "ALREADY_EXISTS");
    let hyphen = json!({ "licensePlate": plate("M", "AI-1"), "model": "Volta 3" });
    admin.post("/api/v2/vehicles", hyphen).await.failure(422, "VALIDATION_FAILED");
    let mask = format!("{}?updateMask=licensePlate", v2(&vehicle));
    admin.patch(&mask, json!({})).await.failure(422, "VALIDATION_FAILED");
    assert_eq!(admin.delete(&v2(&vehicle)).await.status, 204);
    admin.get(&path("vehicles", &vehicle)).await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_repeated_request_has_one_effect_in_either_version() {
    let server = start().await;
    let caller = server.admin().await;
    let admin = caller.with("idempotency-key", "two-versions");
    let request = json!({ "licensePlate": plate("M", "AI 1"), "model": "Volta 3" });
    let first = admin.post("/api/v2/vehicles", request.clone()).await.success();
    let second = admin.post("/api/v2/vehicles", request).await.success();
    assert_eq!((second.header("idempotent-replayed"), &second.body), ("true", &first.body));
    let earlier = json!({ "plate": "M-AI 1", "model": "Volta 3" });
    // A key belongs to the method, so that this is another request.
    admin.post("/api/v1/vehicles", earlier).await.failure(409, "ALREADY_EXISTS");
    let keyed = caller.with("idempotency-key", "version-one");
    for replayed in ["", "true"] {
        let request = json!({ "plate": "M-AI 2", "model": "Volta 3" });
        let response = keyed.post("/api/v1/vehicles", request).await.success();
        assert_eq!(response.header("idempotent-replayed"), replayed);
        assert_eq!(end_of(&response), [DEPRECATION, SUNSET, LINK], "of a stored response, too");
    }
}

/// Over REST, through Envoy, and over gRPC; of successes, errors, and responses without a body.
#[tokio::test]
async fn every_response_of_the_earlier_version_announces_its_end() {
    let server = start().await;
    let (_envoy, url) = server.envoy().await;
    let direct = server.admin().await;
    for admin in [direct.at(server.url()), direct.at(url)] {
        let request = json!({ "plate": "M-AI 1", "model": "Volta 3" });
        let created = admin.post("/api/v1/vehicles", request).await.success();
        let vehicle = created.data();
        let read = admin.get(&path("vehicles", &vehicle)).await;
        let same = admin.with("if-none-match", "\"1\"").get(&path("vehicles", &vehicle)).await;
        let invalid = admin.post("/api/v1/vehicles", json!({})).await;
        let refused = server.anonymous().at(admin.url()).get("/api/v1/vehicles").await;
        let current = admin.get(&v2(&vehicle)).await;
        let removed = admin.delete(&path("vehicles", &vehicle)).await;
        let responses = [created, read, same, invalid, refused, removed];
        assert_eq!(responses.each_ref().map(|response| response.status), [201, 200, 304, 422, 401, 204]);
        for response in &responses {
            assert_eq!(end_of(response), [DEPRECATION, SUNSET, LINK], "{} at {}", response.status, admin.url());
        }
        assert_eq!(end_of(&current), ["", "", ""], "the present version does not end");

        let mut client = V1::new(admin.grpc());
        let listed = client.list_vehicles(v1::ListVehiclesRequest::default()).await.expect("a page");
        assert_eq!(listed.metadata().get("deprecation").expect("metadata"), DEPRECATION);
        assert_eq!(listed.metadata().get("sunset").expect("metadata"), SUNSET);
        let error = client.create_vehicle(v1::CreateVehicleRequest::default()).await.expect_err("no plate");
        assert_eq!(error.metadata().get("link").expect("metadata"), LINK);
    }
}

#[tokio::test]
async fn both_versions_have_a_grpc_client() {
    let server = start().await;
    let channel = server.admin().await.grpc();
    let (mut one, mut two) = (V1::new(channel.clone()), VehicleServiceClient::new(channel));
    let license_plate = Some(v2::LicensePlate { region: Some("M".into()), number: "AI 9".into() });
    let request = v2::CreateVehicleRequest { license_plate: license_plate.clone(), model: "Volta 3".into() };
    let vehicle = two.create_vehicle(request).await.expect("a vehicle").into_inner().data.expect("data");
    assert_eq!(vehicle.license_plate, license_plate);
    let request = v1::GetVehicleRequest { vehicle_id: vehicle.id().to_owned(), read_mask: None };
    let earlier = one.get_vehicle(request).await.expect("the vehicle").into_inner().data.expect("data");
    assert_eq!((earlier.plate(), earlier.version()), ("M-AI 9", vehicle.version()));
}

/// The calls of a caller, as operators see them.
async fn calls_of(server: &TestServer, method: &str, principal: &str) -> Option<Value> {
    let admin = server.admin().await;
    let listed = admin.get("/api/v1/dashboard/deprecated-methods").await.data();
    let methods = listed["methods"].as_array().expect("methods").clone();
    assert_eq!(methods.len(), 5, "the methods of the deprecated service: {listed:#}");
    let method = methods.into_iter().find(|one| one["method"] == format!("fleet.v1.VehicleService/{method}"));
    let method = method.expect("the method");
    assert_eq!((&method["sunsetTime"], &method["link"]), (&json!("2027-06-01T00:00:00Z"), &json!("/docs")));
    method["callers"].as_array().expect("callers").iter().find(|caller| caller["principalId"] == principal).cloned()
}

#[tokio::test]
async fn operators_see_who_still_calls_the_earlier_version() {
    let server = start().await;
    let customer = server.customer().await;
    let id = customer.user().id.to_string();
    assert_eq!(calls_of(&server, "ListVehicles", &id).await, None);
    for _ in 0..2 {
        customer.get("/api/v1/vehicles").await.success();
    }
    customer
        .post("/api/v1/vehicles", json!({ "plate": "M-AI 1", "model": "Volta 3" }))
        .await
        .failure(403, "PERMISSION_DENIED");
    customer.get("/api/v2/vehicles").await.success();
    let calls = calls_of(&server, "ListVehicles", &id).await.expect("the customer");
    assert_eq!((&calls["kind"], &calls["callCount"]), (&json!("DEPRECATED_CALLER_KIND_USER"), &json!("2")));
    assert!(calls["firstCallTime"].as_str() <= calls["lastCallTime"].as_str());
    let refused = calls_of(&server, "CreateVehicle", &id).await.expect("a refused call is one, too");
    assert_eq!(refused["callCount"], "1");
    server.anonymous().get("/api/v1/vehicles").await.failure(401, "UNAUTHENTICATED");
    let listed = server.admin().await.get("/api/v1/dashboard/deprecated-methods").await.data();
    assert!(!listed.to_string().contains("ANONYMOUS"), "a request without a credential is no call: {listed:#}");
}

#[tokio::test]
async fn the_api_description_has_both_versions() {
    let server = start().await;
    let document = server.anonymous().get("/openapi.json").await.body;
    let operation = |version: u8| &document["paths"][format!("/api/v{version}/vehicles")]["get"];
    assert_eq!((&operation(1)["deprecated"], &operation(1)["x-sunset"]), (&json!(true), &json!("2027-06-01")));
    assert!(operation(1)["responses"]["200"]["headers"]["Sunset"].is_object());
    assert_eq!(operation(2).get("deprecated"), None);
    let ids = [1, 2].map(|version| operation(version)["operationId"].clone());
    assert_eq!(ids, ["VehicleService_ListVehicles", "VehicleServiceV2_ListVehicles"]);
    let names: Vec<_> = document["tags"].as_array().expect("tags").iter().map(|tag| &tag["x-displayName"]).collect();
    assert!(names.contains(&&json!("Vehicles")) && names.contains(&&json!("Vehicles v2")), "{names:?}");
    for policy in server.app().contract.policies.iter() {
        let others = server.app().contract.policies.iter().filter(|other| other.name == policy.name);
        assert_eq!(others.count(), 1, "{} is the name of one method", policy.name);
    }
}
