//! The job that looks for refunds at the gateway that no webhook reported.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use mainstay_kernel::queue::Job;

/// One part of the search, a number of pages; the next part is a job of its own. So a long search takes no slot for long,
/// and one that is interrupted continues where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindRefunds {
    /// How far back the search goes, in days. There is one search of each length at a time.
    pub days: u32,
    /// The time of the oldest refunds to look at, in seconds since the Unix epoch.
    pub since: i64,
    /// Where the gateway's list continues; `None` at its beginning.
    pub from: Option<String>,
}

impl Job for FindRefunds {
    const NAME: &'static str = "find_refunds";
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        Uuid::from_u128(self.days.into())
    }
}
