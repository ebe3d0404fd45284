//! The limits on guessing passwords and on causing mail, in terms of `RATE_LIMIT_LOGIN`, which is q
//! attempts per window w.
//!
//! | limit | counts | admits | against |
//! |---|---|---|---|
//! | `login` | wrong passwords of an account, from one network | q per w | guessing a password |
//! | `login-network` | wrong passwords from one network | 10 q per w | guessing at many accounts |
//! | `login-site` | wrong passwords from one /48 of IPv6 | 100 q per w | the same, from its 65,536 networks |
//! | `login-account` | wrong passwords of an account, from networks and devices it has not signed in from | 10 q per day | guessing from many networks |
//! | `login-device` | wrong passwords of an account, from a device that has signed in to it; no other limit counts these | q per w | guessing with a stolen token of a device |
//! | `login-devices` | wrong passwords of an account, from all such devices | 10 q per w | guessing with many tokens |
//! | `mail-request` | registrations, resets and sign-ins by mail from one network | 10 q per w | mail to many addresses |
//! | `mail-request-site` | registrations, resets and sign-ins by mail from one /48 of IPv6 | 100 q per w | the same |
//! | `mail-code` | wrong codes from mails to one address | 30 per day | guessing a code |
//! | `mail-code-network` | wrong codes from mails, from one network | 10 q per w | guessing at many addresses |
//! | `mail-code-site` | wrong codes from mails, from one /48 of IPv6 | 100 q per w | the same |
//! | `provider-network` | returns from sign-in providers to one network, and its look-ups of providers by a form | 10 q per w | calls of providers |
//! | `provider-site` | the same of one /48 of IPv6 | 100 q per w | the same |
//! | `oauth-client-network` | wrong secrets of OAuth clients, and wrong codes and refresh tokens of public ones, from one network | 10 q per w | guessing |
//! | `oauth-client-site` | the same from one /48 of IPv6 | 100 q per w | the same |
//! | `oauth-code` | authorizations of applications by one user | 10 q per w | rows of codes |
//! | `oauth-device-network` | codes of devices for one network | 10 q per w | rows of codes |
//! | `oauth-device-site` | the same for one /48 of IPv6 | 100 q per w | the same |
//! | `oauth-device-client` | codes of devices of one client | 1,000 q per w | the same, from many networks |
//! | `user-code` | wrong user codes of one user | q per w | guessing |
//! | `user-code-network` | wrong user codes from one network | 10 q per w | guessing as many users |
//! | `user-code-site` | the same from one /48 of IPv6 | 100 q per w | the same |
//! | `passkey-network` | wrong proofs by passkeys from one network | 10 q per w | verification of signatures |
//! | `passkey-site` | wrong proofs by passkeys from one /48 of IPv6 | 100 q per w | the same |
//!
//! A change of the password or of the address takes the current password, under the same limits.
//!
//! A provider assigns a /48 to one site, but thousands of phones, each with a separate network, may also share one. Hence
//! its limit is ten times that of one network. All limits of an attempt are counted in one round trip.
//!
//! So guesses of others do not use up the attempts of an account's owner on a device that has signed in before (OWASP's
//! device cookies). Guesses from elsewhere do not use up the attempts on a network where the owner has signed in before; a
//! password reset also makes a network known. An account that does not exist is limited in the same way.

use std::{net::IpAddr, time::Duration};

use crate::identity::{
    auth::networks::KnownNetworks, config::IdentityConfig, credential::model::DeviceId,
    oauth_client::id::OauthClientId, user::model::EmailAddress,
};
use mainstay_kernel::{
    app::App,
    config::Quota,
    error::Result,
    id::UserId,
    rate_limit::{AttemptLimit, CountedAttempt, Network},
};

/// The multiple of the quota for limits that are shared by many people or networks, or that span a day.
const FACTOR: u32 = 10;
const DAY: Duration = Duration::from_secs(86_400);

fn widened(quota: Quota) -> Quota {
    Quota { requests: quota.requests.saturating_mul(FACTOR), ..quota }
}

fn login_attempts(app: &App) -> Quota {
    app.config.section::<IdentityConfig>().login_attempts
}

