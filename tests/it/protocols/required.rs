//! Responses contain all fields that the API description requires, because generated clients do not check for them.

use std::sync::LazyLock;

use serde_json::Value;

use crate::support::{Response, modules};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| modules().openapi(None));

/// Returns the required fields that a response lacks, by their paths. A request with a mask lacks nothing.
pub(super) fn missing(method: &str, request: &Value, answer: &Response) -> Vec<String> {
    let mut missing = Vec::new();
    if request.get("readMask").is_none() {
        let id = method.replace('.', "_");
        let methods = DOCUMENT["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
        let operation = methods.flat_map(|methods| methods.values()).find(|operation| operation["operationId"] == id);
        let response = &operation.expect("every method is described")["responses"][answer.status.to_string()];
        collect(&response["content"]["application/json"]["schema"], &answer.body, "", &mut missing);
    }
    missing
}

fn collect(schema: &Value, value: &Value, path: &str, missing: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = DOCUMENT.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere");
        return collect(target, value, path, missing);
    }
    if let Some(items) = value.as_array() {
        return items.iter().for_each(|item| collect(&schema["items"], item, path, missing));
    }
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object()) else { return };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    missing.extend(required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{path}/{name}")));
    for (name, inner) in fields {
        if let Some(schema) = properties.get(name) {
            collect(schema, inner, &format!("{path}/{name}"), missing);
        }
    }
}
