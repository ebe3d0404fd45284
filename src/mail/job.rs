//! The job that represents a mail that was given up.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::mail::id::MailId;
use mainstay_kernel::queue::Job;

/// Retries a mail that was given up. The job is created dead, and runs if an operator redrives it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SendMail {
    pub mail: MailId,
}

impl Job for SendMail {
    const NAME: &'static str = "send_mail";
    const MAX_ATTEMPTS: i32 = 8;

    fn subject(&self) -> Uuid {
        self.mail.0
    }
}
