//! The values of messages in CEL: integers are `int` or `uint`, enums are `int`, wrappers are the wrapped value or `null`,
//! and `Timestamp`, `Duration` and `Struct` are the types of CEL.

use std::{any::Any, collections::HashMap, sync::Arc};

use ::cel::{
    ExecutionError,
    common::{
        traits::Indexer,
        types::{
            CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString,
            CelTimestamp, CelUInt, Type,
        },
        value::{CowVal, StaticVal, Val},
    },
};
use chrono::{DateTime, TimeDelta};
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage as _, Value};

use super::{
    super::{check, well_known},
    Converted, Steps,
};

static MESSAGE: Type = Type::new_unspecified_type("message");
static COUNTER: Type = Type::new_unspecified_type("counter");

/// A message, whose fields are converted when an expression reads them.
#[derive(Debug, Clone)]
pub(super) struct Message {
    message: Arc<DynamicMessage>,
    steps: Steps,
}

#[derive(Debug, Clone)]
pub(super) struct Counter(pub(super) Steps);

/// Converts a value of a message.
/// Errors: too many items, and a time or a duration that Protobuf can't represent.
pub(super) fn convert(value: &Value, steps: &Steps) -> Converted {
    Ok(match value {
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::I32(value) | Value::EnumNumber(value) => Box::new(CelInt::from(i64::from(*value))),
        Value::I64(value) => Box::new(CelInt::from(*value)),
        Value::U32(value) => Box::new(CelUInt::from(u64::from(*value))),
        Value::U64(value) => Box::new(CelUInt::from(*value)),
        Value::F32(value) => Box::new(CelDouble::from(f64::from(*value))),
        Value::F64(value) => Box::new(CelDouble::from(*value)),
        Value::String(value) => {
            steps.read(value.len())?;
            Box::new(CelString::from(value.clone()))
        }
        Value::Bytes(value) => {
            steps.read(value.len())?;
            Box::new(CelBytes::from(value.to_vec()))
        }
        Value::Message(value) => return message(value, steps),
        Value::List(items) => {
            steps.take(items.len())?;
            let items = items.iter().map(|item| convert(item, steps)).collect::<Result<Vec<_>, _>>()?;
            Box::new(CelList::from(items))
        }
        Value::Map(entries) => {
            steps.take(entries.len())?;
            let entries = entries.iter().map(|(key, value)| Ok((self::key(key), convert(value, steps)?)));
            Box::new(CelMap::from(entries.collect::<Result<HashMap<_, _>, ExecutionError>>()?))
        }
    })
}

fn key(key: &MapKey) -> CelMapKey<'static> {
    match key {
        MapKey::Bool(key) => (*key).into(),
        MapKey::I32(key) => i64::from(*key).into(),
        MapKey::I64(key) => (*key).into(),
        MapKey::U32(key) => u64::from(*key).into(),
        MapKey::U64(key) => (*key).into(),
        MapKey::String(key) => key.clone().into(),
    }
}

pub(super) fn whole(message: &Arc<DynamicMessage>, steps: &Steps) -> Box<dyn Val> {
    Box::new(Message { message: Arc::clone(message), steps: steps.clone() })
}

fn message(message: &DynamicMessage, steps: &Steps) -> Converted {
    let descriptor = message.descriptor();
    let field = |name: &str| message.get_field_by_name(name);
    let seconds = || field("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let nanos = || field("nanos").and_then(|value| value.as_i32()).unwrap_or_default();
    let wrapped = |name: &str| field(name).map_or_else(|| Ok(null()), |value| convert(&value, steps));
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => timestamp(seconds(), nanos()),
        "google.protobuf.Duration" => duration(seconds(), nanos()),
        "google.protobuf.Value" => match message.fields().next() {
            Some((_, Value::EnumNumber(_))) | None => Ok(null()),
            Some((_, value)) => convert(value, steps),
        },
        "google.protobuf.Struct" => wrapped("fields"),
        "google.protobuf.ListValue" => wrapped("values"),
        name if is_wrapper(name) => wrapped("value"),
        _ => {
            steps.read(message.encoded_len())?;
            Ok(whole(&Arc::new(message.clone()), steps))
        }
    }
}

fn null() -> Box<dyn Val> {
    Box::new(CelNull)
}

/// Returns a point in time: seconds since 1970, and nanoseconds.
///
/// The crate adds durations to times unchecked, so that both have the range of Protobuf.
pub(super) fn timestamp(seconds: i64, nanos: i32) -> Converted {
    let time = u32::try_from(nanos).ok().and_then(|nanos| DateTime::from_timestamp(seconds, nanos));
    let time = time.filter(|_| check::is_rfc3339(seconds, nanos));
    let time = time.ok_or_else(|| ExecutionError::function_error("timestamp", "out of range"))?;
    Ok(Box::new(CelTimestamp::from(time.fixed_offset())))
}

fn duration(seconds: i64, nanos: i32) -> Converted {
    let whole = TimeDelta::try_seconds(seconds).filter(|_| well_known::is_duration(seconds, nanos));
    let duration = whole.and_then(|whole| whole.checked_add(&TimeDelta::nanoseconds(nanos.into())));
    let duration = duration.ok_or_else(|| ExecutionError::function_error("duration", "out of range"))?;
    Ok(Box::new(CelDuration::from(duration)))
}

pub(super) fn counter(steps: &Steps) -> Box<dyn Val> {
    Box::new(Counter(steps.clone()))
}

/// Returns whether a message of Google wraps a scalar, and is `null` if it is unset.
fn is_wrapper(name: &str) -> bool {
    let wrapped = name.strip_prefix("google.protobuf.").and_then(|name| name.strip_suffix("Value"));
    wrapped.is_some_and(|wrapped| !matches!(wrapped, "" | "List" | "Null"))
}

impl Message {
    /// Returns whether a field is set; a field without presence, whether it is not zero or empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.message.has_field_by_name(name)
    }

    fn field(&self, name: &dyn Val) -> Converted {
        let name = name.downcast_ref::<CelString<'_>>().map(CelString::inner).unwrap_or_default();
        let field = self.message.descriptor().get_field_by_name(name);
        let field = field.ok_or_else(|| ExecutionError::no_such_key(name))?;
        let is_null = |kind: &Kind| {
            kind.as_message()
                .is_some_and(|kind| is_wrapper(kind.full_name()) || kind.full_name() == "google.protobuf.Value")
        };
        if !field.is_list() && is_null(&field.kind()) && !self.message.has_field(&field) {
            return Ok(null());
        }
        convert(&self.message.get_field(&field), &self.steps)
    }
}

impl Indexer for Message {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.field(name).map(CowVal::Owned)
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.field(name)
    }
}

impl Val for Message {
    fn get_type(&self) -> &Type {
        &MESSAGE
    }

    fn cel_type() -> &'static Type {
        &MESSAGE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| self.message == other.message)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Message {}

impl Val for Counter {
    fn get_type(&self) -> &Type {
        &COUNTER
    }

    fn cel_type() -> &'static Type {
        &COUNTER
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Counter {}
