//! Conversion of text to HTML. All text from the document passes through here.

use crate::contract::Reason;

/// Escapes text for use between tags and inside quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Renders the subset of Markdown that the contract uses: paragraphs, lists, and code between backticks.
pub(super) fn markdown(text: &str) -> String {
    let mut html = String::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut items: Vec<&str> = Vec::new();
    for line in text.lines().chain([""]) {
        if let Some(item) = line.strip_prefix("- ") {
            items.push(item);
        } else if line.trim().is_empty() {
            flush(&mut html, &mut paragraph, &mut items);
        } else {
            paragraph.push(line);
        }
    }
    html
}

fn flush(html: &mut String, paragraph: &mut Vec<&str>, items: &mut Vec<&str>) {
    if !paragraph.is_empty() {
        *html += &format!("<p>{}</p>", inline(&paragraph.join(" ")));
        paragraph.clear();
    }
    if !items.is_empty() {
        let items: String = items.drain(..).map(|item| format!("<li>{}</li>", inline(item))).collect();
        *html += &format!("<ul>{items}</ul>");
    }
}

/// Renders one line: code between backticks, and error codes as links to the catalogue.
pub(super) fn inline(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        let code = index % 2 == 1;
        match (code, is_error_code(part)) {
            (true, true) => html += &error_link(part),
            (true, false) => html += &format!("<code>{}</code>", escape(part)),
            (false, _) => html += &words(part),
        }
    }
    html
}

fn words(text: &str) -> String {
    let mut html = String::new();
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in text.split_inclusive(|c| !letter(c)) {
        let bare = word.trim_end_matches(|c| !letter(c));
        if is_error_code(bare) {
            html += &error_link(bare);
            html += &escape(&word[bare.len()..]);
        } else {
            html += &escape(word);
        }
    }
    html
}

/// Renders a link to a code's row in the catalogue.
pub(super) fn error_link(code: &str) -> String {
    format!("<a class=\"code\" href=\"#error-{code}\"><code>{code}</code></a>")
}

fn is_error_code(word: &str) -> bool {
    Reason::from_code(word).is_some_and(|reason| reason != Reason::Unspecified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_text_becomes_markup() {
        assert_eq!(escape("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
        assert_eq!(inline("`<b>` <i>"), "<code>&lt;b&gt;</code> &lt;i&gt;");
    }

    #[test]
    fn the_little_markdown() {
        assert_eq!(
            markdown("One\ntwo.\n\n- `A`: a\n- b"),
            "<p>One two.</p><ul><li><code>A</code>: a</li><li>b</li></ul>"
        );
    }

    #[test]
    fn codes_lead_to_the_catalogue() {
        assert_eq!(inline("Fails with NOT_FOUND."), format!("Fails with {}.", error_link("NOT_FOUND")));
        assert_eq!(inline("`CONFLICT`"), error_link("CONFLICT"));
        assert_eq!(inline("Not UNSPECIFIED, NOT_A_CODE"), "Not UNSPECIFIED, NOT_A_CODE");
    }
}
