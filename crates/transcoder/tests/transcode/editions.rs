//! Descriptor sets of editions 2023 and 2024, served with their semantics.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use mainstay_transcoder::{
    DescriptorSetError, Limits, RuleTable, StatusDialect, Transcoder, descriptor_pool, json::Codec,
};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::Status;
use tonic::body::Body;
use tower::{ServiceExt as _, service_fn};

use crate::support::{compile_text, request};

/// A descriptor set with one file, as `buf build` writes it for an edition.
pub(crate) fn set(file: &serde_json::Value) -> Vec<u8> {
    let descriptor = DescriptorPool::global().get_message_by_name("google.protobuf.FileDescriptorSet").unwrap();
    DynamicMessage::deserialize(descriptor, serde_json::json!({ "file": [file] })).unwrap().encode_to_vec()
}

pub(crate) fn field(name: &str, number: u32, kind: &str, more: serde_json::Value) -> serde_json::Value {
    let mut field = serde_json::json!({ "name": name, "number": number, "type": kind, "label": "LABEL_OPTIONAL" });
    field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    field
}

fn features(features: serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "options": { "features": features } })
}

fn file(edition: u32, file_features: serde_json::Value) -> serde_json::Value {
    let repeated = |features| serde_json::json!({ "label": "LABEL_REPEATED", "options": { "features": features } });
    let map = serde_json::json!({ "label": "LABEL_REPEATED", "typeName": ".own.M.ByNameEntry" });
    serde_json::json!({
        "name": "own.proto",
        "package": "own",
        "syntax": "editions",
        "edition": edition,
        "options": { "features": file_features },
        "messageType": [{
            "name": "M",
            "field": [
                field("explicit", 1, "TYPE_INT32", serde_json::json!({})),
                field("implicit", 2, "TYPE_INT32", features(serde_json::json!({ "fieldPresence": "IMPLICIT" }))),
                field("packed", 3, "TYPE_INT32", repeated(serde_json::json!({}))),
                field("expanded", 4, "TYPE_INT32", repeated(serde_json::json!({ "repeatedFieldEncoding": "EXPANDED" }))),
                field("plain", 5, "TYPE_MESSAGE", serde_json::json!({ "typeName": ".own.M" })),
                field("delimited", 6, "TYPE_MESSAGE", serde_json::json!({
                    "typeName": ".own.M", "options": { "features": { "messageEncoding": "DELIMITED" } }
                })),
                field("by_name", 7, "TYPE_MESSAGE", map),
                field("one", 8, "TYPE_STRING", serde_json::json!({ "oneofIndex": 0 })),
            ],
            "oneofDecl": [{ "name": "only" }],
            "nestedType": [{
                "name": "ByNameEntry",
                "field": [
                    field("key", 1, "TYPE_STRING", serde_json::json!({})),
                    field("value", 2, "TYPE_MESSAGE", serde_json::json!({ "typeName": ".own.M" })),
                ],
                "options": { "mapEntry": true },
            }],
        }],
        "service": [{ "name": "S", "method": [{ "name": "R", "inputType": ".own.M", "outputType": ".own.M" }] }],
    })
}

