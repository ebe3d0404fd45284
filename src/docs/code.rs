//! Code samples: JSON with syntax highlighting, and the curl command of an operation.

use serde_json::Value;

use super::{html::escape, operation::Operation};

/// The origin in the samples, which the script replaces with the page's own.
const ORIGIN: &str = "<span class=\"origin\">https://api.example.com</span>";

/// Renders a titled block with a copy button. `html` must be escaped.
pub(super) fn block(title: &str, html: &str) -> String {
    format!(
        "<figure class=\"sample\"><figcaption>{}<button class=\"copy\" type=\"button\">Copy</button></figcaption>\
         <pre tabindex=\"0\"><code>{html}</code></pre></figure>\n",
        escape(title)
    )
}

/// Renders JSON, indented and highlighted.
pub(super) fn json(value: &Value) -> String {
    let mut html = String::new();
    write(value, 0, &mut html);
    html
}

fn write(value: &Value, depth: usize, html: &mut String) {
    let indent = "  ".repeat(depth + 1);
    let close = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            html.push_str("{\n");
            for (index, (key, value)) in map.iter().enumerate() {
                let key = escape(&Value::from(key.as_str()).to_string());
                *html += &format!("{indent}<span class=\"k\">{key}</span>: ");
                write(value, depth + 1, html);
                html.push_str(if index + 1 < map.len() { ",\n" } else { "\n" });
            }
            *html += &format!("{close}}}");
        }
        Value::Array(items) if !items.is_empty() => {
            html.push_str("[\n");
            for (index, item) in items.iter().enumerate() {
                html.push_str(&indent);
                write(item, depth + 1, html);
                html.push_str(if index + 1 < items.len() { ",\n" } else { "\n" });
            }
            *html += &format!("{close}]");
        }
        Value::String(_) => *html += &format!("<span class=\"s\">{}</span>", escape(&value.to_string())),
        Value::Number(_) | Value::Bool(_) | Value::Null => *html += &format!("<span class=\"n\">{value}</span>"),
        Value::Object(_) | Value::Array(_) => html.push_str(&value.to_string()),
    }
}

/// Renders the curl command of an operation, with its example.
pub(super) fn curl(document: &Value, operation: &Operation<'_>) -> String {
    let mut path = escape(operation.path);
    let mut query = Vec::new();
    for parameter in operation.parameters(document) {
        let name = parameter["name"].as_str().unwrap_or_default();
        let Some(example) = parameter["example"].as_str() else { continue };
        match parameter["in"].as_str() {
            Some("path") => {
                path = path.replace(&format!("{{{name}}}"), &format!("<span class=\"s\">{}</span>", escape(example)))
            }
            Some("query") => query.push(format!("{}={}", escape(name), escape(example))),
            _ => {}
        }
    }
    let question = if query.is_empty() { String::new() } else { format!("?{}", query.join("&amp;")) };
    let verb = match operation.method {
        "get" => String::new(),
        method => format!(" -X {}", method.to_uppercase()),
    };
    let mut lines = vec![format!("curl{verb} \"{ORIGIN}{path}{question}\"")];
    if operation.is_secured() {
        lines.push("-H \"Authorization: Bearer <span class=\"n\">$TOKEN</span>\"".to_owned());
    }
    if operation.takes(document, "Idempotency-Key") {
        lines.push("-H \"Idempotency-Key: <span class=\"n\">$(uuidgen)</span>\"".to_owned());
    }
    if operation.streams() {
        lines[0] = lines[0].replacen("curl", "curl -N", 1);
        lines.push("-H \"Accept: application/x-ndjson\"".to_owned());
    }
    lines.extend(body(operation));
    lines.join(" \\\n  ")
}

fn body(operation: &Operation<'_>) -> Vec<String> {
    let Some((media_type, content)) = operation.body() else { return Vec::new() };
    let header = format!("-H \"Content-Type: {}\"", escape(media_type));
    let data = match content["example"].as_str() {
        Some(_) => "--data-binary @tickets.csv".to_owned(),
        // A quote inside single quotes ends them, is escaped, and starts them again.
        None => format!("-d '{}'", json(&content["example"]).replace('\'', "'\\''")),
    };
    vec![header, data]
}
