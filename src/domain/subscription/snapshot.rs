//! What a gateway says of a subscription that began.

use chrono::{DateTime, Utc};

use super::Cancellation;
use crate::domain::money::Money;

/// The time that one payment is for: from `start`, up to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub start: DateTime<Utc>,
    /// The first moment after it.
    pub end: DateTime<Utc>,
}

/// Where a subscription that began stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The period is paid.
    Active,
    /// The period is due.
    PastDue,
    /// It ended then.
    Cancelled(DateTime<Utc>),
}

/// A payment for a period, or for a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// What the gateway knows it by.
    pub gateway_id: String,
    /// What was paid.
    pub amount: Money,
}

/// What the gateway says of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What it knows it by.
    pub gateway_id: String,
    /// Where it stands.
    pub phase: Phase,
    /// The current period, or the last one.
    pub period: Period,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// All that was paid for it, in no order.
    pub invoices: Vec<Invoice>,
}

impl Snapshot {
    /// Whether a cancellation is done.
    pub fn is_cancelled(&self, how: Cancellation) -> bool {
        let ends = how == Cancellation::AtPeriodEnd && self.cancel_at_period_end;
        ends || matches!(self.phase, Phase::Cancelled(_))
    }
}
