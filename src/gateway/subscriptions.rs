//! What a gateway can do about subscriptions. Whatever it is asked, it answers with where the subscription stands, so that
//! there is one way to take in what it says.

use futures_util::future::BoxFuture;

use super::{Found, Outcome};
use crate::{
    domain::{
        money::Money,
        product::Interval,
        subscription::{Cancellation, Snapshot, Subscription},
    },
    id::{AccountId, SubscriptionId},
};

/// An account that a gateway shall know as a customer of its own.
#[derive(Debug, Clone, Copy)]
pub struct NewCustomer {
    /// The account; the gateway makes one customer of it for one attempt.
    pub account: AccountId,
    /// From 1.
    pub attempt: i32,
}

/// A subscription to be made, its first period paid.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// The gateway takes each step once for one key, which is made of these two.
    pub subscription: SubscriptionId,
    /// From 1. What an earlier attempt left behind, short of a subscription, may be used again.
    pub attempt: i32,
    /// What it is of.
    pub product_name: String,
    /// What a period costs.
    pub price: Money,
    /// How long a period is.
    pub interval: Interval,
    /// What to charge: a token of the gateway.
    pub method: String,
    /// What the gateway knows the account by.
    pub customer: String,
}

impl Subscribe {
    /// The gateway's key for a step.
    pub(super) fn key(&self, step: &str) -> String {
        format!("{}-{step}-{}", self.subscription, self.attempt)
    }
}

impl Subscribe {
    /// What is to be made of a subscription of a customer's.
    pub fn of(subscription: &Subscription, customer: &str) -> Self {
        Self {
            subscription: subscription.id,
            attempt: subscription.drive.attempt,
            product_name: subscription.product_name.clone(),
            price: subscription.price,
            interval: subscription.interval,
            method: subscription.method.token().to_owned(),
            customer: customer.to_owned(),
        }
    }
}

/// A subscription to be cancelled, which is the same done once or twice.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// The gateway does it once for one key; each asking has its own, for an answer from memory would do nothing.
    pub key: String,
    /// What the gateway knows the subscription by.
    pub gateway_id: String,
    /// How.
    pub how: Cancellation,
}

/// A gateway that renews subscriptions, and ends them.
pub trait Subscriptions {
    /// Finds or makes the customer of an account, which holds nothing yet: what it is known by.
    fn customer(&self, newcomer: NewCustomer) -> BoxFuture<'_, Outcome>;

    /// Subscribes, and pays the first period.
    fn subscribe(&self, wanted: Subscribe) -> BoxFuture<'_, Outcome<Snapshot>>;

    /// Cancels. Never refused: where the subscription stands is the answer.
    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, Outcome<Snapshot>>;

    /// Where a subscription stands.
    fn subscription<'a>(&'a self, gateway_id: &'a str) -> BoxFuture<'a, Found<Snapshot>>;

    /// Looks for a subscription, whatever key it was made under.
    fn find_subscription(&self, subscription: SubscriptionId) -> BoxFuture<'_, Found<Snapshot>>;
}
