//! JSON Schema of the messages, in protobuf's JSON mapping.
//!
//! Requests and responses need different schemas: rules apply to requests, and responses always contain the fields
//! without presence. So a message is described per side, and if both sides use it, each has a separate component.

use std::collections::HashMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        Contract,
        proto::buf::validate::{FieldRules, Ignore, field_rules::Type},
    },
    http::openapi::{
        comments::{self, Commented},
        examples::{self, ExampleTable, Side},
        rules::{self, NumberRules, object},
    },
};

#[derive(Debug)]
pub(crate) struct Schemas {
    pub(super) contract: &'static Contract,
    pub(super) examples: ExampleTable,
    components: Map<String, Value>,
    names: HashMap<(String, Side), String>,
}

impl Schemas {
    pub(crate) fn new(contract: &'static Contract, examples: ExampleTable) -> Self {
        Self { contract, examples, components: Map::new(), names: HashMap::new() }
    }

    pub(crate) fn into_components(self) -> Map<String, Value> {
        self.components
    }

    pub(crate) fn add(&mut self, name: &str, schema: Value) {
        self.components.insert(name.to_owned(), schema);
    }

    pub(crate) fn message(&mut self, message: &MessageDescriptor, side: Side) -> Value {
        self.body(message, side, &[])
    }

    /// Returns a reference to a message's component, without the fields that the path contains.
    pub(crate) fn body(&mut self, message: &MessageDescriptor, side: Side, without: &[String]) -> Value {
        let (name, new) = self.name(message.full_name(), message.name(), side);
        if new {
            // The name is reserved before the fields are described, because they may refer back to the message.
            self.components.insert(name.clone(), Value::Null);
            let schema = self.object(message, side, without);
            self.components.insert(name.clone(), schema);
        }
        reference(&name)
    }

