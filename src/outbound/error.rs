//! Why a call to a provider failed, and what that says about the provider.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use super::Response;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The provider has had enough of us for now (429).
    RateLimited,
    /// Our credentials are not good (401, 403). Nothing but a person can mend that.
    Auth,
    /// The provider says no (any other 4xx), and will say so again.
    Rejected,
    /// The provider is away or broken: 5xx, a broken wire, an answer that is none.
    Unavailable,
    /// No answer came in time.
    TimedOut,
    /// It was not sent: the circuit is open, or every place is taken.
    NotSent,
}

impl Kind {
    /// The name, for metrics.
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

/// Why a call to a provider failed. Holds the provider's answer, if there was one, for those who know its language; it
/// is never logged whole.
#[derive(Debug, thiserror::Error)]
#[error("{provider}: {} ({detail})", kind.name())]
pub struct Error {
    /// The provider.
    pub provider: &'static str,
    /// What kind of failure it was.
    pub kind: Kind,
    /// Whether the provider may have done what was asked all the same.
    pub may_have_acted: bool,
    /// How long the provider wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The answer, if one came.
    pub answer: Option<Box<http::Response<Bytes>>>,
    detail: String,
}

impl Error {
    /// Whether the provider repeats what it kept under the request's key: it will say so each time, and it is well enough
    /// to.
    pub fn is_replay(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.headers().contains_key("idempotent-replayed"))
    }

    /// Nothing was sent.
    pub(super) fn not_sent(provider: &'static str, why: &str, retry_after: Option<Duration>) -> Self {
        let detail = why.to_owned();
        Self { provider, kind: Kind::NotSent, may_have_acted: false, retry_after, answer: None, detail }
    }

    /// No connection came about.
    pub(super) fn not_connected(provider: &'static str, why: String) -> Self {
        Self { provider, kind: Kind::Unavailable, may_have_acted: false, retry_after: None, answer: None, detail: why }
    }

    /// It was sent, and what came back is no answer.
    pub(super) fn broken(provider: &'static str, why: String) -> Self {
        Self { provider, kind: Kind::Unavailable, may_have_acted: true, retry_after: None, answer: None, detail: why }
    }

    /// It may have been sent, and nothing came back in time.
    pub(super) fn timed_out(provider: &'static str, most: Duration) -> Self {
        let detail = format!("no answer within {most:?}");
        Self { provider, kind: Kind::TimedOut, may_have_acted: true, retry_after: None, answer: None, detail }
    }

    /// What a bad answer means. Only a 5xx leaves open whether the provider acted.
    pub(super) fn answered(provider: &'static str, answer: Response) -> Self {
        let status = answer.status();
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => Kind::RateLimited,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Auth,
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

/// `Retry-After` (RFC 9110, 10.2.3). A date is read against the answer's own `Date`, so that no clock of ours counts.
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
        Error::answered("test", answer.body(Bytes::new()).expect("an answer")).retry_after
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
    fn a_status_says_what_kind_of_failure_it_is() {
        let of = |status: u16| {
            let answer = http::Response::builder().status(status).body(Bytes::new()).expect("an answer");
            let error = Error::answered("test", answer);
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
