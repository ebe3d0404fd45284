//! The JSON codec compared with prost-reflect's, over random messages of every kind.

use bytes::Bytes;
use mainstay_transcoder::json::Codec;
use proptest::prelude::*;

use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, SerializeOptions, Value,
};
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};

use crate::support::pool;

proptest! {
    #[test]
    fn messages_print_as_the_oracle_prints_them(seed: [u8; 32]) {
        let pool = pool_once();
        let descriptor = pool.get_message_by_name("kinds.Everything").unwrap();
        let mut rng = StdRng::from_seed(seed);
        let message = random(&descriptor, &mut rng, 0);
        let codec = codec_once();
        let bytes = message.encode_to_vec();

        let ours = print(codec, &descriptor, &bytes);
        same(&ours, &oracle(&message))?;

        // Fields in another order encode the same message, unless members of one oneof or map entries change places:
        // here each field occurs at most once.
        let shuffled = shuffle(&bytes, &mut rng);
        let message = DynamicMessage::decode(descriptor.clone(), &*shuffled).unwrap();
        same(&print(codec, &descriptor, &shuffled), &oracle(&message))?;

        // Two concatenated messages are merged.
        let other = random(&descriptor, &mut rng, 0).encode_to_vec();
        let both = [bytes.clone(), other].concat();
        let merged = DynamicMessage::decode(descriptor.clone(), &*both).unwrap();
        // Two durations of different signs may merge into one that has no JSON; the oracle normalizes it instead.
        let mut text = Vec::new();
        if codec.write_json(&descriptor, &both, &mut text).is_ok() {
            same(&print(codec, &descriptor, &both), &oracle(&merged))?;
        }

        // And back.
        let mut json = Vec::new();
        codec.write_json(&descriptor, &bytes, &mut json).unwrap();
        let mut back = Vec::new();
        codec.read_json(&descriptor, &json, &mut back).unwrap();
        same(&print(codec, &descriptor, &back), &ours)?;
        let again = DynamicMessage::decode(descriptor, &*back).unwrap();
        same(&oracle(&again), &ours)?;
    }

    #[test]
    fn any_bytes_and_any_text_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), text: String) {
        let descriptor = pool_once().get_message_by_name("kinds.Everything").unwrap();
        let mut out = Vec::new();
        let ours = codec_once().write_json(&descriptor, &bytes, &mut out);
        if ours.is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        }
        let _ = codec_once().read_json(&descriptor, &bytes, &mut Vec::new());
        let _ = codec_once().read_json(&descriptor, text.as_bytes(), &mut Vec::new());
    }

    #[test]
    fn strings_and_doubles_survive_both_ways(text: String, number: f64, small: f32) {
        let descriptor = pool_once().get_message_by_name("kinds.Scalars").unwrap();
        let mut message = DynamicMessage::new(descriptor.clone());
        message.set_field_by_name("a_string", Value::String(text));
        message.set_field_by_name("a_double", Value::F64(number));
        message.set_field_by_name("a_float", Value::F32(small));
        let mut json = Vec::new();
        codec_once().write_json(&descriptor, &message.encode_to_vec(), &mut json).unwrap();
        let mut back = Vec::new();
        codec_once().read_json(&descriptor, &json, &mut back).unwrap();
        let back = DynamicMessage::decode(descriptor, &*back).unwrap();
        prop_assert_eq!(back.encode_to_vec(), message.encode_to_vec());
    }
}

#[test]
fn defaults_are_printed_unless_presence_is_explicit() {
    let descriptor = pool_once().get_message_by_name("shop.Item").unwrap();
    let mut json = Vec::new();
    codec_once().write_json(&descriptor, b"", &mut json).unwrap();
    let expected = r#"{"id":"","title":"","priceMinor":"0","size":"SIZE_UNSPECIFIED","inStock":false,"tags":[],"weight":0,"description":""}"#;
    assert_eq!(std::str::from_utf8(&json).unwrap(), expected);
}

