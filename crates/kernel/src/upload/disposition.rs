//! The parameters of a header, and the names in the `Content-Disposition` of a part (RFC 7578, section 4.2), in all forms
//! that clients send.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use encoding_rs::{Encoding, WINDOWS_1252};
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

#[derive(Debug, Default)]
pub(super) struct Disposition {
    pub(super) name: String,
    /// The name of the file; `None` for a part that is not a file.
    pub(super) file_name: Option<String>,
}

impl Disposition {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let header = headers.get(header::CONTENT_DISPOSITION).map_or(&[][..], |value| value.as_bytes());
        // Browsers send UTF-8; curl on Windows sends bytes of the system's charset.
        let header = std::str::from_utf8(header)
            .map_or_else(|_| WINDOWS_1252.decode_without_bom_handling(header).0, std::borrow::Cow::Borrowed);
        let value = |name| parameter(&header, name);
        let extended = value("filename*");
        let file_name = extended.as_deref().and_then(decode_extended);
        let file_name = file_name.or_else(|| value("filename").map(|name| decode_words(&name)));
        Self { name: value("name").unwrap_or_default(), file_name: file_name.or(extended) }
    }
}

/// Returns the value of a parameter. Names of parameters have no case.
pub(super) fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = value_of(value.trim_start());
        if name.trim_matches([';', ' ', '\t']).eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// Splits the value of a parameter from the text after it. Tokens may have characters that RFC 9110 wants quoted, such as
/// the `=` in boundaries of mail libraries.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, after) = text.split_at(text.find(';').unwrap_or(text.len()));
        return (token.trim_end().to_owned(), after);
    };
    let mut is_escaped = false;
    let end = quoted.find(|letter| {
        let is_end = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end
    });
    let (value, after) = quoted.split_at(end.unwrap_or(quoted.len()));
    // Old browsers send a path, whose backslashes escape nothing.
    (value.replace("\\\"", "\""), after.strip_prefix('"').unwrap_or_default())
}

/// Decodes `utf-8''%D1%84.txt` (RFC 8187).
fn decode_extended(value: &str) -> Option<String> {
    let (charset, value) = value.split_once('\'')?;
    let (_language, value) = value.split_once('\'')?;
    decode(charset, &percent_decode_str(value).collect::<Vec<_>>())
}

/// Decodes the words of a text that are encoded for mail (RFC 2047), as .NET does with names in a form.
fn decode_words(text: &str) -> String {
    let (mut decoded, mut rest, mut follows_word) = (String::new(), text, false);
    while let Some(at) = rest.find("=?") {
        let (before, word) = rest.split_at(at);
        let found = decode_word(word);
        // White space between two encoded words only separates them.
        if !(follows_word && found.is_some() && before.trim().is_empty()) {
            decoded.push_str(before);
        }
        follows_word = found.is_some();
        let (word, after) = found.unwrap_or_else(|| ("=?".to_owned(), &word[2..]));
        decoded.push_str(&word);
        rest = after;
    }
    decoded + rest
}

/// Decodes the encoded word at the beginning of a text, and returns the text after it. A word has exactly four question
/// marks (RFC 2047, section 2), so that the search for its end stays within the next few words. .NET exceeds the limit of
/// 75 characters.
fn decode_word(text: &str) -> Option<(String, &str)> {
    let mut parts = text.strip_prefix("=?")?.splitn(4, '?');
    let (charset, encoding, content) = (parts.next()?, parts.next()?, parts.next()?);
    let after = parts.next()?.strip_prefix('=')?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(content).ok()?,
        "Q" | "q" => {
            let percent = content.replace('%', "%25").replace('=', "%").replace('_', " ");
            percent_decode_str(&percent).collect()
        }
        _ => return None,
    };
    Some((decode(charset, &bytes)?, after))
}

fn decode(charset: &str, bytes: &[u8]) -> Option<String> {
    let encoding = Encoding::for_label_no_replacement(charset.as_bytes())?;
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::HeaderValue;

    use super::*;

    fn read(header: &[u8]) -> (String, Option<String>) {
        let value = HeaderValue::from_bytes(header).expect("a header");
        let Disposition { name, file_name } =
            Disposition::read(&HeaderMap::from_iter([(header::CONTENT_DISPOSITION, value)]));
        (name, file_name)
    }

    #[test]
    fn a_file_has_its_name_in_every_form() {
        for (parameters, expected) in [
            (&b"filename=\"a.txt\""[..], "a.txt"),
            (b"filename=a.txt", "a.txt"),
            (b"Filename = \"a.txt\"", "a.txt"),
            ("filename=\"Grüße.txt\"".as_bytes(), "Grüße.txt"),
            // .NET
            (b"filename=\"=?utf-8?B?5paw?=\"; filename*=utf-8''%E6%96%B0", "新"),
            (b"filename=\"=?utf-8?B?5paw?= =?utf-8?q?=E6=96=B0_1?=.txt\"", "新新 1.txt"),
            // urllib3 before 2.0
            (b"filename*=utf-8''%D1%84.txt", "ф.txt"),
            (b"filename*=\"UTF-8'de'a%20b.txt\"", "a b.txt"),
            (b"filename*=iso-8859-1''%FC.txt", "ü.txt"),
            // curl on Windows
            (b"filename=\"Gr\xfc\xdfe \x80.txt\"", "Grüße €.txt"),
            // The extended name is malformed.
            (b"filename*=utf-8''%FF; filename=b.txt", "b.txt"),
            (b"filename*=nonsense", "nonsense"),
            (b"filename=\"a\\\"b; filename=c.txt\"", "a\"b; filename=c.txt"),
            (b"filename=\"C:\\new\\a.txt\"", "C:\\new\\a.txt"),
            (b"filename=\"=?utf-8?B?%%?= =?\"", "=?utf-8?B?%%?= =?"),
            (b"filename=\"\"", ""),
            (b"filename=\"open", "open"),
        ] {
            let header = [&b"form-data; name=\"file\"; "[..], parameters].concat();
            assert_eq!(read(&header), ("file".to_owned(), Some(expected.to_owned())), "{}", header.escape_ascii());
        }
    }

    /// .NET writes one word for a name of any length.
    #[test]
    fn an_encoded_word_may_be_long() {
        let name = "Größe 新 ".repeat(50);
        let header = format!("form-data; name=\"file\"; filename=\"=?utf-8?B?{}?=\"", STANDARD.encode(&name));
        assert_eq!(read(header.as_bytes()), ("file".to_owned(), Some(name)));
    }

    #[test]
    fn words_without_an_end_take_linear_time() {
        let words = "=?utf-8?q?x".repeat(100_000);
        let started = Instant::now();
        assert_eq!(decode_words(&words), words);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }

    #[test]
    fn a_part_without_a_file_name_is_a_field() {
        assert_eq!(read(b"form-data; NAME=\"filename=x\""), ("filename=x".to_owned(), None));
        assert_eq!(read(b"form-data"), (String::new(), None));
    }

    #[test]
    fn a_boundary_has_any_characters() {
        for (header, expected) in [
            ("multipart/form-data; boundary=x", Some("x")),
            ("multipart/form-data;\tboundary=x; charset=utf-8", Some("x")),
            ("multipart/form-data; boundary=----=_Part_1_2.3", Some("----=_Part_1_2.3")),
            ("multipart/form-data; boundary=a/b", Some("a/b")),
            ("multipart/form-data; Boundary=a:b ;", Some("a:b")),
            ("multipart/form-data; charset=\"a;boundary=y\"; boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
        ] {
            assert_eq!(parameter(header, "boundary").as_deref(), expected, "{header}");
        }
    }
}
