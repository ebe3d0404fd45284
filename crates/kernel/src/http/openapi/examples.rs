//! Realistic examples: those of the modules for their fields, and a table of common names of fields.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value as Protobuf};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{contract::proto::buf::validate::field_rules::Type, http::openapi::rules};

/// The id in a field without an example of a module.
const ID: &str = "0197b5f0-3e61-7b84-a1d9-5c8f2e7a4b63";

/// The id in the `X-Request-Id` of responses and the `requestId` of errors.
pub(super) const REQUEST_ID: &str = "0197b613-77c0-7e21-8f5d-2b3c4d5e6f70";

/// The direction of a message, which decides which of its fields the document shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Request,
    Response,
}

/// A module's example of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Example {
    /// A value.
    Value(Value),
    /// The field is absent: callers do not send it, or the resource of the example lacks it.
    Omitted,
}

impl<T: Into<Value>> From<T> for Example {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

/// Returns the example of a field for the API description, by the names of its message and of the field. Called only for
/// messages of the module's own packages, those with its name as a segment.
pub type Examples = fn(message: &str, field: &str) -> Option<Example>;

#[derive(Debug, Clone, Default)]
pub(crate) struct ExampleTable(pub(crate) Vec<(&'static str, Examples)>);

/// Common examples.
#[derive(Deserialize)]
struct Common {
    /// By the name of the field; `null` omits it.
    fields: HashMap<String, Option<Value>>,
    /// Of raw bodies, by their media types.
    files: HashMap<String, String>,
}

static COMMON: LazyLock<Common> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).expect("the file is part of the program"));

fn by_name(field: &str) -> Option<Example> {
    COMMON.fields.get(field).map(|value| value.clone().map_or(Example::Omitted, Example::Value))
}

impl ExampleTable {
    /// Returns the example of a field: its module's, else one by its name.
    fn example(&self, field: &FieldDescriptor) -> Option<Example> {
        let message = field.parent_message();
        let file = message.parent_file();
        let is_own = |module: &str| file.package_name().split('.').any(|segment| segment == module);
        let mut of_module = self.0.iter().filter(|(module, _)| is_own(module));
        let of_module = of_module.find_map(|(_, examples)| examples(message.name(), field.name()));
        of_module.or_else(|| by_name(field.name()))
    }

    fn is_left_out(&self, field: &FieldDescriptor, side: Side) -> bool {
        if side == Side::Request && field.name() == "account_id" {
            return !rules::is_required(field);
        }
        // Only the first member of a oneof is shown.
        let is_other_member = || {
            field
                .containing_oneof()
                .filter(|oneof| !oneof.is_synthetic())
                .is_some_and(|oneof| oneof.fields().next().is_some_and(|first| first.number() != field.number()))
        };
        self.example(field) == Some(Example::Omitted) || is_other_member()
    }

    /// Returns an example of a message, without the fields that the path contains.
    pub(crate) fn message(&self, message: &MessageDescriptor, side: Side, without: &[String]) -> Value {
        self.nested(message, side, without, &mut Vec::new())
    }

    /// As [`ExampleTable::message`], inside of other messages: a field whose message is among them is left out.
    fn nested(&self, message: &MessageDescriptor, side: Side, without: &[String], outer: &mut Vec<String>) -> Value {
        match message.full_name().strip_prefix("google.protobuf.") {
            Some("Timestamp") => return json!("2026-03-02T08:15:30Z"),
            Some("FieldMask") => return json!("id"),
            Some("Duration") => return json!("1.5s"),
            Some("Empty") => return json!({}),
            Some("Struct") => return json!({ "key": "text" }),
            Some("ListValue") => return json!(["text"]),
            Some("Value") => return json!("text"),
            Some("Any") => return json!({ "@type": "type.googleapis.com/google.protobuf.Empty", "value": {} }),
            Some(name) if name.ends_with("Value") => {
                return message.get_field(1).map_or(Value::Null, |wrapped| self.single(&wrapped, side, outer));
            }
            _ => {}
        }
        outer.push(message.full_name().to_owned());
        let fields = message.fields().filter(|field| !without.iter().any(|name| name == field.name()));
        let entries = fields.filter_map(|field| {
            // A response has its lists and maps even if they are empty.
            let is_empty = side == Side::Response && rules::is_always_present(&field);
            let empty = match () {
                () if field.is_map() => Some(json!({})),
                () if field.is_list() => Some(json!([])),
                () => None,
            };
            let value = match self.is_left_out(&field, side) || is_recursive(&field, outer) {
                true => empty.filter(|_| is_empty)?,
                false => self.inner(&field, side, outer),
            };
            Some((field.json_name().to_owned(), value))
        });
        let entries = entries.collect::<Map<_, _>>();
        outer.pop();
        entries.into()
    }

