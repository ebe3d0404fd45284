//! The job that finds out what a disputed charge paid that is not booked for a payment here.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use mainstay_kernel::queue::Job;

/// Asks the gateway whether the disputed charge names a payment, or paid an invoice of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindDisputed {
    /// The gateway's id for the dispute.
    pub dispute: String,
    /// The gateway's id for the charge.
    pub charge: String,
}

impl Job for FindDisputed {
    const NAME: &'static str = "find_disputed";
    /// Spans some hours, which a dispute has: its deadline is days away.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        let hash = Sha256::digest(&self.dispute);
        Uuid::new_v8(hash[..16].try_into().expect("16 of 32 bytes"))
    }
}
