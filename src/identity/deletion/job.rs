//! The job that erases the data of a user or an account.

use mainstay_kernel::queue::Job;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::deletion::id::DeletionId;

/// Erases the data of a deletion once its period of grace is over.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct EraseData {
    pub deletion: DeletionId,
}

impl Job for EraseData {
    const NAME: &'static str = "erase_data";
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        self.deletion.0
    }
}
