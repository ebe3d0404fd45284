//! Successful responses: statuses, headers and bodies, derived from the policy.

use http::StatusCode;
use mainstay_transcoder::{HTTP_BODY, Route};
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        Method,
        policy::{Cache, Effect, Idempotency, LocationPart, Success},
    },
    http::openapi::{
        examples::{self, Side},
        schema::Schemas,
    },
};

pub(crate) fn of(schemas: &mut Schemas, route: &Route, policy: &Method, reads: bool) -> Map<String, Value> {
    let mut answers = Map::new();
    for success in &policy.success {
        let status = success.status.as_str().to_owned();
        if !answers.contains_key(&status) {
            answers.insert(status, answer(schemas, route, policy, success));
        }
    }
    if reads && policy.version.is_some() && policy.cache != Cache::NoStore {
        let mut headers = common_headers();
        for name in ["ETag", "Last-Modified", "Cache-Control", "RateLimit", "RateLimit-Policy"] {
            add_header(&mut headers, name);
        }
        add_deprecation(&mut headers, policy);
        let text = "The representation identified by `If-None-Match` or `If-Modified-Since` is still current.";
        answers.insert("304".to_owned(), json!({ "description": text, "headers": headers }));
    }
    answers
}

fn answer(schemas: &mut Schemas, route: &Route, policy: &Method, success: &Success) -> Value {
    let mut headers = common_headers();
    let bodiless = success.status == StatusCode::NO_CONTENT;
    let names = [
        ("RateLimit", true),
        ("RateLimit-Policy", true),
        ("Cache-Control", true),
        ("ETag", policy.version.is_some() && !bodiless),
        ("Last-Modified", policy.last_modified.is_some() && !bodiless),
        ("Idempotent-Replayed", policy.idempotency != Idempotency::None),
        ("Consistency-Token", policy.effect == Effect::Write),
    ];
    for (name, _) in names.iter().filter(|(_, is_used)| *is_used) {
        add_header(&mut headers, name);
    }
    add_deprecation(&mut headers, policy);
    if !success.location.is_empty() {
        let text = format!("`{}`", location(&success.location));
        headers.insert(
            "Location".to_owned(),
            json!({ "description": text, "schema": { "type": "string", "format": "uri-reference" } }),
        );
    }
    if success.retry_after.is_some() {
        add_header(&mut headers, "Retry-After");
    }
    let text = match route.method.is_server_streaming() {
        true if is_raw(route) => "The file.".to_owned(),
        true => format!("A stream of `{}`, one per line or one per event.", route.method.output().name()),
        false => words(success.status).to_owned(),
    };
    let mut answer = json!({ "description": text, "headers": headers });
    if !bodiless {
        answer["content"] = content(schemas, route, policy);
    }
    answer
}

pub(crate) fn is_raw(route: &Route) -> bool {
    match &route.response_body {
        None => route.method.output().full_name() == HTTP_BODY,
        Some(field) => field.kind().as_message().is_some_and(|kind| kind.full_name() == HTTP_BODY),
    }
}

fn content(schemas: &mut Schemas, route: &Route, policy: &Method) -> Value {
    let output = route.method.output();
    if is_raw(route) {
        let file = |media_type: &String| {
            let schema = json!({ "type": "string", "description": "The file." });
            (
                media_type.clone(),
                json!({ "schema": schema, "example": examples::file(media_type, &policy.media_types) }),
            )
        };
        return policy.media_types.iter().map(file).collect::<Map<_, _>>().into();
    }
    if route.method.is_server_streaming() {
        // OpenAPI 3.1 can't describe the items of a stream; by convention the schema is that of one item.
        let schema = schemas.message(&output, Side::Response);
        let item = json!({ "schema": schema, "example": schemas.examples.message(&output, Side::Response, &[]) });
        return json!({ "application/x-ndjson": item, "text/event-stream": item });
    }
    let (schema, example) = match &route.response_body {
        Some(field) => (schemas.field(field, Side::Response), schemas.examples.field(field, Side::Response)),
        None => (schemas.message(&output, Side::Response), schemas.examples.message(&output, Side::Response, &[])),
    };
    json!({ "application/json": { "schema": schema, "example": example } })
}

fn words(status: StatusCode) -> &'static str {
    match status {
        StatusCode::CREATED => "Created.",
        StatusCode::ACCEPTED => "Accepted, but not completed yet; `Location`, if present, is the URL to poll.",
        StatusCode::PARTIAL_CONTENT => "Partial: `degraded` names the parts that could not be read.",
        StatusCode::NO_CONTENT => "Completed; the response has no body.",
        StatusCode::MOVED_PERMANENTLY => "Moved permanently: the resource is at the URL in `Location` by now.",
        StatusCode::FOUND => "Available at the URL in `Location` for a short time.",
        _ => "The response.",
    }
}

fn location(parts: &[LocationPart]) -> String {
    let part = |part: &LocationPart| match part {
        LocationPart::Literal(text) => text.clone(),
        LocationPart::Field(path) => format!("{{{}}}", path.json_name()),
    };
    parts.iter().map(part).collect()
}

pub(crate) fn common_headers() -> Map<String, Value> {
    let mut headers = Map::new();
    add_header(&mut headers, "X-Request-Id");
    headers
}

fn add_deprecation(headers: &mut Map<String, Value>, policy: &Method) {
    if policy.deprecation.is_some() {
        ["Deprecation", "Sunset", "Link"].iter().for_each(|name| add_header(headers, name));
    }
}

pub(crate) fn add_header(headers: &mut Map<String, Value>, name: &str) {
    headers.insert(name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
}
