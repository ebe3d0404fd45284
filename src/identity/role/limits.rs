//! How long a session lasts in a role, or in an account.

use chrono::TimeDelta;

/// The limits of a role or of an account. They shorten the lifetimes of the configuration; `None` leaves those as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionLimits {
    /// The maximum time between two uses (refreshes, or proofs of who the user is), in seconds.
    pub idle_seconds: Option<i32>,
    /// The maximum time since the user last proved who they are, in seconds.
    pub max_age_seconds: Option<i32>,
}

impl SessionLimits {
    /// Returns the maximum time between two uses.
    pub fn idle(self) -> Option<TimeDelta> {
        self.idle_seconds.map(|seconds| TimeDelta::seconds(seconds.into()))
    }

    /// Returns the maximum time since the user last proved who they are.
    pub fn max_age(self) -> Option<TimeDelta> {
        self.max_age_seconds.map(|seconds| TimeDelta::seconds(seconds.into()))
    }

    /// Returns the limits with the new values.
    #[must_use]
    pub fn apply(self, patch: LimitsPatch) -> Self {
        Self {
            idle_seconds: patch.idle_seconds.unwrap_or(self.idle_seconds),
            max_age_seconds: patch.max_age_seconds.unwrap_or(self.max_age_seconds),
        }
    }
}

/// New values for some of the limits; an inner `None` removes a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsPatch {
    pub idle_seconds: Option<Option<i32>>,
    pub max_age_seconds: Option<Option<i32>>,
}
