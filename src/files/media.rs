//! Media types: how they are determined, and how files are served.

mod content;
mod names;
mod text;

use std::borrow::Cow;

pub(crate) use content::of_content;

/// The number of leading bytes that determine the type of a file.
pub(crate) const SNIFF_BYTES: usize = 8192;

/// The type of a file of unknown content.
pub(crate) const UNKNOWN: &str = "application/octet-stream";

/// The media types of JavaScript (WHATWG MIME Sniffing, 4.6).
const SCRIPTS: [&str; 16] = [
    "application/ecmascript",
    "application/javascript",
    "application/x-ecmascript",
    "application/x-javascript",
    "text/ecmascript",
    "text/javascript",
    "text/javascript1.0",
    "text/javascript1.1",
    "text/javascript1.2",
    "text/javascript1.3",
    "text/javascript1.4",
    "text/javascript1.5",
    "text/jscript",
    "text/livescript",
    "text/x-ecmascript",
    "text/x-javascript",
];

/// The images that browsers show and that can't carry scripts.
pub(crate) const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/// Parses a media type (RFC 9110, 8.3.1) without its parameters, in lower case; `None` if it is invalid.
pub(crate) fn parse(text: &str) -> Option<String> {
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_token =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b));
    let (kind, subtype) = essence.split_once('/')?;
    (is_token(kind) && is_token(subtype)).then_some(essence)
}

/// Returns the stored name of a media type without its parameters: many types have several names. An absent type stands for
/// unknown content.
pub(crate) fn canonical_type(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some(UNKNOWN.to_owned());
    }
    Some(names::canonical(&parse(text)?).to_owned())
}

/// Returns the media type under which a download is served. Browsers might execute some types, even as an attachment,
/// so these are served under a harmless type.
pub(crate) fn safe_content_type(content_type: &str) -> &str {
    let is_active = content_type.ends_with("+xml")
        || SCRIPTS.contains(&content_type)
        || matches!(
            content_type,
            "text/html"
                | "text/xml"
                | "application/xml"
                | "text/css"
                | "application/x-shockwave-flash"
                | "message/rfc822"
                | "multipart/related"
        );
    if is_active { UNKNOWN } else { content_type }
}

/// Returns whether a browser may show a file of this type.
pub(crate) fn is_image(content_type: &str) -> bool {
    IMAGES.contains(&content_type)
}

/// Returns the fault of a file name, if it has one: a name must be a single path component, and display as it is.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    let is_invisible = |c: char| {
        c.is_whitespace()
            || matches!(c, '.' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    };
    match name {
        "" => Some("is required"),
        _ if name.chars().count() > 255 => Some("must be at most 255 characters"),
        _ if name.contains(['/', '\\']) => Some("must be a name, not a path"),
        _ if name.chars().all(is_invisible) => Some("must have more than dots and spaces"),
        _ => None,
    }
}

/// Formats a `Content-Disposition` (RFC 6266): the name in ASCII for old readers, and in full (RFC 8187).
pub(crate) fn disposition(name: &str, inline: bool) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || " ._-()+,".contains(c) { c } else { '_' }).collect();
    let full: Cow<'_, str> = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).into();
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_content_is_served_as_bytes() {
        for active in
            ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "text/jscript", "text/livescript"]
        {
            assert_eq!(safe_content_type(active), UNKNOWN);
        }
        for script in ["ecmascript", "javascript", "x-ecmascript", "x-javascript"] {
            assert_eq!(safe_content_type(&format!("application/{script}")), UNKNOWN, "{script}");
            assert_eq!(safe_content_type(&format!("text/{script}")), UNKNOWN, "{script}");
        }
        for minor in 0..=5 {
            assert_eq!(safe_content_type(&format!("text/javascript1.{minor}")), UNKNOWN);
        }
        for passive in ["application/pdf", "image/png", "text/plain", "application/json"] {
            assert_eq!(safe_content_type(passive), passive);
        }
    }

    #[test]
    fn a_name_is_no_path() {
        for good in [
            "a",
            "Grüße 🔥.pdf",
            "a..b",
            ".env",
            "x; filename=\"y\"",
            "%2e%2e%2f",
            "~",
            "\u{200f}\u{200f}צילום מסך.png",
            "a\u{200e}.pdf",
            "\u{61c}صورة.jpg",
            "👨\u{200d}👩\u{200d}👧.png",
        ] {
            assert_eq!(name_fault(good), None, "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", ".", "..", " . ", "../a", "/etc/passwd", "a\\b", "\u{200f}\u{200e}", "\u{200b}.", &long] {
            assert!(name_fault(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_gets_out_of_a_disposition() {
        for name in ["a\"; x=y", "a\r\nSet-Cookie: b", "Grüße.pdf", "a'b%20c", "../../a", "a\\\"b"] {
            let header = disposition(name, false);
            assert!(header.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{header}");
            assert_eq!(header.matches('"').count(), 2, "{header}");
            assert_eq!(header.matches(';').count(), 2, "{header}");
            assert!(!header.contains(['\\', '/']), "{header}");
            let full = header.rsplit("''").next().expect("a name");
            assert_eq!(percent_encoding::percent_decode_str(full).decode_utf8().expect("UTF-8"), name);
        }
        assert!(disposition("a.png", true).starts_with("inline; filename=\"a.png\""));
    }

    #[test]
    fn a_media_type_is_two_tokens() {
        assert_eq!(parse("Text/CSV; charset=utf-8").as_deref(), Some("text/csv"));
        for bad in ["", "text", "text/", "/csv", "text/a b", "text/a\r\nb", "*/*", "text/é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
