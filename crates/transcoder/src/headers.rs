//! The headers that are translated between HTTP and gRPC.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::dialect::Failure;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Returns whether a header belongs to one connection (RFC 9110, section 7.6.1), or to the body, which is replaced.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "content-length"
            | "content-type"
    )
}

/// Builds the metadata of the upstream call: the client's headers, except those about the connection, the body or gRPC
/// itself. The timeout in `timeout_header` becomes `grpc-timeout`; see
/// [`Dialect::timeout_header`](crate::Dialect::timeout_header).
///
/// # Errors
/// [`Failure::Malformed`], with the header as its field, if the timeout is not a positive duration.
pub fn grpc_metadata(headers: &HeaderMap, timeout_header: Option<&HeaderName>) -> Result<HeaderMap, Failure> {
    let mut out = HeaderMap::with_capacity(headers.len() + 3);
    let connection = headers.get(header::CONNECTION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for (name, value) in headers {
        let dropped = is_hop_by_hop(name)
            || matches!(name.as_str(), "host" | "expect" | "content-encoding")
            || Some(name) == timeout_header
            || (name.as_str().starts_with("grpc-") && name != GRPC_TIMEOUT)
            || (!connection.is_empty() && lists(connection, name));
        if !dropped {
            out.append(name.clone(), value.clone());
        }
    }
    if let Some((name, value)) = timeout_header.and_then(|name| Some((name, headers.get(name)?))) {
        let timeout =
            value.to_str().ok().and_then(parse_timeout).and_then(grpc_timeout).ok_or_else(|| Failure::Malformed {
                field: Some(title_case(name)),
                message: "not a positive time such as 1.5 (seconds), 2s or 500ms".to_owned(),
            })?;
        out.insert(GRPC_TIMEOUT, timeout);
    }
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    out.insert(header::TE, HeaderValue::from_static("trailers"));
    Ok(out)
}

/// Returns whether a `Connection` header lists another header, which then belongs to the connection alone.
fn lists(connection: &str, name: &HeaderName) -> bool {
    connection.split(',').any(|token| token.trim().eq_ignore_ascii_case(name.as_str()))
}

/// Returns the name as documentation spells it: `X-Request-Timeout`.
fn title_case(name: &HeaderName) -> String {
    let mut word_start = true;
    let chars = name.as_str().chars().map(|c| {
        let spelled = if word_start { c.to_ascii_uppercase() } else { c };
        word_start = c == '-';
        spelled
    });
    chars.collect()
}

/// Parses a timeout: seconds (`1.5`, `2s`) or milliseconds (`500ms`), with up to eight digits, and up to nine after the
/// point. Returns `None` if it is malformed or not positive.
pub fn parse_timeout(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit_seconds) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<f64>().ok().filter(|_| digits(whole, 8) && digits(fraction, 9))?;
    if number > 0.0 { Duration::try_from_secs_f64(number * unit_seconds).ok() } else { None }
}

/// Formats a timeout for gRPC over HTTP/2, which permits up to eight digits and a unit; the maximum in milliseconds
/// exceeds a day.
fn grpc_timeout(timeout: Duration) -> Option<HeaderValue> {
    let ms = timeout.as_nanos().div_ceil(1_000_000).max(1);
    let text = if ms <= 99_999_999 { format!("{ms}m") } else { format!("{}S", ms.div_ceil(1000).min(99_999_999)) };
    HeaderValue::from_str(&text).ok()
}

/// Returns the timeout of a call, if its metadata has one.
pub(crate) fn timeout(metadata: &HeaderMap) -> Option<Duration> {
    let text = metadata.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = number.parse().ok()?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(number)
}

/// Removes the headers that only a gRPC client may see.
pub(crate) fn remove_grpc_headers(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name) || name.as_str().starts_with("grpc-")).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_rounded_up_to_what_grpc_can_say() {
        for (text, expected) in [
            ("2", Some("2000m")),
            ("1.5", Some("1500m")),
            ("500ms", Some("500m")),
            (" 2s ", Some("2000m")),
            ("0.0001", Some("1m")),
            ("99999999", Some("99999999S")),
            ("1e9", None),
            ("0", None),
            ("0.0s", None),
            ("100000000", None),
            ("1.", None),
            (".5", None),
            ("1.2.3", None),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("inf", None),
        ] {
            let timeout = parse_timeout(text).and_then(grpc_timeout);
            assert_eq!(timeout, expected.map(HeaderValue::from_static), "{text}");
        }
    }

    #[test]
    fn the_timeout_of_a_call_is_read_back() {
        for (text, expected) in [
            ("1500m", Some(Duration::from_millis(1500))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("2H", Some(Duration::from_secs(7200))),
            ("7u", Some(Duration::from_micros(7))),
            ("", None),
            ("m", None),
            ("5", None),
            ("-5m", None),
        ] {
            let headers = HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_static(text))]);
            assert_eq!(timeout(&headers), expected, "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn a_bad_timeout_names_its_header() {
        let timeout = HeaderName::from_static("x-request-timeout");
        let mut headers = HeaderMap::new();
        headers.insert(&timeout, HeaderValue::from_static("soon"));
        let failure = grpc_metadata(&headers, Some(&timeout)).unwrap_err();
        assert!(matches!(failure, Failure::Malformed { field: Some(field), .. } if field == "X-Request-Timeout"));
        let out = grpc_metadata(&headers, None).unwrap();
        assert_eq!(out["x-request-timeout"], "soon", "without the convention it is a header like any other");
    }

    #[test]
    fn only_end_to_end_headers_go_up() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("content-length", "3"),
            ("content-type", "application/json"),
            ("grpc-encoding", "gzip"),
            ("host", "a"),
            ("if-match", "\"7\""),
            ("x-request-timeout", "2"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let timeout = HeaderName::from_static("x-request-timeout");
        let out = grpc_metadata(&headers, Some(&timeout)).unwrap();
        let mut names: Vec<_> = out.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "content-type", "grpc-timeout", "if-match", "te"]);
        assert_eq!(out[header::CONTENT_TYPE], "application/grpc");
    }
}
