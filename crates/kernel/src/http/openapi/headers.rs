//! References to response headers in the OpenAPI document.

use serde_json::{Map, Value, json};

/// Returns the headers of every response.
pub(crate) fn common_headers() -> Map<String, Value> {
    let mut headers = Map::new();
    add_header(&mut headers, "X-Request-Id");
    headers
}

/// Adds a reference to a header.
pub(crate) fn add_header(headers: &mut Map<String, Value>, name: &str) {
    headers.insert(name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
}
