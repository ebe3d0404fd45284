//! Renders Markdown as HTML that is safe to embed.
//!
//! HTML in the text is shown as text, so that all elements come from the renderer. Then an allow-list sanitizer removes
//! unexpected addresses and attributes. Either layer would suffice; together they tolerate a fault in one (defense in
//! depth).

use std::{collections::HashSet, sync::LazyLock};

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{Event, Options, Parser, Tag, html};

/// The maximum nesting depth of elements. The sanitizer's time is quadratic in it.
const MAX_DEPTH: usize = 32;

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

/// Returns whether the elements of a text are nested too deeply to be rendered.
pub fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    parser(text).any(|event| {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

/// Renders a text. A text that [is too deep](is_too_deep) is cut off at the maximum depth.
pub fn render(text: &str) -> String {
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
    let mut html = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut html, shallow);
    SANITIZER.clean(&html).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::render;

    /// A text of four times the length takes about four times as long; with quadratic work it would take sixteen times
    /// as long.
    #[test]
    fn a_longer_text_takes_time_in_proportion() {
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
        let cost = |unit: &str, bytes: usize| {
            let text = unit.repeat(bytes / unit.len());
            let began = Instant::now();
            assert!(render(&text).len() < 20 * bytes);
            began.elapsed()
        };
        for unit in UNITS {
            let (mut short, mut long) = (Duration::MAX, Duration::MAX);
            // The machine may be busy with other work, so the fastest of many tries counts.
            for attempt in 1..=40 {
                short = short.min(cost(unit, 16 << 10).max(Duration::from_millis(4)));
                long = long.min(cost(unit, 64 << 10));
                if long < 10 * short {
                    break;
                }
                assert!(attempt < 40, "{unit:?}: {short:?} for 16 KiB, {long:?} for 64 KiB");
            }
        }
    }
}
