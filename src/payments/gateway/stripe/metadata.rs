//! This service's ids in the metadata of Stripe's objects (<https://docs.stripe.com/metadata>).

use std::{collections::BTreeMap, str::FromStr};

use serde::Deserialize;

/// The name of an account's id, in its customer.
pub(crate) const ACCOUNT: &str = "mainstay_account";
/// The name of an order's id, in its payment intents.
pub(crate) const ORDER: &str = "mainstay_order";
/// The name of a payment's id, in its payment intents and, copied by Stripe, in their charges.
pub(crate) const PAYMENT: &str = "mainstay_payment";
/// The name of a refund's id.
pub(crate) const REFUND: &str = "mainstay_refund";
/// The name of a subscription's id, in the subscription and, copied by Stripe, in its invoices.
pub(crate) const SUBSCRIPTION: &str = "mainstay_subscription";

/// The metadata of an object, including names set by others.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Returns the id under a name; `None` if there is none, or if the value is not an id.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Option<T> {
        self.0.get(name)?.parse().ok()
    }

    /// Returns whether an id is stored under a name.
    pub(crate) fn names(&self, name: &str, id: &str) -> bool {
        self.0.get(name).is_some_and(|named| named == id)
    }
}

/// Returns the form field that sets the value of a name.
pub(crate) fn field(name: &str) -> String {
    format!("metadata[{name}]")
}
