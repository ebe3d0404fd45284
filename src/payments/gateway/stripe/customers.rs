//! Stripe customers: one for each account, which holds the payment methods of its recurring payments.
//!
//! Stripe's rules (<https://docs.stripe.com/api/payment_methods/attach>,
//! <https://docs.stripe.com/api/payment_intents/create#create_payment_intent-customer>):
//!
//! - A payment method belongs to at most one customer, and can then only be charged together with that customer. So an
//!   account has one customer for all its payments, and charges name the customer too, once it exists.
//! - A payment method without a customer can be charged together with a customer, once.
//! - A subscription's `default_payment_method` must belong to its customer; two subscriptions of an account can use
//!   different payment methods.
//! - A test token, such as `pm_card_visa`, creates a new payment method each time it is used.
//!
//! A customer is created empty, and is used only after its id is stored here. So a duplicate is harmless. A duplicate
//! arises if the first customer's id was lost before it was stored, Stripe has forgotten the key, and Stripe's search does
//! not return the customer yet.

use serde::Deserialize;

use crate::payments::{
    gateway::{
        NewCustomer, Outcome,
        stripe::{
            Stripe,
            api::unknown,
            metadata::{ACCOUNT, field},
            object::AnyObject,
        },
    },
    settlement::model::FailureKind,
};

/// A payment method, and the customer it belongs to.
#[derive(Debug, Deserialize)]
struct Method {
    id: String,
    customer: Option<String>,
}

impl Stripe {
    /// Returns the id of an object found by one of our ids, if any.
    pub(crate) async fn search(&self, path: &str, name: &str, id: &str) -> anyhow::Result<Option<String>> {
        let objects: Vec<AnyObject> = self.api.search(path, name, id).await?;
        Ok(objects.into_iter().find(|object| object.metadata.names(name, id)).map(|object| object.id))
    }

    /// Finds the customer of an account by a search, or creates it, under a key that returns the existing customer if
    /// the search does not find it yet.
    pub(crate) async fn customer_of(&self, new: NewCustomer) -> Outcome {
        let account = new.account.to_string();
        match self.search("/v1/customers/search", ACCOUNT, &account).await {
            Ok(Some(customer)) => return Outcome::Done(customer),
            Ok(None) => {}
            Err(error) => return unknown(format!("{error:#}")),
        }
        let key = format!("{account}-customer-{}", new.attempt);
        let result = self.api.post("/v1/customers", &[(&field(ACCOUNT), &account)], &key).await;
        result.map_or_else(|outcome| outcome, |customer: AnyObject| Outcome::Done(customer.id))
    }

    /// Attaches a payment method to a customer and returns its id. Attaching it again changes nothing.
    pub(crate) async fn attach<T>(&self, method: &str, customer: &str, key: &str) -> Result<String, Outcome<T>> {
        let path = format!("/v1/payment_methods/{method}");
        let attached = self.api.post::<Method, T>(&format!("{path}/attach"), &[("customer", customer)], key).await;
        let refusal = match attached {
            Ok(method) => return Ok(method.id),
            Err(Outcome::Refused(failure)) if failure.kind == FailureKind::Rejected => Outcome::Refused(failure),
            Err(outcome) => return Err(outcome),
        };
        match self.api.get_object::<Method, T>(&path).await {
            Ok(method) if method.customer.as_deref() == Some(customer) => Ok(method.id),
            Ok(_) | Err(Outcome::Refused(_)) => Err(refusal),
            Err(outcome) => Err(outcome),
        }
    }
}
