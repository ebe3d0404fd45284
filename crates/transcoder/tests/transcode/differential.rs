//! The JSON reader compared with prost-reflect's, over documents that are valid or nearly so: both reject a document,
//! or both read the same message. `PROPTEST_CASES` sets the number of cases.

use proptest::prelude::*;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::oracle::{codec_once, oracle, pick, pool_once, same};

proptest! {
    #[test]
    fn json_is_read_as_the_oracle_reads_it(seed: [u8; 32]) {
        let descriptor = pool_once().get_message_by_name("kinds.Everything").unwrap();
        let json = object(&descriptor, &mut StdRng::from_seed(seed), 0);
        let mut wire = Vec::new();
        let ours = codec_once().read_json(&descriptor, json.as_bytes(), &mut wire);
        let theirs = read(&descriptor, &json);
        match (ours, theirs) {
            (Ok(()), Ok(theirs)) => {
                let ours = DynamicMessage::decode(descriptor, &*wire).unwrap();
                same(&oracle(&ours), &oracle(&theirs))?;
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{json}\nours: {ours:?}\ntheirs: {:?}", theirs.map(drop)),
        }
    }
}

fn read(descriptor: &MessageDescriptor, json: &str) -> Result<DynamicMessage, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(descriptor.clone(), &mut deserializer)?;
    deserializer.end()?;
    Ok(message)
}

/// Returns an object with some members of a message. Few values are wrong, because otherwise every document would be
/// rejected.
fn object(message: &MessageDescriptor, rng: &mut StdRng, depth: u32) -> String {
    let mut members = Vec::new();
    for field in message.fields() {
        if !rng.random_bool(if depth == 0 { 0.1 } else { 0.2 }) || (depth > 2 && field.kind().as_message().is_some()) {
            continue;
        }
        let name = if rng.random_bool(0.2) { field.name() } else { field.json_name() };
        members.push(format!("{}:{}", serde_json::to_string(name).unwrap(), value(&field, rng, depth)));
    }
    let separator = pick(rng, &[",", ",", ",", " ,\n\t"]);
    format!("{{{}}}", members.join(separator))
}

fn value(field: &FieldDescriptor, rng: &mut StdRng, depth: u32) -> String {
    // The oracle rejects an empty Any, and a NullValue given by its number.
    let is_special = matches!(field.name(), "any" | "chosen_null");
    if rng.random_bool(0.02) && !is_special {
        let any = ["null", "[]", "{}", "\"\"", "0", "true", "[null]", "{\"a\":null}", "\"x\"", "1.5", "nul", ""];
        return (*pick(rng, &any)).to_owned();
    }
    let count = rng.random_range(0..3);
    if field.is_map() {
        let kind = field.kind();
        let entry = kind.as_message().unwrap();
        let keys: &[&str] = match entry.map_entry_key_field().kind() {
            Kind::Bool => &["true", "false"],
            Kind::Int32 => &["1", "-2", "2147483647", "0"],
            _ => &["", "a", "b\\n", "\\u00e4"],
        };
        let value = entry.map_entry_value_field();
        let entries =
            (0..count).map(|at| format!("\"{}\":{}", keys[at % keys.len()], single(&value.kind(), rng, depth)));
        return format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
    }
    if field.is_list() {
        let elements = (0..count).map(|_| single(&field.kind(), rng, depth));
        return format!("[{}]", elements.collect::<Vec<_>>().join(", "));
    }
    single(&field.kind(), rng, depth)
}

