//! How many mails of a kind a recipient gets, so that nobody can fill the mailbox of somebody else.

use std::time::Duration;

use crate::{
    identity::user::model::EmailAddress,
    mail::{
        model::Subject,
        transport::{Failure, Letter},
    },
};
use mainstay_kernel::{app::App, config::Quota, error::Reason, rate_limit::AttemptLimit};

const HOUR: Duration = Duration::from_secs(3600);

/// The most mails of a kind to one recipient.
fn quota(subject: Subject) -> Quota {
    let (requests, window) = match subject {
        // Nobody has confirmed the address. As long as the token is valid, there is no need for another.
        Subject::Registration(_) => (1, 24 * HOUR),
        Subject::PasswordReset { .. } => (5, HOUR),
        Subject::OrderConfirmation(_) | Subject::PaymentReceipt(_) => (20, HOUR),
    };
    Quota { requests, window }
}

/// Counts a mail before its first attempt.
///
/// # Errors
/// [`Failure::Withheld`] if its recipient has had too many; [`Failure::Unavailable`] if it can't be counted.
pub(super) async fn count(app: &App, subject: Subject, letter: &Letter) -> Result<(), Failure> {
    let recipient = EmailAddress::parse(&letter.to).map_or_else(|_| letter.to.clone(), String::from);
    let who = [subject.name().as_bytes(), &[0], recipient.as_bytes()].concat();
    match app.limiter.attempt(&[AttemptLimit::new("mail", &who, quota(subject))]).await {
        Ok(counted) => {
            drop(counted);
            Ok(())
        }
        Err(error) if error.reason() == Reason::RateLimitExceeded => {
            Err(Failure::Withheld("the recipient has had too many mails of this kind".to_owned()))
        }
        Err(_) => Err(Failure::Unavailable("the mails of the recipient can't be counted".to_owned())),
    }
}
