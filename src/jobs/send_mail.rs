//! Sends a mail.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, Lane, worker::House};
use crate::{
    app::App,
    error::{Reason, Result},
    id::MailId,
    ops::mail,
};

/// The job: one attempt. The next one is a job of its own, at its own time; this one is tried again only when what
/// became of it could not be written down.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SendMail {
    /// The mail.
    pub mail: MailId,
}

impl SendMail {
    /// What its keys begin with; the mail's id follows.
    pub const KEY_PREFIX: &str = "send_mail:";
}

impl Job for SendMail {
    const NAME: &'static str = "send_mail";
    const MAX_ATTEMPTS: i32 = 8;
    const LANE: Lane = Lane::Mail;

    fn key(&self) -> String {
        format!("{}{}", Self::KEY_PREFIX, self.mail)
    }

    async fn give_up(self, app: &App) -> Result<()> {
        mail::give_up(app, self.mail).await
    }
}

impl TaskHandler for SendMail {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        match mail::deliver(&house.app, self.mail).await {
            Ok(()) => Ok(()),
            // It was forgotten.
            Err(error) if error.reason() == Reason::NotFound => Ok(()),
            Err(error) => Err(super::text(&error)),
        }
    }
}
