//! How many mails of a kind a recipient gets, so that nobody can fill the mailbox of somebody else.

use std::time::Duration;

use crate::{
    identity::user::model::EmailAddress,
    mail::{model::Kind, transport::Failure},
};
use mainstay_kernel::{
    app::App,
    config::Quota,
    error::Reason,
    rate_limit::{AttemptLimit, Counted},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The most mails of a kind to one recipient.
fn quota(kind: Kind) -> Quota {
    let (requests, window) = match kind {
        // Nobody has confirmed the address. As long as the token is valid, there is no need for another.
        Kind::Registration => (1, 24 * HOUR),
        Kind::PasswordReset | Kind::SignIn => (5, HOUR),
        _ => (20, HOUR),
    };
    Quota { requests, window }
}

/// Counts a mail before its first attempt. A mail that is redriven was counted, unless it was withheld.
///
/// # Errors
/// [`Failure::Withheld`] if its recipient has had too many; [`Failure::Unavailable`] if it can't be counted.
pub(super) async fn count(app: &App, kind: Kind, to: &str) -> Result<Counted, Failure> {
    let recipient = EmailAddress::parse(to).map_or_else(|_| to.to_owned(), String::from);
    let who = [kind.name().as_bytes(), &[0], recipient.as_bytes()].concat();
    match app.limiter.attempt(&[AttemptLimit::new("mail", &who, quota(kind))]).await {
        Ok(counted) => Ok(counted),
        Err(error) if error.reason() == Reason::RateLimitExceeded => {
            Err(Failure::Withheld("the recipient has had too many mails of this kind".to_owned()))
        }
        Err(_) => Err(Failure::Unavailable("the mails of the recipient can't be counted".to_owned())),
    }
}
