//! The values of predefined rules as expressions.

use std::fmt::Write as _;

use prost_reflect::{ReflectMessage as _, Value};

/// Returns an expression for a value; `None` for a map, or a message that is not a time or a duration.
pub(super) fn literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) | Value::EnumNumber(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => format!("{value}u"),
        Value::U64(value) => format!("{value}u"),
        Value::F32(value) => double(f64::from(*value)),
        Value::F64(value) => double(*value),
        Value::String(value) => text(value),
        Value::Bytes(value) => {
            let digits = value.iter().fold(String::new(), |mut digits, byte| {
                let _ = write!(digits, "\\x{byte:02x}");
                digits
            });
            format!("b\"{digits}\"")
        }
        Value::List(items) => format!("[{}]", items.iter().map(literal).collect::<Option<Vec<_>>>()?.join(", ")),
        Value::Message(message) => {
            let part = |name: &str| {
                message.get_field_by_name(name).and_then(|part| part.as_i64().or(part.as_i32().map(i64::from)))
            };
            let (seconds, nanos) = (part("seconds")?, part("nanos")?);
            match message.descriptor().full_name() {
                "google.protobuf.Duration" => format!("duration(\"{seconds}s\") + duration(\"{nanos}ns\")"),
                "google.protobuf.Timestamp" => format!("timestamp({seconds}) + duration(\"{nanos}ns\")"),
                _ => return None,
            }
        }
        Value::Map(_) => return None,
    })
}

fn double(value: f64) -> String {
    match value {
        _ if value.is_nan() => "double(\"NaN\")".to_owned(),
        _ if value.is_infinite() => format!("double(\"{}\")", if value > 0.0 { "Infinity" } else { "-Infinity" }),
        _ => format!("{value:?}"),
    }
}

fn text(value: &str) -> String {
    let mut quoted = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}
