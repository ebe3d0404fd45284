//! The HTTP rules of a descriptor set, read, checked and indexed once at startup.

mod route;

use std::fmt;
use std::sync::Arc;

use http::Method;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};

use crate::trie::{Lookup, Trie};

pub use route::{BodyRule, HTTP_BODY, Route};

/// `google.api.http`, the extension of `MethodOptions` that carries a method's rule.
const HTTP_EXTENSION: u32 = 72_295_728;

/// The HTTP rules of a set of services.
#[derive(Debug, Default)]
pub struct RuleTable {
    routes: Vec<Arc<Route>>,
    trie: Trie,
}

/// All faults in a rule table, so that they are reported together. Printed one per line.
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
    /// Reads the rules of `services` (full names). Methods without a rule are available over gRPC only.
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
                let message = format!(
                    "{route} collides with {other} of {}: give one of them another path",
                    other.method.full_name()
                );
                errors.push(RuleError::new(route.method.full_name(), message));
            }
        }
    }

    /// Returns all routes, in the order of the descriptor set.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Route> {
        self.routes.iter().map(|route| &**route)
    }

    pub(crate) fn shared_routes(&self) -> &[Arc<Route>] {
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
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<(usize, &Arc<Route>), Vec<Method>> {
        let mut lookup = self.trie.find(method, path);
        if *method == Method::HEAD && !matches!(lookup, Lookup::Route(_)) {
            lookup = self.trie.find(&Method::GET, path);
        }
        match lookup {
            Lookup::Route(id) => Ok((id, &self.routes[id])),
            Lookup::OtherMethods(mut methods) => {
                if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
                    methods.push(Method::HEAD);
                }
                methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                Err(methods)
            }
            Lookup::NotFound => Err(Vec::new()),
        }
    }
}

/// Returns the method's rule and its additional bindings, which can't be nested.
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
    for binding in additional_bindings(rule) {
        if !additional_bindings(&binding).is_empty() {
            errors.push(RuleError::new(method.full_name(), "an additional binding has additional bindings"));
        }
        rules.push(binding);
    }
    rules
}

fn additional_bindings(rule: &DynamicMessage) -> Vec<DynamicMessage> {
    let list = rule.get_field_by_name("additional_bindings");
    let list = list.as_deref().and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(|value| value.as_message().cloned()).collect()
}

impl RuleError {
    fn new(method: &str, message: impl Into<String>) -> Self {
        Self { method: method.to_owned(), message: message.into() }
    }
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|error| format!("{}: {}", error.method, error.message)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for RuleErrors {}