/// Returns the limits, by their names, on the network of an address and on its site.
fn of_networks([network, site]: [&'static str; 2], from: IpAddr, quota: Quota) -> impl Iterator<Item = AttemptLimit> {
    let of_network = AttemptLimit::of_network(network, from, widened(quota));
    let of_site = AttemptLimit::of_site(site, from, widened(widened(quota)));
    std::iter::once(of_network).chain(of_site)
}

/// Counts an attempt to sign in, and returns whether the account has signed in from the network before, if that can be read. The
/// caller refunds the attempt unless its password was wrong.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if the attempt can't be counted.
pub(crate) async fn sign_in(
    app: &App,
    email: &EmailAddress,
    from: IpAddr,
    device: Option<DeviceId>,
) -> Result<(CountedAttempt, Option<bool>)> {
    let quota = login_attempts(app);
    let is_known = app.part::<KnownNetworks>().contains(email, from).await;
    let mut limits = Vec::new();
    if let Some(device) = device {
        limits.push(AttemptLimit::new("login-device", &device, quota));
        // Each sign-in makes a token, so that a thief of a password may have many.
        limits.push(AttemptLimit::new("login-devices", email.as_str().as_bytes(), widened(quota)));
    } else {
        let both = [email.as_str().as_bytes(), &[0], Network::of(from).octets()].concat();
        limits.push(AttemptLimit::new("login", &both, quota));
        limits.extend(of_networks(["login-network", "login-site"], from, quota));
        if is_known != Some(true) {
            let slow = Quota { window: quota.window.max(DAY), ..widened(quota) };
            limits.push(AttemptLimit::new("login-account", email.as_str().as_bytes(), slow));
        }
    }
    Ok((app.limiter.attempt(&limits).await?, is_known))
}

/// Counts a return from a sign-in provider, which causes calls of the provider, or the look-up of a provider by a form.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub(crate) async fn provider_sign_in(app: &App, from: IpAddr) -> Result<()> {
    let limits: Vec<_> = of_networks(["provider-network", "provider-site"], from, login_attempts(app)).collect();
    app.limiter.attempt(&limits).await.map(drop)
}

/// Counts a sign-in with a passkey alone. The caller refunds it unless the proof was wrong.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub(crate) async fn passkey_sign_in(app: &App, from: IpAddr) -> Result<CountedAttempt> {
    let limits: Vec<_> = of_networks(["passkey-network", "passkey-site"], from, login_attempts(app)).collect();
    app.limiter.attempt(&limits).await
}

/// The wrong codes from mails to one address in a day. A code of eight digits is right with a probability of one in a hundred
/// million. The link works beyond the limit, like every other way to sign in.
const MAIL_CODES: Quota = Quota { requests: 30, window: DAY };

/// Counts a code from a mail. The caller refunds it unless the code was wrong.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub(crate) async fn mail_code(app: &App, email: &EmailAddress, from: IpAddr) -> Result<CountedAttempt> {
    let mut limits: Vec<_> = of_networks(["mail-code-network", "mail-code-site"], from, login_attempts(app)).collect();
    limits.push(AttemptLimit::new("mail-code", email.as_str().as_bytes(), MAIL_CODES));
    app.limiter.attempt(&limits).await
}

/// Counts a request that causes a mail to an address of the caller's choice.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if the request can't be counted.
pub(crate) async fn mail_request(app: &App, from: IpAddr) -> Result<()> {
    let limits: Vec<_> = of_networks(["mail-request", "mail-request-site"], from, login_attempts(app)).collect();
    app.limiter.attempt(&limits).await.map(drop)
}

/// Counts a request of a client of OAuth. The caller refunds it unless its secret, or the code or token of a public client, was
/// wrong.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub(crate) async fn oauth_client(app: &App, from: IpAddr) -> Result<CountedAttempt> {
    let quota = login_attempts(app);
    let limits: Vec<_> = of_networks(["oauth-client-network", "oauth-client-site"], from, quota).collect();
    app.limiter.attempt(&limits).await
}

/// Counts the codes of a device, which are stored.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if they can't be counted.
pub(crate) async fn oauth_device(app: &App, client: OauthClientId, from: IpAddr) -> Result<()> {
    let quota = login_attempts(app);
    let mut limits: Vec<_> = of_networks(["oauth-device-network", "oauth-device-site"], from, quota).collect();
    // Anyone can pretend to be a public client: the limit is far above what its devices need.
    limits.push(AttemptLimit::new("oauth-device-client", client.0.as_bytes(), widened(widened(widened(quota)))));
    app.limiter.attempt(&limits).await.map(drop)
}

/// Counts a user code that a user enters. The caller refunds it unless the code was wrong.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub(crate) async fn user_code(app: &App, user: UserId, from: IpAddr) -> Result<CountedAttempt> {
    let quota = login_attempts(app);
    let mut limits: Vec<_> = of_networks(["user-code-network", "user-code-site"], from, quota).collect();
    limits.push(AttemptLimit::new("user-code", user.0.as_bytes(), quota));
    app.limiter.attempt(&limits).await
}

/// Counts the authorization of an application by a user, which stores a code.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if it can't be counted.
pub(crate) async fn oauth_code(app: &App, user: UserId) -> Result<()> {
    let limit = AttemptLimit::new("oauth-code", user.0.as_bytes(), widened(login_attempts(app)));
    app.limiter.attempt(&[limit]).await.map(drop)
}
