//! Webhook endpoints: URLs that events are sent to, and the secrets that sign them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::webhooks::id::WebhookEndpointId;
use mainstay_kernel::{id::AccountId, numbered::numbered};

numbered! {
    /// Whether events are sent to an endpoint.
    Status {
        Enabled = 1,
        /// Disabled by an admin.
        Disabled = 2,
        /// Disabled automatically, because attempts failed for too long or the endpoint answered 410 (Gone).
        DisabledForFailures = 3,
    }
}

/// The most earlier secrets that sign. A request has a signature for each.
const MAX_OLD_SECRETS: usize = 5;

/// The sealed secrets of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The current secret.
    pub current: Vec<u8>,
    /// The earlier secrets, the latest first, and the time until which each of them also signs.
    pub old: Vec<(Vec<u8>, DateTime<Utc>)>,
}

/// A receiver of events, which are sent according to the Standard Webhooks specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub id: WebhookEndpointId,
    /// The account whose events are sent; `None` for every account's.
    pub account: Option<AccountId>,
    /// The URL that events are sent to.
    pub url: String,
    /// The purpose of the endpoint.
    pub description: String,
    /// The types of events that are sent, by their qualified names; all if empty.
    pub kinds: Vec<String>,
    /// Whether events are sent.
    pub status: Status,
    /// When attempts started to fail; `None` if the last one succeeded or none was made yet.
    pub failing_since: Option<DateTime<Utc>>,
    /// The signing secrets.
    pub secrets: Secrets,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

/// New values for some of an endpoint's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The URL that events are sent to.
    pub url: Option<String>,
    /// The purpose of the endpoint.
    pub description: Option<String>,
    /// The types of events to send.
    pub kinds: Option<Vec<String>>,
    /// Whether events are sent.
    pub enabled: Option<bool>,
}

impl Endpoint {
    /// Returns the next version with a patch applied, or `None` if that changes nothing. Enabling clears failures.
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
        (next != *self).then(|| next.next_version(now))
    }

    /// Returns the next version, which signs with a new secret, also with the previous one for `overlap`, and with earlier
    /// ones until their own times. Without an overlap, only the new secret signs.
    #[must_use]
    pub fn rotate_secret(mut self, secret: Vec<u8>, overlap: TimeDelta, now: DateTime<Utc>) -> Self {
        let Secrets { current, old } = &mut self.secrets;
        old.insert(0, (std::mem::replace(current, secret), now + overlap));
        old.retain(|(_, until)| overlap > TimeDelta::zero() && now < *until);
        old.truncate(MAX_OLD_SECRETS);
        self.next_version(now)
    }

    /// Returns the endpoint after an attempt, or `None` if nothing changes. It is disabled if it answers 410 (Gone), or
    /// if attempts have failed for `patience`.
    pub fn after(&self, is_accepted: bool, is_gone: bool, patience: TimeDelta, now: DateTime<Utc>) -> Option<Self> {
        let mut next = self.clone();
        next.failing_since = if is_accepted { None } else { Some(self.failing_since.unwrap_or(now)) };
        let is_lost = next.failing_since.is_some_and(|since| is_gone || now - since >= patience);
        if is_lost && self.status == Status::Enabled {
            next.status = Status::DisabledForFailures;
        }
        (next != *self).then(|| next.next_version(now))
    }

    fn next_version(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_earlier_secrets_are_kept_and_only_until_their_times() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let mut endpoint = Endpoint {
            id: WebhookEndpointId::generate(now),
            account: None,
            url: String::new(),
            description: String::new(),
            kinds: Vec::new(),
            status: Status::Enabled,
            failing_since: None,
            secrets: Secrets { current: vec![0], old: Vec::new() },
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let old = |endpoint: &Endpoint| endpoint.secrets.old.iter().map(|(secret, _)| secret[0]).collect::<Vec<_>>();
        for number in 1..=7 {
            endpoint = endpoint.rotate_secret(vec![number], TimeDelta::hours(i64::from(number)), now);
        }
        assert_eq!((endpoint.secrets.current[0], old(&endpoint)), (7, vec![6, 5, 4, 3, 2]));
        let later = endpoint.clone().rotate_secret(vec![8], TimeDelta::hours(1), now + TimeDelta::hours(5));
        assert_eq!(old(&later), [7, 6, 5]);
        assert!(old(&later.rotate_secret(vec![9], TimeDelta::zero(), now)).is_empty());
    }
}
