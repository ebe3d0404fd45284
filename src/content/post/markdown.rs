//! Renders Markdown as HTML that is safe to embed.
//!
//! HTML in the text is shown as text, so that all elements come from the renderer. Then an allow-list sanitizer removes
//! unexpected addresses and attributes. Either layer would suffice; together they tolerate a fault in one (defense in
//! depth).

use std::{
    collections::HashSet,
    fmt::{self, Write},
    sync::LazyLock,
};

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{Event, Options, Parser, Tag, html};

/// The maximum nesting depth of elements. The sanitizer's time is quadratic in it.
const MAX_DEPTH: usize = 32;
/// The maximum size of the HTML before it is sanitized: this many times the size of the text, and [`MIN_HTML_BYTES`] more. The
/// rows of a table get all of its columns, and a reference its whole address, so that short texts could have much HTML.
/// Usual texts have at most ten times their size.
const MAX_GROWTH: usize = 12;
/// What the HTML of a short text may have in any case: a table of ten columns with six hundred rows of one cell.
const MIN_HTML_BYTES: usize = 64 << 10;

const ELEMENTS: [&str; 30] = [
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
    "div",
    "span",
];

static SANITIZER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from(ELEMENTS))
        .tag_attributes(
            [
                ("a", HashSet::from(["href", "title"])),
                ("img", HashSet::from(["src", "alt", "title"])),
                ("ol", HashSet::from(["start"])),
            ]
            .into(),
        )
        .clean_content_tags(HashSet::from(["script", "style"]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("noopener noreferrer nofollow"))
        .strip_comments(true);
    builder
});

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// Returns the URLs of the images and links of a text.
pub fn addresses(text: &str) -> impl Iterator<Item = String> {
    parser(text).filter_map(|event| match event {
        Event::Start(Tag::Image { dest_url, .. } | Tag::Link { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    })
}

/// A buffer that accepts a bounded number of bytes.
struct Bounded {
    html: String,
    max_bytes: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.html.len() + piece.len() > self.max_bytes {
            return Err(fmt::Error);
        }
        self.html.push_str(piece);
        Ok(())
    }
}

/// Returns the reason why a text can't be rendered completely; `None` if it can.
pub fn fault(text: &str) -> Option<&'static str> {
    write_html(text).1
}

/// Renders a text. A text with a [`fault`] is cut off at the limit.
pub fn render(text: &str) -> String {
    SANITIZER.clean(&write_html(text).0).to_string()
}

/// Returns the HTML of a text, up to the limits, and the limit that the text exceeds.
fn write_html(text: &str) -> (String, Option<&'static str>) {
    let mut depth = 0_usize;
    let events = parser(text).map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        other => other,
    });
    let shallow = events.take_while(|event| {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= MAX_DEPTH
    });
    let max_bytes = text.len() * MAX_GROWTH + MIN_HTML_BYTES;
    let mut bounded = Bounded { html: String::with_capacity(text.len() * 3 / 2), max_bytes };
    let is_complete = html::write_html_fmt(&mut bounded, shallow).is_ok();
    let fault = if depth > MAX_DEPTH {
        Some("has elements that are nested too deeply")
    } else {
        (!is_complete).then_some("has too much HTML for its length, such as a table with many empty cells")
    };
    (bounded.html, fault)
}

#[cfg(test)]
mod tests {
    use super::{fault, render};
    use crate::product::tests::cost::assert_proportional;

    #[test]
    fn a_longer_text_costs_in_proportion() {
        const UNITS: [&str; 30] = [
            "a",
            "[",
            "![",
            "[a](",
            "[a]: b\n",
            "](",
            "*",
            "**a",
            "_a_ ",
            "`",
            "``` \n",
            "~~",
            "<",
            "<!--",
            "<a ",
            "</",
            "<?",
            "&",
            "&#",
            "&a;",
            "> ",
            "- ",
            "1. ",
            "|",
            "a|b\n-|-\n",
            "#",
            "\\",
            "a@b.",
            "http://",
            "\n\n",
        ];
        // The parser adds the missing cells of a row.
        let wide_table = |bytes: usize| {
            let (columns, rows) = (bytes / 8, bytes / 4);
            format!("{}\n{}\n{}", "a|".repeat(columns), "-|".repeat(columns), "a\n".repeat(rows))
        };
        let bounded = |text: &str, bytes: usize| assert!(render(text).len() < 20 * bytes);
        for unit in UNITS {
            assert_proportional(unit, |bytes| bounded(&unit.repeat(bytes / unit.len()), bytes));
        }
        assert_proportional("a wide table", |bytes| bounded(&wide_table(bytes), bytes));
        assert!(fault(&wide_table(64 << 10)).is_some(), "it is refused");
    }
}
