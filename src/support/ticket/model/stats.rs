//! Ticket statistics: numbers, ages, durations and the load of agents.

use mainstay_kernel::id::UserId;

/// The bounds of the age groups, in hours.
pub const AGES_HOURS: [i64; 5] = [1, 4, 24, 3 * 24, 7 * 24];

/// The statistics of all tickets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Status, priority, number.
    pub counts: Vec<(i16, i16, i64)>,
    /// The number of unresolved tickets per age group: below each of [`AGES_HOURS`], and above the last one.
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

/// A distribution of durations. The percentiles are values of tickets, without interpolation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    pub count: i64,
    pub median_ms: Option<i64>,
    pub ninth_decile_ms: Option<i64>,
}
