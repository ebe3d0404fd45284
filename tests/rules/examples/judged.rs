//! Prints messages and their violations, for `judge/check.py`, which compares them with those of protovalidate.
//!
//! The values are random, near the values of the rules, and the same in each run with the same seed.
//!
//! usage: judged [SEED]

use std::collections::HashMap;

use mainstay_kernel::{
    clock::Clock,
    contract::validate::{Validate, Violations},
};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value,
};
use rules::rules::v1::{
    Blobs, Choices, Collections, Costly, Expressions, Functions, Ignored, Known, Node, Numbers, Period, Predefined,
    Required, Strings,
};

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
/// The messages of each type.
const MESSAGES: usize = 4_000;
/// Texts that some rule allows, and texts that are almost such.
const TEXTS: [&str; 44] = [
    "",
    "a",
    "ab",
    "abc",
    "amz",
    "a\"b",
    "z",
    "B",
    "\u{fc}",
    "\u{fc}\u{fc}",
    "total",
    "spam",
    "ada@b.example",
    "ada@b",
    "a.example",
    "a_b",
    "a.example:80",
    "[::1]:80",
    "[::1]",
    "::1",
    "fe80::1%a",
    "10.0.0.1",
    "10.0.0",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "::/8",
    "0197b5ea-51c4-7a10-8a3e-0d9c4f7e1b22",
    "0197b5ea51c47a108a3e0d9c4f7e1b22",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "https://a.example/b?c#d",
    "//a",
    "/b",
    "%",
    ".a.B",
    "a.B",
    "x-a",
    "x a",
    "a\u{1}",
    "a\n",
    "\0",
    "\u{200b}",
    "a\0",
    "type.googleapis.com/rules.v1.Node",
    "b.c.d",
];
const KEYS: [&str; 5] = ["a", "b", "B", "total", ""];

/// The generator of Knuth's MMIX.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % end
    }

    fn pick<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }
}

