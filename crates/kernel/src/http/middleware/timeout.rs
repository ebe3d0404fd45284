//! Timeouts that callers request.

use std::time::Duration;

use mainstay_transcoder::parse_timeout;

use crate::http::middleware::layer::Request;

/// Returns the caller's timeout from `grpc-timeout` or `X-Request-Timeout`; `None` if it is absent or malformed.
pub(super) fn requested_timeout(request: &Request) -> Option<Duration> {
    let value = |name| request.headers().get(name)?.to_str().ok();
    value("grpc-timeout").and_then(grpc_timeout).or_else(|| value("x-request-timeout").and_then(parse_timeout))
}

/// Parses gRPC's `Timeout`: up to 8 digits and a unit (gRPC over HTTP/2). Returns `None` if it is malformed.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::middleware::layer::Body;

    #[test]
    fn a_timeout_has_the_unit_that_its_header_allows() {
        for (name, text, expected_ms) in [
            ("grpc-timeout", "100m", Some(100)),
            ("grpc-timeout", "2S", Some(2000)),
            ("grpc-timeout", "2", None),
            ("x-request-timeout", "1.5", Some(1500)),
            ("x-request-timeout", "2s", Some(2000)),
            ("x-request-timeout", "500ms", Some(500)),
            ("x-request-timeout", "soon", None),
        ] {
            let mut request = Request::new(Body::empty());
            request.headers_mut().insert(name, text.parse().expect("a header value"));
            assert_eq!(requested_timeout(&request), expected_ms.map(Duration::from_millis), "{name}: {text}");
        }
    }
}
