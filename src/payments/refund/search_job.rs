//! The job that searches the gateway for refunds that no webhook reported.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use mainstay_kernel::queue::Job;

/// One part of the search, a number of pages; the next part is a separate job. This bounds how long a search occupies a
/// worker, and an interrupted search resumes at its last page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindRefunds {
    /// How far back the search goes, in days. At most one search of each length runs at a time.
    pub days: u32,
    /// The time of the oldest refunds to look at, in seconds since the Unix epoch.
    pub since: i64,
    /// The cursor of the next page in the gateway's list; `None` at its beginning.
    pub from: Option<String>,
    /// How often the gateway has not answered the query of this page.
    #[serde(default)]
    pub repetitions: u32,
}

impl Job for FindRefunds {
    const NAME: &'static str = "find_refunds";
    /// Counts failures of Postgres: a missing answer of the gateway repeats the job, and is a failure only after hours.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        Uuid::from_u128(self.days.into())
    }
}
