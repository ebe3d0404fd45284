//! The JSON mapping case by case: edge cases that random messages of `oracle` rarely cover, in both directions.

use mainstay_transcoder::json::Codec;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};

use crate::support::{compile_text, pool};

fn codec() -> (Codec, DescriptorPool) {
    let pool = pool();
    (Codec::new(&pool), pool)
}

/// Reads JSON as a message, and returns its printed form.
fn round_trip(codec: &Codec, pool: &DescriptorPool, message: &str, json: &str) -> Result<String, String> {
    let descriptor = pool.get_message_by_name(message).unwrap();
    let (mut wire, mut printed) = (Vec::new(), Vec::new());
    codec.read_json(&descriptor, json.as_bytes(), &mut wire).map_err(|error| error.to_string())?;
    codec.write_json(&descriptor, &wire, &mut printed).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(printed).unwrap())
}

#[test]
fn allowed_values_are_read_and_printed_in_the_form_of_the_mapping() {
    let (codec, pool) = codec();
    for (message, json, expected) in [
        ("kinds.Scalars", r#"{"anInt64":1e18}"#, r#""anInt64":"1000000000000000000""#),
        ("kinds.Scalars", r#"{"aUint64":1.8e19}"#, r#""aUint64":"18000000000000000000""#),
        ("kinds.Scalars", r#"{"anInt64":-9.223372036854775808E+18}"#, r#""anInt64":"-9223372036854775808""#),
        ("kinds.Scalars", r#"{"aFixed64":18446744073709551615.000}"#, r#""aFixed64":"18446744073709551615""#),
        ("kinds.Scalars", r#"{"anInt32":1.50e1}"#, r#""anInt32":15"#),
        ("kinds.Scalars", r#"{"anInt32":2147483647000e-3}"#, r#""anInt32":2147483647"#),
        ("kinds.Scalars", r#"{"anInt32":"1e5"}"#, r#""anInt32":100000"#),
        ("kinds.Scalars", r#"{"anInt32":"+10.0"}"#, r#""anInt32":10"#),
        ("kinds.Scalars", r#"{"aUint32":-0.0e9}"#, r#""aUint32":0"#),
        ("kinds.Scalars", r#"{"aDouble":".5"}"#, r#""aDouble":0.5"#),
        ("kinds.Scalars", r#"{"aDouble":"+1"}"#, r#""aDouble":1"#),
        ("kinds.Scalars", r#"{"aFloat":"-1.e2"}"#, r#""aFloat":-100"#),
        ("kinds.Everything", r#"{"list":[1,[null]]}"#, r#""list":[1,[null]]"#),
        ("kinds.Everything", r#"{"object":{"a":null}}"#, r#""object":{"a":null}"#),
        ("kinds.Everything", r#"{"chosenNull":null}"#, r#""chosenNull":null"#),
        ("kinds.Everything", r#"{"longs":null,"byName":null,"at":null}"#, r#""longs":[]"#),
        (
            "kinds.Everything",
            r#"{"any":{"@type":"t/google.protobuf.Empty"}}"#,
            r#""any":{"@type":"t/google.protobuf.Empty"}"#,
        ),
        (
            "kinds.Everything",
            r#"{"any":{"value":{},"@type":"t/google.protobuf.Empty"}}"#,
            r#""any":{"@type":"t/google.protobuf.Empty"}"#,
        ),
        (
            "kinds.Aliases",
            r#"{"aliases":["ALIAS_THIRD","ALIAS_FIRST",7,"ALIAS_UNSPECIFIED"]}"#,
            r#"["ALIAS_FIRST","ALIAS_FIRST","ALIAS_FIRST","ALIAS_UNSPECIFIED"]"#,
        ),
    ] {
        let printed = round_trip(&codec, &pool, message, json).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert!(printed.contains(expected), "{json} → {printed}");
    }
}

#[test]
fn values_outside_the_mapping_are_refused() {
    let (codec, pool) = codec();
    for (message, json, reason) in [
        ("kinds.Scalars", r#"{"anInt64":9.3e18}"#, "anInt64: out of range, or not a whole number"),
        ("kinds.Scalars", r#"{"anInt64":9223372036854775808.0}"#, "anInt64: out of range, or not a whole number"),
        ("kinds.Scalars", r#"{"aUint64":-1e0}"#, "aUint64: out of range, or not a whole number"),
        ("kinds.Scalars", r#"{"anInt32":15e-1}"#, "anInt32: out of range, or not a whole number"),
        ("kinds.Scalars", r#"{"anInt32":1e99999999999}"#, "anInt32: out of range, or not a whole number"),
        ("kinds.Scalars", r#"{"anInt32":""}"#, "anInt32: not a whole number"),
        ("kinds.Scalars", r#"{"anInt32":"-"}"#, "anInt32: not a whole number"),
        ("kinds.Scalars", r#"{"anInt32":".0"}"#, "anInt32: out of range, or not a whole number"),
        ("kinds.Scalars", r#"{"anInt32":"0e"}"#, "anInt32: not a whole number"),
        ("kinds.Scalars", r#"{"aUint64":"1 "}"#, "aUint64: not a whole number"),
        ("kinds.Scalars", r#"{"aDouble":"."}"#, "aDouble: not a number"),
        ("kinds.Scalars", r#"{"aDouble":""}"#, "aDouble: not a number"),
        ("kinds.Scalars", r#"{"aDouble":"+"}"#, "aDouble: not a number"),
        ("kinds.Scalars", r#"{"aDouble":"++1"}"#, "aDouble: not a number"),
        ("kinds.Scalars", r#"{"aDouble":.5}"#, "aDouble: expected a number, found something else"),
        ("kinds.Everything", r#"{"list":5}"#, "list: expected an array, found a number"),
        ("kinds.Everything", r#"{"list":{}}"#, "list: expected an array, found an object"),
        ("kinds.Everything", r#"{"longs":5}"#, "longs: expected an array, found a number"),
        ("kinds.Everything", r#"{"strings":"a"}"#, "strings: expected an array, found a string"),
        ("kinds.Everything", r#"{"children":{}}"#, "children: expected an array, found an object"),
        ("kinds.Everything", r#"{"longs":[1,null]}"#, "longs[1]: expected a number, found null"),
        ("kinds.Everything", r#"{"strings":[null]}"#, "strings[0]: expected a string, found null"),
        ("kinds.Everything", r#"{"children":[null]}"#, "children[0]: expected an object, found null"),
        ("kinds.Everything", r#"{"byName":{"a":null}}"#, "byName.a: expected an object, found null"),
        ("kinds.Everything", r#"{"byNumber":{"1":null}}"#, "byNumber.1: expected a string, found null"),
        (
            "kinds.Everything",
            r#"{"any":{"@type":"t/kinds.Scalars","@type":"t/kinds.Scalars"}}"#,
            "any.@type: given twice",
        ),
        (
            "kinds.Everything",
            r#"{"any":{"@type":"t/google.protobuf.Duration","value":"1s","value":"2s"}}"#,
            "any.value: given twice",
        ),
    ] {
        assert_eq!(round_trip(&codec, &pool, message, json), Err(reason.to_owned()), "{json}");
    }
}

#[test]
fn unknown_enum_names_are_passed_on_for_validation() {
    let (strict, pool) = codec();
    let lenient = Codec::new(&pool).with_unknown_enum_names();
    let descriptor = pool.get_message_by_name("kinds.Everything").unwrap();
    let json = r#"{"colors":["COLOR_RED","PINK","-3","PINK","99"],"scalars":{"aColor":"MAUVE"},"maybeLong":7}"#;
    let refusal = round_trip(&strict, &pool, "kinds.Everything", json).unwrap_err();
    assert_eq!(refusal, "colors[1]: not one of COLOR_BEHIND, COLOR_RED, COLOR_GREEN");
    let mut wire = Vec::new();
    lenient.read_json(&descriptor, json.as_bytes(), &mut wire).unwrap();
    let message = DynamicMessage::decode(descriptor, &*wire).unwrap();
    let color = pool.get_enum_by_name("kinds.Color").unwrap();
    let colors = message.get_field_by_name("colors").unwrap();
    let colors: Vec<_> = colors.as_list().unwrap().iter().filter_map(Value::as_enum_number).collect();
    let declared: Vec<_> = colors.iter().map(|&number| color.get_value(number).is_some()).collect();
    assert_eq!(declared, [true, false, true, false, false]);
    assert!(colors[1] != colors[3] && colors[3] != colors[4], "{colors:?}");
    let scalars = message.get_field_by_name("scalars").unwrap();
    let single = scalars.as_message().unwrap().get_field_by_name("a_color").unwrap().as_enum_number().unwrap();
    assert_eq!(color.get_value(single), None);
    assert_eq!(message.get_field_by_name("maybe_long").unwrap().as_i64(), Some(7), "what follows is read");
    // Only unknown names pass; other invalid values are still rejected.
    for json in [r#"{"colors":[true]}"#, r#"{"colors":[1.5]}"#, r#"{"colors":[null]}"#, r#"{"colors":"PINK"}"#] {
        assert!(lenient.read_json(&message.descriptor(), json.as_bytes(), &mut Vec::new()).is_err(), "{json}");
    }
}

#[test]
fn a_map_entry_that_lacks_its_key_or_value_has_the_default() {
    let pool = compile_text(
        "syntax = \"proto2\"; package own; enum E { FIRST = 3; ZERO = 0; }\n\
         message M { map<string, string> text = 1; map<bool, bytes> raw = 2; map<int64, E> kind = 3; map<string, M> m = 4; }",
    );
    let (codec, descriptor) = (Codec::new(&pool), pool.get_message_by_name("own.M").unwrap());
    let mut printed = Vec::new();
    codec.write_json(&descriptor, &[0x0a, 0, 0x12, 0, 0x1a, 0, 0x22, 0], &mut printed).unwrap();
    let expected =
        r#"{"text":{"":""},"raw":{"false":""},"kind":{"0":"FIRST"},"m":{"":{"text":{},"raw":{},"kind":{},"m":{}}}}"#;
    assert_eq!(String::from_utf8(printed).unwrap(), expected);
}

#[test]
fn the_nesting_limit_is_the_callers_choice() {
    let (codec, pool) = codec();
    let nested = |levels: usize| format!("{{\"list\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let structs = |levels: usize| format!("{{\"object\":{}1{}}}", "{\"a\":".repeat(levels - 1), "}".repeat(levels - 1));
    for make in [&nested as &dyn Fn(usize) -> String, &structs] {
        assert!(round_trip(&codec, &pool, "kinds.Everything", &make(64)).is_ok(), "what is read can be printed");
        let error = round_trip(&codec, &pool, "kinds.Everything", &make(65)).unwrap_err();
        assert!(error.ends_with("nests deeper than 64 levels"), "{error}");
    }
    let deeper = Codec::new(&pool).with_max_depth(150);
    assert!(round_trip(&deeper, &pool, "kinds.Everything", &structs(150)).is_ok());
    assert!(round_trip(&deeper, &pool, "kinds.Everything", &structs(151)).is_err());
}
