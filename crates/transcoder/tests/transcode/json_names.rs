//! Fields of one message whose JSON names are equal, or nearly equal: the set is served, with a warning.

use std::io::Write;
use std::sync::{Arc, Mutex};

use mainstay_transcoder::{descriptor_pool, json::Codec};
use serde_json::{Value, json};

use crate::editions::{field, set};

/// Serves a message with these fields of type int32, and returns the JSON with each field's number.
fn printed(syntax: &str, fields: &[(&str, Option<&str>)]) -> Result<Value, String> {
    let members = fields.iter().zip(1..).map(|((name, json_name), number)| {
        let more = json_name.map_or(json!({}), |json_name| json!({ "jsonName": json_name }));
        field(name, number, "TYPE_INT32", more)
    });
    let mut message = json!({ "name": "M", "field": members.collect::<Vec<_>>() });
    let mut file = json!({ "name": "own.proto", "package": "own", "syntax": syntax });
    if syntax == "editions" {
        file["edition"] = 1000.into();
        file["options"] = json!({ "features": { "jsonFormat": "LEGACY_BEST_EFFORT" } });
    }
    if syntax == "proto3" {
        message["options"] = json!({ "deprecatedLegacyJsonFieldConflicts": true });
    }
    // In a nested message, too.
    file["messageType"] = json!([{ "name": "Outer", "nestedType": [message.clone()] }, message]);
    let pool = descriptor_pool(&set(&file)).map_err(|error| error.to_string())?;
    let codec = Codec::new(&pool);
    let wire: Vec<u8> = (1..=fields.len() as u8).flat_map(|number| [number << 3, number]).collect();
    let mut texts = Vec::new();
    for name in ["own.M", "own.Outer.M"] {
        let descriptor = pool.get_message_by_name(name).unwrap();
        let (mut text, mut back) = (Vec::new(), Vec::new());
        codec.write_json(&descriptor, &wire, &mut text).unwrap();
        codec.read_json(&descriptor, &text, &mut back).unwrap();
        assert_eq!(back, wire, "what is printed is read");
        texts.push(serde_json::from_slice(&text).unwrap());
    }
    assert_eq!(texts[0], texts[1]);
    Ok(texts.remove(0))
}

#[test]
fn fields_with_one_json_name_keep_apart() {
    for syntax in ["proto2", "proto3", "editions"] {
        for (fields, expected) in [
            // The field whose proto name equals the JSON name keeps it, else the first field.
            (&[("foo_bar", None), ("fooBar", None)][..], json!({ "foo_bar": 1, "fooBar": 2 })),
            (&[("fooBar", None), ("foo_bar", None)], json!({ "fooBar": 1, "foo_bar": 2 })),
            (&[("foo_bar", None), ("foo__bar", None)], json!({ "fooBar": 1, "foo__bar": 2 })),
            (&[("foo_bar", Some("fooBar")), ("fooBar", Some("fooBar"))], json!({ "foo_bar": 1, "fooBar": 2 })),
            // An explicit name takes precedence.
            (&[("foo_bar", None), ("x", Some("fooBar"))], json!({ "foo_bar": 1, "fooBar": 2 })),
            (&[("fooBar", None), ("x", Some("fooBar"))], json!({ "fooBar_": 1, "fooBar": 2 })),
            (&[("a_b", None), ("a__b", None), ("x", Some("a__b"))], json!({ "aB": 1, "a__b_": 2, "a__b": 3 })),
            (&[("a_b", None), ("aB", None), ("a__b", None)], json!({ "a_b": 1, "aB": 2, "a__b": 3 })),
        ] {
            assert_eq!(printed(syntax, fields), Ok(expected), "{syntax} {fields:?}");
        }
        // Two explicit equal names: every compiler rejects them.
        assert!(printed(syntax, &[("x", Some("a")), ("y", Some("a"))]).is_err());
    }
}

#[test]
fn names_that_differ_by_case_alone_are_different() {
    for syntax in ["proto2", "proto3", "editions"] {
        let fields = &[("foo_bar", None), ("foobar", None), ("FOOBAR", None)];
        assert_eq!(printed(syntax, fields), Ok(json!({ "fooBar": 1, "foobar": 2, "FOOBAR": 3 })), "{syntax}");
    }
}

#[test]
fn a_proto3_file_with_such_names_is_proto3_all_the_same() {
    let repeated = |more: Value| {
        let mut options = json!({ "label": "LABEL_REPEATED" });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    let file = json!({
        "name": "own.proto", "package": "own", "syntax": "proto3",
        "messageType": [{
            "name": "M",
            "field": [
                field("foo_bar", 1, "TYPE_INT32", json!({})),
                field("foobar", 2, "TYPE_STRING", json!({ "proto3Optional": true, "oneofIndex": 0 })),
                field("packed", 3, "TYPE_INT32", repeated(json!({}))),
                field("expanded", 4, "TYPE_INT32", repeated(json!({ "options": { "packed": false } }))),
            ],
            "oneofDecl": [{ "name": "_foobar" }],
        }],
    });
    let pool = descriptor_pool(&set(&file)).unwrap();
    let descriptor = pool.get_message_by_name("own.M").unwrap();
    let fields = |name: &str| descriptor.get_field_by_name(name).unwrap();
    assert!(fields("packed").is_packed() && !fields("expanded").is_packed());
    let mut text = Vec::new();
    Codec::new(&pool).write_json(&descriptor, b"", &mut text).unwrap();
    assert_eq!(text, br#"{"fooBar":0,"packed":[],"expanded":[]}"#);
}

/// Captures the written log for assertions.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_name_that_changes_is_a_warning() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, || {
        printed("proto2", &[("foo_bar", None), ("fooBar", None)]).unwrap()
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("WARN") && text.contains("own.proto: M.foo_bar and fooBar are both fooBar in JSON"),
        "{text}"
    );
}
