//! The form that sends a request from the page.

use serde_json::Value;

use super::{html::escape, operation::Operation};

/// Headers that a person sets by hand; the others are for programs.
const HEADERS: [&str; 3] = ["Idempotency-Key", "If-Match", "If-None-Match"];

/// Renders the form, folded away. It stays hidden without the script, which it needs.
pub(super) fn render(document: &Value, operation: &Operation<'_>) -> String {
    let id = operation.id();
    let mut fields = String::new();
    for parameter in operation.parameters(document) {
        let place = parameter["in"].as_str().unwrap_or_default();
        let name = parameter["name"].as_str().unwrap_or_default();
        if place != "header" || HEADERS.contains(&name) {
            fields += &input(&id, place, name, parameter);
        }
    }
    fields += &body(&id, operation);
    format!(
        "<details class=\"trial\"><summary>Try it</summary><form data-method=\"{}\" data-path=\"{}\">{fields}\
         <div class=\"send\"><button class=\"button\" type=\"submit\">Send</button>\
         <output aria-live=\"polite\"></output></div><pre tabindex=\"0\" hidden></pre></form></details>\n",
        operation.method.to_uppercase(),
        escape(operation.path),
    )
}

fn input(id: &str, place: &str, name: &str, parameter: &Value) -> String {
    let list = parameter["schema"]["type"] == "array";
    let required = if parameter["required"] == true { " required" } else { "" };
    let fresh = if name == "Idempotency-Key" { "<button class=\"fresh\" type=\"button\">New</button>" } else { "" };
    let hint = match place {
        "path" => parameter["example"].as_str().unwrap_or_default(),
        _ if list => "separated by commas",
        _ => "",
    };
    let name = escape(name);
    format!(
        "<div class=\"row\"><label for=\"{id}-{name}\">{name} <small>{place}</small></label>\
         <input id=\"{id}-{name}\" name=\"{name}\" data-in=\"{place}\"{} placeholder=\"{}\" autocomplete=\"off\" \
         spellcheck=\"false\"{required}>{fresh}</div>",
        if list { " data-list" } else { "" },
        escape(hint),
    )
}

fn body(id: &str, operation: &Operation<'_>) -> String {
    let Some((media_type, content)) = operation.body() else { return String::new() };
    let example = match content["example"].as_str() {
        Some(text) => text.to_owned(),
        None => format!("{:#}", content["example"]),
    };
    let types = operation.contents().into_iter().flatten().map(|(media_type, _)| escape(media_type));
    let options: String = types.map(|name| format!("<option>{name}</option>")).collect();
    let select = match operation.contents().map_or(0, serde_json::Map::len) {
        0 | 1 => format!("<input type=\"hidden\" data-type value=\"{}\">", escape(media_type)),
        _ => format!("<select data-type aria-label=\"Content-Type\">{options}</select>"),
    };
    let rows = example.lines().count().clamp(3, 14);
    format!(
        "<div class=\"row\"><label for=\"{id}-body\">Body <small>{}</small></label>{select}\
         <textarea id=\"{id}-body\" data-in=\"body\" rows=\"{rows}\" spellcheck=\"false\">{}</textarea></div>",
        escape(media_type),
        escape(&example),
    )
}
