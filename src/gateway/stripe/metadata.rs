//! What of ours an object of Stripe's is about: our ids, which it keeps in its metadata
//! (<https://docs.stripe.com/metadata>).

use std::{collections::BTreeMap, str::FromStr};

use serde::Deserialize;

/// The name of an account's id, in its customer.
pub(super) const ACCOUNT: &str = "mainstay_account";
/// The name of an order's id, in the payment intents for it.
pub(super) const ORDER: &str = "mainstay_order";
/// The name of a payment's id, in its payment intents and, by Stripe's doing, in their charges.
pub(crate) const PAYMENT: &str = "mainstay_payment";
/// The name of a refund's id.
pub(super) const REFUND: &str = "mainstay_refund";
/// The name of a subscription's id, in the subscription and, by Stripe's doing, in its invoices.
pub(crate) const SUBSCRIPTION: &str = "mainstay_subscription";

/// The metadata of an object, other people's too.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The id under a name; `None` where there is none, or what somebody else made of the name.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Option<T> {
        self.0.get(name)?.parse().ok()
    }

    /// Whether an id is under a name.
    pub(super) fn names(&self, name: &str, id: &str) -> bool {
        self.0.get(name).is_some_and(|named| named == id)
    }
}

/// The form field that sets what is under a name.
pub(super) fn field(name: &str) -> String {
    format!("metadata[{name}]")
}
