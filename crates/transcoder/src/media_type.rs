//! Content negotiation: the media types that the client sends and accepts.

use http::{HeaderMap, HeaderValue, header};

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Ndjson,
    ServerSentEvents,
    /// The bytes of a `google.api.HttpBody`.
    Raw,
}

/// Returns the format for a single message, or `None` if the client does not accept JSON, which `text/json` names as well.
pub(crate) fn message_format(headers: &HeaderMap) -> Option<Format> {
    let (other_name, is_named) = quality(headers, "text", "json");
    let is_accepted = quality(headers, "application", "json").0 > 0 || (is_named && other_name > 0);
    is_accepted.then_some(Format::Json)
}

/// Returns the format for a stream, or `None` if the client accepts neither: server-sent events if the client names them
/// and prefers them at least as much as NDJSON.
pub(crate) fn stream_format(headers: &HeaderMap) -> Option<Format> {
    let (events, is_named) = quality(headers, "text", "event-stream");
    let ndjson = quality(headers, "application", "x-ndjson").0.max(quality(headers, "application", "json").0);
    match (ndjson, events) {
        (0, 0) => None,
        (0, _) => Some(Format::ServerSentEvents),
        _ if is_named && events >= ndjson => Some(Format::ServerSentEvents),
        _ => Some(Format::Ndjson),
    }
}

/// Returns the quality of a type in thousandths, and whether the client named it (RFC 9110, section 12.5.1).
fn quality(headers: &HeaderMap, kind: &str, subtype: &str) -> (u16, bool) {
    let (mut best_precision, mut best_weight) = (0, 0);
    let mut has_ranges = false;
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')).map(str::trim).filter(|range| !range.is_empty()) {
        has_ranges = true;
        let mut parts = range.split(';').map(str::trim);
        let Some((range_kind, range_subtype)) = parts.next().and_then(|range| range.split_once('/')) else { continue };
        let precision = match (range_kind, range_subtype) {
            ("*", "*") => 1,
            (range_kind, "*") if range_kind.eq_ignore_ascii_case(kind) => 2,
            (range_kind, sub) if range_kind.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => 3,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.and_then(|weight| weight.parse::<f32>().ok()).unwrap_or(1.0).clamp(0.0, 1.0);
        if precision > best_precision {
            (best_precision, best_weight) = (precision, (weight * 1000.0) as u16);
        }
    }
    if has_ranges { (best_weight, best_precision == 3) } else { (1000, false) }
}

/// Replaces a repeated media type by one: a proxy joins the lines of a header to a list (RFC 9110, section 5.3). Different media
/// types become a value that is none, so that no part of a server takes the first of them and another the last.
pub fn merge_content_types(headers: &mut HeaderMap) {
    let lines = headers.get_all(header::CONTENT_TYPE);
    let count = lines.iter().count();
    if count < 2 && !lines.iter().any(|line| line.as_bytes().contains(&b',')) {
        return;
    }
    let texts: Option<Vec<_>> = lines.iter().map(|line| line.to_str().ok()).collect();
    let Some(texts) = texts else {
        // A line that is no text is different from any other one.
        if count > 1 {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("invalid"));
        }
        return;
    };
    let value = texts.join(", ");
    let types = elements(&value);
    // An unquoted comma in a parameter, such as a boundary, separates nothing that is a type.
    let is_list = types.iter().all(|kind| kind.split(';').next().is_some_and(|name| name.contains('/')));
    let merged = match types.as_slice() {
        [first, rest @ ..] if (is_list || count > 1) && rest.iter().all(|kind| kind == first) => (*first).to_owned(),
        [_, _, ..] if is_list || count > 1 => value.replace(';', ","),
        _ => return,
    };
    if let Ok(merged) = HeaderValue::from_str(&merged) {
        headers.insert(header::CONTENT_TYPE, merged);
    }
}

/// Splits a list at the commas outside quotes.
fn elements(list: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let elements = list.split(|letter| {
        let was_escaped = is_escaped;
        is_escaped = is_quoted && !was_escaped && letter == '\\';
        is_quoted ^= letter == '"' && !was_escaped;
        letter == ',' && !is_quoted
    });
    elements.map(str::trim).filter(|element| !element.is_empty()).collect()
}

/// Returns the media type of a request body, or `None` if the client sent none.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<MediaType<'_>> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(MediaType(value.split(';').next().unwrap_or_default().trim()))
}

/// Returns whether the body is compressed; decompression is left to an outer layer.
pub(crate) fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The type and subtype of a body. Parameters are ignored: JSON is always UTF-8 (RFC 8259, sections 8.1 and 11), and
/// the reader rejects other encodings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaType<'a>(&'a str);

const JSON: &str = "application/json";

/// Types that end in `+json`, and whose documents are not protobuf JSON: in a merge patch (RFC 7396; Kubernetes) null
/// removes a member, and a JSON patch (RFC 6902) is a list of operations.
const PATCHES: [&str; 3] =
    ["application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json"];

