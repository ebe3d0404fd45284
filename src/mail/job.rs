//! The jobs that send mail.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::mail::{config::MailConfig, id::MailId};
use mainstay_kernel::queue::{Job, Lane};

/// The slots of mail that somebody waits for.
const URGENT: Lane = Lane::new("mail", |config| config.section::<MailConfig>().concurrency);
/// The slots of all other mail, which may be much at once.
const BULK: Lane = Lane::new("mail_bulk", |config| config.section::<MailConfig>().concurrency);

/// Attempts at which the outcome could not be stored. The next attempt after a provider's refusal is a new job, at its
/// own time.
const MAX_ATTEMPTS: i32 = 8;

/// Makes one attempt to send a mail that somebody waits for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SendMail {
    pub mail: MailId,
}

impl Job for SendMail {
    const NAME: &'static str = "send_mail";
    const MAX_ATTEMPTS: i32 = MAX_ATTEMPTS;
    const LANE: Lane = URGENT;

    fn subject(&self) -> Uuid {
        self.mail.0
    }
}

/// Makes one attempt to send any other mail.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SendBulkMail {
    pub mail: MailId,
}

impl Job for SendBulkMail {
    const NAME: &'static str = "send_bulk_mail";
    const MAX_ATTEMPTS: i32 = MAX_ATTEMPTS;
    const LANE: Lane = BULK;

    fn subject(&self) -> Uuid {
        self.mail.0
    }
}
