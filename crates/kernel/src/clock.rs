//! The wall clock, for times that are stored and compared. Waits and time limits use `Instant` instead.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// A clock that tests can advance.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_us: Arc<AtomicI64>,
}

impl Clock {
    /// Returns the time, truncated to microseconds, the precision of Postgres.
    pub fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
        let now = Utc::now().timestamp_micros() + self.offset_us.load(Ordering::Relaxed);
        DateTime::from_timestamp_micros(now).expect("a time of this era")
    }

    /// Moves the clock by a positive or negative amount. An amount beyond the range of 64-bit microseconds is ignored.
    pub fn advance(&self, by: TimeDelta) {
        self.offset_us.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::Relaxed);
    }
}
