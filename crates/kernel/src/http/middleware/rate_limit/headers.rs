//! The rate limit headers and the refusal.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderName, HeaderValue};
use tonic::Status;

use crate::{
    error::{Error, Reason},
    http::middleware::layer::Response,
    rate_limit::{Decision, Limiter},
};

/// The policy: `"read";q=100;w=60` (draft-ietf-httpapi-ratelimit-headers-10).
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The current state: `"read";r=57;t=31`. `r` more requests would be admitted now. `t` is, when refused, the seconds
/// until a request is admitted, the same as `Retry-After`; otherwise the seconds until the count is back to zero.
/// Rounded up.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Builds the 429 response.
pub(crate) fn refusal(limiter: &Limiter, decision: &Decision) -> Response {
    let wait = decision.retry_after.unwrap_or(Duration::from_secs(1));
    let policy = limiter.policy(decision.policy);
    let error = Error::new(Reason::RateLimitExceeded).retry_after(wait).with("policy", policy.name);
    let mut response = Status::from(error).into_http();
    describe(&mut response, limiter, decision);
    response
}

/// Adds the headers, unless a middleware further in has: its limit is the more specific one.
pub(crate) fn describe(response: &mut Response, limiter: &Limiter, decision: &Decision) {
    let headers = response.headers_mut();
    if headers.contains_key(&RATE_LIMIT) {
        return;
    }
    let policy = limiter.policy(decision.policy);
    let seconds = decision.reset.as_micros().div_ceil(1_000_000);
    let mut value = String::with_capacity(40);
    write!(value, "\"{}\";r={};t={seconds}", policy.name, decision.remaining).expect("a string takes it");
    headers.insert(RATE_LIMIT_POLICY, policy.header.clone());
    headers.insert(RATE_LIMIT, HeaderValue::try_from(value).expect("letters and digits"));
}