#[test]
fn an_edition_is_read_by_its_features() {
    let pool = descriptor_pool(&set(&file(1000, serde_json::json!({})))).unwrap();
    RuleTable::new(&pool, &["own.S"]).unwrap();
    let (codec, descriptor) = (Codec::new(&pool), pool.get_message_by_name("own.M").unwrap());
    let json =
        r#"{"explicit":0,"implicit":0,"packed":[1,2],"expanded":[1],"plain":{"one":""},"delimited":{"implicit":3}}"#;
    let (mut wire, mut printed) = (Vec::new(), Vec::new());
    codec.read_json(&descriptor, json.as_bytes(), &mut wire).unwrap();
    // A group for the delimited message: tags 6<<3|3 and 6<<3|4.
    assert!(wire.ends_with(&[0x33, 0x10, 3, 0x34]), "{wire:x?}");
    codec.write_json(&descriptor, &wire, &mut printed).unwrap();
    let inner = r#""implicit":0,"packed":[],"expanded":[]"#;
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        format!(
            r#"{{"explicit":0,"implicit":0,"packed":[1,2],"expanded":[1],"plain":{{{inner},"byName":{{}},"one":""}},"delimited":{{{},"byName":{{}}}},"byName":{{}}}}"#,
            inner.replacen('0', "3", 1)
        )
    );
    let fields = |name: &str| descriptor.get_field_by_name(name).unwrap();
    assert!(fields("packed").is_packed() && !fields("expanded").is_packed());
    assert!(fields("explicit").supports_presence() && !fields("implicit").supports_presence());
}

#[test]
fn a_feature_of_the_file_holds_for_its_fields() {
    let features = serde_json::json!({ "messageEncoding": "DELIMITED", "repeatedFieldEncoding": "EXPANDED" });
    let pool = descriptor_pool(&set(&file(1001, features))).unwrap();
    let descriptor = pool.get_message_by_name("own.M").unwrap();
    let fields = |name: &str| descriptor.get_field_by_name(name).unwrap();
    assert!(fields("plain").is_group() && !fields("packed").is_packed());
    assert!(!fields("by_name").is_group() && fields("by_name").is_map(), "a map's entries are never delimited");
    let entry = fields("by_name").kind().as_message().unwrap().clone();
    assert!(!entry.map_entry_value_field().is_group());
}

#[test]
fn other_files_stay_as_they_are_and_unknown_ones_are_refused() {
    let mut proto3 = file(1000, serde_json::json!({}));
    for member in ["edition", "syntax"] {
        proto3.as_object_mut().unwrap().remove(member);
    }
    proto3["syntax"] = "proto3".into();
    let pool = descriptor_pool(&set(&proto3)).unwrap();
    assert!(!pool.get_message_by_name("own.M").unwrap().get_field_by_name("explicit").unwrap().supports_presence());
    let error = descriptor_pool(&set(&file(99_999, serde_json::json!({})))).unwrap_err();
    assert!(matches!(&error, DescriptorSetError::UnknownSyntax { file } if file == "own.proto"), "{error}");
    proto3["syntax"] = "proto4".into();
    let error = descriptor_pool(&set(&proto3)).unwrap_err();
    assert_eq!(error.to_string(), "own.proto is neither proto2 nor proto3, nor of edition 2023 or 2024");
    assert!(descriptor_pool(b"\xff").is_err());
}

/// Returns an enum with these numbers, closed as in proto2.
fn closed_enum(name: &str, numbers: &[i32]) -> serde_json::Value {
    let value =
        |number: &i32| serde_json::json!({ "name": format!("{name}_{}", number.unsigned_abs()), "number": number });
    let values: Vec<_> = numbers.iter().map(value).collect();
    serde_json::json!({ "name": name, "value": values, "options": { "features": { "enumType": "CLOSED" } } })
}

#[test]
fn a_closed_enum_anywhere_leaves_implicit_presence_as_it_is() {
    // The places of an unused enum: in the file, in a message, in a nested message.
    type Place = fn(&mut serde_json::Value) -> &mut serde_json::Value;
    let places: [Place; 3] = [
        |file| &mut file["enumType"],
        |file| &mut file["messageType"][0]["enumType"],
        |file| &mut file["messageType"][0]["nestedType"][0]["enumType"],
    ];
    for place in places {
        for (edition, numbers) in [(1000, &[3, 7][..]), (1001, &[1, 0]), (1000, &[-2])] {
            let mut file = file(edition, serde_json::json!({}));
            *place(&mut file) = serde_json::json!([closed_enum("Closed", numbers)]);
            let pool = descriptor_pool(&set(&file)).unwrap();
            let (codec, descriptor) = (Codec::new(&pool), pool.get_message_by_name("own.M").unwrap());
            let mut printed = Vec::new();
            codec.write_json(&descriptor, b"", &mut printed).unwrap();
            let expected = r#"{"implicit":0,"packed":[],"expanded":[],"byName":{}}"#;
            assert_eq!(String::from_utf8(printed).unwrap(), expected, "{numbers:?}");
            let fields = |name: &str| descriptor.get_field_by_name(name).unwrap();
            assert!(fields("packed").is_packed() && !fields("expanded").is_packed());
        }
    }
}

