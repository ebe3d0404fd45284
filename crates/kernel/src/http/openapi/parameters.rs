//! Parameters: path variables, query parameters and the headers a method evaluates.

use mainstay_transcoder::{BodyRule, Route};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        Method,
        policy::{Cache, Effect, Idempotency},
    },
    http::openapi::{examples, rules, schema::Schemas, side::Side},
};

/// The values of `X-Request-Timeout`: anything above zero.
const TIMEOUT: &str = r"^(?!0+(\.0+)?(s|ms)?$)[0-9]{1,8}(\.[0-9]{1,9})?(s|ms)?$";
/// The values of `Idempotency-Key`: the key, bare or quoted as in draft-ietf-httpapi-idempotency-key-header.
const KEY: &str = r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#;

/// Limits the nesting, because a recursive message would yield parameters without end.
const MAX_DEPTH: usize = 4;

/// Returns the parameter of a path variable.
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

/// Returns the resource of a response: the message in its `data`.
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

/// Returns references to the headers a method evaluates.
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

/// Returns the header parameters by component name, limited to those for which `used` is true.
pub(crate) fn components(used: impl Fn(&str) -> bool) -> Map<String, Value> {
    let all = [
        ("IdempotencyKey", idempotency_key(false)),
        ("IdempotencyKeyRequired", idempotency_key(true)),
        (
            "IfMatch",
            header(
                "If-Match",
                "The version the resource must still have: the `ETag` of an earlier response, or `*`. Otherwise 412.",
                json!({ "type": "string" }),
                "\"7\"",
            ),
        ),
        (
            "IfNoneMatch",
            header(
                "If-None-Match",
                "The `ETag` of an earlier response. While it is current, a read returns 304 without a body, and a change 412.",
                json!({ "type": "string" }),
                "\"6\"",
            ),
        ),
        (
            "IfModifiedSince",
            header(
                "If-Modified-Since",
                "The `Last-Modified` of an earlier response. Ignored if `If-None-Match` is sent.",
                json!({ "type": "string" }),
                "Mon, 02 Mar 2026 08:15:30 GMT",
            ),
        ),
        (
            "LastEventId",
            header(
                "Last-Event-ID",
                "The id of the last event that was received, which is its `resumeToken`: the stream goes on after it. A \
                 browser's `EventSource` sends it by itself.",
                json!({ "type": "string", "maxLength": 4096 }),
                examples::RESUME_TOKEN,
            ),
        ),
        (
            "ConsistencyToken",
            header(
                "Consistency-Token",
                "The `Consistency-Token` of an earlier response: the response to this request is at least as new. Without it, \
                 callers see their own writes all the same.",
                json!({ "type": "string" }),
                examples::CONSISTENCY_TOKEN,
            ),
        ),
        (
            "RequestId",
            header(
                "X-Request-Id",
                "The id of the request in logs, responses and errors: 1 to 128 of `A-Za-z0-9-_.:/+=`. The server \
                 generates one if it is absent or malformed.",
                json!({ "type": "string" }),
                examples::REQUEST_ID,
            ),
        ),
        (
            "RequestTimeout",
            header(
                "X-Request-Timeout",
                "How long the caller waits, in seconds (`2`, `1.5`) or with a unit (`2s`, `500ms`); capped at the \
                 operation's own deadline.",
                json!({ "type": "string", "pattern": TIMEOUT }),
                "2s",
            ),
        ),
    ];
    all.into_iter().filter(|(name, _)| used(name)).map(|(name, header)| (name.to_owned(), header)).collect()
}

fn idempotency_key(required: bool) -> Value {
    let mut key = header(
        "Idempotency-Key",
        "Makes the request safe to repeat: the first response is stored and returned again, marked \
         `Idempotent-Replayed`. 1 to 255 visible ASCII characters, bare or quoted; use a new UUID for each intent.",
        json!({ "type": "string", "pattern": KEY }),
        "5f0c1d6e-6f0e-4f5c-9a55-0b8f4f6f2d11",
    );
    if required {
        key["required"] = true.into();
    }
    key
}

fn header(name: &str, description: &str, schema: Value, example: &str) -> Value {
    json!({ "name": name, "in": "header", "description": description, "schema": schema, "example": example })
}
