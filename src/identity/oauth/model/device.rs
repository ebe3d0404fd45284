//! Authorizations of devices without a browser (RFC 8628).

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::id::{SessionId, UserId};

use crate::identity::{member::id::MemberId, oauth_client::id::OauthClientId};

/// How long the codes of a device are valid.
pub const DEVICE_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How long a device waits between two requests for tokens, at first and at most.
pub const INTERVAL: TimeDelta = TimeDelta::seconds(5);
const MAX_INTERVAL: TimeDelta = TimeDelta::seconds(60);

/// The letters of a user code: without vowels, so that no code is a word, and without digits, which look like letters (RFC 8628,
/// 6.1).
const LETTERS: [u8; 20] = *b"BCDFGHJKLMNPQRSTVWXZ";
/// The length of a user code: one of 25.6 billion.
const LENGTH: usize = 8;

/// The short code that a person enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserCode([u8; LENGTH]);

impl UserCode {
    /// Makes a code of random bytes.
    pub fn generate(random: &[u8; 32]) -> Self {
        let mut number = random.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Self(std::array::from_fn(|_| {
            let (rest, digit) = (number / 20, number % 20);
            number = rest;
            usize::try_from(digit).ok().and_then(|digit| LETTERS.get(digit).copied()).unwrap_or(LETTERS[0])
        }))
    }

    /// Reads a code as people enter it: in small letters, with or without hyphens and spaces.
    pub fn parse(text: &str) -> Option<Self> {
        let is_letter = |letter: &char| !letter.is_whitespace() && !"-‐‑–—_.".contains(*letter);
        let letters: Option<Vec<u8>> = text
            .chars()
            .filter(is_letter)
            .map(|letter| u8::try_from(letter.to_ascii_uppercase()).ok().filter(|letter| LETTERS.contains(letter)))
            .take(LENGTH + 1)
            .collect();
        letters?.try_into().ok().map(Self)
    }

    /// Returns the letters.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in self.0.iter().enumerate() {
            let separator = if index == LENGTH / 2 { "-" } else { "" };
            write!(f, "{separator}{}", char::from(*letter))?;
        }
        Ok(())
    }
}

/// What a person has allowed: the session in which the person did, and its membership at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub user: UserId,
    pub session: SessionId,
    pub member: Option<MemberId>,
    pub scopes: Vec<String>,
}

/// The request of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    pub client: OauthClientId,
    pub scopes: Vec<String>,
    /// The address of the device.
    pub address: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub interval: TimeDelta,
    pub polled_at: Option<DateTime<Utc>>,
    /// What a person has decided: the agreement, or nothing for a denial.
    pub decision: Option<Option<Agreement>>,
    /// The session that the device began.
    pub grant: Option<SessionId>,
}

/// What follows from a request of a device for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// The codes have expired.
    Expired,
    /// The device has got tokens before.
    Used(UserId, SessionId),
    /// The person has denied the access.
    Denied,
    /// The person has allowed the access.
    Allowed(Agreement),
    /// The decision is open.
    Pending,
    /// The device asks too fast.
    TooFast,
}

impl DeviceRequest {
    /// Creates the request of a device.
    pub fn new(client: OauthClientId, scopes: Vec<String>, address: String, now: DateTime<Utc>) -> Self {
        Self {
            client,
            scopes,
            address,
            created_at: now,
            expires_at: now + DEVICE_LIFE,
            interval: INTERVAL,
            polled_at: None,
            decision: None,
            grant: None,
        }
    }

    /// Returns whether a person can decide.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.decision.is_none() && now < self.expires_at
    }

    /// Returns what follows from a request for tokens.
    pub fn poll(&self, now: DateTime<Utc>) -> Poll {
        match (&self.decision, self.grant) {
            (Some(Some(agreement)), Some(first)) => Poll::Used(agreement.user, first),
            _ if now >= self.expires_at => Poll::Expired,
            (Some(Some(agreement)), None) => Poll::Allowed(agreement.clone()),
            (Some(None), _) => Poll::Denied,
            (None, _) if self.polled_at.is_some_and(|at| now - at < self.interval) => Poll::TooFast,
            (None, _) => Poll::Pending,
        }
    }

    /// Returns the request after a request for tokens before the decision. A device that asks too fast waits for longer
    /// (RFC 8628, 3.5).
    #[must_use]
    pub fn polled(self, poll: &Poll, now: DateTime<Utc>) -> Self {
        let interval = if *poll == Poll::TooFast { self.interval + INTERVAL } else { self.interval };
        Self { interval: interval.min(MAX_INTERVAL), polled_at: Some(now), ..self }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time")
    }

    fn request() -> DeviceRequest {
        DeviceRequest::new(OauthClientId(Uuid::from_u128(1)), Vec::new(), "203.0.113.9".to_owned(), at(0))
    }

    #[test]
    fn a_user_code_is_read_as_people_enter_it() {
        let code = UserCode::generate(&[7; 32]);
        let text = code.to_string();
        assert_eq!((text.len(), text.find('-')), (9, Some(4)), "{text}");
        for entered in [text.clone(), text.to_lowercase(), text.replace('-', ""), text.replace('-', " – ")] {
            assert_eq!(UserCode::parse(&entered), Some(code), "{entered}");
        }
        for wrong in ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GHJ1", "BCDF-GHJÄ", &"B".repeat(10_000)] {
            assert_eq!(UserCode::parse(wrong), None, "{wrong}");
        }
        let codes = (0..=u8::MAX).map(|byte| UserCode::generate(&[byte; 32]).to_string());
        assert_eq!(codes.collect::<std::collections::BTreeSet<_>>().len(), 256);
    }

    #[test]
    fn a_device_that_asks_too_fast_waits_for_longer() {
        let first = request();
        assert_eq!(first.poll(at(0)), Poll::Pending);
        let polled = first.polled(&Poll::Pending, at(0));
        assert_eq!((polled.poll(at(4)), polled.poll(at(5))), (Poll::TooFast, Poll::Pending));
        let slower = polled.polled(&Poll::TooFast, at(4));
        assert_eq!((slower.poll(at(13)), slower.poll(at(14))), (Poll::TooFast, Poll::Pending));
        let slowest = (0..100).fold(slower, |request, _| request.polled(&Poll::TooFast, at(4)));
        assert_eq!(slowest.interval, MAX_INTERVAL);
    }

    #[test]
    fn a_decision_counts_once_and_until_the_codes_expire() {
        let (user, session) = (UserId(Uuid::from_u128(2)), SessionId(Uuid::from_u128(3)));
        let agreement = Agreement { user, session, member: None, scopes: Vec::new() };
        let allowed = DeviceRequest { decision: Some(Some(agreement.clone())), ..request() };
        assert_eq!(allowed.poll(at(599)), Poll::Allowed(agreement));
        assert_eq!(allowed.poll(at(600)), Poll::Expired);
        let used = DeviceRequest { grant: Some(session), ..allowed };
        assert_eq!(used.poll(at(700)), Poll::Used(user, session));
        let denied = DeviceRequest { decision: Some(None), ..request() };
        assert_eq!(denied.poll(at(1)), Poll::Denied);
        assert!(request().is_open(at(599)) && !request().is_open(at(600)) && !denied.is_open(at(1)));
    }
}
