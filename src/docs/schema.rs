//! A JSON Schema as a list of fields.

use serde_json::Value;

use super::html::{escape, inline, markdown};

/// Fields nested deeper than this are named, not listed.
const MAX_DEPTH: usize = 4;

/// Resolves the schema's reference, if it has one.
pub(super) fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|reference| document.pointer(reference.trim_start_matches('#')));
    target.unwrap_or(schema)
}

/// Renders the fields of an object.
pub(super) fn fields(document: &Value, schema: &Value) -> String {
    list(document, resolve(document, schema), MAX_DEPTH)
}

fn list(document: &Value, schema: &Value, depth: usize) -> String {
    let Some(properties) = schema["properties"].as_object() else { return String::new() };
    let required = schema["required"].as_array();
    let mut html = String::from("<ul class=\"fields\">\n");
    for (name, property) in properties {
        let is_required = required.is_some_and(|required| required.iter().any(|other| other == name));
        html += &field(document, name, property, is_required, depth);
    }
    html + "</ul>\n"
}

/// Renders one field or parameter.
pub(super) fn field(document: &Value, name: &str, schema: &Value, required: bool, depth: usize) -> String {
    let target = resolve(document, schema);
    let text = schema["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
    let (text, values) = match text.split_once("\n- ") {
        Some((text, _)) => (text, true),
        None => (text, false),
    };
    let mut html = format!(
        "<li><p class=\"field\"><code class=\"name\">{}</code> <span class=\"type\">{}</span>{}</p>",
        escape(name),
        escape(&kind(document, schema)),
        if required { " <span class=\"must\">required</span>" } else { "" },
    );
    if !text.is_empty() {
        html += &format!("<p>{}</p>", inline(text));
    }
    let bounds = bounds(target);
    if !bounds.is_empty() {
        html += &format!("<p class=\"bounds\">{}</p>", escape(&bounds.join(" · ")));
    }
    let item = if target["type"] == "array" { resolve(document, &target["items"]) } else { target };
    let described = if values { schema["description"].as_str().or(target["description"].as_str()) } else { None };
    html += &enumeration(item, described.or(item["description"].as_str()));
    let inner = if depth > 1 { list(document, item, depth - 1) } else { String::new() };
    if !inner.is_empty() {
        html += &format!("<details><summary>Fields of <code>{}</code></summary>{inner}</details>", escape(name));
    }
    html + "</li>\n"
}

/// Renders the values of an enum with their meaning, folded away.
fn enumeration(schema: &Value, description: Option<&str>) -> String {
    let Some(values) = schema["enum"].as_array() else { return String::new() };
    let listed = description.and_then(|text| text.find("\n- ").map(|at| &text[at + 1..]));
    let body = match listed {
        Some(listed) => markdown(listed),
        None => {
            let values: Vec<_> = values.iter().filter_map(Value::as_str).map(|v| format!("- `{v}`")).collect();
            markdown(&values.join("\n"))
        }
    };
    let (count, noun) = (values.len(), if values.len() == 1 { "value" } else { "values" });
    format!("<details class=\"values\"><summary>{count} {noun}</summary>{body}</details>")
}

/// Describes the type of a value in a few words.
pub(super) fn kind(document: &Value, schema: &Value) -> String {
    let target = resolve(document, schema);
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    match (target["type"].as_str().unwrap_or("any"), target["format"].as_str()) {
        ("array", _) => format!("list of {}", kind(document, &target["items"])),
        ("object", _) => name.unwrap_or("object").to_owned(),
        ("string", _) if target.get("enum").is_some() => "enum".to_owned(),
        ("string", Some("int64")) => "int64 as string".to_owned(),
        ("string", Some("uuid")) => "UUID".to_owned(),
        ("string", Some("email")) => "e-mail address".to_owned(),
        ("string", Some("date-time")) => "RFC 3339 time".to_owned(),
        ("string", Some("password")) => "secret string".to_owned(),
        ("integer", Some(format)) => format.to_owned(),
        (kind, _) => kind.to_owned(),
    }
}

/// Describes the bounds of a value. Bounds that its type implies are omitted.
fn bounds(schema: &Value) -> Vec<String> {
    let mut words = Vec::new();
    let number = |key: &str| schema[key].as_i64();
    let counted = |least: Option<i64>, most: Option<i64>, unit: &str| match (least.filter(|&n| n > 0), most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most} {unit}")),
        (Some(least), None) => Some(format!("at least {least} {unit}")),
        (None, Some(most)) => Some(format!("at most {most} {unit}")),
        (None, None) => None,
    };
    words.extend(counted(number("minLength"), number("maxLength"), "characters"));
    words.extend(counted(number("minItems"), number("maxItems"), "items"));
    if schema["uniqueItems"] == true {
        words.push("no item twice".to_owned());
    }
    let of_type = |bound: &i64| *bound != i64::from(i32::MIN) && *bound != i64::from(i32::MAX);
    words.extend(number("minimum").filter(of_type).map(|least| format!("at least {least}")));
    words.extend(number("maximum").filter(of_type).map(|most| format!("at most {most}")));
    if schema["type"] == "array" {
        words.extend(bounds(&schema["items"]).into_iter().map(|rule| format!("each {rule}")));
    }
    words
}
