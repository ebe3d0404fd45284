//! Why an address is sent no mail.

use chrono::{DateTime, Utc};
use mainstay_kernel::numbered::numbered;

numbered! {
    /// Why an address is sent no mail.
    Reason {
        /// There is no such mailbox.
        Bounce = 1,
        /// Its owner called our mail spam.
        Complaint = 2,
        /// Its owner wants no notifications; all other mail is sent.
        Unsubscribed = 3,
    }
}

impl Reason {
    /// Returns the name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Unsubscribed => "unsubscribed",
        }
    }

    /// Says why a mail was not sent.
    pub fn failure(self) -> &'static str {
        match self {
            Self::Bounce => "mail to the address bounced before",
            Self::Complaint => "the recipient complained of mail before",
            Self::Unsubscribed => "the recipient unsubscribed from notifications",
        }
    }
}

/// An address that is sent no mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    pub address: String,
    pub reason: Reason,
    pub created_at: DateTime<Utc>,
}
