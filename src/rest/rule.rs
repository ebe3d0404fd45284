//! The HTTP rules of a descriptor set, read, checked and indexed once at startup.

use std::fmt;
use std::sync::Arc;

use http::{Method, Uri};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};

use super::template::Template;
use super::trie::{Found, Trie};

/// `google.api.http`, the extension of `MethodOptions` that carries a method's rule.
const HTTP_EXTENSION: u32 = 72_295_728;
/// The message that represents raw bytes with a media type.
pub const HTTP_BODY: &str = "google.api.HttpBody";

/// The HTTP rules of a set of services.
#[derive(Debug, Default)]
pub struct RuleTable {
    routes: Vec<Arc<Route>>,
    trie: Trie,
}

/// One rule of one method; each additional binding is a route of its own.
#[derive(Debug)]
pub struct Route {
    /// The gRPC method that handles the request.
    pub method: MethodDescriptor,
    /// `None` means every method, from a `custom` rule of kind `*`.
    pub http_method: Option<Method>,
    /// The path that it matches.
    pub template: Template,
    /// What the request's body sets.
    pub body: BodyRule,
    /// The field that is the whole response body.
    pub response_body: Option<FieldDescriptor>,
    /// `/package.Service/Method`.
    pub grpc_path: Uri,
}

/// What the request's body sets.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyRule {
    /// Nothing: there is no body.
    None,
    /// The whole message, less what the path sets: `body: "*"`.
    Whole,
    /// One field.
    Field(FieldDescriptor),
}

/// Every fault in a rule table, so that one failed start reports them all.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleErrors(pub Vec<RuleError>);

/// One rule that can't be served.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Full name of the method (or service) with the rule.
    pub method: String,
    /// The fault.
    pub message: String,
}

impl RuleTable {
    /// Reads the rules of `services` (full names). Methods without a rule are left to gRPC.
    ///
    /// # Errors
    /// All invalid or colliding rules and unknown services.
    pub fn new(pool: &DescriptorPool, services: &[&str]) -> Result<Self, RuleErrors> {
        let mut table = Self::default();
        let mut errors = Vec::new();
        for name in services {
            let Some(service) = pool.get_service_by_name(name) else {
                errors.push(RuleError::new(name, "the descriptor set has no such service"));
                continue;
            };
            for method in service.methods() {
                for rule in rules(pool, &method, &mut errors) {
                    match Route::new(&method, &rule) {
                        Ok(route) => table.insert(route, &mut errors),
                        Err(message) => errors.push(RuleError::new(method.full_name(), message)),
                    }
                }
            }
        }
        if errors.is_empty() { Ok(table) } else { Err(RuleErrors(errors)) }
    }

    fn insert(&mut self, route: Route, errors: &mut Vec<RuleError>) {
        let id = self.routes.len();
        match self.trie.insert(route.http_method.as_ref(), &route.template, id) {
            Ok(()) => self.routes.push(Arc::new(route)),
            Err(other) => {
                let other = &self.routes[other];
                let message = format!("{route} collides with {other} of {}", other.method.full_name());
                errors.push(RuleError::new(route.method.full_name(), message));
            }
        }
    }

    /// Returns all routes, in the order of the descriptor set.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Route> {
        self.routes.iter().map(|route| &**route)
    }

    pub(super) fn shared(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// Returns the route that serves a request; HEAD is served by the route for GET.
    pub fn route(&self, method: &Method, path: &str) -> Option<&Route> {
        self.find(method, path).ok().map(|(_, route)| &**route)
    }

    /// Finds the route of a request and its index.
    ///
    /// # Errors
    /// The methods under which the path is served; empty if the path is unknown.
    pub(super) fn find(&self, method: &Method, path: &str) -> Result<(usize, &Arc<Route>), Vec<Method>> {
        let mut found = self.trie.find(method, path);
        if *method == Method::HEAD && !matches!(found, Found::Route(_)) {
            found = self.trie.find(&Method::GET, path);
        }
        match found {
            Found::Route(id) => Ok((id, &self.routes[id])),
            Found::Methods(mut methods) => {
                if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
                    methods.push(Method::HEAD);
                }
                methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                Err(methods)
            }
            Found::Nothing => Err(Vec::new()),
        }
    }
}

