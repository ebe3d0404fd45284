//! The job that sends a mail.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::mail::{config::MailConfig, id::MailId};
use mainstay_kernel::queue::{Job, Lane};

/// The slots of mail, whose provider may be slow.
const MAILS: Lane = Lane::new("mail", |config| config.section::<MailConfig>().concurrency);

/// Makes one attempt to send a mail. The next attempt is a new job, at its own time; the queue retries this one only
/// when its outcome could not be stored.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SendMail {
    pub mail: MailId,
}

impl Job for SendMail {
    const NAME: &'static str = "send_mail";
    const MAX_ATTEMPTS: i32 = 8;
    const LANE: Lane = MAILS;

    fn subject(&self) -> Uuid {
        self.mail.0
    }
}
