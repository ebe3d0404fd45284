//! Who is told: a URL of somebody else's, and what signs for it.

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::EventKind;
use crate::{
    domain::{numbered, page::Key},
    error::{Error, Result},
    id::{AccountId, WebhookEndpointId},
};

/// The longest URL that is kept, in characters of ASCII.
const LONGEST_URL: usize = 2048;

numbered! {
    /// Whether an endpoint is told anything.
    Status {
        /// It is.
        Enabled = 1,
        /// An admin said no.
        Disabled = 2,
        /// It took nothing for too long.
        DisabledForFailures = 3,
    }
}

/// Secrets of an endpoint, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The one that was shown last.
    pub current: Vec<u8>,
    /// The one before, and until when it signs too.
    pub old: Option<(Vec<u8>, DateTime<Utc>)>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The endpoint.
    pub id: WebhookEndpointId,
    /// Whose events it is told; `None`: every account's.
    pub account: Option<AccountId>,
    /// Where it is.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// The events it is told; empty: all.
    pub kinds: Vec<EventKind>,
    /// Whether it is told any.
    pub status: Status,
    /// Since when it takes nothing.
    pub failing_since: Option<DateTime<Utc>>,
    /// What signs.
    pub secrets: Secrets,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// New values of some fields of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Where it is.
    pub url: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The events it is told.
    pub kinds: Option<Vec<EventKind>>,
    /// Whether it is told any.
    pub enabled: Option<bool>,
}

impl Endpoint {
    /// The next version with a patch in it; `None` when that changes nothing. Enabling forgets failures.
    pub fn apply(&self, patch: Patch, now: DateTime<Utc>) -> Option<Self> {
        let mut next = self.clone();
        next.url = patch.url.unwrap_or(next.url);
        next.description = patch.description.unwrap_or(next.description);
        next.kinds = patch.kinds.unwrap_or(next.kinds);
        match patch.enabled {
            Some(true) => (next.status, next.failing_since) = (Status::Enabled, None),
            Some(false) if self.status == Status::Enabled => next.status = Status::Disabled,
            Some(false) | None => {}
        }
        (next != *self).then(|| next.changed(now))
    }

    /// The next version, which signs with a new secret, and with the one before for a while.
    #[must_use]
    pub fn rotated(mut self, secret: Vec<u8>, overlap: TimeDelta, now: DateTime<Utc>) -> Self {
        let old = std::mem::replace(&mut self.secrets.current, secret);
        self.secrets.old = Some((old, now + overlap)).filter(|_| overlap > TimeDelta::zero());
        self.changed(now)
    }

    /// What an attempt says of the endpoint; `None`: nothing new. It is disabled once it says that it is gone, or has
    /// taken nothing for `patience`.
    pub fn after(&self, taken: bool, gone: bool, patience: TimeDelta, now: DateTime<Utc>) -> Option<Self> {
        let mut next = self.clone();
        next.failing_since = if taken { None } else { Some(self.failing_since.unwrap_or(now)) };
        let lost = next.failing_since.is_some_and(|since| gone || now - since >= patience);
        if lost && self.status == Status::Enabled {
            next.status = Status::DisabledForFailures;
        }
        (next != *self).then(|| next.changed(now))
    }

    fn changed(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }

    /// Where the endpoint stands in a list by creation.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// A URL that webhooks may be sent to, as far as it tells, in the form in which it is called: https to a host by name, or
/// anything of http where private networks are allowed.
///
/// # Errors
/// `VALIDATION_FAILED`.
pub fn check_url(url: &str, allow_private: bool) -> Result<String> {
    let refuse = |why: &str| Err(Error::field("url", why));
    let Ok(parsed) = Url::parse(url) else { return refuse("must be a URL") };
    match parsed.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return refuse("must be https"),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.fragment().is_some() {
        return refuse("must have no user, password or fragment");
    }
    match parsed.host() {
        Some(url::Host::Domain(name)) if allow_private || !name.trim_end_matches('.').ends_with("localhost") => {}
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) if allow_private => {}
        _ => return refuse("must name a public host"),
    }
    let url = String::from(parsed);
    if url.len() > LONGEST_URL { refuse("must have at most 2048 characters once it is encoded") } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_https_is_told() {
        for good in ["https://example.com/hooks?x=1", "https://example.com:8443"] {
            assert!(check_url(good, false).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com",
            "https://localhost/",
            "https://a.localhost./",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://8.8.8.8/",
            "https://user@example.com/",
            "https://example.com/#a",
            "ftp://example.com/",
            "example.com",
            "",
        ] {
            assert!(check_url(bad, false).is_err(), "{bad}");
        }
        assert!(check_url("http://127.0.0.1:8080/hook", true).is_ok());
    }

    #[test]
    fn a_url_is_kept_as_it_is_called() {
        for (given, kept) in [
            ("https://b\u{fc}cher.example/h\u{f6}k", "https://xn--bcher-kva.example/h%C3%B6k"),
            (" https://example.com/a b", "https://example.com/a%20b"),
            ("HTTPS://Example.COM", "https://example.com/"),
        ] {
            assert_eq!(check_url(given, false).expect(given), kept);
        }
        let long = format!("https://example.com/{}", "\u{fc}".repeat(400));
        check_url(&long, false).expect_err("six characters for each");
    }
}
