//! The error catalogue: every code, its gRPC code and HTTP status, and whether to retry.

use serde_json::Value;

use super::html::{error_link, escape};

/// Renders the table, one anchored row per code.
pub(super) fn render(document: &Value) -> String {
    let mut section = String::from(
        "<section class=\"group\" id=\"errors\" aria-labelledby=\"errors-title\">\n\
         <div class=\"group-head\"><h2 id=\"errors-title\">Error catalogue</h2>\
         <p>One catalogue for every door. REST answers with the envelope, gRPC with the same facts as \
         <code>google.rpc</code> details. New codes may come; none goes.</p></div>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"errors-title\"><table class=\"catalogue\">\n\
         <thead><tr><th scope=\"col\">HTTP</th><th scope=\"col\">Code</th><th scope=\"col\">Meaning</th>\
         <th scope=\"col\">gRPC</th><th scope=\"col\">Retry</th></tr></thead>\n<tbody>\n",
    );
    for entry in document["x-error-catalogue"].as_array().into_iter().flatten() {
        let text = |key: &str| escape(entry[key].as_str().unwrap_or_default());
        let retry = if entry["retryable"] == true { "<span class=\"yes\">may help</span>" } else { "no" };
        section += &format!(
            "<tr id=\"error-{code}\"><td>{}</td><th scope=\"row\">{}</th><td>{}</td><td><code>{}</code></td><td>{retry}</td></tr>\n",
            status(&entry["http"].to_string()),
            error_link(&text("code")),
            text("summary"),
            text("grpc"),
            code = text("code"),
        );
    }
    section + "</tbody></table></div>\n</section>\n"
}

/// Renders a status, colored by its class.
pub(super) fn status(status: &str) -> String {
    let class = status.chars().next().unwrap_or('2');
    format!("<span class=\"status s{class}\">{}</span>", escape(status))
}
