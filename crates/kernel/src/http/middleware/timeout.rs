//! How long a caller waits for its answer.

use std::time::Duration;

use crate::http::middleware::layer::Request;

/// How long the caller waits: `grpc-timeout`, or `X-Request-Timeout` in seconds. `None` if it does not say, or not in a
/// form that can be read.
pub(super) fn requested_timeout(request: &Request) -> Option<Duration> {
    let value = |name| request.headers().get(name)?.to_str().ok();
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
    value("grpc-timeout").and_then(grpc_timeout).or_else(|| value("x-request-timeout").and_then(seconds))
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
