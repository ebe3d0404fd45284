//! Subscriptions: a product that an account pays for again each period. The gateway renews and ends them, so what
//! stands here is what it said last.
//!
//! The gateway's answers come in any order: a webhook is late, or told twice, and two workers ask at once. So each asking
//! is numbered before it is made ([`Subscription::ask`]), and an answer is taken in only if none was that was asked for
//! later ([`Subscription::observe`]). Whatever changes at the gateway is followed by an asking, which sees the change, and so
//! does every one of a higher number: the last answer that counts is as good as the gateway's own word.

mod snapshot;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    effect::{Drive, Failure},
    money::Money,
    numbered,
    page::Key,
    payment::PaymentMethod,
    product::{Interval, Product},
};
use crate::{
    error::{Error, Result},
    id::{AccountId, ProductId, SubscriptionId},
};

pub use snapshot::{Invoice, Period, Phase, Snapshot};

numbered! {
    /// Where a subscription stands.
    Status {
        /// What came of asking for it is not known.
        Pending = 1,
        /// The period is paid.
        Active = 2,
        /// The period is due.
        PastDue = 3,
        /// It ended.
        Cancelled = 4,
        /// It never began.
        Failed = 5,
    }
}

numbered! {
    /// How a subscription is cancelled.
    Cancellation {
        /// It ends now.
        AtOnce = 1,
        /// It ends with the period.
        AtPeriodEnd = 2,
    }
}

/// Where a subscription stands, with what belongs to it there. A transition takes the state and may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// What came of asking for it is not known.
    Pending,
    /// It began.
    Begun {
        /// What the gateway knows it by.
        gateway_id: String,
        /// Where it stands.
        phase: Phase,
        /// The current period, or the last one.
        period: Period,
    },
    /// It never began.
    Failed(Failure),
}

impl State {
    /// The status without what belongs to it.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Begun { phase: Phase::Active, .. } => Status::Active,
            Self::Begun { phase: Phase::PastDue, .. } => Status::PastDue,
            Self::Begun { phase: Phase::Cancelled(_), .. } => Status::Cancelled,
            Self::Failed(_) => Status::Failed,
        }
    }

    /// What the gateway knows it by.
    pub fn gateway_id(&self) -> Option<&str> {
        match self {
            Self::Begun { gateway_id, .. } => Some(gateway_id),
            _ => None,
        }
    }

    /// The current period, or the last one.
    pub fn period(&self) -> Option<Period> {
        match self {
            Self::Begun { period, .. } => Some(*period),
            _ => None,
        }
    }

    /// When it ended.
    pub fn cancelled_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Begun { phase: Phase::Cancelled(at), .. } => Some(*at),
            _ => None,
        }
    }

    /// Why it never began.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// The gateway's word for a subscription. What ended does not begin again, and what failed at one gateway id is not
    /// another one.
    fn observed(&self, snapshot: &Snapshot) -> Option<Self> {
        match self {
            Self::Failed(_) | Self::Begun { phase: Phase::Cancelled(_), .. } => None,
            Self::Begun { gateway_id, .. } if *gateway_id != snapshot.gateway_id => None,
            Self::Pending | Self::Begun { .. } => Some(Self::Begun {
                gateway_id: snapshot.gateway_id.clone(),
                phase: snapshot.phase,
                period: snapshot.period,
            }),
        }
    }
}

/// A product that an account pays for again each period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The subscription.
    pub id: SubscriptionId,
    /// The account that pays.
    pub account: AccountId,
    /// The product.
    pub product: ProductId,
    /// Its name when it was subscribed to.
    pub product_name: String,
    /// Its price then, for one period.
    pub price: Money,
    /// How long a period is.
    pub interval: Interval,
    /// The user or service key that asked for it.
    pub subscribed_by: Uuid,
    /// The gateway that was asked.
    pub gateway: String,
    /// What is charged.
    pub method: PaymentMethod,
    /// What the gateway knows the account by, once it does.
    pub customer: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// What was asked for and is not confirmed.
    pub pending_cancellation: Option<Cancellation>,
    /// How often the gateway was asked; the number of the last asking.
    pub asked: i64,
    /// The number of the latest asking whose answer was taken in.
    pub heard: i64,
    /// Who works on it.
    pub drive: Drive,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What an answer of the gateway's says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// Something new: the subscription as it is from now on.
    Changed(Subscription),
    /// That all is as it was known to be.
    Unchanged(Subscription),
    /// Something else than an answer to a later asking, which came first. Which of them is older at the gateway nobody
    /// can tell, so it is to be asked again.
    Stale,
    /// Nothing: it ended, or all is known.
    Ended,
}

