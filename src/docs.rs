//! The API reference at `/docs`: the OpenAPI document as one page.
//!
//! The page is rendered once and is complete; its script only adds convenience (search, copy, trying a request), so the
//! page is readable without it. Nothing is loaded from other origins and nothing is inline, as its content security
//! policy requires.

mod code;
mod errors;
mod html;
mod nav;
mod operation;
mod schema;
mod trial;

use std::sync::LazyLock;

use serde_json::Value;

use crate::openapi;
use html::{escape, markdown};
use operation::Operation;

const HEAD: &str = include_str!("docs/head.html");

static PAGE: LazyLock<String> = LazyLock::new(|| render(&openapi::document(None)));

/// Returns the page.
pub fn page() -> &'static str {
    &PAGE
}

/// Returns the media type and content of a file the page loads, by its name under `/docs/`.
pub fn asset(name: &str) -> Option<(&'static str, &'static [u8])> {
    match name {
        "docs.css" => Some(("text/css; charset=utf-8", include_bytes!("docs/docs.css"))),
        "docs.js" => Some(("text/javascript; charset=utf-8", include_bytes!("docs/docs.js"))),
        "mark.svg" => Some(("image/svg+xml", include_bytes!("docs/mark.svg"))),
        _ => None,
    }
}

/// The operations of one tag.
struct Group<'a> {
    name: &'a str,
    title: &'a str,
    description: &'a str,
    operations: Vec<Operation<'a>>,
}

fn render(document: &Value) -> String {
    let groups = groups(document);
    let info = &document["info"];
    let version = escape(info["version"].as_str().unwrap_or_default());
    let mut page = HEAD.to_owned();
    page += &nav::render(&groups, &version);
    page += "<main id=\"content\">\n";
    page += &introduction(info, &version);
    for group in &groups {
        page += &section(document, group);
    }
    page += &errors::render(document);
    page += "<p class=\"nothing\" role=\"status\" hidden>Nothing matches. Try a path, a verb or an error code.</p>\n";
    page + "</main>\n</body>\n</html>\n"
}

fn groups(document: &Value) -> Vec<Group<'_>> {
    let operations = Operation::all(document);
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.map(|tag| {
        let text = |key: &str| tag[key].as_str().unwrap_or_default();
        let name = text("name");
        let operations = operations.iter().filter(|operation| operation.tag() == name).copied().collect();
        Group { name, title: text("x-displayName"), description: text("description"), operations }
    })
    .collect()
}

/// Renders the first screen: what this is, where the document is, the token to try with, and what applies everywhere.
fn introduction(info: &Value, version: &str) -> String {
    let text = info["description"].as_str().unwrap_or_default();
    let (lead, rest) = text.split_once("\n## ").unwrap_or((text, ""));
    let mut intro = format!(
        "<header class=\"intro\" id=\"introduction\">\n<p class=\"eyebrow\">API reference · version {version}</p>\n\
         <h1>Mainstay</h1>\n<div class=\"lead\">{}</div>\n\
         <p class=\"links\"><a class=\"button\" href=\"openapi.json\">OpenAPI 3.1 document</a> \
         <a class=\"button quiet\" href=\"#errors\">Error catalogue</a></p>\n",
        markdown(lead)
    );
    intro += "<form class=\"token\" autocomplete=\"off\"><label for=\"token\">Bearer token for “Try it”</label>\
              <input id=\"token\" type=\"password\" autocomplete=\"off\" spellcheck=\"false\" \
              placeholder=\"Access token or service key\" aria-describedby=\"token-note\">\
              <p id=\"token-note\">Stays in this tab’s memory and goes only to this server. Closing the tab forgets it.</p>\
              </form>\n<div class=\"cards\">\n";
    for chapter in rest.split("\n## ").filter(|chapter| !chapter.is_empty()) {
        let (title, body) = chapter.split_once('\n').unwrap_or((chapter, ""));
        let title = escape(title);
        intro += &format!("<section class=\"card\"><h2>{title}</h2>{}</section>\n", markdown(body));
    }
    intro + "</div>\n</header>\n"
}

fn section(document: &Value, group: &Group<'_>) -> String {
    let (name, title) = (escape(group.name), escape(group.title));
    let mut section = format!(
        "<section class=\"group\" id=\"{name}\" aria-labelledby=\"{name}-title\">\n\
         <div class=\"group-head\"><h2 id=\"{name}-title\">{title}</h2>{}</div>\n",
        markdown(group.description)
    );
    for operation in &group.operations {
        section += &operation.render(document);
    }
    section + "</section>\n"
}

#[cfg(test)]
mod tests;
