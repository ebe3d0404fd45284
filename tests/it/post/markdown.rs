//! Rendered Markdown runs no scripts in the page that embeds it.

use mainstay::content::post::markdown::{fault, render};

/// Texts that try to run a script, each in a different way.
const ATTACKS: &[&str] = &[
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<iframe src=javascript:alert(1)></iframe>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<form action=javascript:alert(1)><button>x</button></form>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<div style=\"background:url(javascript:alert(1))\">x</div>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content=\"0;url=javascript:alert(1)\">",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<template><img src=x onerror=alert(1)></template>",
    "<textarea></textarea><img src=x onerror=alert(1)>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?php echo 1 ?><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](  javascript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java&#10;script:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](\u{1}javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "[x]: javascript:alert(1)\n\n[x]",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](https://example.com/x.png \"a\\\" onerror=alert(1) \\\"\")",
    "![\" onerror=\"alert(1)](x)",
    "[x](https://example.com/\"onmouseover=\"alert(1))",
    "[x](https://example.com 'a\" onmouseover=\"alert(1)')",
    "```\"><script>alert(1)</script>\ncode\n```",
    "``` x onmouseover=alert(1)\ncode\n```",
    "`<script>alert(1)</script>`",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    "# <img src=x onerror=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
    "</p></div></body></html><script>alert(1)</script>",
    "a\u{0}<scr\u{0}ipt>alert(1)</scr\u{0}ipt>",
];

/// Returns the elements and attributes of an HTML text, read without the parsers under test.
fn tags(html: &str) -> Vec<(String, Vec<String>)> {
    let mut tags = Vec::new();
    for rest in html.split('<').skip(1) {
        let tag = rest.split_once('>').unwrap_or_else(|| panic!("a < that ends nowhere: {html}")).0;
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = Vec::new();
        while let Some((attribute, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("a value that ends nowhere: {html}"));
            attributes.push(format!("{}={value}", attribute.trim()));
            rest = after;
        }
        assert!(rest.trim().trim_end_matches('/').is_empty(), "{rest:?} in {html}");
        tags.push((name.trim_matches('/').to_owned(), attributes));
    }
    tags
}

#[test]
fn nothing_that_could_run_comes_through() {
    const ELEMENTS: &str =
        "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr img li ol p pre strong table tbody td th thead tr ul";
    for attack in ATTACKS {
        let html = render(attack);
        for (element, attributes) in tags(&html) {
            assert!(ELEMENTS.split(' ').any(|other| other == element), "{attack}: <{element}> in {html}");
            for attribute in attributes {
                let (name, value) = attribute.split_once('=').expect("a name and a value");
                assert!(["href", "src", "alt", "title", "rel", "start"].contains(&name), "{attack}: {name} in {html}");
                // The value as a browser reads it: without line breaks and tabs; a scheme contains only these
                // characters.
                let value = value.replace(['\n', '\r', '\t'], "");
                let is_scheme = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
                let scheme = value.trim_start_matches(|c: char| c <= ' ').split_once(':');
                let scheme = scheme.map(|(scheme, _)| scheme.to_lowercase()).filter(|scheme| is_scheme(scheme));
                let is_address = ["href", "src"].contains(&name);
                let is_known = scheme.is_none_or(|scheme| ["http", "https", "mailto"].contains(&scheme.as_str()));
                assert!(!is_address || is_known, "{attack}: {attribute} in {html}");
            }
        }
    }
}

#[test]
fn the_text_of_an_attack_can_still_be_read() {
    assert_eq!(
        render("Use `<script>` or <b>this</b>."),
        "<p>Use <code>&lt;script&gt;</code> or &lt;b&gt;this&lt;/b&gt;.</p>\n"
    );
}

#[test]
fn the_markdown_of_authors_is_rendered() {
    let text = "# Title\n\nA [link](https://example.com \"t\"), **bold**, ~~gone~~.\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n![x](/images/1)";
    let html = render(text);
    for part in [
        "<h1>Title</h1>",
        "<a href=\"https://example.com\" title=\"t\" rel=\"noopener noreferrer nofollow\">link</a>",
        "<strong>bold</strong>",
        "<del>gone</del>",
        "<ol>\n<li>one</li>",
        "<td>1</td>",
        "<img src=\"/images/1\" alt=\"x\">",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[test]
fn deep_texts_are_recognized_and_end() {
    assert_eq!(fault(&format!("{} quote", ">".repeat(20))), None);
    let nested = (0..60).map(|depth| format!("{}- item\n", "  ".repeat(depth))).collect::<String>();
    for text in
        [format!("{} quote", ">".repeat(30_000)), nested, format!("{}x{}", "*a **b ".repeat(100), "** c*".repeat(100))]
    {
        assert_eq!(fault(&text), Some("has elements that are nested too deeply"), "{}", &text[..100]);
        assert!(render(&text).len() < 100_000);
    }
}

#[test]
fn the_html_of_a_text_is_bounded() {
    let table = |columns: usize, row: &str, rows: usize| {
        format!("{}\n{}\n{}", "a|".repeat(columns), "-|".repeat(columns), row.repeat(rows))
    };
    // Tables that authors write, also with empty cells, and much HTML of short elements.
    for text in [
        table(10, "a\n", 500),
        table(20, &format!("{}\n", "a|".repeat(20)), 1000),
        table(1, "|\n", 30_000),
        "[](a) ".repeat(10_000),
    ] {
        assert_eq!(fault(&text), None, "{}", &text[..100]);
    }
    let references = format!("[a]: /{}\n\n{}", "u".repeat(2000), "[a] ".repeat(100));
    for text in [table(8000, "a\n", 16_000), table(400, "a\n", 600), references] {
        assert!(fault(&text).is_some_and(|fault| fault.starts_with("has too much HTML")), "{}", &text[..100]);
        assert!(render(&text).len() < 2 * (12 * text.len() + (64 << 10)), "what was stored before is cut off");
    }
}
