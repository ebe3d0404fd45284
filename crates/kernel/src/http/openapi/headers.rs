//! Response headers in the OpenAPI document.

use serde_json::{Map, Value, json};

use crate::http::openapi::examples::{CONSISTENCY_TOKEN, REQUEST_ID};

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

/// Returns the descriptions of all headers, by name.
pub(crate) fn header_components() -> Value {
    let text = |words: &str| json!({ "description": words, "schema": { "type": "string" } });
    let with_pattern = |words: &str, pattern: &str, example: &str| {
        let schema = json!({ "type": "string", "pattern": pattern });
        json!({ "description": words, "schema": schema, "example": example })
    };
    json!({
        "X-Request-Id": with_pattern(
            "The id that identifies the request in the logs.",
            "^[A-Za-z0-9_.:/+=-]{1,128}$",
            REQUEST_ID,
        ),
        "RateLimit": with_pattern(
            "The requests left (`r`), and the seconds until more are available (`t`).",
            r#"^"[a-z-]+";r=[0-9]+;t=[0-9]+$"#,
            r#""read";r=57;t=31"#,
        ),
        "RateLimit-Policy": with_pattern(
            "The limit: at most `q` requests in any `w` seconds.",
            r#"^"[a-z-]+";q=[0-9]+;w=[0-9]+$"#,
            r#""read";q=100;w=60"#,
        ),
        "Retry-After": {
            "description": "The number of seconds to wait before retrying.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "ETag": text("The version of the representation, for `If-Match` and `If-None-Match`."),
        "Last-Modified": text("When the resource last changed."),
        "Cache-Control": text("Who may cache the response."),
        "Idempotent-Replayed": {
            "description": "Set if this is the stored response to an earlier request with the same key.",
            "schema": { "type": "string", "enum": ["true"] },
        },
        "Consistency-Token": with_pattern(
            "Names what the request did. A read that sends it sees at least that. There only if the server reads from replicas.",
            "^[A-Za-z0-9_-]+$",
            CONSISTENCY_TOKEN,
        ),
        "WWW-Authenticate": text("The challenge, as in RFC 6750."),
    })
}
