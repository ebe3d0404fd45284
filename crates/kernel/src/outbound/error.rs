//! Errors of provider calls, and their implications for the provider and the caller.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;

use crate::{error::Reason, outbound::Response};

/// The kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The provider limits the rate of calls (429).
    RateLimited,
    /// The provider rejects the credentials (401, 403), which an operator has to correct; not the grant of a person.
    Auth,
    /// The provider rejects the request (any other 4xx) permanently.
    Rejected,
    /// The provider is unavailable: 5xx, a broken connection, or an invalid response.
    Unavailable,
    /// There was no response in time.
    TimedOut,
    /// The request was not sent: the circuit is open, or no slot is free.
    NotSent,
}

impl Kind {
    /// Returns the name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Auth => "auth",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::NotSent => "not_sent",
        }
    }
}

/// The failure of a call to a provider. It contains the provider's response, if any, for code that understands it. The
/// response is never logged in full.
#[derive(Debug, thiserror::Error)]
#[error("{provider}: {} ({detail})", kind.name())]
pub struct Error {
    /// The provider.
    pub provider: &'static str,
    /// The kind of failure.
    pub kind: Kind,
    /// Whether the provider may have carried out the request nevertheless.
    pub may_have_acted: bool,
    /// The wait that the provider asks for.
    pub retry_after: Option<Duration>,
    /// The response, if there was one.
    pub answer: Option<Box<http::Response<Bytes>>>,
    detail: String,
}

/// The conversion for calls whose failure is the caller's response: the provider failed or timed out.
impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        let status = error.status().map(|status| status.as_u16().to_string());
        let (reason, message) = match (error.kind, &status) {
            (Kind::TimedOut, _) => (Reason::UpstreamTimeout, Reason::UpstreamTimeout.facts().summary.into()),
            (Kind::NotSent, _) => (Reason::CircuitOpen, Reason::CircuitOpen.facts().summary.into()),
            (_, Some(status)) => (Reason::UpstreamFailed, Cow::from(format!("The provider answered {status}."))),
            (_, None) => (Reason::UpstreamFailed, "The provider can't be reached, or gave no answer.".into()),
        };
        let failed = Self::with_message(reason, message).with("status", status.unwrap_or_default());
        let failed = match error.retry_after {
            Some(wait) => failed.retry_after(wait),
            None => failed,
        };
        failed.caused_by(error)
    }
}

impl Error {
    /// Returns the status of the provider's response, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        self.answer.as_ref().map(|answer| answer.status())
    }

    /// Returns whether the provider replayed a response that it had stored under the request's idempotency key. Such a
    /// response is permanent, and is evidence that the provider is available.
    pub fn is_replay(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.headers().contains_key("idempotent-replayed"))
    }

    pub(crate) fn not_sent(provider: &'static str, why: &str, retry_after: Option<Duration>) -> Self {
        let detail = why.to_owned();
        Self { provider, kind: Kind::NotSent, may_have_acted: false, retry_after, answer: None, detail }
    }

    pub(crate) fn not_connected(provider: &'static str, why: String) -> Self {
        Self { provider, kind: Kind::Unavailable, may_have_acted: false, retry_after: None, answer: None, detail: why }
    }

    pub(crate) fn invalid_response(provider: &'static str, why: String) -> Self {
        Self { provider, kind: Kind::Unavailable, may_have_acted: true, retry_after: None, answer: None, detail: why }
    }

    pub(crate) fn timed_out(provider: &'static str, limit: Duration) -> Self {
        let detail = format!("no answer within {limit:?}");
        Self { provider, kind: Kind::TimedOut, may_have_acted: true, retry_after: None, answer: None, detail }
    }

    /// Classifies an unsuccessful response. After a 5xx, the provider may have acted.
    pub(crate) fn from_response(provider: &'static str, answer: Response) -> Self {
        let status = answer.status();
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => Kind::RateLimited,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !rejects_grant(answer.body()) => Kind::Auth,
            status if status.is_client_error() => Kind::Rejected,
            _ => Kind::Unavailable,
        };
        Self {
            provider,
            kind,
            may_have_acted: kind == Kind::Unavailable,
            retry_after: retry_after(answer.headers()),
            detail: status.to_string(),
            answer: Some(Box::new(answer)),
        }
    }
}

/// Returns whether a token endpoint rejects the code of a person rather than the credentials of the client (RFC 6749, 5.2). The
/// status should be 400, but some providers answer 403, and anyone can send a wrong code.
fn rejects_grant(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    serde_json::from_slice(body).is_ok_and(|Refusal { error }| error == "invalid_grant")
}

/// Parses `Retry-After` (RFC 9110, section 10.2.3). A date is relative to the response's `Date`, so that the local
/// clock does not matter.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let value = text(RETRY_AFTER)?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    let now = chrono::DateTime::parse_from_rfc2822(text(http::header::DATE)?).ok()?;
    (then - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(headers: &[(&str, &str)]) -> Option<Duration> {
        let mut answer = http::Response::builder().status(429);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        Error::from_response("test", answer.body(Bytes::new()).expect("an answer")).retry_after
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let (date, then) = ("Sat, 21 Nov 2026 07:28:00 GMT", "Sat, 21 Nov 2026 07:28:30 GMT");
        assert_eq!(after(&[("date", date), ("retry-after", then)]), Some(Duration::from_secs(30)));
        for none in [&[("retry-after", "soon")][..], &[("retry-after", "-1")], &[("retry-after", then)], &[]] {
            assert_eq!(after(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_wrong_code_is_no_fault_of_the_credentials() {
        let of = |status: u16, body: &'static str| {
            let answer = http::Response::builder().status(status).body(Bytes::from(body)).expect("an answer");
            Error::from_response("test", answer).kind
        };
        for status in [400, 401, 403] {
            assert_eq!(of(status, r#"{"error":"invalid_grant","error_description":"Invalid code"}"#), Kind::Rejected);
        }
        for body in ["", "invalid_grant", r#"{"error":"invalid_client"}"#, r#"{"error":{"code":"invalid_grant"}}"#] {
            assert_eq!((of(401, body), of(403, body)), (Kind::Auth, Kind::Auth), "{body}");
        }
    }

    #[test]
    fn statuses_are_classified() {
        let of = |status: u16| {
            let answer = http::Response::builder().status(status).body(Bytes::new()).expect("an answer");
            let error = Error::from_response("test", answer);
            (error.kind, error.may_have_acted)
        };
        assert_eq!(of(429), (Kind::RateLimited, false));
        assert_eq!(of(401), (Kind::Auth, false));
        assert_eq!(of(403), (Kind::Auth, false));
        assert_eq!(of(402), (Kind::Rejected, false));
        assert_eq!(of(500), (Kind::Unavailable, true));
        assert_eq!(of(503), (Kind::Unavailable, true));
        assert_eq!(of(302), (Kind::Unavailable, true));
    }
}
