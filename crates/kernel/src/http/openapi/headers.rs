//! References to response headers in the OpenAPI document.

use serde_json::{Map, Value, json};

use crate::contract::Method;

/// Returns the headers of every response.
pub(crate) fn common_headers() -> Map<String, Value> {
    let mut headers = Map::new();
    add_header(&mut headers, "X-Request-Id");
    headers
}

/// Adds the headers of a deprecated operation.
pub(crate) fn add_deprecation(headers: &mut Map<String, Value>, policy: &Method) {
    if policy.deprecation.is_some() {
        ["Deprecation", "Sunset", "Link"].iter().for_each(|name| add_header(headers, name));
    }
}

/// Adds a reference to a header.
pub(crate) fn add_header(headers: &mut Map<String, Value>, name: &str) {
    headers.insert(name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
}