#[test]
fn an_any_of_a_well_known_type_has_a_value() {
    let descriptor = pool_once().get_message_by_name("kinds.Everything").unwrap();
    for json in [
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.500s"}}"#,
        r#"{"any":{"aString":"late","@type":"type.googleapis.com/kinds.Scalars"}}"#,
        r#"{"any":{"@type":"t/google.protobuf.Any","value":{"@type":"t/kinds.Scalars","aBool":true}}}"#,
    ] {
        let mut bytes = Vec::new();
        codec_once().read_json(&descriptor, json.as_bytes(), &mut bytes).unwrap();
        let message = DynamicMessage::decode(descriptor.clone(), &*bytes).unwrap();
        assert_eq!(print(codec_once(), &descriptor, &bytes), oracle(&message), "{json}");
    }
}

pub(crate) fn pool_once() -> &'static prost_reflect::DescriptorPool {
    static POOL: std::sync::OnceLock<prost_reflect::DescriptorPool> = std::sync::OnceLock::new();
    POOL.get_or_init(pool)
}

pub(crate) fn codec_once() -> &'static Codec {
    static TABLES: std::sync::OnceLock<Codec> = std::sync::OnceLock::new();
    TABLES.get_or_init(|| Codec::new(pool_once()))
}

fn print(codec: &Codec, descriptor: &MessageDescriptor, bytes: &[u8]) -> serde_json::Value {
    let mut out = Vec::new();
    codec.write_json(descriptor, bytes, &mut out).unwrap();
    normal(serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out))))
}

/// Compares two documents by member, since whole documents are too long to read.
pub(crate) fn same(ours: &serde_json::Value, theirs: &serde_json::Value) -> Result<(), TestCaseError> {
    if let (Some(ours), Some(theirs)) = (ours.as_object(), theirs.as_object()) {
        for name in ours.keys().chain(theirs.keys()) {
            let (ours, theirs) = (ours.get(name), theirs.get(name));
            prop_assert!(ours == theirs, "{name}: {ours:?} is not {theirs:?}");
        }
    }
    prop_assert_eq!(ours, theirs);
    Ok(())
}

pub(crate) fn oracle(message: &DynamicMessage) -> serde_json::Value {
    let options = SerializeOptions::new().skip_default_fields(false);
    normal(message.serialize_with_options(serde_json::value::Serializer, &options).unwrap())
}

/// Treats `1` and `1.0` as one number. The oracle widens floats, so numbers are compared as floats.
fn normal(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => serde_json::json!(number.as_f64().unwrap() as f32),
        serde_json::Value::Array(values) => values.into_iter().map(normal).collect(),
        serde_json::Value::Object(members) => members.into_iter().map(|(name, value)| (name, normal(value))).collect(),
        other => other,
    }
}

/// Shuffles the top-level fields of a message.
fn shuffle(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut rest = bytes;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let before = rest;
        let (tag, wire_type) = prost::encoding::decode_key(&mut rest).unwrap();
        prost::encoding::skip_field(wire_type, tag, &mut rest, prost::encoding::DecodeContext::default()).unwrap();
        fields.push(&before[..before.len() - rest.len()]);
    }
    for index in (1..fields.len()).rev() {
        fields.swap(index, rng.random_range(0..=index));
    }
    fields.concat()
}

fn random(descriptor: &MessageDescriptor, rng: &mut StdRng, depth: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            message.set_field_by_name("seconds", Value::I64(rng.random_range(-62_135_596_800..=253_402_300_799)));
            message.set_field_by_name("nanos", Value::I32(nanos(rng)));
        }
        "google.protobuf.Duration" => {
            let sign = if rng.random() { 1 } else { -1 };
            message.set_field_by_name("seconds", Value::I64(sign * rng.random_range(0..=315_576_000_000)));
            message.set_field_by_name("nanos", Value::I32(sign as i32 * nanos(rng)));
        }
        "google.protobuf.FieldMask" => {
            let paths = ["a_b.c_d", "title", "maker.zip_code"];
            let paths = (0..rng.random_range(0..3)).map(|at| Value::String(paths[at].to_owned())).collect();
            message.set_field_by_name("paths", Value::List(paths));
        }
        "google.protobuf.Value" => return random_value(descriptor, rng, depth),
        // The oracle prints an infinite wrapped double as null; the mapping requires "Infinity".
        "google.protobuf.DoubleValue" => message.set_field_by_name("value", Value::F64(f64::from(rng.random::<i16>()))),
        "google.protobuf.Any" => {
            let inner = descriptor.parent_pool().get_message_by_name("kinds.Scalars").unwrap();
            let bytes = random(&inner, rng, depth + 1).encode_to_vec();
            message.set_field_by_name("type_url", Value::String("type.googleapis.com/kinds.Scalars".to_owned()));
            message.set_field_by_name("value", Value::Bytes(bytes.into()));
        }
        _ => {
            for field in descriptor.fields() {
                let keep = if depth == 0 { 0.6 } else { 0.3 };
                let deep = depth > 2 && matches!(field.kind(), Kind::Message(_));
                if deep || !rng.random_bool(keep) {
                    continue;
                }
                let value = random_field(&field, rng, depth);
                message.set_field(&field, value);
            }
        }
    }
    message
}

