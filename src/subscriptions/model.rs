//! Subscriptions: products that accounts pay for in every billing period. The gateway renews and ends them, so the
//! fields here show its latest answer.
//!
//! The gateway's answers arrive in any order: webhook events are late or repeated, and two workers may query at once.
//! So each query is numbered before it is sent ([`Subscription::next_query`]), and an answer is accepted only if no answer to
//! a later query was accepted before ([`Subscription::observe`]). Every change at the gateway is followed by a query,
//! which sees the change, and so does every query with a higher number: the last accepted answer is therefore up to
//! date.

mod snapshot;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::proto::subscriptions::v1::Reason as SubscriptionsReason;
use crate::{orders::id::ProductId, subscriptions::id::SubscriptionId};
use crate::{
    orders::product::model::{Interval, Product},
    payments::{
        payment::model::PaymentMethod,
        settlement::model::{AttemptLease, Failure},
    },
};
use mainstay_kernel::{
    error::{Error, Reason, Result},
    id::AccountId,
    money::Money,
    numbered::numbered,
};

pub use snapshot::{Invoice, InvoiceRefund, Period, Phase, Snapshot};

numbered! {
    /// The status of a subscription.
    Status {
        /// The outcome is not known yet.
        Pending = 1,
        /// The period is paid.
        Active = 2,
        /// The period is due, and the gateway is trying to collect the payment.
        PastDue = 3,
        /// The subscription ended permanently.
        Cancelled = 4,
        /// The subscription never began; nothing was charged.
        Failed = 5,
    }
}

/// Human-readable, for operators.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::PastDue => "past due",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        })
    }
}

numbered! {
    /// How a subscription is canceled.
    Cancellation {
        /// The subscription ends immediately.
        Immediately = 1,
        /// The subscription ends with the period and is not renewed.
        AtPeriodEnd = 2,
    }
}

/// The state of a subscription, with its data. A transition consumes the state and fails if the state does not allow
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The outcome is not known yet.
    Pending,
    /// The subscription began.
    Started {
        gateway_id: String,
        phase: Phase,
        /// The current period, or the last one.
        period: Period,
    },
    /// The subscription never started.
    Failed(Failure),
}

impl State {
    /// Returns the status without its data.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Started { phase: Phase::Active, .. } => Status::Active,
            Self::Started { phase: Phase::PastDue, .. } => Status::PastDue,
            Self::Started { phase: Phase::Cancelled(_), .. } => Status::Cancelled,
            Self::Failed(_) => Status::Failed,
        }
    }

    /// Returns the gateway's id.
    pub fn gateway_id(&self) -> Option<&str> {
        match self {
            Self::Started { gateway_id, .. } => Some(gateway_id),
            _ => None,
        }
    }

    /// Returns the current period, or the last one.
    pub fn period(&self) -> Option<Period> {
        match self {
            Self::Started { period, .. } => Some(*period),
            _ => None,
        }
    }

    /// Returns when it ended.
    pub fn cancelled_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Started { phase: Phase::Cancelled(at), .. } => Some(*at),
            _ => None,
        }
    }

    /// Returns the reason why it never began.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Returns the state after an answer of the gateway. A subscription that has ended does not begin again, and
    /// answers about another gateway id are ignored.
    fn after(&self, snapshot: &Snapshot) -> Option<Self> {
        match self {
            Self::Failed(_) | Self::Started { phase: Phase::Cancelled(_), .. } => None,
            Self::Started { gateway_id, .. } if *gateway_id != snapshot.gateway_id => None,
            Self::Pending | Self::Started { .. } => Some(Self::Started {
                gateway_id: snapshot.gateway_id.clone(),
                phase: snapshot.phase,
                period: snapshot.period,
            }),
        }
    }
}

/// Human-readable, for operators: `past due as sub_1`, `failed (card_declined)`.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        match self {
            Self::Pending => write!(f, "{status}"),
            Self::Started { gateway_id, .. } => write!(f, "{status} as {gateway_id}"),
            Self::Failed(failure) => write!(f, "{status} ({})", failure.code),
        }
    }
}

/// A product that an account pays for in every billing period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub id: SubscriptionId,
    /// The account that pays.
    pub account: AccountId,
    pub product: ProductId,
    /// The product's name when the subscription was created.
    pub product_name: String,
    /// The price of one period when the subscription was created.
    pub price: Money,
    /// The length of a period.
    pub interval: Interval,
    /// The user or service key that requested it.
    pub subscribed_by: Uuid,
    /// The gateway that bills the subscription.
    pub gateway: String,
    /// The payment method to charge.
    pub method: PaymentMethod,
    /// The gateway's id for the account's customer, once it is known.
    pub customer: Option<String>,
    pub state: State,
    /// Whether the subscription ends with the period instead of being renewed.
    pub cancel_at_period_end: bool,
    /// The cancellation that was requested and that the gateway has not confirmed yet.
    pub pending_cancellation: Option<Cancellation>,
    /// The number of the last query to the gateway.
    pub last_query: i64,
    /// The number of the latest query whose answer was accepted.
    pub last_answer: i64,
    /// The lease and the attempts.
    pub lease: AttemptLease,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

/// The result of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// Something changed: the subscription from now on.
    Changed(Subscription),
    /// Nothing changed.
    Unchanged(Subscription),
    /// The answer differs from that of a later query, which arrived first. Their order at the gateway is unknown, so
    /// another query is needed.
    Stale,
    /// The subscription ended, or the answer is already known.
    Ended,
}

