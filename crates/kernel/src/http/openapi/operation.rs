//! Operations: each is an HTTP rule with the policy of its method.

use http::Method as HttpMethod;
use mainstay_transcoder::{BodyRule, Route, Segment};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        Method,
        policy::{Access, BuiltInRole, Cache, Grant, Idempotency, Policies, Reach, Role, Scope, service_name},
    },
    http::openapi::{
        comments::{self, Commented},
        errors,
        examples::{self, Side},
        parameters, responses, rules,
        schema::Schemas,
    },
};

const HTTP_BODY: &str = "google.api.HttpBody";
/// A body of any media type, and what such a body is described as.
const ANY: &str = "*/*";
const UNKNOWN: &str = "application/octet-stream";

pub(crate) struct Operation {
    /// The path, with JSON names in braces.
    pub(crate) path: String,
    /// The HTTP method in lower case.
    pub(crate) method: String,
    pub(crate) value: Value,
}

/// Describes a route; `None` if it accepts every HTTP method, which OpenAPI can't express.
pub(crate) fn describe(schemas: &mut Schemas, route: &Route, policy: &Method, binding: usize) -> Option<Operation> {
    let http_method = route.http_method.as_ref()?;
    let reads = matches!(*http_method, HttpMethod::GET | HttpMethod::HEAD);
    let input = route.method.input();
    let comment = route.method.comment();
    let in_path: Vec<String> = route.template.variables().iter().map(|v| v.field_path.clone()).collect();
    let body = body(schemas, route, policy, &in_path);
    let mut list = path_parameters(schemas, &input, &in_path);
    list.extend(query_parameters(schemas, route, &in_path));
    let traits = errors::Traits {
        policy,
        comment: &comment,
        // The bytes of a file have the type that the method gives them.
        negotiates: policy.negotiates() && !responses::is_raw(route),
        reads,
        names_resource: !in_path.is_empty(),
        takes_body: body.is_some(),
        violation: input
            .fields()
            .find_map(|field| Some((field.json_name().to_owned(), rules::violation_message(&field)?))),
        takes_fields: input.fields().len() > 0,
    };
    let errors = errors::of(&schemas.contract.catalogue, &traits);
    list.extend(parameters::headers(policy, reads));
    let mut answers = responses::of(schemas, route, policy, reads);
    answers.extend(
        errors.iter().map(|(status, reasons)| {
            (status.to_string(), errors::response(policy, reasons, traits.violation.as_ref()))
        }),
    );
    let service = service_name(route.method.parent_service());
    let suffix = if binding == 0 { String::new() } else { format!("_{}", binding + 1) };
    let mut value = rules::object(json!({
        "operationId": format!("{service}_{}{suffix}", route.method.name()),
        "tags": [service],
        "summary": policy.title.clone().unwrap_or_else(|| comments::words(route.method.name())),
        "description": comment,
        "parameters": list,
    }));
    if let Some(deprecation) = &policy.deprecation {
        value.insert("deprecated".to_owned(), true.into());
        value.insert("x-sunset".to_owned(), deprecation.sunset.date_naive().to_string().into());
    }
    if let Some(body) = body {
        value.insert("requestBody".to_owned(), body);
    }
    value.insert("responses".to_owned(), answers.into());
    value.insert("security".to_owned(), security(policy));
    value.insert("x-grpc-method".to_owned(), policy.path.trim_start_matches('/').into());
    value.insert("x-policy".to_owned(), words(policy, &schemas.contract.policies));
    let codes = errors.values().flatten().map(|reason| Value::from(reason.facts().code));
    value.insert("x-error-codes".to_owned(), codes.collect());
    Some(Operation { path: path(route), method: http_method.as_str().to_ascii_lowercase(), value: value.into() })
}

/// Returns the template with its variables under their JSON names, which errors use too.
fn path(route: &Route) -> String {
    let template = &route.template;
    let mut text = String::new();
    for (index, segment) in template.segments().iter().enumerate() {
        let variable = template.variables().iter().find(|variable| variable.segments.contains(&index));
        text += &match (segment, variable) {
            (Segment::Literal(literal), _) => format!("/{literal}"),
            (_, Some(variable)) => format!("/{{{}}}", json_path(&route.method.input(), &variable.field_path)),
            (_, None) => format!("/{{segment{index}}}"),
        };
    }
    template.verb().map_or(text.clone(), |verb| format!("{text}:{verb}"))
}

fn path_parameters(schemas: &mut Schemas, input: &MessageDescriptor, in_path: &[String]) -> Vec<Value> {
    let fields = in_path.iter().filter_map(|path| Some((path, resolve(input, path)?)));
    fields.map(|(path, field)| parameters::path(schemas, &field, &json_path(input, path))).collect()
}

/// Returns the parameters for fields that are in neither path nor body. With `body: "*"` there are none.
fn query_parameters(schemas: &mut Schemas, route: &Route, in_path: &[String]) -> Vec<Value> {
    let mut elsewhere = in_path.to_vec();
    match &route.body {
        BodyRule::Whole => return Vec::new(),
        BodyRule::Field(field) => elsewhere.push(field.name().to_owned()),
        BodyRule::None => {}
    }
    parameters::query(schemas, route, &elsewhere)
}