    fn object(&mut self, message: &MessageDescriptor, side: Side, without: &[String]) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields().filter(|field| !without.iter().any(|name| name == field.name())) {
            properties.insert(field.json_name().to_owned(), self.field(&field, side));
            let always = match side {
                Side::Request => rules::is_required(&field),
                Side::Response => rules::is_always_present(&field),
            };
            if always {
                required.push(Value::from(field.json_name()));
            }
        }
        let mut schema = object(json!({ "type": "object" }));
        describe(&mut schema, &message.comment());
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), properties.into());
        }
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        if side == Side::Request {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        let oneofs = message.oneofs().filter(|oneof| !oneof.is_synthetic());
        let mut choices = oneofs.map(|oneof| choice(&oneof, side)).collect::<Vec<_>>();
        match choices.len() {
            0 => {}
            1 => schema.extend(choices.remove(0)),
            _ => {
                schema.insert("allOf".to_owned(), choices.into_iter().map(Value::from).collect());
            }
        }
        schema.into()
    }

    pub(crate) fn field(&mut self, field: &FieldDescriptor, side: Side) -> Value {
        let rules = if side == Side::Request { rules::of(field) } else { FieldRules::default() };
        let is_ignored_zero = rules.ignore() == Ignore::IfZeroValue && !field.supports_presence();
        let mut schema = match &rules.r#type {
            rules if field.is_map() => self.map(field, rules.as_ref(), side),
            rules if field.is_list() => {
                let list = match rules {
                    Some(Type::Repeated(list)) => Some(&**list),
                    _ => None,
                };
                let items = self.value(field, list.and_then(rules::of_items), side);
                let mut schema = object(json!({ "type": "array", "items": items }));
                if let Some(list) = list {
                    rules::list(list, &mut schema);
                }
                schema
            }
            rules => self.value(field, rules.as_ref(), side),
        };
        if is_ignored_zero && rules.r#type.is_some() {
            schema = rules::or_zero(schema, &zero(field));
        }
        describe(&mut schema, &field.comment());
        schema.into()
    }

    fn map(&mut self, field: &FieldDescriptor, rules: Option<&Type>, side: Side) -> Map<String, Value> {
        let map = match rules {
            Some(Type::Map(map)) => Some(&**map),
            _ => None,
        };
        let kind = field.kind();
        let entry = kind.as_message().expect("a map is a list of entries");
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let (key_rules, value_rules) = map.map_or((None, None), rules::of_pairs);
        let values = self.value(&value, value_rules, side);
        let mut schema = object(json!({ "type": "object", "additionalProperties": values }));
        let names = match key.kind() {
            Kind::String => key_rules.map(|_| self.value(&key, key_rules, side)),
            Kind::Bool => Some(object(json!({ "enum": ["true", "false"] }))),
            _ => Some(object(json!({ "pattern": "^-?[0-9]{1,20}$" }))),
        };
        schema.extend(names.map(|names| ("propertyNames".to_owned(), names.into())));
        if let Some(map) = map {
            rules::map(map, &mut schema);
        }
        schema
    }

    fn value(&mut self, field: &FieldDescriptor, rules: Option<&Type>, side: Side) -> Map<String, Value> {
        match (field.kind(), rules) {
            (Kind::Message(message), rules) => self.nested(&message, rules, side),
            (Kind::Enum(values), rules) => {
                let rules = if let Some(Type::Enum(rules)) = rules { Some(rules) } else { None };
                // A response contains the zero value only for a field that is printed even if it is unset.
                let printed = !field.is_list() && !field.supports_presence();
                let zero = side == Side::Request || printed;
                self.enumeration(&values, |number| (number != 0 || zero) && rules::allows(rules, number))
            }
            (Kind::String, rules) if side == Side::Request => rules::declared_names(&self.contract.policies, field)
                .unwrap_or_else(|| {
                    let rules = if let Some(Type::String(rules)) = rules { Some(rules) } else { None };
                    rules::string(rules, examples::is_secret(field))
                }),
            (Kind::String, _) if examples::is_id(field) => object(json!({ "type": "string", "format": "uuid" })),
            (Kind::String, _) => object(json!({ "type": "string" })),
            (Kind::Bytes, Some(Type::Bytes(rules))) => rules::bytes(Some(rules)),
            (Kind::Bytes, _) => rules::bytes(None),
            (Kind::Bool, _) => object(json!({ "type": "boolean" })),
            (kind, rules) => {
                let rules = rules.and_then(NumberRules::of);
                let rules = rules.as_ref();
                match kind {
                    Kind::Float | Kind::Double => rules::float(rules),
                    Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 if side == Side::Request => rules::int32(rules),
                    Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                        object(json!({ "type": "integer", "format": "int32" }))
                    }
                    Kind::Uint32 | Kind::Fixed32 => rules::uint32(rules),
                    Kind::Uint64 | Kind::Fixed64 => rules::uint64(rules),
                    _ => rules::int64(rules),
                }
            }
        }
    }

    fn nested(&mut self, message: &MessageDescriptor, rules: Option<&Type>, side: Side) -> Map<String, Value> {
        object(match message.full_name() {
            "google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
            "google.protobuf.Duration" => json!({ "type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$" }),
            "google.protobuf.FieldMask" => json!({ "type": "string", "pattern": "^[a-zA-Z_.,]*$" }),
            "google.protobuf.Struct" => json!({ "type": "object", "additionalProperties": true }),
            "google.protobuf.ListValue" => json!({ "type": "array", "items": {} }),
            "google.protobuf.Value" => json!({}),
            "google.protobuf.Empty" => json!({ "type": "object", "additionalProperties": false }),
            "google.protobuf.Any" => json!({
                "type": "object",
                "properties": { "@type": { "type": "string" } },
                "required": ["@type"],
                "additionalProperties": true,
            }),
            "google.protobuf.BoolValue"
            | "google.protobuf.BytesValue"
            | "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int32Value"
            | "google.protobuf.Int64Value"
            | "google.protobuf.StringValue"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.UInt64Value" => {
                // A wrapper is printed as what it wraps, or not at all.
                let wrapped = message.get_field(1).map(|field| self.value(&field, rules, side));
                return wrapped.unwrap_or_default();
            }
            _ => self.message(message, side),
        })
    }

    /// Returns a reference to the enum if every value but the zero value is allowed, otherwise an inline schema.
    fn enumeration(&mut self, values: &EnumDescriptor, is_shown: impl Fn(i32) -> bool) -> Map<String, Value> {
        let names: Vec<_> = values.values().filter(|value| is_shown(value.number())).collect();
        let is_complete = names.iter().all(|value| value.number() != 0) && names.len() + 1 == values.values().len();
        let schema = |text: String| {
            let names: Vec<_> = names.iter().map(|value| value.name()).collect();
            json!({ "type": "string", "description": text, "enum": names })
        };
        if !is_complete {
            return object(schema(comments::enumeration(values, is_shown)));
        }
        // Both sides share one component, because they allow the same values.
        let (name, new) = self.name(values.full_name(), values.name(), Side::Response);
        if new {
            self.components.insert(name.clone(), schema(comments::enumeration(values, is_shown)));
        }
        object(reference(&name))
    }

    /// Returns the component's name and whether it is new. The name is short unless another component has that name.
    fn name(&mut self, full: &str, short: &str, side: Side) -> (String, bool) {
        let key = (full.to_owned(), side);
        if let Some(name) = self.names.get(&key) {
            return (name.clone(), false);
        }
        let qualified: String = full.trim_start_matches("mainstay.").split('.').map(capitalize).collect();
        let candidates = [short.to_owned(), format!("{short}Input"), qualified.clone(), format!("{qualified}Input")];
        let free = candidates.into_iter().find(|name| !self.components.contains_key(name));
        let name = free.unwrap_or(qualified);
        self.names.insert(key, name.clone());
        (name, true)
    }
}

fn zero(field: &FieldDescriptor) -> Value {
    match field.kind() {
        _ if field.is_map() => json!({}),
        _ if field.is_list() => json!([]),
        Kind::String | Kind::Bytes => json!(""),
        Kind::Bool => json!(false),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => json!("0"),
        Kind::Enum(values) => values.get_value(0).map_or(Value::Null, |value| value.name().into()),
        _ => json!(0),
    }
}

