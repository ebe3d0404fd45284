//! An operation on the page.

use serde_json::{Map, Value};

use super::{
    code, errors,
    html::{error_link, escape, inline},
    schema, trial,
};
use crate::contract::Reason;

/// An operation of the document.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) path: &'a str,
    pub(super) method: &'a str,
    pub(super) value: &'a Value,
}

impl<'a> Operation<'a> {
    /// Returns every operation, in the order of the document.
    pub(super) fn all(document: &'a Value) -> Vec<Self> {
        let paths = document["paths"].as_object().into_iter().flatten();
        let operations = paths.flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, value)| Self { path, method, value })
        });
        operations.collect()
    }

    pub(super) fn id(&self) -> String {
        escape(self.value["operationId"].as_str().unwrap_or_default())
    }

    pub(super) fn tag(&self) -> &'a str {
        self.value["tags"][0].as_str().unwrap_or_default()
    }

    /// Converts `TicketService_CreateTicket` to `Create ticket`.
    pub(super) fn title(&self) -> String {
        let id = self.value["operationId"].as_str().unwrap_or_default();
        let name = id.split_once('_').map_or(id, |(_, name)| name);
        let mut title = String::new();
        for letter in name.chars() {
            match letter {
                _ if title.is_empty() => title.push(letter.to_ascii_uppercase()),
                'A'..='Z' => title.extend([' ', letter.to_ascii_lowercase()]),
                other => title.push(other),
            }
        }
        title
    }

    /// Returns its parameters, with references resolved.
    pub(super) fn parameters(&self, document: &'a Value) -> impl Iterator<Item = &'a Value> {
        let list = self.value["parameters"].as_array().into_iter().flatten();
        list.map(|parameter| schema::resolve(document, parameter))
    }

    pub(super) fn takes(&self, document: &'a Value, header: &str) -> bool {
        self.parameters(document).any(|parameter| parameter["name"] == header)
    }

    pub(super) fn is_secured(&self) -> bool {
        self.value["security"].as_array().is_some_and(|ways| !ways.is_empty())
    }

    pub(super) fn streams(&self) -> bool {
        self.value["responses"]["200"]["content"].get("text/event-stream").is_some()
    }

    /// Returns the body's first media type, with its content.
    pub(super) fn body(&self) -> Option<(&'a str, &'a Value)> {
        let contents = self.contents()?;
        contents.iter().next().map(|(media_type, content)| (media_type.as_str(), content))
    }

    /// Returns the content of the body by media type.
    pub(super) fn contents(&self) -> Option<&'a Map<String, Value>> {
        self.value["requestBody"]["content"].as_object()
    }

    /// Renders the whole article.
    pub(super) fn render(&self, document: &Value) -> String {
        let (id, method) = (self.id(), self.method);
        let (title, path) = (escape(&self.title()), escape(self.path));
        let text = inline(self.value["description"].as_str().unwrap_or_default());
        let codes: Vec<_> = self.codes().collect();
        let search = format!("{title} {method} {path} {} {}", self.tag(), codes.join(" ")).to_lowercase();
        let mut html = format!(
            "<article class=\"op\" id=\"{id}\" data-search=\"{}\">\n<div class=\"words\">\n\
             <h3><a href=\"#{id}\">{title}</a></h3>\n\
             <p class=\"route\"><b class=\"verb {method}\">{method}</b> <code>{}</code></p>\n<p>{text}</p>\n",
            escape(&search),
            path.replace('{', "<var>{").replace('}', "}</var>").replace('/', "/<wbr>"),
        );
        html += &self.facts();
        html += &self.callers();
        for (place, title) in [("path", "Path"), ("query", "Query"), ("header", "Headers")] {
            html += &self.parameter_list(document, place, title);
        }
        html += &self.request(document);
        html += &self.answers(document);
        html += &self.failures();
        html += "</div>\n<div class=\"samples\">\n";
        html += &code::block("Request", &code::curl(document, self));
        html += &self.example();
        html += &trial::render(document, self);
        html + "</div>\n</article>\n"
    }

    fn codes(&self) -> impl Iterator<Item = &'a str> {
        self.value["x-error-codes"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    /// Renders the policy at a glance.
    fn facts(&self) -> String {
        let policy = &self.value["x-policy"];
        if policy.is_null() {
            return String::new();
        }
        let word = |key: &str| policy[key].as_str().unwrap_or_default();
        let deadline = policy["deadlineMs"].as_u64().unwrap_or_default();
        let deadline = match deadline {
            minutes if minutes % 60_000 == 0 => format!("{} min", minutes / 60_000),
            seconds if seconds % 1000 == 0 => format!("{} s", seconds / 1000),
            ms => format!("{ms} ms"),
        };
        let mut facts = vec![
            (
                "Idempotency key",
                if word("idempotency") == "none" { "not taken" } else { word("idempotency") }.to_owned(),
            ),
            ("Rate class", word("rateClass").to_owned()),
            ("Deadline", deadline),
            ("Cache", word("cache").to_owned()),
        ];
        if policy["conditional"] == true {
            facts.push(("If-Match", "looked at".to_owned()));
        }
        if let Some(bytes) = policy["maxRequestBytes"].as_u64() {
            facts.push(("Largest request", format!("{} MiB", bytes >> 20)));
        }
        let facts: String =
            facts.iter().map(|(name, fact)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(fact))).collect();
        let grpc = escape(self.value["x-grpc-method"].as_str().unwrap_or_default());
        format!(
            "<dl class=\"facts\">{facts}</dl>\n<p class=\"grpc\"><span>gRPC</span> <code>{}</code></p>\n",
            grpc.replace('/', "/<wbr>")
        )
    }

    /// Renders who may call, and how far each role reaches.
    fn callers(&self) -> String {
        let policy = &self.value["x-policy"];
        if policy.is_null() || policy["access"] == "public" {
            return "<h4>Who may call</h4>\n<p>Anyone; no credentials are needed.</p>\n".to_owned();
        }
        let mut rows = String::new();
        for grant in policy["grants"].as_array().into_iter().flatten() {
            let text = |key: &str| escape(grant[key].as_str().unwrap_or("–"));
            let scope =
                grant["scope"].as_str().map_or("–".to_owned(), |scope| format!("<code>{}</code>", escape(scope)));
            rows +=
                &format!("<tr><th scope=\"row\">{}</th><td>{}</td><td>{scope}</td></tr>", text("role"), text("reach"));
        }
        format!(
            "<h4>Who may call</h4>\n<table class=\"callers\"><thead><tr><th scope=\"col\">Role</th>\
             <th scope=\"col\">Reaches</th><th scope=\"col\">Scope</th></tr></thead><tbody>{rows}</tbody></table>\n"
        )
    }

    fn parameter_list(&self, document: &Value, place: &str, title: &str) -> String {
        let parameters = self.parameters(document).filter(|parameter| parameter["in"] == place);
        let items: Vec<_> = parameters
            .map(|parameter| {
                let mut field = parameter["schema"].clone();
                field["description"] = parameter["description"].clone();
                let name = parameter["name"].as_str().unwrap_or_default();
                schema::field(document, name, &field, parameter["required"] == true, 1)
            })
            .collect();
        if items.is_empty() {
            return String::new();
        }
        let list = format!("<ul class=\"fields\">\n{}</ul>\n", items.concat());
        // Headers are the same on nearly every operation, so they are folded away.
        match place {
            "header" => format!(
                "<details class=\"fold\"><summary>Headers <small>{}</small></summary>{list}</details>\n",
                items.len()
            ),
            _ => format!("<h4>{title}</h4>\n{list}"),
        }
    }

    fn request(&self, document: &Value) -> String {
        let Some(contents) = self.contents() else { return String::new() };
        let types: Vec<_> = contents.keys().map(|name| format!("<code>{}</code>", escape(name))).collect();
        let mut html = format!("<h4>Body <small>{}</small></h4>\n", types.join(" or "));
        let body = contents.values().next().map(|content| schema::fields(document, &content["schema"]));
        match body.filter(|fields| !fields.is_empty()) {
            Some(fields) => html += &fields,
            None => html += "<p>The file, as it is.</p>\n",
        }
        html
    }

    fn answers(&self, document: &Value) -> String {
        let mut html = String::from("<h4>Answers</h4>\n");
        let answers = self.value["responses"].as_object().into_iter().flatten();
        let has_body = |answer: &Value| answer.get("content").is_some();
        for (status, answer) in answers.filter(|(status, answer)| !status.starts_with(['4', '5']) || !is_error(answer))
        {
            let text = inline(answer["description"].as_str().unwrap_or_default());
            let headers = answer["headers"].as_object().into_iter().flatten();
            let names: Vec<_> = headers.map(|(name, _)| format!("<code>{}</code>", escape(name))).collect();
            html += &format!("<div class=\"answer\"><p>{} {text}</p>", errors::status(status));
            if has_body(answer) {
                let content = answer["content"].as_object().and_then(|contents| contents.values().next());
                let fields = content.map(|content| schema::fields(document, &content["schema"])).unwrap_or_default();
                if !fields.is_empty() {
                    html += &format!("<details class=\"fold\"><summary>Fields</summary>{fields}</details>");
                }
            }
            if !names.is_empty() {
                html += &format!("<p class=\"chips\">{}</p>", names.join(" "));
            }
            html += "</div>\n";
        }
        html
    }

    /// Renders the error codes by status.
    fn failures(&self) -> String {
        let mut catalogue: Vec<_> = self.codes().filter_map(Reason::from_code).collect();
        catalogue.sort_by_key(|reason| reason.facts().http.as_u16());
        let mut rows = String::new();
        let mut last = 0;
        for reason in &catalogue {
            let facts = reason.facts();
            let status = facts.http.as_u16();
            if status != last {
                if last != 0 {
                    rows += "</dd>";
                }
                rows += &format!("<dt>{}</dt><dd>", errors::status(facts.http.as_str()));
                last = status;
            }
            rows += &error_link(facts.code);
            rows += " ";
        }
        if rows.is_empty() { rows } else { format!("<h4>Errors</h4>\n<dl class=\"failures\">{rows}</dd></dl>\n") }
    }

    /// Renders the first successful response.
    fn example(&self) -> String {
        let answers = self.value["responses"].as_object().into_iter().flatten();
        let Some((status, answer)) = answers.into_iter().find(|(status, _)| status.starts_with('2')) else {
            return String::new();
        };
        let content = answer["content"].as_object().and_then(|contents| contents.values().next());
        match content.map(|content| content.get("example")) {
            None => code::block(status, "<span class=\"n\">no body</span>"),
            Some(None) => String::new(),
            Some(Some(example)) if self.streams() => {
                code::block(&format!("{status}, one line"), &escape(&example.to_string()))
            }
            Some(Some(example)) => code::block(status, &code::json(example)),
        }
    }
}

fn is_error(answer: &Value) -> bool {
    answer.get("$ref").is_some()
        || answer["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/ErrorEnvelope"
}
