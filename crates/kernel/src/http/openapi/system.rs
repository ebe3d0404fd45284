//! Operational routes outside of the contract: health, metrics, keys and documents.

use serde_json::{Map, Value, json};

use crate::http::openapi::responses::{error_response, plain};

/// The tag of these routes.
pub(crate) const TAG: &str = "System";

/// Returns the paths.
pub(crate) fn paths() -> Map<String, Value> {
    let status = |words: &[&str]| json!({ "type": "object", "required": ["status"], "properties": { "status": { "type": "string", "enum": words } } });
    let keys = json!({
        "type": "object",
        "required": ["keys"],
        "properties": { "keys": { "type": "array", "items": {
            "type": "object",
            "required": ["kty", "kid", "crv", "x", "use", "alg"],
            "properties": {
                "kty": { "type": "string", "enum": ["OKP"] },
                "kid": { "type": "string" },
                "crv": { "type": "string", "enum": ["Ed25519"] },
                "x": { "type": "string" },
                "use": { "type": "string", "enum": ["sig"] },
                "alg": { "type": "string", "enum": ["EdDSA"] },
            },
        } } },
    });
    let key = json!({ "kty": "OKP", "kid": "UyQZyUYnDNJ6tTaFAUD_DdEKLKAo6fXisN6yGBVVupE", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let text = json!({ "type": "string" });
    let json_of = |text: &str, schema: &Value, example: Value| plain(text, "application/json", schema, &example);
    let all = [
        (
            "/livez",
            "getLiveness",
            "Check liveness",
            "Whether the process is alive. Does not check dependencies.",
            vec![("200", json_of("The process is alive.", &status(&["ok"]), json!({ "status": "ok" })))],
        ),
        (
            "/readyz",
            "getReadiness",
            "Check readiness",
            "Whether this instance accepts requests. Fails as soon as the instance starts to drain. Unavailable \
             dependencies are not considered.",
            vec![
                ("200", json_of("The instance accepts requests.", &status(&["ok"]), json!({ "status": "ok" }))),
                ("503", json_of("The instance is draining.", &status(&["draining"]), json!({ "status": "draining" }))),
            ],
        ),
        (
            "/openapi.json",
            "getOpenApi",
            "Get OpenAPI document",
            "This document: OpenAPI 3.1, derived from the contract.",
            vec![("200", json_of("The document.", &json!({ "type": "object" }), json!({ "openapi": "3.1.0" })))],
        ),
        (
            "/docs",
            "getDocs",
            "Get reference page",
            "This document as a web page. Served by the binary; loads nothing from other hosts.",
            vec![("200", plain("The page.", "text/html", &text, &"<!doctype html>".into()))],
        ),
        (
            "/.well-known/jwks.json",
            "getKeys",
            "List signing keys",
            "The keys that access tokens are signed with, as a JSON Web Key Set (RFC 7517). Keys rotate; fetch the set \
             again when a token names an unknown key.",
            vec![("200", json_of("The keys.", &keys, json!({ "keys": [key] })))],
        ),
    ];
    let path = |(path, id, summary, description, answers): (&str, &str, &str, &str, Vec<(&str, Value)>)| {
        let mut responses: Map<String, Value> =
            answers.into_iter().map(|(status, value)| (status.to_owned(), value)).collect();
        responses.insert("429".to_owned(), json!({ "$ref": "#/components/responses/TooManyRequests" }));
        responses.insert("500".to_owned(), json!({ "$ref": "#/components/responses/InternalServerError" }));
        responses.entry("503").or_insert_with(|| error_response("The server is at capacity; retry shortly."));
        let operation = json!({
            "operationId": id, "tags": [TAG], "summary": summary, "description": description,
            "responses": responses, "security": [],
        });
        (path.to_owned(), json!({ "get": operation }))
    };
    all.into_iter().map(path).collect()
}
