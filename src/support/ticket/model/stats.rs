//! How many tickets there are, how long they wait, and who works on them.

use mainstay_kernel::id::UserId;

/// The ages that numbers of tickets are told apart by, in hours.
pub const AGES_HOURS: [i64; 5] = [1, 4, 24, 3 * 24, 7 * 24];

/// The statistics of all tickets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Status, priority, number.
    pub counts: Vec<(i16, i16, i64)>,
    /// The numbers of unresolved tickets below each of [`AGES_HOURS`] and not below the one before, and of the others.
    pub ages: [i64; AGES_HOURS.len() + 1],
    pub agents: Vec<Load>,
    pub first_responses: Durations,
    pub resolutions: Durations,
}

/// The tickets of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub agent: UserId,
    pub name: String,
    pub in_progress: i64,
    pub resolved: i64,
}

/// How long something took; the percentiles are those of tickets, not interpolated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    pub count: i64,
    pub median_ms: Option<i64>,
    pub ninth_decile_ms: Option<i64>,
}
