//! The job that finds what a refunded charge paid that is not booked for a payment here.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use mainstay_kernel::queue::Job;

/// Finds the payment or the subscription of a refunded charge. Unless the invoice is known, the gateway is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindRefunded {
    /// The gateway's id for the charge.
    pub charge: String,
    /// The gateway's id for the invoice that the charge paid, if known.
    #[serde(default)]
    pub invoice: Option<String>,
}

impl Job for FindRefunded {
    const NAME: &'static str = "find_refunded";
    /// Spans some hours; afterwards a scheduled search finds the refund.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        let hash = Sha256::digest(&self.charge);
        Uuid::new_v8(hash[..16].try_into().expect("16 of 32 bytes"))
    }
}