fn main() {
    let seed = std::env::args().nth(1).map_or(1, |seed| seed.parse().expect("usage: judged [SEED]"));
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
    println!("{}", hex(DESCRIPTORS));
    let mut random = Random(seed);
    macro_rules! judged {
        ($($message:ident),*) => {$(
            let name = concat!("rules.v1.", stringify!($message));
            let descriptor = pool.get_message_by_name(name).expect("a message");
            for _ in 0..MESSAGES {
                let encoded = message(&mut random, &descriptor, 3).encode_to_vec();
                let decoded = $message::decode(encoded.as_slice()).expect("the same message");
                println!("{name}\t{}{}", hex(&encoded), said(&decoded));
            }
        )*};
    }
    judged!(
        Blobs,
        Choices,
        Collections,
        Costly,
        Expressions,
        Functions,
        Ignored,
        Known,
        Node,
        Numbers,
        Period,
        Predefined,
        Required,
        Strings
    );
    println!("end");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the paths and texts of the violations, each after a tab.
fn said(message: &impl Validate) -> String {
    match message.check().map_err(Violations::into_inner) {
        Ok(()) => String::new(),
        Err(violations) if violations.is_empty() => "\t(failed)\t".to_owned(),
        Err(violations) => violations.iter().map(|(path, text)| format!("\t{path}\t{text}")).collect(),
    }
}

/// Returns a message with a few fields.
fn message(random: &mut Random, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let fields: Vec<_> = descriptor.fields().collect();
    for _ in 0..random.below(4) {
        let field = random.pick(&fields);
        let near = values_of_rules(&field);
        if let Some(value) = field_value(random, &field, &near, depth) {
            message.set_field(&field, value);
        }
    }
    message
}

fn field_value(random: &mut Random, field: &FieldDescriptor, near: &[Value], depth: usize) -> Option<Value> {
    let kind = field.kind();
    if field.is_map() {
        let entry = kind.as_message()?;
        let (key_kind, kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let mut entries = HashMap::new();
        for _ in 0..random.below(4) {
            entries.insert(key(random, &key_kind), value(random, &kind, near, depth)?);
        }
        return Some(Value::Map(entries));
    }
    if field.is_list() {
        let items = (0..random.below(5)).map(|_| value(random, &kind, near, depth));
        return Some(Value::List(items.collect::<Option<_>>()?));
    }
    value(random, &kind, near, depth)
}

fn key(random: &mut Random, kind: &Kind) -> MapKey {
    let number = i32::try_from(random.below(5)).unwrap_or_default() - 2;
    match kind {
        Kind::String => MapKey::String(random.pick(&KEYS).to_owned()),
        Kind::Bool => MapKey::Bool(number > 0),
        _ => MapKey::I32(number),
    }
}

/// Returns a value of a kind, by chance one that a rule has, or a neighbour of it; `None` for a message that is too deep.
fn value(random: &mut Random, kind: &Kind, near: &[Value], depth: usize) -> Option<Value> {
    let is_of_type = |value: &&Value| {
        let message = value.as_message().map(|message| message.descriptor());
        value.is_valid(kind) && message.as_ref() == kind.as_message()
    };
    let near: Vec<_> = near.iter().filter(is_of_type).cloned().collect();
    if !near.is_empty() && random.below(2) == 0 {
        let value = random.pick(&near);
        return Some(neighbour(random, value));
    }
    let integers = [0, 1, -1, 2, 3, 4, 5, 6, 7, 9, 10, 12, i64::MAX, i64::MIN];
    let small = i32::try_from(random.below(14)).unwrap_or_default() - 3;
    Some(match kind {
        Kind::Bool => Value::Bool(random.below(2) == 0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(random.pick(&[small, small, small, i32::MAX, i32::MIN]))
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(random.pick(&integers)),
        Kind::Uint32 | Kind::Fixed32 => {
            Value::U32(random.pick(&[small.unsigned_abs(), small.unsigned_abs(), u32::MAX]))
        }
        Kind::Uint64 | Kind::Fixed64 => Value::U64(random.pick(&[0, 1, 2, 3, 5, 6, 10, u64::MAX])),
        Kind::Float => Value::F32(random.pick(&[0.0, -0.0, 1.0, -1.5, 3.0, 10.5, f32::NAN, f32::INFINITY])),
        Kind::Double => Value::F64(random.pick(&[0.0, -0.0, 1.0, -1.5, 3.0, 1e300, f64::NAN, f64::NEG_INFINITY])),
        Kind::String => Value::String(random.pick(&TEXTS).to_owned()),
        Kind::Bytes => Value::Bytes(match random.below(4) {
            0 => vec![0; random.pick(&[4, 15, 16])].into(),
            _ => random.pick(&TEXTS).as_bytes().to_vec().into(),
        }),
        Kind::Enum(_) => Value::EnumNumber(random.pick(&[0, 1, 2, 7])),
        Kind::Message(_) if depth == 0 => return None,
        Kind::Message(descriptor) => Value::Message(known(random, descriptor, depth)),
    })
}

/// Returns a message, whose fields are in range if it is a time or a duration.
fn known(random: &mut Random, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let now = Clock::default().now().timestamp();
    let seconds = match descriptor.full_name() {
        "google.protobuf.Timestamp" => random.pick(&[
            0,
            1,
            10,
            1_767_225_600,
            now - 10,
            now - 86_400,
            now + 86_400,
            253_402_300_799,
            253_402_300_800,
        ]),
        "google.protobuf.Duration" => random.pick(&[0, 1, 2, 3, 4, 60, 61, -1, 315_576_000_000]),
        "google.protobuf.FieldMask" => {
            let mut mask = DynamicMessage::new(descriptor.clone());
            let paths = (0..random.below(3))
                .map(|_| Value::String(random.pick(&["a", "ab", "a.b", "b", "b.c", "b.c.d"]).to_owned()));
            mask.set_field_by_name("paths", Value::List(paths.collect()));
            return mask;
        }
        _ => return message(random, descriptor, depth - 1),
    };
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("seconds", Value::I64(seconds));
    if (0..253_402_300_800).contains(&seconds) {
        message.set_field_by_name("nanos", Value::I32(random.pick(&[0, 0, 1, 500_000_000, 999_999_999])));
    }
    message
}

/// Returns the values in the rules of a field.
fn values_of_rules(field: &FieldDescriptor) -> Vec<Value> {
    fn collect(value: &Value, into: &mut Vec<Value>) {
        match value {
            Value::Message(rules) => {
                into.push(value.clone());
                rules.fields().for_each(|(_, value)| collect(value, into));
                rules.extensions().for_each(|(_, value)| collect(value, into));
            }
            Value::List(values) => values.iter().for_each(|value| collect(value, into)),
            scalar => into.push(scalar.clone()),
        }
    }
    let mut values = Vec::new();
    if let Some(extension) = field.parent_pool().get_extension_by_name("buf.validate.field") {
        collect(&field.options().get_extension(&extension), &mut values);
    }
    values
}

/// Returns a value, or the next one on either side.
fn neighbour(random: &mut Random, value: Value) -> Value {
    match (random.below(3), value) {
        (1, Value::I32(value)) => Value::I32(value.saturating_add(1)),
        (2, Value::I32(value)) => Value::I32(value.saturating_sub(1)),
        (1, Value::I64(value)) => Value::I64(value.saturating_add(1)),
        (2, Value::I64(value)) => Value::I64(value.saturating_sub(1)),
        (1, Value::U32(value)) => Value::U32(value.saturating_add(1)),
        (2, Value::U32(value)) => Value::U32(value.saturating_sub(1)),
        (1, Value::U64(value)) => Value::U64(value.saturating_add(1)),
        (2, Value::U64(value)) => Value::U64(value.saturating_sub(1)),
        (1, Value::F32(value)) => Value::F32(value.next_up()),
        (2, Value::F32(value)) => Value::F32(value.next_down()),
        (1, Value::F64(value)) => Value::F64(value.next_up()),
        (2, Value::F64(value)) => Value::F64(value.next_down()),
        (1, Value::String(value)) => Value::String(value + "a"),
        (2, Value::String(value)) => Value::String(value.chars().skip(1).collect()),
        (_, value) => value,
    }
}