fn random_value(descriptor: &MessageDescriptor, rng: &mut StdRng, depth: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let names = ["null_value", "number_value", "string_value", "bool_value", "struct_value", "list_value"];
    let name = names[rng.random_range(0..if depth > 2 { 4 } else { 6 })];
    let field = descriptor.get_field_by_name(name).unwrap();
    let value = match name {
        "null_value" => Value::EnumNumber(0),
        "number_value" => Value::F64(f64::from(rng.random_range(-1000..1000)) / 8.0),
        _ => random_field(&field, rng, depth),
    };
    message.set_field(&field, value);
    message
}

fn random_field(field: &FieldDescriptor, rng: &mut StdRng, depth: u32) -> Value {
    let count = rng.random_range(0..3);
    if field.is_map() {
        let kind = field.kind();
        let entry = kind.as_message().unwrap();
        let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let keys = (0..count).map(|_| match key {
            Kind::Bool => MapKey::Bool(rng.random()),
            Kind::Int32 => MapKey::I32(rng.random()),
            _ => MapKey::String(text(rng)),
        });
        let keys: Vec<MapKey> = keys.collect();
        return Value::Map(keys.into_iter().map(|key| (key, random_scalar(&value, rng, depth))).collect());
    }
    if field.is_list() {
        return Value::List((0..count).map(|_| random_scalar(&field.kind(), rng, depth)).collect());
    }
    random_scalar(&field.kind(), rng, depth)
}

fn random_scalar(kind: &Kind, rng: &mut StdRng, depth: u32) -> Value {
    match kind {
        Kind::Double => Value::F64(*pick(rng, &[0.0, -1.5, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]) as _),
        Kind::Float => Value::F32(*pick(rng, &[0.0, 0.1, f32::MAX, f32::MIN, f32::NAN, f32::INFINITY, 3.0e-39])),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(*pick(rng, &[0, -1, 7, i32::MIN, i32::MAX])),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(*pick(rng, &[0, -1, 7, i64::MIN, i64::MAX])),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(*pick(rng, &[0, 7, u32::MAX])),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(*pick(rng, &[0, 7, u64::MAX])),
        Kind::Bool => Value::Bool(rng.random()),
        Kind::String => Value::String(text(rng)),
        Kind::Bytes => {
            let mut bytes = vec![0; rng.random_range(0..20)];
            rng.fill_bytes(&mut bytes);
            Value::Bytes(Bytes::from(bytes))
        }
        Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
        Kind::Enum(_) => Value::EnumNumber(*pick(rng, &[0, 1, 5, -3, 99])),
        Kind::Message(message) => Value::Message(random(message, rng, depth + 1)),
    }
}

fn text(rng: &mut StdRng) -> String {
    (*pick(rng, &["", "plain", "qu\"ote\\", "tab\t\n\u{1}", "žluť 🐴", "</script>", "\u{7f}\u{2028}"])).to_owned()
}

fn nanos(rng: &mut StdRng) -> i32 {
    *pick(rng, &[0, 1, 1_000, 120_000_000, 999_999_999])
}

pub(crate) fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

#[test]
fn the_random_messages_are_worth_something() {
    let descriptor = pool_once().get_message_by_name("kinds.Everything").unwrap();
    let mut rng = StdRng::from_seed([7; 32]);
    let fields: usize = (0..50)
        .map(|_| random(&descriptor, &mut rng, 0))
        .map(|message| message.descriptor().fields().filter(|field| message.has_field(field)).count())
        .sum();
    assert!(fields > 500, "{fields}");
}