#[test]
fn fields_of_every_presence_live_beside_a_closed_enum_that_is_used() {
    let presence = |presence: &str| features(serde_json::json!({ "fieldPresence": presence }));
    let kind = serde_json::json!({ "typeName": ".own.Closed" });
    let mut required = file(1000, serde_json::json!({ "fieldPresence": "IMPLICIT" }));
    required["enumType"] = serde_json::json!([closed_enum("Closed", &[3, 7])]);
    let mut by_default = kind.clone();
    by_default["options"] = presence("EXPLICIT")["options"].clone();
    required["messageType"] = serde_json::json!([{
        "name": "M",
        "field": [
            field("implicit", 1, "TYPE_STRING", serde_json::json!({})),
            field("explicit", 2, "TYPE_BOOL", presence("EXPLICIT")),
            field("required", 3, "TYPE_INT64", presence("LEGACY_REQUIRED")),
            field("closed", 4, "TYPE_ENUM", by_default),
            field("message", 5, "TYPE_MESSAGE", serde_json::json!({ "typeName": ".own.M" })),
            field("one", 6, "TYPE_ENUM", serde_json::json!({ "typeName": ".own.Closed", "oneofIndex": 0 })),
        ],
        "oneofDecl": [{ "name": "only" }],
    }]);
    let pool = descriptor_pool(&set(&required)).unwrap();
    let (codec, descriptor) = (Codec::new(&pool), pool.get_message_by_name("own.M").unwrap());
    for (json, expected) in [
        ("{}", r#"{"implicit":""}"#),
        (
            r#"{"explicit":false,"required":0,"closed":"Closed_3","message":{},"one":"Closed_7"}"#,
            r#"{"implicit":"","explicit":false,"required":"0","closed":"Closed_3","message":{"implicit":""},"one":"Closed_7"}"#,
        ),
    ] {
        let (mut wire, mut printed) = (Vec::new(), Vec::new());
        codec.read_json(&descriptor, json.as_bytes(), &mut wire).unwrap();
        codec.write_json(&descriptor, &wire, &mut printed).unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_query_parameter_binds_inside_a_group() {
    let pool = compile_text(
        "syntax = \"proto2\"; package own; import \"google/api/annotations.proto\";\n\
         message M { optional group Inner = 1 { optional int32 a = 1; optional M m = 2; } }\n\
         service S { rpc R(M) returns (M) { option (google.api.http) = { get: '/r' }; } }",
    );
    let upstream = service_fn(|request: http::Request<Body>| async move {
        let bytes: Bytes = request.into_body().collect().await?.to_bytes();
        // The frame's prefix, then the group: tags 1<<3|3 and 1<<3|4.
        assert_eq!(bytes[5..], [0x0b, 8, 7, 0x0c, 0x0b, 0x12, 4, 0x0b, 8, 9, 0x0c, 0x0c]);
        Err::<http::Response<Body>, _>(Status::aborted("seen"))
    });
    let dialect = StatusDialect::new(&pool, 1000);
    let transcoder = Transcoder::new(&pool, &["own.S"], upstream, dialect, Limits::default()).unwrap();
    let response = transcoder.oneshot(request("GET", "/r?inner.a=7&inner.m.inner.a=9", "")).await.unwrap();
    assert_eq!(response.status(), 409);
}