impl Route {
    fn new(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Self, String> {
        let (http_method, path) = pattern(rule)?;
        let template = Template::parse(&path).map_err(|error| format!("'{path}': {error}"))?;
        let (input, output) = (method.input(), method.output());
        for variable in template.variables() {
            let fields = resolve(&input, &variable.field_path).map_err(|message| format!("'{path}': {message}"))?;
            if fields.last().is_none_or(|field| !is_textual(field)) {
                return Err(format!("'{path}': {} has no text form", variable.field_path));
            }
        }
        let body = match text(rule, "body").as_str() {
            "" => BodyRule::None,
            "*" => BodyRule::Whole,
            name => BodyRule::Field(top_level(&input, name)?),
        };
        let response_body = match text(rule, "response_body").as_str() {
            "" => None,
            name => Some(top_level(&output, name)?),
        };
        let grpc_path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let grpc_path = grpc_path.parse().map_err(|_| format!("'{grpc_path}' is not a path"))?;
        Ok(Self { method: method.clone(), http_method, template, body, response_body, grpc_path })
    }
}

/// Returns the fields on the path, the named one last. Messages on the path must be singular.
pub(super) fn resolve(message: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>, String> {
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

fn is_textual(field: &FieldDescriptor) -> bool {
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

fn top_level(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    message.get_field_by_name(name).ok_or_else(|| format!("{} has no field {name}", message.full_name()))
}

/// Returns the method's rule and its additional bindings, which may not have additional ones themselves.
fn rules(pool: &DescriptorPool, method: &MethodDescriptor, errors: &mut Vec<RuleError>) -> Vec<DynamicMessage> {
    let Some(options) = pool.get_message_by_name("google.protobuf.MethodOptions") else { return Vec::new() };
    let Some(extension) = options.get_extension(HTTP_EXTENSION) else { return Vec::new() };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Vec::new();
    }
    let value = options.get_extension(&extension);
    let Some(rule) = value.as_message() else { return Vec::new() };
    let mut rules = vec![rule.clone()];
    for more in additional(rule) {
        if !additional(&more).is_empty() {
            errors.push(RuleError::new(method.full_name(), "an additional binding has additional bindings"));
        }
        rules.push(more);
    }
    rules
}

fn additional(rule: &DynamicMessage) -> Vec<DynamicMessage> {
    let list = rule.get_field_by_name("additional_bindings");
    let list = list.as_deref().and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(|value| value.as_message().cloned()).collect()
}

fn pattern(rule: &DynamicMessage) -> Result<(Option<Method>, String), String> {
    for name in ["get", "put", "post", "delete", "patch"] {
        if rule.has_field_by_name(name) {
            let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes());
            return Ok((method.ok(), text(rule, name)));
        }
    }
    let custom = rule.get_field_by_name("custom").filter(|_| rule.has_field_by_name("custom"));
    let custom = custom.as_deref().and_then(Value::as_message).ok_or("the rule has no path")?;
    match text(custom, "kind").as_str() {
        "*" => Ok((None, text(custom, "path"))),
        kind => {
            let method = Method::from_bytes(kind.as_bytes()).map_err(|_| format!("'{kind}' is no HTTP method"))?;
            Ok((Some(method), text(custom, "path")))
        }
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl RuleError {
    fn new(method: &str, message: impl Into<String>) -> Self {
        Self { method: method.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.http_method.as_ref().map_or("*", Method::as_str), self.template)
    }
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|error| format!("{}: {}", error.method, error.message)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for RuleErrors {}