/// Excludes values that the oracle reads wrongly: the largest float and 2⁶⁴ (it rounds), and more than nine digits of a
/// second. `mapping` covers these.
fn single(kind: &Kind, rng: &mut StdRng, depth: u32) -> String {
    let (valid, invalid): (&[&str], &[&str]) = match kind {
        Kind::Double => (
            &["0", "-1.5", "1e300", "\"NaN\"", "\"-Infinity\"", "\"2.5\"", "-0"],
            &["1e999", "\"x\"", "NaN", "01", "-"],
        ),
        Kind::Float => (&["0", "0.1", "3.4028234e38", "\"Infinity\"", "\"1e3\""], &["3.5e38", "\"\"", ".5", "1."]),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            (&["0", "-1", "2147483647", "\"-2147483648\"", "1e3", "10.0"], &["2147483648", "1.5", "\"x\"", "+1"])
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => (
            &["0", "\"-9223372036854775808\"", "9223372036854775807", "1e15"],
            &["9223372036854777856", "\" 1\"", "0x1"],
        ),
        Kind::Uint32 | Kind::Fixed32 => (&["0", "4294967295", "\"7\"", "1.0"], &["4294967296", "-1", "\"-1\""]),
        Kind::Uint64 | Kind::Fixed64 => (&["0", "\"18446744073709551615\"", "1e3"], &["36893488147419103232", "-1"]),
        Kind::Bool => (&["true", "false"], &["1", "\"yes it is\"", "null"]),
        Kind::String => {
            let valid: &[&str] =
                &["\"\"", "\"plain\"", "\"\\u00e4\\n\\/\"", "\"\\ud83d\\udd25\"", "\"🔥\"", "\"\\u0000\""];
            (valid, &["\"\\ud800\"", "\"\\x\"", "\"\u{1}\"", "17", "\"", "'a'"])
        }
        Kind::Bytes => (&["\"\"", "\"AQID\"", "\"AQ==\"", "\"-_8=\"", "\"+/8=\""], &["\"*\"", "\"A\"", "5"]),
        Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue" => (&["null"], &["true", "\"x\""]),
        Kind::Enum(_) => (&["\"COLOR_RED\"", "1", "-3", "0", "99"], &["\"RED\"", "1.5", "true"]),
        Kind::Message(message) => return message_value(message, rng, depth),
    };
    choose(valid, invalid, rng)
}

fn choose(valid: &[&str], invalid: &[&str], rng: &mut StdRng) -> String {
    let from = if rng.random_bool(0.02) { invalid } else { valid };
    (*pick(rng, from)).to_owned()
}

fn message_value(message: &MessageDescriptor, rng: &mut StdRng, depth: u32) -> String {
    let (valid, invalid): (&[&str], &[&str]) = match message.full_name() {
        "google.protobuf.Timestamp" => (
            &[
                "\"2030-01-01T00:00:00Z\"",
                "\"0001-01-01T00:00:00Z\"",
                "\"9999-12-31T23:59:59.999999999Z\"",
                "\"2030-01-01T00:00:00.5+01:30\"",
            ],
            &["\"2030-01-01\"", "\"2030-02-30T00:00:00Z\"", "\"0001-01-01T00:00:00+01:00\"", "0", "{}"],
        ),
        "google.protobuf.Duration" => (
            &["\"0s\"", "\"-1.5s\"", "\"315576000000s\"", "\"0.000000001s\""],
            &["\"1\"", "\"315576000001s\"", "1", "\"s\""],
        ),
        "google.protobuf.FieldMask" => (&["\"\"", "\"a\"", "\"aB.cD,e\""], &["5", "[\"a\"]"]),
        "google.protobuf.Struct" => (&["{}", "{\"a\":null,\"b\":[1,{}]}"], &["[]", "5", "{a:1}"]),
        "google.protobuf.Value" => (&["null", "1.5", "\"x\"", "true", "[]", "{\"a\":[null]}"], &["[1,]", "tru"]),
        "google.protobuf.ListValue" => (&["[]", "[1,\"a\",null,[{}]]"], &["{}", "5"]),
        "google.protobuf.Empty" => (&["{}"], &["[]", "1"]),
        "google.protobuf.BoolValue" => (&["true"], &["{}"]),
        "google.protobuf.Int64Value" => (&["\"5\"", "-5"], &["1.5", "{\"value\":1}"]),
        "google.protobuf.StringValue" => (&["\"a\""], &["5", "[]"]),
        "google.protobuf.BytesValue" => (&["\"AQID\""], &["5"]),
        "google.protobuf.DoubleValue" => (&["0.5", "\"1\""], &["\"x\""]),
        "google.protobuf.UInt32Value" => (&["7"], &["-7"]),
        "google.protobuf.Any" => (
            &[
                "{\"@type\":\"t/kinds.Scalars\",\"aBool\":true}",
                "{\"anInt32\":1,\"@type\":\"t/kinds.Scalars\"}",
                "{\"@type\":\"t/google.protobuf.Duration\",\"value\":\"1s\"}",
            ],
            &["{\"@type\":\"t/kinds.Nothing\"}", "{\"aBool\":true}", "[]"],
        ),
        _ => return object(message, rng, depth + 1),
    };
    choose(valid, invalid, rng)
}

#[test]
fn most_random_documents_are_valid_but_not_all() {
    let descriptor = pool_once().get_message_by_name("kinds.Everything").unwrap();
    let mut rng = StdRng::from_seed([7; 32]);
    let read = (0..200).filter(|_| read(&descriptor, &object(&descriptor, &mut rng, 0)).is_ok()).count();
    assert!((80..180).contains(&read), "{read} of 200 are valid");
}
