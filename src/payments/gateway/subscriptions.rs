//! The subscription operations of a gateway. Every request returns the subscription's state, so all answers are
//! processed alike.

use futures_util::future::BoxFuture;

use crate::subscriptions::id::SubscriptionId;
use crate::{
    orders::product::model::Interval,
    payments::gateway::{Lookup, Outcome},
    subscriptions::model::{Cancellation, Snapshot, Subscription},
};
use mainstay_kernel::{id::AccountId, money::Money};

/// An account for which a gateway needs a customer.
#[derive(Debug, Clone, Copy)]
pub struct NewCustomer {
    /// The account; the gateway creates one customer per account and attempt.
    pub account: AccountId,
    /// The number of the attempt, from 1.
    pub attempt: i32,
}

/// A subscription to be created, with its first period paid.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// The id, which is part of the idempotency key of each step.
    pub subscription: SubscriptionId,
    /// The number of the attempt, from 1, which is also part of the keys. Objects that an earlier attempt left behind,
    /// except subscriptions, may be reused.
    pub attempt: i32,
    pub product_name: String,
    /// The price of one period.
    pub price: Money,
    /// The length of a period.
    pub interval: Interval,
    /// The payment method, as a token of the gateway.
    pub method: String,
    /// The gateway's id for the account's customer.
    pub customer: String,
    /// Whether the steps may have been carried out before, under the same keys. The refusal of a step then says nothing
    /// about the subscription, which is the last one.
    pub is_repeated: bool,
}

impl Subscribe {
    /// Returns the idempotency key of a step.
    pub fn key(&self, step: &str) -> String {
        format!("{}-{step}-{}", self.subscription, self.attempt)
    }

    /// Returns the request for a subscription of a customer. `is_repeated` says that an earlier worker may have sent it.
    pub fn of(subscription: &Subscription, customer: &str, is_repeated: bool) -> Self {
        Self {
            subscription: subscription.id,
            attempt: subscription.lease.attempt,
            product_name: subscription.product_name.clone(),
            price: subscription.price,
            interval: subscription.interval,
            method: subscription.method.token().to_owned(),
            customer: customer.to_owned(),
            is_repeated,
        }
    }
}

/// A subscription to be canceled; canceling is idempotent.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// The idempotency key. Each request has its own, because a replayed answer would have no effect.
    pub key: String,
    /// The gateway's id for the subscription.
    pub gateway_id: String,
    /// How it is canceled.
    pub how: Cancellation,
}

/// A gateway that bills, renews and ends subscriptions.
pub trait Subscriptions {
    /// Finds or creates the customer of an account, without payment methods, and returns its id.
    fn customer(&self, new: NewCustomer) -> BoxFuture<'_, Outcome>;

    /// Creates a subscription and charges the first period.
    fn subscribe(&self, request: Subscribe) -> BoxFuture<'_, Outcome<Snapshot>>;

    /// Cancels a subscription. The outcome is never a refusal: the answer is the subscription's state.
    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, Outcome<Snapshot>>;

    /// Returns the state of a subscription.
    fn subscription<'a>(&'a self, gateway_id: &'a str) -> BoxFuture<'a, Lookup<Snapshot>>;

    /// Looks up a subscription, under any key.
    fn find_subscription(&self, subscription: SubscriptionId) -> BoxFuture<'_, Lookup<Snapshot>>;
}
