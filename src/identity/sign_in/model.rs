//! How often people tried to sign in, by hour.

use chrono::{DateTime, Utc};
use mainstay_kernel::numbered::numbered;

numbered! {
    /// How an attempt to sign in ended, after the password was checked.
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
    /// When it began.
    pub from: DateTime<Utc>,
    pub accepted: i64,
    pub refused: i64,
}