fn body(schemas: &mut Schemas, route: &Route, policy: &Method, in_path: &[String]) -> Option<Value> {
    let input = route.method.input();
    let is_raw = |message: &MessageDescriptor| message.full_name() == HTTP_BODY;
    match &route.body {
        BodyRule::None => None,
        BodyRule::Whole if is_raw(&input) => Some(raw(policy)),
        BodyRule::Field(field) if field.kind().as_message().is_some_and(is_raw) => Some(raw(policy)),
        BodyRule::Field(field) => {
            let schema = schemas.field(field, Side::Request);
            Some(json(&schema, &schemas.examples.field(field, Side::Request), rules::is_required(field)))
        }
        BodyRule::Whole => {
            let in_body: Vec<_> = input.fields().filter(|field| !in_path.iter().any(|p| p == field.name())).collect();
            if in_body.is_empty() {
                return None;
            }
            let schema = schemas.body(&input, Side::Request, in_path);
            let example = schemas.examples.message(&input, Side::Request, in_path);
            Some(json(&schema, &example, in_body.iter().any(rules::is_required)))
        }
    }
}

fn json(schema: &Value, example: &Value, required: bool) -> Value {
    json!({ "required": required, "content": { "application/json": { "schema": schema, "example": example } } })
}

fn raw(policy: &Method) -> Value {
    let content = |media_type: &String| {
        let schema =
            json!({ "type": "string", "minLength": 1, "contentMediaType": media_type, "description": "The file." });
        (media_type.clone(), json!({ "schema": schema, "example": examples::file(media_type, &policy.media_types) }))
    };
    let mut contents: Map<_, _> =
        policy.media_types.iter().filter(|media_type| *media_type != ANY).map(content).collect();
    if policy.media_types.iter().any(|media_type| media_type == ANY) {
        let file = json!({ "type": "string", "minLength": 1, "format": "binary", "description": "The file." });
        let form = json!({ "type": "object", "required": ["file"], "properties": { "file": file } });
        let example = examples::file(UNKNOWN, &policy.media_types);
        contents.insert(UNKNOWN.to_owned(), json!({ "schema": file, "example": example }));
        contents.insert("multipart/form-data".to_owned(), json!({ "schema": form, "example": { "file": example } }));
    }
    json!({ "required": true, "content": contents })
}

/// Returns the accepted credentials: users sign in for a token; internal callers have a key or a certificate. The empty
/// way means none at all.
fn security(policy: &Method) -> Value {
    let by = |service: bool| policy.grants.iter().any(|grant| (grant.role == Role::Service) == service);
    let mut ways = Vec::new();
    if policy.access == Access::Public && !policy.grants.is_empty() {
        ways.push(json!({}));
    }
    if by(false) {
        ways.push(json!({ "bearer": [] }));
    }
    if by(true) {
        ways.push(json!({ "serviceKey": [] }));
        ways.push(json!({ "clientCertificate": [] }));
    }
    ways.into()
}

/// Returns the policy, with names that don't carry the enums' prefixes.
fn words(policy: &Method, policies: &Policies) -> Value {
    let is_admitted = |role: &BuiltInRole| {
        policy.grant(role.role()).is_some_and(|grant| grant.reach_with(&policies.scopes_of(*role)).is_ok())
    };
    let grant = |grant: &Grant| {
        json!({
            "role": word(grant.role.as_str_name(), "ROLE_"),
            "reach": grant.reach.words(),
            "scope": grant.scope.as_ref().map(Scope::as_str),
            "reachWithoutScope": grant.reach_without_scope.map(Reach::words),
        })
    };
    json!({
        "access": if policy.access == Access::Public { "public" } else { "granted" },
        "grants": policy.grants.iter().map(grant).collect::<Vec<_>>(),
        "builtInRoles": BuiltInRole::all().filter(is_admitted).map(BuiltInRole::full_name).collect::<Vec<_>>(),
        "idempotency": match policy.idempotency {
            Idempotency::Required => "required",
            Idempotency::Optional => "optional",
            Idempotency::None | Idempotency::Unspecified => "none",
        },
        "rateClass": word(policy.rate_class.as_str_name(), "RATE_CLASS_"),
        "deadlineMs": policy.deadline.as_millis() as u64,
        "conditional": policy.conditional,
        "cache": match (policy.cache, &policy.public_cache) {
            (Cache::Public, Some(public)) => public.header(),
            (Cache::Public | Cache::PrivateRevalidate, _) => "private, no-cache",
            (Cache::NoStore | Cache::Unspecified, _) => "no-store",
        },
        "maxRequestBytes": policy.max_request_bytes,
    })
}

fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

fn resolve(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    match path.split_once('.') {
        None => message.get_field_by_name(path),
        Some((name, rest)) => match message.get_field_by_name(name)?.kind() {
            Kind::Message(inner) => resolve(&inner, rest),
            _ => None,
        },
    }
}

fn json_path(message: &MessageDescriptor, path: &str) -> String {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some(field) = message.get_field_by_name(name) else { return path.to_owned() };
    match (rest, field.kind()) {
        (Some(rest), Kind::Message(inner)) => format!("{}.{}", field.json_name(), json_path(&inner, rest)),
        _ => field.json_name().to_owned(),
    }
}