    pub(crate) fn field(&self, field: &FieldDescriptor, side: Side) -> Value {
        self.inner(field, side, &mut Vec::new())
    }

    fn inner(&self, field: &FieldDescriptor, side: Side, outer: &mut Vec<String>) -> Value {
        if field.is_map() && self.example(field).is_none() {
            let kind = field.kind();
            let entry = kind.as_message().expect("a map is a list of entries");
            let key = match self.single(&entry.map_entry_key_field(), side, outer) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            return json!({ key: self.single(&entry.map_entry_value_field(), side, outer) });
        }
        let value = self.single(field, side, outer);
        if field.is_list() { json!([value]) } else { value }
    }

    fn single(&self, field: &FieldDescriptor, side: Side, outer: &mut Vec<String>) -> Value {
        let named = match self.example(field) {
            Some(Example::Value(value)) => Some(value),
            Some(Example::Omitted) | None => None,
        };
        named.or_else(|| of_rules(field)).unwrap_or_else(|| match field.kind() {
            Kind::Message(inner) => self.nested(&inner, side, &[], outer),
            Kind::Enum(values) => {
                let rules = rules::of(field).r#type;
                let rules = match &rules {
                    Some(Type::Enum(rules)) => Some(rules),
                    _ => None,
                };
                let is_shown = |number: i32| number != 0 && rules::allows(rules, number);
                values.values().find(|value| is_shown(value.number())).map_or(Value::Null, |value| json!(value.name()))
            }
            Kind::Bool => json!(true),
            Kind::Float | Kind::Double => json!(1.5),
            Kind::String if is_id(field) => json!(ID),
            Kind::String => json!("text"),
            Kind::Bytes => json!("AA=="),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => json!("1"),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => json!(1),
        })
    }
}

/// Returns whether a field of a message leads back to it or to one around it.
fn is_recursive(field: &FieldDescriptor, outer: &[String]) -> bool {
    let is_around =
        |kind: &Kind| kind.as_message().is_some_and(|inner| outer.iter().any(|name| name == inner.full_name()));
    match field.kind() {
        Kind::Message(entry) if field.is_map() => is_around(&entry.map_entry_value_field().kind()),
        kind => is_around(&kind),
    }
}

/// Returns an example that satisfies the rules of a number, and the example of a text that its rules name.
fn of_rules(field: &FieldDescriptor) -> Option<Value> {
    let rules = rules::of(field).r#type?;
    if let Type::String(rules) = &rules {
        let named = rules.example.first().or(rules.r#const.as_ref()).or(rules.r#in.first());
        return named.map(|text| text.as_str().into());
    }
    let usual = if matches!(field.kind(), Kind::Float | Kind::Double) { 1.5 } else { 1.0 };
    let number = rules::NumberRules::of(&rules)?.example(usual)?;
    let is_text = matches!(field.kind(), Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64);
    Some(if is_text { number.to_string().into() } else { number })
}

/// Returns an example of a raw body, one of `media_types`. A type that can be anything has the example of the first type
/// that has one.
pub(crate) fn file(media_type: &str, media_types: &[String]) -> &'static str {
    let other = || media_types.iter().find_map(|media_type| known_file(media_type));
    // A type of JSON says more than JSON.
    let of_json = media_types.iter().find(|listed| listed.ends_with("+json"));
    of_json
        .and_then(|listed| known_file(listed))
        .or_else(|| known_file(media_type))
        .or_else(other)
        .unwrap_or("The bytes of the file.")
}

fn known_file(media_type: &str) -> Option<&'static str> {
    COMMON.files.get(media_type).map(String::as_str)
}

/// Returns whether a field identifies a resource: `id` or `…_id`, except request ids, which callers may choose, and
/// ids that gateways and providers give.
pub(crate) fn is_id(field: &FieldDescriptor) -> bool {
    !matches!(field.name(), "request_id" | "gateway_id" | "provider_event_id" | "client_id")
        && (field.name() == "id" || field.name().ends_with("_id"))
}

pub(crate) fn is_secret(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|value| *value == Protobuf::Bool(true))
}