/// How long after its end a period should have been followed by the next one, webhook or not.
const GRACE: TimeDelta = TimeDelta::minutes(2);
/// The longest without asking: what no webhook told is known within that time.
const LONGEST_SILENCE: TimeDelta = TimeDelta::hours(24);
/// How often to ask about a period that is over and has no follower.
const OVERDUE: TimeDelta = TimeDelta::hours(1);

impl Subscription {
    /// The intent to subscribe. Whoever made it works on it until `until`.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` for a product that is sold once, or not any more.
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
            asked: 1,
            heard: 0,
            drive: Drive::begin(now, until),
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// What the gateway knows a step of the current attempt by.
    pub fn key(&self, step: &str) -> String {
        format!("{}-{step}-{}", self.id, self.drive.attempt)
    }

    /// Whether something was asked of the gateway that it has not confirmed.
    pub fn is_unsettled(&self) -> bool {
        self.state == State::Pending || self.pending_cancellation.is_some()
    }

    /// The intent to cancel. Whoever made it works on it until `until`.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` unless it goes on, or when it is cancelled in that way already.
    pub fn cancel(&self, how: Cancellation, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Self> {
        let refused = match &self.state {
            State::Pending => Some("What came of the subscription is not known yet."),
            State::Failed(_) => Some("The subscription never began."),
            State::Begun { phase: Phase::Cancelled(_), .. } => Some("The subscription is cancelled."),
            State::Begun { .. } if self.pending_cancellation.is_some() => {
                Some("A cancellation is under way, which the gateway has not confirmed yet.")
            }
            State::Begun { .. } if how == Cancellation::AtPeriodEnd && self.cancel_at_period_end => {
                Some("The subscription ends with its period already.")
            }
            State::Begun { .. } => None,
        };
        if let Some(why) = refused {
            return Err(Error::rule(why));
        }
        let drive = Drive { attempt: self.drive.attempt, ..Drive::begin(now, until) };
        let asked = self.asked + 1;
        Ok(Self { pending_cancellation: Some(how), drive, asked, ..self.clone() }.changed(now))
    }

    /// About to ask the gateway: the asking has the number [`Subscription::asked`] of what is returned.
    #[must_use]
    pub fn ask(self) -> Self {
        Self { asked: self.asked + 1, ..self }
    }

    /// Takes in what the gateway answered to the asking of a number.
    pub fn observe(&self, number: i64, snapshot: &Snapshot, now: DateTime<Utc>) -> Observation {
        let Some(state) = self.state.observed(snapshot) else { return Observation::Ended };
        let ended = state.cancelled_at().is_some();
        let pending = self.pending_cancellation.filter(|how| !snapshot.is_cancelled(*how));
        let heard = Self {
            state,
            cancel_at_period_end: snapshot.cancel_at_period_end && !ended,
            pending_cancellation: pending,
            heard: number,
            drive: if pending.is_none() { self.drive.at_rest() } else { self.drive },
            ..self.clone()
        };
        let facts = |it: &Self| (it.state.clone(), it.cancel_at_period_end, it.pending_cancellation);
        match (facts(&heard) == facts(self), number > self.heard) {
            (true, true) => Observation::Unchanged(heard),
            (true, false) => Observation::Ended,
            (false, true) => Observation::Changed(heard.changed(now)),
            (false, false) => Observation::Stale,
        }
    }

    /// It never began: the gateway said so to an attempt. `None` unless that is the current one.
    pub fn failed(&self, attempt: i32, failure: Failure, now: DateTime<Utc>) -> Option<Self> {
        let current = self.state == State::Pending && self.drive.attempt == attempt;
        let drive = self.drive.at_rest();
        current.then(|| Self { state: State::Failed(failure), drive, ..self.clone() }.changed(now))
    }

    /// When the gateway is to be asked though nobody says that anything changed; `None`: never, for it does not go on.
    pub fn next_sync(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.state {
            State::Begun { phase: Phase::Active | Phase::PastDue, period, .. } => {
                let due = period.end + GRACE;
                Some(if due > now { due.min(now + LONGEST_SILENCE) } else { now + OVERDUE })
            }
            _ => None,
        }
    }

    /// The next version.
    #[must_use]
    fn changed(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }

    /// Where it stands in a list.
    pub fn page_key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// Which subscriptions a list is of, beyond what the caller reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In one of these; empty: any.
    pub statuses: Vec<Status>,
    /// This account's.
    pub account: Option<AccountId>,
}

#[cfg(test)]
mod tests;
