//! The OpenAPI document: the contract for REST callers.
//!
//! The document and the server are built from the same sources (HTTP rules, policies, field rules, the error catalogue
//! and the comments of the `.proto` files), so that they always agree.

mod comments;
mod errors;
pub mod examples;
mod fixed;
mod operation;
mod parameters;
mod responses;
mod rules;
mod schema;

use std::collections::HashMap;

use prost_reflect::ServiceDescriptor;
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        Contract, Policies,
        policy::{DeclaredScope, Title, service_name},
    },
    http::openapi::{comments::Commented as _, examples::ExampleTable, fixed::Fixed, schema::Schemas},
    module::About,
};

const INTRODUCTION: &str = include_str!("openapi/introduction.md");

/// Returns the OpenAPI 3.1 document of a contract. Without a server URL, paths are relative to the document's own URL.
pub(crate) fn document(
    contract: &'static Contract,
    about: &About,
    examples: ExampleTable,
    server_url: Option<&str>,
) -> Value {
    let services: Vec<_> = contract.services().collect();
    let mut schemas = Schemas::new(contract, examples);
    let mut fixed = Fixed::read();
    errors::describe(&mut schemas, fixed.envelope);
    let mut paths = operations(&mut schemas, contract);
    paths.extend(fixed.paths);
    let paths = Value::from(paths);
    let tags: Vec<_> = services.iter().map(tag).chain([fixed.tag]).collect();
    let responses = Value::from(errors::components());
    let text = format!("{paths}{responses}");
    // Only the parameters and headers that an operation or a response refers to.
    let is_used = |kind: &str, name: &str| text.contains(&format!("#/components/{kind}/{name}\""));
    fixed.parameters.retain(|name, _| is_used("parameters", name));
    fixed.headers.retain(|name, _| is_used("headers", name));
    json!({
        "openapi": "3.1.0",
        "info": info(about),
        "servers": [{ "url": server_url.unwrap_or("/") }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": security_schemes(&contract.policies),
            "parameters": fixed.parameters,
            "headers": fixed.headers,
            "responses": responses,
            "schemas": schemas.into_components(),
        },
        "x-error-catalogue": errors::list(&contract.catalogue),
        "x-scopes": scopes(&contract.policies),
    })
}

fn info(about: &About) -> Value {
    let About { title, version, summary, description, license, logo_url, .. } = about;
    let paragraphs = [*description, INTRODUCTION].into_iter().filter(|text| !text.is_empty());
    let description = paragraphs.collect::<Vec<_>>().join("\n\n");
    let mut info = json!({ "title": title, "version": version, "summary": summary, "description": description });
    if !license.is_empty() {
        info["license"] = json!({ "name": license, "identifier": license });
    }
    if !logo_url.is_empty() {
        info["x-logo"] = json!({ "url": logo_url });
    }
    info
}

fn operations(schemas: &mut Schemas, contract: &'static Contract) -> Map<String, Value> {
    let mut paths = Map::new();
    let mut bindings = HashMap::<&str, usize>::new();
    for route in contract.rules.routes() {
        let Some(policy) = contract.policies.get(route.grpc_path.path()) else { continue };
        let binding = bindings.entry(route.grpc_path.path()).or_default();
        if let Some(operation) = operation::describe(schemas, route, policy, *binding) {
            let path = paths.entry(operation.path).or_insert_with(|| json!({}));
            path[operation.method] = operation.value;
        }
        *binding += 1;
    }
    paths
}

fn tag(service: &ServiceDescriptor) -> Value {
    let name = service_name(service);
    let title = match name.strip_prefix(service.name()) {
        Some(version) if !version.is_empty() => format!("{} {}", title(service), version.to_lowercase()),
        _ => title(service),
    };
    json!({ "name": name, "description": service.comment(), "x-displayName": title })
}

/// Returns `Service keys` for `ServiceKeyService`; plural only if a method is about several of them.
fn title(service: &ServiceDescriptor) -> String {
    let name = service.name().trim_end_matches("Service");
    let plural = match name.strip_suffix('y') {
        Some(stem) if !name.ends_with("ey") => format!("{stem}ies"),
        _ => format!("{name}s"),
    };
    // Revenue has no plural: no method is named by one.
    let is_plural = service.methods().any(|method| method.name().contains(&plural));
    comments::words(if is_plural { &plural } else { name })
}

/// Returns the declared scopes with their names for people, by language.
fn scopes(policies: &Policies) -> Value {
    let scope = |scope: &DeclaredScope| {
        let Title { en, de } = &scope.title;
        json!({ "name": scope.name.as_str(), "summary": scope.summary, "title": { "en": en, "de": de } })
    };
    policies.scopes().map(scope).collect()
}

fn security_schemes(policies: &Policies) -> Value {
    let scopes = policies.scopes().map(|scope| format!("\n- `{}`: {}", scope.name, scope.summary)).collect::<String>();
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": format!("The access token of a signed-in user, limited to the scopes of the user's role:\n{scopes}"),
        },
        "serviceKey": {
            "type": "http",
            "scheme": "bearer",
            "description": format!("The secret of a service key, limited to the key's scopes:\n{scopes}"),
        },
        "clientCertificate": {
            "type": "mutualTLS",
            "description": "If the server uses TLS: a client certificate whose URI name is configured as a service.",
        },
    })
}
