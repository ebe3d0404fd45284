//! Calls any method over REST from the same JSON as gRPC, using only its HTTP rule.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mainstay_kernel::contract::Method;
use mainstay_transcoder::{BodyRule, Route, Segment};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prost_reflect::Kind;
use reqwest::{
    Body, RequestBuilder, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};

use super::{Response, modules};

/// The HTTP rule of a method.
pub(crate) fn route(method: &Method) -> &'static Route {
    let route = modules().contract.rules.routes().find(|route| route.method == method.descriptor);
    route.unwrap_or_else(|| panic!("{} has no HTTP rule", method.name))
}

/// Calls `method` with a message in proto JSON; fields not used by the path or the body become query parameters.
pub(crate) async fn call(
    client: &reqwest::Client,
    base: &str,
    method: &Method,
    request: &Value,
    headers: &[(String, String)],
) -> Response {
    let mut builder = build(client, base, method, request);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    match builder.send().await {
        Ok(response) => read(response).await,
        Err(error) => no_response(&error),
    }
}

/// Returns the response that a caller observes when the server dies during the request.
fn no_response(error: &reqwest::Error) -> Response {
    Response { status: 0, reason: format!("no answer ({error:?})"), headers: BTreeMap::new(), body: Value::Null }
}

fn build(client: &reqwest::Client, base: &str, method: &Method, request: &Value) -> RequestBuilder {
    let route = route(method);
    let mut fields = match request {
        // The first message of a stream holds everything except the body.
        Value::Array(items) => items[0].as_object().cloned().unwrap_or_default(),
        other => other.as_object().cloned().unwrap_or_default(),
    };
    let mut path = path(route, &mut fields);
    let verb = route.http_method.clone().expect("no custom rules here");
    let mut body = None;
    match &route.body {
        BodyRule::None => {}
        BodyRule::Whole => {
            body = Some((
                "application/json".to_owned(),
                Value::Object(std::mem::take(&mut fields)).to_string().into_bytes(),
            ))
        }
        BodyRule::Field(field) => {
            let value = fields.remove(field.json_name()).unwrap_or_else(|| json!({}));
            let is_raw = matches!(field.kind(), Kind::Message(m) if m.full_name() == "google.api.HttpBody");
            body = Some(if is_raw {
                raw(request, field.json_name())
            } else {
                ("application/json".to_owned(), value.to_string().into_bytes())
            });
        }
    }
    let mut separator = '?';
    for (name, value) in query(&Value::Object(fields), "") {
        let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
        path.push_str(&format!("{separator}{name}={value}"));
        separator = '&';
    }
    let builder = client.request(verb, format!("{base}{path}"));
    match body {
        Some((media_type, bytes)) => builder.header(CONTENT_TYPE, media_type).body(Body::from(bytes)),
        None => builder,
    }
}

/// The path template with its fields filled in, which are removed from the message.
fn path(route: &Route, fields: &mut serde_json::Map<String, Value>) -> String {
    let mut path = String::new();
    for (index, segment) in route.template.segments().iter().enumerate() {
        path.push('/');
        match segment {
            Segment::Literal(literal) => path.push_str(literal),
            Segment::Single | Segment::Rest => {
                let variable = route.template.variables().iter().find(|variable| variable.segments.contains(&index));
                let name = &variable.expect("every wildcard is a variable here").field_path;
                let field = route.method.input().get_field_by_name(name).expect("a field");
                let value = fields.remove(field.json_name()).unwrap_or_default();
                path.push_str(&utf8_percent_encode(value.as_str().unwrap_or_default(), NON_ALPHANUMERIC).to_string());
            }
        }
    }
    path
}

/// A message as a query, such as `a.b=1&a.c=2&a.c=3`.
fn query(value: &Value, prefix: &str) -> Vec<(String, String)> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                query(value, &path)
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| query(item, prefix)).collect(),
        Value::Null => Vec::new(),
        Value::String(text) => vec![(prefix.to_owned(), text.clone())],
        other => vec![(prefix.to_owned(), other.to_string())],
    }
}

/// The chunks of an `HttpBody` stream as a single body.
fn raw(request: &Value, field: &str) -> (String, Vec<u8>) {
    let messages = request.as_array().cloned().unwrap_or_else(|| vec![request.clone()]);
    let chunk =
        |message: &Value| message[field]["data"].as_str().map(|data| BASE64_STANDARD.decode(data).expect("base64"));
    let bytes = messages.iter().filter_map(chunk).flatten().collect();
    (messages[0][field]["contentType"].as_str().unwrap_or_default().to_owned(), bytes)
}

/// Reads a response.
pub(crate) async fn read(response: reqwest::Response) -> Response {
    let (status, headers) = (response.status(), response.headers().clone());
    match response.bytes().await {
        Ok(body) => parse(status, &headers, &body).sound(),
        Err(error) => no_response(&error),
    }
}

/// Parses a response that was read completely.
pub(crate) fn parse(status: StatusCode, map: &HeaderMap, body: &[u8]) -> Response {
    let status = status.as_u16();
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in map {
        let value = value.to_str().expect("headers are ASCII here");
        // Several lines of the same name form one list.
        headers
            .entry(name.to_string())
            .and_modify(|list| *list = format!("{list}, {value}"))
            .or_insert(value.to_owned());
    }
    let text = String::from_utf8_lossy(body).into_owned();
    let is_stream = headers.get("content-type").is_some_and(|media_type| media_type.contains("ndjson"));
    let body: Value = if is_stream {
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON")).collect()
    } else {
        serde_json::from_str(&text).unwrap_or_else(|_| if text.is_empty() { Value::Null } else { text.into() })
    };
    // The detail of an error of SCIM ends with the code.
    let of_scim = || body["detail"].as_str()?.rsplit_once('(')?.1.strip_suffix(')').filter(|_| status >= 400);
    let reason = body.pointer("/error/code").and_then(Value::as_str).or_else(of_scim).unwrap_or_default().to_owned();
    Response { status, reason, headers, body }
}
