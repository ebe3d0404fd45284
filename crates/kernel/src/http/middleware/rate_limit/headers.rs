//! Rate limit headers and the 429 response.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderName, HeaderValue};
use tonic::Status;

use crate::{
    error::{Error, Reason},
    http::middleware::layer::Response,
    rate_limit::{Decision, Limiter},
};

/// The policy: `"read";q=100;w=60` (draft-ietf-httpapi-ratelimit-headers-10).
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The current state: `"read";r=57;t=31`. `r` is the number of requests that would be admitted now. `t` is in seconds,
/// rounded up: for a rejected request the time until one is admitted, equal to `Retry-After`; otherwise the time until
/// the quota is fully restored.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

pub(crate) fn refusal(limiter: &Limiter, decision: &Decision) -> Response {
    let wait = decision.retry_after.unwrap_or(Duration::from_secs(1));
    let policy = limiter.policy(decision.policy);
    let error = Error::new(Reason::RateLimitExceeded).retry_after(wait).with("policy", policy.name);
    let mut response = Status::from(error).into_http();
    describe(&mut response, limiter, decision);
    response
}

/// Adds the headers, unless an inner middleware has already done so: its limit is the more specific one.
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