/// How long after the end of a period the gateway is queried about the next one, with or without a webhook event.
const GRACE: TimeDelta = TimeDelta::minutes(2);
/// The maximum time between queries, and so the maximum delay of a change without a webhook event.
const LONGEST_SILENCE: TimeDelta = TimeDelta::hours(24);
/// The interval of queries about a period that has ended and has no successor.
const OVERDUE: TimeDelta = TimeDelta::hours(1);

impl Subscription {
    /// Creates the intent to subscribe. The process that created it holds the lease until `until`.
    ///
    /// # Errors
    /// `PRODUCT_SOLD_OTHERWISE`, `PRODUCT_UNAVAILABLE`.
    pub fn intend(
        account: AccountId,
        product: Product,
        subscribed_by: Uuid,
        gateway: &str,
        method: PaymentMethod,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Self> {
        let (price, interval) = product.subscribable()?;
        Ok(Self {
            id: SubscriptionId::generate(now),
            account,
            product: product.id,
            product_name: product.name,
            price,
            interval,
            subscribed_by,
            gateway: gateway.to_owned(),
            method,
            customer: None,
            state: State::Pending,
            cancel_at_period_end: false,
            pending_cancellation: None,
            last_query: 1,
            last_answer: 0,
            lease: AttemptLease::first(now, until),
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// Returns the idempotency key of a step of the current attempt.
    pub fn key(&self, step: &str) -> String {
        format!("{}-{step}-{}", self.id, self.lease.attempt)
    }

    /// Returns whether a request to the gateway is not confirmed yet.
    pub fn is_unsettled(&self) -> bool {
        self.state == State::Pending || self.pending_cancellation.is_some()
    }

    /// Creates the intent to cancel. The process that created it holds the lease until `until`.
    ///
    /// # Errors
    /// `SUBSCRIPTION_PENDING`, `SUBSCRIPTION_NOT_STARTED`, `SUBSCRIPTION_ALREADY_CANCELLED`; `CONFLICT` for an immediate
    /// cancellation while one at the end of the period is pending.
    pub fn cancel(&self, how: Cancellation, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Self> {
        let already = |why| Error::with_message(SubscriptionsReason::SubscriptionAlreadyCancelled, why);
        let error = match &self.state {
            State::Pending => Some(SubscriptionsReason::SubscriptionPending.into()),
            State::Failed(_) => Some(SubscriptionsReason::SubscriptionNotStarted.into()),
            State::Started { phase: Phase::Cancelled(_), .. } => Some(already("The subscription is cancelled.")),
            State::Started { .. }
                if (self.pending_cancellation, how) == (Some(Cancellation::AtPeriodEnd), Cancellation::Immediately) =>
            {
                let why =
                    "A cancellation at the end of the period is pending at the gateway; retry once it is confirmed.";
                Some(Error::with_message(Reason::Conflict, why))
            }
            State::Started { .. } if self.pending_cancellation.is_some() => {
                Some(already("A cancellation is pending at the gateway."))
            }
            State::Started { .. } if how == Cancellation::AtPeriodEnd && self.cancel_at_period_end => {
                Some(already("The subscription already ends with its period."))
            }
            State::Started { .. } => None,
        };
        if let Some(error) = error {
            return Err(error);
        }
        let lease = AttemptLease { attempt: self.lease.attempt, ..AttemptLease::first(now, until) };
        let last_query = self.last_query + 1;
        Ok(Self { pending_cancellation: Some(how), lease, last_query, ..self.clone() }.next_version(now))
    }

    /// Numbers the next query: its number is [`Subscription::last_query`] of the result.
    #[must_use]
    pub fn next_query(self) -> Self {
        Self { last_query: self.last_query + 1, ..self }
    }

    /// Processes the gateway's answer to the query with this number.
    pub fn observe(&self, number: i64, snapshot: &Snapshot, now: DateTime<Utc>) -> Observation {
        let Some(state) = self.state.after(snapshot) else { return Observation::Ended };
        let has_ended = state.cancelled_at().is_some();
        let pending = self.pending_cancellation.filter(|how| !snapshot.is_cancelled(*how));
        let next = Self {
            state,
            cancel_at_period_end: snapshot.cancel_at_period_end && !has_ended,
            pending_cancellation: pending,
            last_answer: number,
            lease: if pending.is_none() { self.lease.settle() } else { self.lease },
            ..self.clone()
        };
        let facts = |it: &Self| (it.state.clone(), it.cancel_at_period_end, it.pending_cancellation);
        match (facts(&next) == facts(self), number > self.last_answer) {
            (true, true) => Observation::Unchanged(next),
            (true, false) => Observation::Ended,
            (false, true) => Observation::Changed(next.next_version(now)),
            (false, false) => Observation::Stale,
        }
    }

    /// Fails the subscription because the gateway refused an attempt. `None` unless it is the current attempt.
    pub fn fail(&self, attempt: i32, failure: Failure, now: DateTime<Utc>) -> Option<Self> {
        let current = self.state == State::Pending && self.lease.attempt == attempt;
        let lease = self.lease.settle();
        current.then(|| Self { state: State::Failed(failure), lease, ..self.clone() }.next_version(now))
    }

    /// Returns when the gateway is queried if no event arrives before; `None` if the subscription is not ongoing.
    pub fn next_sync(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.state {
            State::Started { phase: Phase::Active | Phase::PastDue, period, .. } => {
                let due = period.end + GRACE;
                Some(if due > now { due.min(now + LONGEST_SILENCE) } else { now + OVERDUE })
            }
            _ => None,
        }
    }

    /// Returns the next version.
    #[must_use]
    fn next_version(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }
}

/// A filter of subscriptions, in addition to the caller's visibility.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only subscriptions with one of these statuses; all if empty.
    pub statuses: Vec<Status>,
    /// Only subscriptions of this account.
    pub account: Option<AccountId>,
}
