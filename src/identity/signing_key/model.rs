//! The life of a key that signs access tokens: published, signing, retired, removed.
//!
//! ```text
//!   created         signs_from          retired_at         retired_at + token life + margin
//!    │  published    │  signs             │  verifies         │  removed
//! ```
//!
//! A key signs only after every instance has had time to load it, and verifies until the last token it signed has
//! expired, so a rotation does not sign users out.

use chrono::{DateTime, TimeDelta, Utc};

/// How long a new key is published before it signs: twice the interval at which instances look for new keys.
pub const PUBLICATION_LEAD: TimeDelta = TimeDelta::seconds(60);

/// How much longer a retired key verifies than its last token lives, because the clocks of instances differ.
pub const CLOCK_MARGIN: TimeDelta = TimeDelta::seconds(60);

/// The times of a key's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it begins to sign.
    pub signs_from: DateTime<Utc>,
    /// When the next key takes over.
    pub retired_at: Option<DateTime<Utc>>,
}

impl Life {
    /// Returns the life of a key created now. The first key signs immediately.
    pub fn begin(now: DateTime<Utc>, first: bool) -> Self {
        let lead = if first { TimeDelta::zero() } else { PUBLICATION_LEAD };
        Self { created_at: now, signs_from: now + lead, retired_at: None }
    }

    /// Returns whether the key signs.
    pub fn signs(&self, now: DateTime<Utc>) -> bool {
        self.signs_from <= now && self.retired_at.is_none_or(|end| now < end)
    }

    /// Returns whether tokens that the key signed may still be valid, given the lifetime of access tokens.
    pub fn verifies(&self, now: DateTime<Utc>, token_life: TimeDelta) -> bool {
        self.retired_at.is_none_or(|end| now < end + token_life + CLOCK_MARGIN)
    }

    /// Returns whether the key is due to be replaced.
    pub fn is_old(&self, now: DateTime<Utc>, age: TimeDelta) -> bool {
        self.retired_at.is_none() && now - self.created_at >= age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time")
    }

    #[test]
    fn one_key_signs_at_any_time_of_a_rotation() {
        let next = Life::begin(at(0), false);
        let old = Life { retired_at: Some(next.signs_from), ..Life::begin(at(-1000), true) };
        for second in -10..200 {
            assert!(old.signs(at(second)) ^ next.signs(at(second)), "at {second}");
        }
    }

    #[test]
    fn a_retired_key_outlives_its_last_token() {
        let old = Life { retired_at: Some(at(60)), ..Life::begin(at(0), true) };
        assert!(old.verifies(at(60 + 300), TimeDelta::seconds(300)));
        assert!(!old.verifies(at(60 + 300 + 60), TimeDelta::seconds(300)));
    }
}
