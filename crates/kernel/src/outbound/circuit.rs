//! The circuit breaker of a provider.
//!
//! Only failures that are evidence of unavailability count. A rejection is an answer, and so is a failure that was
//! replayed for an idempotency key. The probe is a caller's request.

use std::{sync::Arc, time::Duration};

use crate::{
    breaker::{Breaker, Verdict},
    outbound::{Error, Kind, Response},
};

/// The backoff of a circuit that has just opened. Each failed probe doubles it.
const INITIAL_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Creates the breaker of a provider, for any protocol.
pub fn breaker(provider: &'static str) -> Arc<Breaker> {
    Arc::new(Breaker::new(provider, INITIAL_BACKOFF, MAX_BACKOFF))
}

pub(super) fn verdict(result: &Result<Response, Error>) -> Verdict {
    match result.as_ref().map_err(|error| if error.is_replay() { Kind::Rejected } else { error.kind }) {
        Ok(_) | Err(Kind::RateLimited | Kind::Auth | Kind::Rejected) => Verdict::Alive,
        Err(Kind::Unavailable | Kind::TimedOut) => Verdict::Unavailable,
        Err(Kind::NotSent) => Verdict::Unknown,
    }
}
