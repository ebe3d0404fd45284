//! Hourly counts of sign-in attempts.

use chrono::{DateTime, Utc};
use mainstay_kernel::numbered::numbered;

numbered! {
    /// The outcome of a sign-in attempt, after the password was checked.
    Outcome {
        /// A session began.
        Accepted = 1,
        /// The address or the password was wrong.
        Refused = 2,
    }
}

/// The attempts of one hour of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// The beginning of the hour.
    pub from: DateTime<Utc>,
    pub accepted: i64,
    pub refused: i64,
}
