//! The reasons for suppressing an address.

use chrono::{DateTime, Utc};
use mainstay_kernel::numbered::numbered;

numbered! {
    /// The reason for suppressing an address.
    Reason {
        /// The mailbox does not exist.
        Bounce = 1 => "bounce",
        /// The owner reported a mail as spam.
        Complaint = 2 => "complaint",
        /// The owner unsubscribed from notifications; all other mail is sent.
        Unsubscribed = 3 => "unsubscribed",
    }
}

impl Reason {
    /// Returns the failure message of a mail that was not sent for this reason.
    pub fn failure(self) -> &'static str {
        match self {
            Self::Bounce => "mail to the address bounced before",
            Self::Complaint => "the recipient complained of mail before",
            Self::Unsubscribed => "the recipient unsubscribed from notifications",
        }
    }
}

/// A suppressed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    pub address: String,
    pub reason: Reason,
    pub created_at: DateTime<Utc>,
}