pub(crate) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Returns the condition that at most one member of a oneof is present; in a response, that exactly one is.
fn choice(oneof: &OneofDescriptor, side: Side) -> Map<String, Value> {
    let mut cases = oneof.fields().map(|field| json!({ "required": [field.json_name()] })).collect::<Vec<_>>();
    if side == Side::Request {
        cases.push(json!({ "not": { "anyOf": cases.clone() } }));
    }
    object(json!({ "oneOf": cases }))
}

/// Adds a comment; the field's description precedes its type's.
fn describe(schema: &mut Map<String, Value>, comment: &str) {
    if comment.is_empty() {
        return;
    }
    let text = match schema.get("description").and_then(Value::as_str) {
        None => comment.to_owned(),
        // Of an enum's description, only the list of values is kept.
        Some(inner) => match inner.split_once("\n") {
            Some((_, values)) => format!("{comment}\n{values}"),
            None => format!("{comment} {inner}"),
        },
    };
    schema.insert("description".to_owned(), text.into());
}

fn capitalize(word: &str) -> String {
    let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use prost_reflect::{
        DescriptorPool,
        prost_types::{
            DescriptorProto, FieldDescriptorProto, FileDescriptorProto, OneofDescriptorProto,
            field_descriptor_proto::{Label, Type as FieldType},
        },
    };

    use super::*;

    fn schemas() -> Schemas {
        Schemas::new(Contract::read(&[]).expect("the kernel's own"), ExampleTable::default())
    }

    fn field(name: &str, number: i32, oneof: Option<i32>, of: Option<&str>) -> FieldDescriptorProto {
        let r#type = if of.is_some() { FieldType::Message } else { FieldType::String };
        FieldDescriptorProto {
            name: Some(name.to_owned()),
            json_name: Some(name.to_owned()),
            number: Some(number),
            label: Some(Label::Optional.into()),
            r#type: Some(r#type.into()),
            type_name: of.map(str::to_owned),
            oneof_index: oneof,
            ..Default::default()
        }
    }

    /// Returns a message with these fields and as many oneofs.
    fn message(oneofs: usize, field: Vec<FieldDescriptorProto>) -> MessageDescriptor {
        let mut pool = DescriptorPool::global();
        let declared = |number| OneofDescriptorProto { name: Some(format!("choice_{number}")), options: None };
        let message = DescriptorProto {
            name: Some("Message".to_owned()),
            field,
            oneof_decl: (0..oneofs).map(declared).collect(),
            ..Default::default()
        };
        let file = FileDescriptorProto {
            name: Some("test.proto".to_owned()),
            package: Some("test".to_owned()),
            syntax: Some("proto3".to_owned()),
            dependency: ["wrappers", "struct"].map(|name| format!("google/protobuf/{name}.proto")).into(),
            message_type: vec![message],
            ..Default::default()
        };
        pool.add_file_descriptor_proto(file).expect("a valid file");
        pool.get_message_by_name("test.Message").expect("the message")
    }

    #[test]
    fn a_oneof_of_a_request_may_be_unset() {
        let message = message(1, vec![field("a", 1, Some(0), None), field("b", 2, Some(0), None)]);
        let mut schemas = schemas();
        let (a, b) = (json!({ "required": ["a"] }), json!({ "required": ["b"] }));
        let request = schemas.object(&message, Side::Request, &[]);
        assert_eq!(request["oneOf"], json!([a, b, { "not": { "anyOf": [a, b] } }]));
        assert_eq!(schemas.object(&message, Side::Response, &[])["oneOf"], json!([a, b]));
    }

    #[test]
    fn every_oneof_of_a_message_is_described() {
        let members = [("a", 0), ("b", 0), ("c", 1), ("d", 1)];
        let fields = members.iter().zip(1..).map(|((name, oneof), number)| field(name, number, Some(*oneof), None));
        let schema = schemas().object(&message(2, fields.collect()), Side::Response, &[]);
        let choice = |names: [&str; 2]| json!({ "oneOf": names.map(|name| json!({ "required": [name] })) });
        assert_eq!(schema["allOf"], json!([choice(["a", "b"]), choice(["c", "d"])]));
    }

    #[test]
    fn wrappers_and_json_values_have_the_schema_of_their_json() {
        let fields = vec![
            field("text", 1, None, Some(".google.protobuf.StringValue")),
            field("number", 2, None, Some(".google.protobuf.Int64Value")),
            field("any", 3, None, Some(".google.protobuf.Value")),
            field("map", 4, None, Some(".google.protobuf.Struct")),
        ];
        let mut schemas = schemas();
        let schema = schemas.object(&message(0, fields), Side::Response, &[]);
        let r#type = |name: &str| schema["properties"][name]["type"].clone();
        assert_eq!(["text", "number", "map"].map(r#type), ["string", "string", "object"].map(Value::from));
        assert_eq!(schema["properties"]["any"], json!({}));
        assert!(schemas.into_components().is_empty());
    }
}
