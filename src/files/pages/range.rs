//! The requested part of a file (RFC 9110, 14.2), and the precondition of a request (13.1.1).

use std::ops::Range;

use axum::http::{HeaderMap, Method, header};
use mainstay_kernel::http::entity_tag;

/// The range that a `Range` header requests (RFC 9110, section 14.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// The whole file. Requests for several ranges get it too, because serving them would cost more.
    Whole,
    Part(Range<u64>),
    /// A range outside the file.
    Nothing,
}

/// Returns whether `If-Match` is absent or names the file. Its lines form one list. As for all methods of the API, the
/// weak form of a tag counts, too, and so does one with the coding that a proxy added. For a range, the latter does not:
/// a client that continues a compressed file would join different bytes.
pub(super) fn is_matched(headers: &HeaderMap, tag: &str) -> bool {
    let is_file = |one: &str| match one {
        "*" => true,
        _ if headers.contains_key(header::RANGE) => one.strip_prefix("W/").unwrap_or(one) == tag,
        _ => entity_tag::is_same(one, tag),
    };
    let names_file = |line: &str| line.split(',').map(str::trim).any(is_file);
    let mut lines = headers.get_all(header::IF_MATCH).iter().peekable();
    lines.peek().is_none() || lines.any(|line| line.to_str().is_ok_and(names_file))
}

/// Reads `Range` and `If-Range`. A range is defined for GET only. A range outside the file is ignored if the request has
/// an `If-None-Match`, which precedes it (RFC 9110, 13.2.2) and is evaluated on the response.
pub(super) fn read(method: &Method, headers: &HeaderMap, tag: &str, size: u64) -> RequestedRange {
    if method != Method::GET || headers.get(header::IF_RANGE).is_some_and(|value| value != tag) {
        return RequestedRange::Whole;
    }
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()?.trim().split_once('='));
    match range {
        Some((unit, range)) if unit.eq_ignore_ascii_case("bytes") => match part(range, size) {
            RequestedRange::Nothing if headers.contains_key(header::IF_NONE_MATCH) => RequestedRange::Whole,
            requested => requested,
        },
        _ => RequestedRange::Whole,
    }
}

fn part(range: &str, size: u64) -> RequestedRange {
    // `parse` alone would accept a sign.
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let Some((first, last)) = range.split_once('-') else { return RequestedRange::Whole };
    let (first, last) = (first.trim(), last.trim());
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return RequestedRange::Whole,
    };
    if range.start < range.end { RequestedRange::Part(range) } else { RequestedRange::Nothing }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn one_range_is_served() {
        for (range, expected) in [
            ("0-0", RequestedRange::Part(0..1)),
            ("2-5", RequestedRange::Part(2..6)),
            ("2-", RequestedRange::Part(2..10)),
            ("-3", RequestedRange::Part(7..10)),
            ("-30", RequestedRange::Part(0..10)),
            ("8-99", RequestedRange::Part(8..10)),
            ("0-18446744073709551615", RequestedRange::Part(0..10)),
            ("10-", RequestedRange::Nothing),
            ("99-100", RequestedRange::Nothing),
            ("-0", RequestedRange::Nothing),
            ("5-2", RequestedRange::Whole),
            ("0-1,3-4", RequestedRange::Whole),
            ("+1-2", RequestedRange::Whole),
            ("a-b", RequestedRange::Whole),
            ("-", RequestedRange::Whole),
            ("", RequestedRange::Whole),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_none() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=1-2"));
        assert_eq!(read(&Method::GET, &headers, "\"a\"", 10), RequestedRange::Part(1..3));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"a\""));
        assert_eq!(read(&Method::GET, &headers, "\"a\"", 10), RequestedRange::Part(1..3));
        for other in [&b"\"b\""[..], b"W/\"a\"", b"\"a-gzip\"", b"\"a\xe9\""] {
            headers.insert(header::IF_RANGE, HeaderValue::from_bytes(other).expect("a value"));
            assert_eq!(
                read(&Method::GET, &headers, "\"a\"", 10),
                RequestedRange::Whole,
                "{}: bytes are compared strongly",
                other.escape_ascii()
            );
        }
        headers.insert(header::RANGE, HeaderValue::from_static("pages=1-2"));
        assert_eq!(read(&Method::GET, &headers, "\"a\"", 10), RequestedRange::Whole);
        headers.insert(header::RANGE, HeaderValue::from_static("Bytes=1-2"));
        headers.remove(header::IF_RANGE);
        assert_eq!(read(&Method::GET, &headers, "\"a\"", 10), RequestedRange::Part(1..3));
        assert_eq!(read(&Method::HEAD, &headers, "\"a\"", 10), RequestedRange::Whole);
    }

    #[test]
    fn a_condition_precedes_a_range_outside_the_file() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=10-"));
        assert_eq!(read(&Method::GET, &headers, "\"a\"", 10), RequestedRange::Nothing);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"a\""));
        assert_eq!(read(&Method::GET, &headers, "\"a\"", 10), RequestedRange::Whole);
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=1-2"));
        assert_eq!(read(&Method::GET, &headers, "\"a\"", 10), RequestedRange::Part(1..3));
    }

    #[test]
    fn a_precondition_names_the_file() {
        let mut headers = HeaderMap::new();
        let mut is_matched = |lines: &[&'static str]| {
            headers.remove(header::IF_MATCH);
            for line in lines {
                headers.append(header::IF_MATCH, HeaderValue::from_static(line));
            }
            super::is_matched(&headers, "\"a\"")
        };
        let weak = &["\"b\",W/\"a\""];
        for lines in [&[][..], &["*"], &["\"a\""], &["\"b\", \"a\""], &["\"b\"", "\"a\""], &["W/\"a\""], weak] {
            assert!(is_matched(lines), "{lines:?}");
        }
        for lines in [&["\"b\""][..], &["W/\"b\""], &["W/*"], &["W/W/\"a\""], &[""], &["a"]] {
            assert!(!is_matched(lines), "{lines:?}");
        }
        assert!(is_matched(&["\"a-gzip\""]) && is_matched(&["\"a;gz\""]) && !is_matched(&["\"b-gzip\""]));
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=1-"));
        for (tag, is_good) in [("\"a\"", true), ("\"a-gzip\"", false)] {
            headers.insert(header::IF_MATCH, HeaderValue::from_static(tag));
            assert_eq!(super::is_matched(&headers, "\"a\""), is_good, "{tag}: the rest of which bytes?");
        }
    }
}