impl MediaType<'_> {
    /// Returns whether the body is JSON (<https://mimesniff.spec.whatwg.org/#json-mime-type>), except for patches.
    pub(crate) fn is_json(&self) -> bool {
        let is_one_of = |names: &[&str]| names.iter().any(|name| self.0.eq_ignore_ascii_case(name));
        let has_suffix = || self.0.rsplit_once('+').is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"));
        is_one_of(&[JSON, "text/json"]) || (!is_one_of(&PATCHES) && self.0.contains('/') && has_suffix())
    }

    pub(crate) fn is_ndjson(&self) -> bool {
        // IANA has no name for it: the specification of NDJSON, jsonlines.org, and the latter with the mark of a private one.
        let names = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];
        names.iter().any(|name| self.0.eq_ignore_ascii_case(name))
    }

    /// Returns whether `pattern` (`image/png`, `image/*`, `*/*`) covers this type. `application/json` covers every type
    /// of JSON.
    pub(crate) fn matches(&self, pattern: &str) -> bool {
        match pattern.strip_suffix("/*") {
            Some("*") => true,
            None if pattern == JSON => self.is_json(),
            Some(kind) => self.0.split_once('/').is_some_and(|(own, _)| own.eq_ignore_ascii_case(kind)),
            None => self.0.eq_ignore_ascii_case(pattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !value.is_empty() {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn accept_picks_the_format() {
        let (json, ndjson, events) = (Some(Format::Json), Some(Format::Ndjson), Some(Format::ServerSentEvents));
        for (accept, expected_single, expected_stream) in [
            ("", json, ndjson),
            ("*/*", json, ndjson),
            ("application/*", json, ndjson),
            ("application/json", json, ndjson),
            ("APPLICATION/JSON;q=0.1", json, ndjson),
            ("text/event-stream", None, events),
            ("text/*", None, events),
            ("application/x-ndjson", None, ndjson),
            ("text/event-stream, */*;q=0.5", json, events),
            ("text/event-stream;q=0.2, application/x-ndjson", None, ndjson),
            ("text/html, application/json;q=0, */*", None, ndjson),
            ("text/html", None, None),
            ("text/json", json, None),
            ("Text/JSON;q=0.5, text/html", json, None),
            ("text/json;q=0, text/html", None, None),
            ("nonsense", None, None),
        ] {
            let headers = headers(header::ACCEPT, accept);
            assert_eq!(message_format(&headers), expected_single, "{accept}");
            assert_eq!(stream_format(&headers), expected_stream, "{accept}");
        }
    }

    #[test]
    fn a_repeated_content_type_is_one_and_different_ones_are_none() {
        for (lines, expected) in [
            (&["application/json"][..], "application/json"),
            (&["application/json, application/json"], "application/json"),
            (&["application/json", "application/json"], "application/json"),
            (&["text/csv; header=\"a, b/c\"", "text/csv; header=\"a, b/c\","], "text/csv; header=\"a, b/c\""),
            (&["multipart/form-data; boundary=a,b"], "multipart/form-data; boundary=a,b"),
            (&["text/csv; header=\"a/b\\\", c/d\""], "text/csv; header=\"a/b\\\", c/d\""),
            (&["application/json, text/csv"], "application/json, text/csv"),
            (&["application/json", "json"], "application/json, json"),
            (&["multipart/form-data; boundary=a,b", "text/csv"], "multipart/form-data, boundary=a,b, text/csv"),
            (&["application/json", "text/csv; x=\u{e9}"], "invalid"),
            (&["application/json; charset=utf-8", "text/csv"], "application/json, charset=utf-8, text/csv"),
            (&["application/json", "application/json; a=b"], "application/json, application/json, a=b"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            // A second pass changes nothing.
            for _ in 0..2 {
                merge_content_types(&mut headers);
                assert_eq!(headers.get_all(header::CONTENT_TYPE).iter().collect::<Vec<_>>(), [expected], "{lines:?}");
            }
            assert_eq!(content_type(&headers).unwrap().is_json(), expected == "application/json", "{lines:?}");
        }
    }

    #[test]
    fn content_types_are_read_without_case() {
        for (value, is_json) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json;charset=utf8", true),
            ("application/json; charset=latin1", true),
            ("application/json; profile=\"https://example.com/;x\"; odata.metadata=minimal", true),
            ("application/vnd.api+json; version=1", true),
            ("application/merge-patch+json", false),
            ("Application/Merge-Patch+JSON; charset=utf-8", false),
            ("application/json-patch+json", false),
            ("text/json", true),
            ("Text/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("json", false),
        ] {
            let headers = headers(header::CONTENT_TYPE, value);
            assert_eq!(content_type(&headers).unwrap().is_json(), is_json, "{value}");
        }
    }

    #[test]
    fn a_pattern_for_json_covers_every_type_of_json() {
        for (media, pattern, expected) in [
            ("application/cloudevents+json", "application/json", true),
            ("text/json", "application/json", true),
            ("application/merge-patch+json", "application/json", false),
            ("text/csv", "application/json", false),
            ("text/json", "text/csv", false),
            ("text/csv", "text/*", true),
            ("image/png", "*/*", true),
        ] {
            assert_eq!(MediaType(media).matches(pattern), expected, "{media} {pattern}");
        }
    }
}
