//! The limits on guessing passwords and on causing mail, in terms of `RATE_LIMIT_LOGIN`, which is q
//! attempts per window w.
//!
//! | limit | counts | admits | against |
//! |---|---|---|---|
//! | `login` | wrong passwords of an account, from one network | q per w | guessing a password |
//! | `login-network` | wrong passwords from one network | 10 q per w | guessing at many accounts |
//! | `login-account` | wrong passwords of an account, from networks it has not signed in from | 10 q per day | guessing from many networks |
//! | `mail-request` | registrations and resets from one network | 10 q per w | mail to many addresses |
//!
//! So nobody else can use up the attempts of an account's owner where the owner has signed in before; elsewhere a reset
//! makes the network known. An account that does not exist is limited in the same way.

use std::{net::IpAddr, time::Duration};

use crate::identity::{auth::networks::KnownNetworks, config::IdentityConfig, user::model::EmailAddress};
use mainstay_kernel::{
    app::App,
    config::Quota,
    error::Result,
    rate_limit::{AttemptLimit, CountedAttempt, Network},
};

/// How many times as much a limit admits that many people share, or that holds for a day.
const FACTOR: u32 = 10;
const DAY: Duration = Duration::from_secs(86_400);

fn widened(quota: Quota) -> Quota {
    Quota { requests: quota.requests.saturating_mul(FACTOR), ..quota }
}

fn login_attempts(app: &App) -> Quota {
    app.config.section::<IdentityConfig>().login_attempts
}

/// Counts an attempt to sign in, and tells whether the account has signed in from the network before. The caller takes
/// the attempt back unless its password was wrong.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub(crate) async fn sign_in(app: &App, email: &EmailAddress, from: IpAddr) -> Result<(CountedAttempt, bool)> {
    let quota = login_attempts(app);
    let both = [email.as_str().as_bytes(), &[0], Network::of(from).octets()].concat();
    let mut limits =
        vec![AttemptLimit::new("login", &both, quota), AttemptLimit::of_network("login-network", from, widened(quota))];
    let is_known = app.part::<KnownNetworks>().contains(email, from).await;
    if !is_known {
        let slow = Quota { window: quota.window.max(DAY), ..widened(quota) };
        limits.push(AttemptLimit::new("login-account", email.as_str().as_bytes(), slow));
    }
    Ok((app.limiter.attempt(&limits).await?, is_known))
}

/// Counts a request that causes a mail to an address of the caller's choice.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub(crate) async fn mail_request(app: &App, from: IpAddr) -> Result<()> {
    let limit = AttemptLimit::of_network("mail-request", from, widened(login_attempts(app)));
    app.limiter.attempt(&[limit]).await.map(drop)
}
