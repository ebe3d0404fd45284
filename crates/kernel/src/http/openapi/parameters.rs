//! Parameters: path variables, query parameters and the headers a method evaluates.

use mainstay_transcoder::{BodyRule, Route};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        Method,
        policy::{Cache, Effect, Idempotency},
    },
    http::openapi::{examples::Side, rules, schema::Schemas},
};

/// Limits the nesting, because a recursive message would yield parameters without end.
const MAX_DEPTH: usize = 4;

pub(crate) fn path(schemas: &mut Schemas, field: &FieldDescriptor, name: &str) -> Value {
    let mut parameter = parameter(schemas, field, name, "path");
    parameter.insert("required".to_owned(), true.into());
    parameter.insert("example".to_owned(), schemas.examples.field(field, Side::Request));
    parameter.into()
}

/// Returns the query parameters of a request's fields, without those in the path or the body.
pub(crate) fn query(schemas: &mut Schemas, route: &Route, without: &[String]) -> Vec<Value> {
    let mut parameters = Vec::new();
    collect(schemas, &route.method.input(), without, ("", ""), MAX_DEPTH, &mut parameters);
    for parameter in &mut parameters {
        let masked = match parameter["name"].as_str() {
            Some("readMask") => resource(&route.method.output()),
            Some("include") => resource(&route.method.output()).and_then(|resource| {
                let included = resource.get_field_by_name("included")?;
                included.kind().as_message().cloned()
            }),
            Some("updateMask") => match &route.body {
                BodyRule::Field(field) => field.kind().as_message().cloned(),
                BodyRule::None | BodyRule::Whole => None,
            },
            _ => None,
        };
        if let Some(masked) = masked {
            name_fields(parameter, &masked);
        }
    }
    parameters
}

fn resource(answer: &MessageDescriptor) -> Option<MessageDescriptor> {
    answer.get_field_by_name("data")?.kind().as_message().cloned()
}

/// Lists the fields a mask can name; any other is refused.
fn name_fields(parameter: &mut Value, masked: &MessageDescriptor) {
    let names: Vec<_> = masked.fields().map(|field| field.json_name().to_owned()).collect();
    let one = names.join("|");
    parameter["schema"]["pattern"] = format!("^(\\*|({one})(,({one}))*)?$").into();
    let text = parameter["description"].as_str().unwrap_or_default();
    parameter["description"] =
        format!("{text} Either `*` or a comma-separated list of: `{}`.", names.join("`, `")).into();
}

fn collect(
    schemas: &mut Schemas,
    message: &MessageDescriptor,
    without: &[String],
    (proto_prefix, json_prefix): (&str, &str),
    depth: usize,
    parameters: &mut Vec<Value>,
) {
    for field in message.fields() {
        let path = format!("{proto_prefix}{}", field.name());
        let name = format!("{json_prefix}{}", field.json_name());
        // A query can't contain a map.
        if without.contains(&path) || field.is_map() {
            continue;
        }
        match field.kind() {
            Kind::Message(inner) if !inner.full_name().starts_with("google.protobuf.") => {
                if depth > 1 && !field.is_list() {
                    let prefixes = (&*format!("{path}."), &*format!("{name}."));
                    collect(schemas, &inner, without, prefixes, depth - 1, parameters);
                }
            }
            _ => {
                let mut parameter = parameter(schemas, &field, &name, "query");
                if rules::is_required(&field) {
                    parameter.insert("required".to_owned(), true.into());
                    parameter.insert("example".to_owned(), schemas.examples.field(&field, Side::Request));
                }
                if field.is_list() {
                    parameter.insert("style".to_owned(), "form".into());
                    parameter.insert("explode".to_owned(), true.into());
                }
                parameters.push(parameter.into());
            }
        }
    }
}

fn parameter(schemas: &mut Schemas, field: &FieldDescriptor, name: &str, place: &str) -> Map<String, Value> {
    let mut schema = rules::object(schemas.field(field, Side::Request));
    let description = schema.remove("description").unwrap_or_default();
    rules::object(json!({ "name": name, "in": place, "description": description, "schema": schema }))
}

pub(crate) fn headers(policy: &Method, reads: bool) -> Vec<Value> {
    let tagged = reads && policy.version.is_some() && policy.cache != Cache::NoStore;
    let dated = reads && policy.last_modified.is_some() && policy.cache != Cache::NoStore;
    let names = [
        ("IdempotencyKey", policy.idempotency == Idempotency::Optional),
        ("IdempotencyKeyRequired", policy.idempotency == Idempotency::Required),
        ("IfMatch", policy.conditional),
        ("IfNoneMatch", tagged || policy.conditional),
        ("IfModifiedSince", dated),
        ("LastEventId", policy.watch),
        ("ConsistencyToken", policy.effect == Effect::ReplicaRead),
        ("RequestId", true),
        ("RequestTimeout", true),
    ];
    let selection = names.iter().filter(|(_, is_used)| *is_used);
    selection.map(|(name, _)| json!({ "$ref": format!("#/components/parameters/{name}") })).collect()
}
