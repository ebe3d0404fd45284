//! Sends a mail.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Job, Lane};
use crate::id::MailId;

/// The job: one attempt. The next one is a job of its own, at its own time; this one is tried again only when what
/// became of it could not be written down.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SendMail {
    /// The mail.
    pub mail: MailId,
}

impl Job for SendMail {
    const NAME: &'static str = "send_mail";
    const MAX_ATTEMPTS: i32 = 8;
    const LANE: Lane = Lane::Mail;

    fn subject(&self) -> Uuid {
        self.mail.0
    }
}
