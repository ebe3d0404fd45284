//! A contract beyond the product's: maps, documents, choices, recursive messages, floats and unsigned numbers, over gRPC,
//! REST and Envoy; and a method for gRPC alone.

use std::collections::BTreeMap;

use fleet::proto::fleet::v1::{
    EstimateTripRequest, GetConsumptionRequest, Stop, estimate_trip_request::Charge,
    trip_service_client::TripServiceClient,
};
use prost_types::{Duration, Struct, Value as JsonValue, value::Kind};
use serde_json::{Value, json};
use tonic::Code;

use crate::start;

const PATH: &str = "/api/v1/trips/estimate";

fn request() -> Value {
    json!({
        "distanceKm": 100.5,
        "passengers": 2,
        "pause": "600s",
        "loadsKg": { "box": 12.5, "spare": 0 },
        "notes": { "color": "red", "empty": "", "nested": { "list": [1, null, { "": "" }] } },
        "batteryPercent": 20,
        "date": { "year": 2026, "month": 11, "day": 26 },
        "firstStop": { "name": "Ulm", "next": { "name": "Linz" } },
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut request = request();
    request[field] = value;
    request
}

#[tokio::test]
async fn every_kind_of_field_goes_both_ways_in_json() {
    let server = start().await;
    let customer = server.customer().await;
    let request = request();
    let estimate = customer.post(PATH, request.clone()).await.success().data();
    for field in ["loadsKg", "notes", "date", "firstStop"] {
        assert_eq!(
            estimate[field].to_string().replace(".0", ""),
            request[field].to_string().replace(".0", ""),
            "{field}"
        );
    }
    assert_eq!(estimate["duration"], "5123s");
    assert_eq!(estimate["energyWh"], "15515");
    assert_eq!(estimate["cost"], json!({ "currencyCode": "EUR", "units": "0", "nanos": 206000000 }));
    let full = customer.post(PATH, with("batteryPercent", json!(100))).await.success();
    let cost = &full.data()["cost"];
    assert!(cost["units"] == "-23" && cost["nanos"].as_i64().is_some_and(|nanos| nanos < 0), "{cost}");

    let masked = customer.post(PATH, with("readMask", json!("loadsKg,firstStop.name"))).await;
    assert_eq!(masked.data()["firstStop"], json!({ "name": "Ulm" }));
    assert_eq!(masked.data().as_object().map(|data| data.len()), Some(2));
    for inside in ["loadsKg.box", "loadsKg.value"] {
        let masked = customer.post(PATH, with("readMask", json!(inside))).await;
        masked.failure(422, "VALIDATION_FAILED");
    }
}

#[tokio::test]
async fn each_rule_names_the_path_of_the_value() {
    let server = start().await;
    let customer = server.customer().await;
    for (field, value, path, message) in [
        ("distanceKm", json!(0), "distanceKm", "must be greater than 0 and at most 5000"),
        ("passengers", json!(10), "passengers", "must be at most 9"),
        ("pause", json!("-1s"), "pause", "must be 0s to 43200s"),
        ("loadsKg", json!({ "box": -1 }), "loadsKg[\"box\"]", "must be 0 to 1000"),
        ("loadsKg", json!({ "": 1 }), "loadsKg[\"\"]", "must be 1 to 50 characters"),
        ("notes", json!({ "a": { "b": "\0" } }), "notes[\"a\"][\"b\"]", "must not contain NUL characters"),
        ("batteryPercent", json!(null), "charge", "one of batteryPercent, energyWh is required"),
        ("date", json!({ "month": 13 }), "date", "must be a date of the years 1 to 9999"),
        ("firstStop", json!({ "name": "a", "next": {} }), "firstStop.next.name", "must be 1 to 100 characters"),
    ] {
        let mut request = with("loadsKg", json!({}));
        request[field] = value;
        let refused = customer.post(PATH, request).await;
        assert_eq!(refused.body["error"]["fields"], json!({ path: message }), "{:#}", refused.body);
    }
    let many: serde_json::Map<_, _> = (0..21).map(|number| (number.to_string(), json!(1))).collect();
    let refused = customer.post(PATH, with("loadsKg", many.into())).await;
    assert_eq!(refused.body["error"]["fields"], json!({ "loadsKg": "must have at most 20 pairs" }));
    let many: serde_json::Map<_, _> = (0..21).map(|number| (number.to_string(), json!(null))).collect();
    let refused = customer.post(PATH, with("notes", many.into())).await;
    assert_eq!(refused.body["error"]["fields"], json!({ "notes": "must have at most 20 names" }));
    // A rule of the message reads two fields.
    let refused = customer.post(PATH, with("distanceKm", json!(400.1))).await;
    assert_eq!(refused.body["error"]["fields"], json!({ "pause": "must be at least 15 minutes for more than 400 km" }));
    let mut paused = with("distanceKm", json!(400.1));
    paused["pause"] = json!("900s");
    customer.post(PATH, paused).await.success();
    customer.post(PATH, with("passengers", json!(-1))).await.failure(400, "MALFORMED_REQUEST");
    customer.post(PATH, with("energyWh", json!("5"))).await.failure(400, "MALFORMED_REQUEST");
}

#[tokio::test]
async fn the_generated_client_calls_both_methods() {
    let server = start().await;
    let mut client = TripServiceClient::new(server.customer().await.grpc());
    let text = |text: &str| JsonValue { kind: Some(Kind::StringValue(text.to_owned())) };
    let request = EstimateTripRequest {
        distance_km: 80.0,
        pause: Some(Duration { seconds: 1, nanos: 500_000_000 }),
        loads_kg: BTreeMap::from([("box".to_owned(), 0.0)]),
        notes: Some(Struct { fields: BTreeMap::from([("a".to_owned(), text(""))]) }),
        charge: Some(Charge::EnergyWh(0)),
        first_stop: Some(Stop { name: "Ulm".to_owned(), next: None }),
        ..Default::default()
    };
    let estimate = client.estimate_trip(request.clone()).await.expect("an estimate").into_inner().data.expect("data");
    assert_eq!((estimate.energy_wh, estimate.duration), (12_000, Some(Duration { seconds: 3601, nanos: 500_000_000 })));
    assert_eq!(
        (estimate.loads_kg, estimate.notes, estimate.first_stop),
        (request.loads_kg, request.notes, request.first_stop)
    );
    let status = client.estimate_trip(EstimateTripRequest::default()).await.expect_err("no distance");
    assert_eq!(status.code(), Code::InvalidArgument);

    let consumption = client.get_consumption(GetConsumptionRequest { passengers: 2 }).await;
    assert_eq!(consumption.expect("a consumption").into_inner().wh_per_km, 154.0);
    let status = client.get_consumption(GetConsumptionRequest { passengers: 10 }).await.expect_err("too many");
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut anonymous = TripServiceClient::new(server.anonymous().grpc());
    let status = anonymous.get_consumption(GetConsumptionRequest::default()).await.expect_err("no credentials");
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn an_internal_method_is_reached_over_grpc_alone() {
    let server = start().await;
    let admin = server.admin().await;
    let document = admin.get("/openapi.json").await.body;
    assert!(document["paths"].get(PATH).is_some() && !document.to_string().contains("GetConsumption"));
    admin.post("/fleet.v1.TripService/GetConsumption", json!({})).await.failure(404, "ROUTE_NOT_FOUND");
    let (_envoy, url) = server.envoy().await;
    let mut client = TripServiceClient::new(admin.at(url).grpc());
    let status = client.get_consumption(GetConsumptionRequest::default()).await.expect_err("not through Envoy");
    assert_eq!(status.code(), Code::Unimplemented);
}

/// Envoy 1.40 dies of an entry without a value.
#[tokio::test]
async fn responses_with_maps_go_through_envoy() {
    let server = start().await;
    let (_envoy, url) = server.envoy().await;
    let customer = server.customer().await;
    let through = customer.at(url);
    let request = with("loadsKg", json!({ "box": 0, "spare": 1.5 }));
    for _ in 0..3 {
        let direct = customer.post(PATH, request.clone()).await.success();
        let response = through.post(PATH, request.clone()).await.success();
        assert_eq!(response.body, direct.body);
        assert_eq!(response.data()["notes"]["nested"]["list"][2], json!({ "": "" }));
    }
    through.post(PATH, json!({})).await.failure(422, "VALIDATION_FAILED");
}

#[tokio::test]
async fn the_api_description_has_maps_and_recursive_messages() {
    let server = start().await;
    let document = server.anonymous().get("/openapi.json").await.body;
    let schemas = &document["components"]["schemas"];
    let request = &schemas["EstimateTripRequest"]["properties"];
    let loads = &request["loadsKg"];
    assert_eq!(loads["additionalProperties"], json!({ "type": "number", "minimum": 0.0, "maximum": 1000.0 }));
    assert_eq!((&loads["maxProperties"], &loads["propertyNames"]["maxLength"]), (&json!(20), &json!(50)));
    assert_eq!(
        (&request["distanceKm"]["exclusiveMinimum"], &request["passengers"]["maximum"]),
        (&json!(0.0), &json!(9))
    );
    assert_eq!(request["notes"]["additionalProperties"], true);
    let stop = request["firstStop"]["$ref"].as_str().and_then(|path| path.rsplit('/').next()).expect("a reference");
    assert_eq!(schemas[stop]["properties"]["next"]["$ref"], request["firstStop"]["$ref"]);
    let response = &schemas["TripEstimate"];
    assert_eq!(response["properties"]["loadsKg"]["type"], "object");
    assert!(response["required"].to_string().contains("loadsKg"), "an empty map is printed");
    let content = &document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"];
    let example = &content["example"];
    assert_eq!(example["loadsKg"], json!({ "text": 1.5 }));
    assert!(example["firstStop"].get("next").is_none() && example.get("energyWh").is_none(), "{example:#}");
    // The example is a good request.
    server.customer().await.post(PATH, example.clone()).await.success();
}
