//! Who is told what happens here, and how each telling goes.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;
use uuid::Uuid;

use super::{numbered, page::Key};
use crate::{
    error::{Error, Result},
    id::{AccountId, WebhookDeliveryId, WebhookEndpointId},
};

numbered! {
    /// What can be told.
    EventKind {
        /// A ticket was made.
        TicketCreated = 1,
        /// What a ticket says changed.
        TicketUpdated = 2,
        /// A ticket was given to somebody, or taken away.
        TicketAssigned = 3,
        /// A ticket is done.
        TicketResolved = 4,
        /// A ticket is taken up again.
        TicketReopened = 5,
        /// A ticket was removed.
        TicketDeleted = 6,
        /// An order was placed.
        OrderCreated = 10,
        /// An order was called off.
        OrderCancelled = 11,
        /// An order was paid.
        OrderPaid = 12,
        /// All that was paid for an order was given back.
        OrderRefunded = 13,
        /// A payment succeeded.
        PaymentSucceeded = 14,
        /// A payment failed.
        PaymentFailed = 15,
        /// Money went back.
        RefundSucceeded = 16,
        /// Money did not go back.
        RefundFailed = 17,
        /// A subscription began or failed to, was renewed, fell due, or is to end with its period.
        SubscriptionUpdated = 18,
        /// A subscription ended.
        SubscriptionCancelled = 19,
        /// An operation ended.
        OperationFinished = 20,
    }
}

impl EventKind {
    /// The words on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::TicketCreated => "ticket.created",
            Self::TicketUpdated => "ticket.updated",
            Self::TicketAssigned => "ticket.assigned",
            Self::TicketResolved => "ticket.resolved",
            Self::TicketReopened => "ticket.reopened",
            Self::TicketDeleted => "ticket.deleted",
            Self::OrderCreated => "order.created",
            Self::OrderCancelled => "order.cancelled",
            Self::OrderPaid => "order.paid",
            Self::OrderRefunded => "order.refunded",
            Self::PaymentSucceeded => "payment.succeeded",
            Self::PaymentFailed => "payment.failed",
            Self::RefundSucceeded => "refund.succeeded",
            Self::RefundFailed => "refund.failed",
            Self::SubscriptionUpdated => "subscription.updated",
            Self::SubscriptionCancelled => "subscription.cancelled",
            Self::OperationFinished => "operation.finished",
        }
    }
}

/// Something that happened to a resource. It names the resource and its version and says no more: who is told may read
/// it, and so sees what it may see, as it is by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Whose resource it is.
    pub account: AccountId,
    /// The resource.
    pub resource: Uuid,
    /// The resource's version after it.
    pub version: i64,
}

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

/// The longest URL that is kept, in characters of ASCII.
const LONGEST_URL: usize = 2048;

numbered! {
    /// What became of a delivery.
    DeliveryState {
        /// It is sent, perhaps again.
        Pending = 1,
        /// The endpoint took it.
        Delivered = 2,
        /// It is not sent again.
        Failed = 3,
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery.
    pub id: WebhookDeliveryId,
    /// The endpoint.
    pub endpoint: WebhookEndpointId,
    /// The event; the same for each endpoint.
    pub event: Uuid,
    /// What happened.
    pub kind: EventKind,
    /// What is sent.
    pub payload: String,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was sent.
    pub attempts: i32,
    /// How often since it was made or sent again.
    pub tries: i32,
    /// When it is sent next, at the earliest.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Grows by one with each change.
    pub version: i64,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// One time it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: i32,
    /// When.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration: Duration,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// Why it did not count; `None`: it did.
    pub failure: Option<String>,
}

/// Tries of one delivery: over some nine hours, were every wait as long as it can be.
pub const TRIES: i32 = 9;

impl Delivery {
    /// After one more attempt: delivered, to be sent again at `next`, or failed when there is none.
    #[must_use]
    pub fn attempted(self, taken: bool, next: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let (state, next_attempt_at) = match (taken, next) {
            (true, _) => (DeliveryState::Delivered, None),
            (false, Some(next)) if self.tries + 1 < TRIES => (DeliveryState::Pending, Some(next)),
            (false, _) => (DeliveryState::Failed, None),
        };
        let (attempts, tries) = (self.attempts + 1, self.tries + 1);
        Self { state, next_attempt_at, attempts, tries, version: self.version + 1, updated_at: now, ..self }
    }

    /// Not to be sent again.
    #[must_use]
    pub fn given_up(self, now: DateTime<Utc>) -> Self {
        let state = DeliveryState::Failed;
        Self { state, next_attempt_at: None, version: self.version + 1, updated_at: now, ..self }
    }

    /// To be sent again, from the start.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` while it is on its way.
    pub fn resent(self, now: DateTime<Utc>) -> Result<Self> {
        if self.state == DeliveryState::Pending {
            return Err(Error::rule("The delivery is on its way already."));
        }
        let state = DeliveryState::Pending;
        Ok(Self { state, tries: 0, next_attempt_at: Some(now), version: self.version + 1, updated_at: now, ..self })
    }

    /// Where the delivery stands in a list by creation.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// The longest wait before the next try, after so many: it triples each time. The wait itself is a random part of it
/// ("full jitter"), so that what failed together does not come back together.
pub fn longest_wait(tries: i32, first: Duration) -> Duration {
    first.saturating_mul(3_u32.saturating_pow(u32::try_from(tries.clamp(0, TRIES)).unwrap_or(0)))
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

    #[test]
    fn tries_go_over_hours_and_end() {
        let waits: Duration = (0..TRIES - 1).map(|tries| longest_wait(tries, Duration::from_secs(10))).sum();
        assert!((8..=10).contains(&(waits.as_secs() / 3600)), "{waits:?}");
    }
}
