//! One rule, checked against the descriptors of its method.

use std::fmt;

use http::{Method, Uri};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value};

use crate::template::Template;

/// The message that represents raw bytes with a media type.
pub const HTTP_BODY: &str = "google.api.HttpBody";

/// One rule of one method; each additional binding is a separate route.
#[derive(Debug)]
pub struct Route {
    /// The gRPC method that handles the request.
    pub method: MethodDescriptor,
    /// `None` means every method, from a `custom` rule of kind `*`.
    pub http_method: Option<Method>,
    /// The parsed path template.
    pub template: Template,
    /// The template as written in the rule.
    pub pattern: String,
    /// The part of the message that the request's body sets.
    pub body: BodyRule,
    /// The field that is the whole response body.
    pub response_body: Option<FieldDescriptor>,
    /// `/package.Service/Method`.
    pub grpc_path: Uri,
}

/// The part of the message that the request's body sets.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyRule {
    /// Nothing: the request has no body.
    None,
    /// The whole message, except the fields that the path sets: `body: "*"`.
    Whole,
    /// One field.
    Field(FieldDescriptor),
}

impl Route {
    /// Reads a rule.
    ///
    /// # Errors
    /// A description of the fault in the rule.
    pub(super) fn new(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Self, String> {
        let (http_method, path) = method_and_path(rule)?;
        let template = Template::parse(&path).map_err(|error| format!("'{path}': {error}"))?;
        let (input, output) = (method.input(), method.output());
        for variable in template.variables() {
            let fields = resolve(&input, &variable.field_path).map_err(|message| format!("'{path}': {message}"))?;
            if fields.last().is_none_or(|field| !has_text_form(field)) {
                return Err(format!("'{path}': {} has no text form", variable.field_path));
            }
        }
        let body = match string_field(rule, "body").as_str() {
            "" => BodyRule::None,
            "*" => BodyRule::Whole,
            name => BodyRule::Field(top_level_field(&input, name)?),
        };
        let response_body = match string_field(rule, "response_body").as_str() {
            "" => None,
            name => Some(top_level_field(&output, name)?),
        };
        let grpc_path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let grpc_path = grpc_path.parse().map_err(|_| format!("'{grpc_path}' is not a path"))?;
        Ok(Self { method: method.clone(), http_method, template, pattern: path, body, response_body, grpc_path })
    }
}

/// Returns the fields on the path, the named one last. Messages on the path must be singular.
fn resolve(message: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>, String> {
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    for name in path.split('.') {
        let message = match fields.last() {
            None => message.clone(),
            Some(field) => match field.kind() {
                Kind::Message(inner) if !field.is_list() && !field.is_map() => inner,
                _ => return Err(format!("{path} leads through {}, which has no fields", field.name())),
            },
        };
        let field = message.get_field_by_name(name);
        fields.push(field.ok_or_else(|| format!("{} has no field {name}", message.full_name()))?);
    }
    Ok(fields)
}

fn has_text_form(field: &FieldDescriptor) -> bool {
    match field.kind() {
        _ if field.is_list() || field.is_map() => false,
        Kind::Message(message) => {
            let name = message.full_name().strip_prefix("google.protobuf.").unwrap_or_default();
            matches!(name, "Timestamp" | "Duration" | "FieldMask")
                || name.ends_with("Value") && name.len() > 5 && !matches!(name, "ListValue" | "NullValue")
        }
        _ => true,
    }
}

fn top_level_field(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    message.get_field_by_name(name).ok_or_else(|| format!("{} has no field {name}", message.full_name()))
}

/// Returns the method (`None` for any method) and the path.
fn method_and_path(rule: &DynamicMessage) -> Result<(Option<Method>, String), String> {
    for name in ["get", "put", "post", "delete", "patch"] {
        if rule.has_field_by_name(name) {
            let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes());
            return Ok((method.ok(), string_field(rule, name)));
        }
    }
    let custom = rule.get_field_by_name("custom").filter(|_| rule.has_field_by_name("custom"));
    let custom = custom.as_deref().and_then(Value::as_message).ok_or("the rule has no path")?;
    match string_field(custom, "kind").as_str() {
        "*" => Ok((None, string_field(custom, "path"))),
        kind => {
            let method = Method::from_bytes(kind.as_bytes()).map_err(|_| format!("'{kind}' is not an HTTP method"))?;
            Ok((Some(method), string_field(custom, "path")))
        }
    }
}

fn string_field(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.http_method.as_ref().map_or("*", Method::as_str), self.template)
    }
}
