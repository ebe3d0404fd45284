//! The job that compares the ledger with the gateway's books.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use mainstay_kernel::queue::Job;

/// A check. It reads all pages of the gateway's books, which may exceed the time limit of a scheduled task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckLedger {}

impl Job for CheckLedger {
    const NAME: &'static str = "check_ledger";
    const MAX_ATTEMPTS: i32 = 10;

    /// A constant, so that one check runs at a time.
    fn subject(&self) -> Uuid {
        Uuid::nil()
    }
}
