//! Customers at Stripe: one for each account, who holds the cards that the account pays for again with.
//!
//! What Stripe holds to (<https://docs.stripe.com/api/payment_methods/attach>,
//! <https://docs.stripe.com/api/payment_intents/create#create_payment_intent-customer>):
//!
//! - A payment method belongs to one customer at most, and from then on is charged in that customer's name alone; so there
//!   is one for all that an account pays, and a charge names it too, once it is there.
//! - One that belongs to nobody may be charged in a customer's name, once.
//! - A subscription's `default_payment_method` has to be its customer's; two of an account's may so be paid by two cards.
//! - A test token, such as `pm_card_visa`, stands for a new payment method each time it is used.
//!
//! A customer is made with nothing in it, and is used only after it is stored here; so one that was made twice, because the
//! first was lost before that and is older than Stripe's memory of keys and younger than its search, costs nothing.

use serde::Deserialize;

use super::{
    Stripe,
    api::unknown,
    metadata::{ACCOUNT, field},
    object::Named,
};
use crate::{
    domain::effect::FailureKind,
    gateway::{Newcomer, Outcome},
};

/// A payment method, and whose it is.
#[derive(Debug, Deserialize)]
struct Method {
    id: String,
    customer: Option<String>,
}

impl Stripe {
    /// The id of what a search by an id of ours finds, if anything.
    pub(super) async fn search(&self, path: &str, name: &str, id: &str) -> anyhow::Result<Option<String>> {
        let found: Vec<Named> = self.api.search(path, name, id).await?;
        Ok(found.into_iter().find(|object| object.metadata.names(name, id)).map(|object| object.id))
    }

    /// The customer of an account: found by a search, or made, under a key that finds one again which no search knows of
    /// yet.
    pub(super) async fn customer_of(&self, newcomer: Newcomer) -> Outcome {
        let account = newcomer.account.to_string();
        match self.search("/v1/customers/search", ACCOUNT, &account).await {
            Ok(Some(customer)) => return Outcome::Done(customer),
            Ok(None) => {}
            Err(error) => return unknown(format!("{error:#}")),
        }
        let key = format!("{account}-customer-{}", newcomer.attempt);
        let made = self.api.post("/v1/customers", &[(&field(ACCOUNT), &account)], &key).await;
        made.map_or_else(|outcome| outcome, |customer: Named| Outcome::Done(customer.id))
    }

    /// Makes a payment method a customer's: its id from then on. One that is the customer's already stays so.
    pub(super) async fn attach<T>(&self, method: &str, customer: &str, key: &str) -> Result<String, Outcome<T>> {
        let path = format!("/v1/payment_methods/{method}");
        let attached = self.api.post::<Method, T>(&format!("{path}/attach"), &[("customer", customer)], key).await;
        let refused = match attached {
            Ok(method) => return Ok(method.id),
            Err(Outcome::Refused(failure)) if failure.kind == FailureKind::Rejected => Outcome::Refused(failure),
            Err(outcome) => return Err(outcome),
        };
        match self.api.look::<Method, T>(&path).await {
            Ok(known) if known.customer.as_deref() == Some(customer) => Ok(known.id),
            Ok(_) | Err(Outcome::Refused(_)) => Err(refused),
            Err(outcome) => Err(outcome),
        }
    }
}
