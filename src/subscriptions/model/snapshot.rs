//! A gateway's description of a subscription that began.

use chrono::{DateTime, Utc};

use crate::subscriptions::model::Cancellation;
use mainstay_kernel::money::Money;

/// The time that one payment covers: from `start`, up to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub start: DateTime<Utc>,
    /// The end, exclusive.
    pub end: DateTime<Utc>,
}

/// The phase of a subscription that began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The period is paid.
    Active,
    /// The period is due.
    PastDue,
    /// The subscription ended at this time.
    Cancelled(DateTime<Utc>),
}

/// A payment for a period, or for part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    pub gateway_id: String,
    /// The amount paid.
    pub amount: Money,
    /// All refunds of it, which are made at the gateway itself, in no particular order.
    pub refunds: Vec<InvoiceRefund>,
}

/// A refund of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceRefund {
    pub gateway_id: String,
    /// The amount refunded.
    pub amount: Money,
    /// Whether the refund failed: it moved no money, or its money was returned.
    pub is_returned: bool,
}

/// The state of a subscription at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub gateway_id: String,
    pub phase: Phase,
    /// The current period, or the last one.
    pub period: Period,
    /// Whether the subscription ends with the period.
    pub cancel_at_period_end: bool,
    /// All payments for it, in no particular order.
    pub invoices: Vec<Invoice>,
}

impl Snapshot {
    /// Returns whether a cancellation is done.
    pub fn is_cancelled(&self, how: Cancellation) -> bool {
        let ends = how == Cancellation::AtPeriodEnd && self.cancel_at_period_end;
        ends || matches!(self.phase, Phase::Cancelled(_))
    }
}
