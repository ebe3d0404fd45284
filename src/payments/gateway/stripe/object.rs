//! Stripe's objects that move money, with the fields used here, and their outcomes.

use serde::Deserialize;

use crate::payments::{
    gateway::{
        Kind, Movement, Outcome,
        stripe::{
            amount::from_stripe,
            api::{Listed, unknown},
            metadata::{Metadata, PAYMENT, REFUND},
        },
    },
    settlement::model::{Failure, FailureKind},
};
use crate::subscriptions::model::InvoiceRefund;
use mainstay_kernel::money::Money;

/// A payment intent (<https://docs.stripe.com/api/payment_intents/object>).
#[derive(Debug, Deserialize)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    status: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

/// A refund (<https://docs.stripe.com/api/refunds/object>).
#[derive(Debug, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    status: String,
    amount: i64,
    currency: String,
    pub(crate) payment_intent: Option<String>,
    #[serde(default)]
    charge: Option<Charge>,
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

/// A charge that was refunded: its id or, where the request asked to expand it (<https://docs.stripe.com/expand>), the
/// object.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Charge {
    Id(#[expect(dead_code, reason = "only distinguishes it from an object")] String),
    Object { invoice: Option<String> },
}

/// A charge, with the invoice that it paid.
#[derive(Debug, Deserialize)]
pub(crate) struct PaidCharge {
    pub(crate) invoice: Option<String>,
    /// The metadata of the charge's payment intent.
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

/// Any object, with its metadata.
#[derive(Debug, Deserialize)]
pub(crate) struct AnyObject {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

impl Listed for PaymentIntent {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Refund {
    fn id(&self) -> &str {
        &self.id
    }
}

impl PaymentIntent {
    /// Returns whether the intent waits for a further request.
    pub(crate) fn is_left_open(&self) -> bool {
        matches!(self.status.as_str(), "requires_confirmation" | "requires_action" | "requires_capture")
    }

    /// Returns the amount; `None` if it can't be represented here.
    pub(crate) fn amount(&self) -> Option<Money> {
        from_stripe(self.amount, &self.currency)
    }

    pub(crate) fn outcome(self) -> Outcome {
        match self.status.as_str() {
            "succeeded" => Outcome::Done(self.id),
            "requires_payment_method" | "canceled" => {
                refused(FailureKind::Declined, self.status, "The payment was not made.")
            }
            status => unknown(format!("it is {status}")),
        }
    }

    /// Returns the movement; `None` if no money moved, or if another user of the Stripe account made the charge.
    pub(crate) fn movement(self) -> Option<Movement> {
        let subject = Some(self.metadata.id(PAYMENT)?);
        let amount = self.amount()?;
        let Outcome::Done(gateway_id) = self.outcome() else { return None };
        Some(Movement {
            kind: Kind::Charge,
            subject,
            gateway_id,
            charge_id: None,
            invoice_id: None,
            subscription_id: None,
            amount,
        })
    }
}

impl Refund {
    /// Returns the id of the invoice that was refunded, if the charge was expanded.
    pub(crate) fn invoice_id(&self) -> Option<String> {
        match &self.charge {
            Some(Charge::Object { invoice }) => invoice.clone(),
            Some(Charge::Id(_)) | None => None,
        }
    }

    /// Returns the amount; `None` if it can't be represented here.
    pub(crate) fn amount(&self) -> Option<Money> {
        from_stripe(self.amount, &self.currency)
    }

    /// Returns a refund of an invoice; `None` while its outcome is unknown.
    pub(crate) fn of_invoice(self) -> Option<InvoiceRefund> {
        let amount = self.amount()?;
        let (gateway_id, is_returned) = (self.id.clone(), self.is_failed());
        let is_known = is_returned || matches!(self.outcome(), Outcome::Done(_));
        is_known.then_some(InvoiceRefund { gateway_id, amount, is_returned })
    }

    /// Returns whether the refund moved no money, or its money was returned.
    pub(crate) fn is_failed(&self) -> bool {
        matches!(self.status.as_str(), "failed" | "canceled")
    }

    /// Returns the outcome. A `pending` refund counts as done, because Stripe is committed to it.
    pub(crate) fn outcome(self) -> Outcome {
        match self.status.as_str() {
            "succeeded" | "pending" => Outcome::Done(self.id),
            _ if self.is_failed() => refused(FailureKind::Rejected, self.status, "The refund failed."),
            status => unknown(format!("it is {status}")),
        }
    }

    /// Returns the movement; `None` if no money moved. The caller has to determine whose charge was refunded.
    pub(crate) fn movement(self) -> Option<Movement> {
        let (subject, charge_id) = (self.metadata.id(REFUND), self.payment_intent.clone());
        let invoice_id = self.invoice_id();
        let amount = self.amount()?;
        let Outcome::Done(gateway_id) = self.outcome() else { return None };
        Some(Movement { kind: Kind::Refund, subject, gateway_id, charge_id, invoice_id, subscription_id: None, amount })
    }
}

fn refused(kind: FailureKind, code: String, message: &str) -> Outcome {
    Outcome::Refused(Failure { kind, code, message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;

    fn object<O: DeserializeOwned>(status: &str) -> O {
        let object = json!({ "id": "one", "status": status, "amount": 1, "currency": "eur", "metadata": {} });
        serde_json::from_value(object).expect("an object")
    }

    #[test]
    fn only_final_statuses_are_final() {
        let intent = |status| object::<PaymentIntent>(status).outcome();
        let refund = |status| object::<Refund>(status).outcome();
        assert_eq!(
            (intent("succeeded"), refund("succeeded")),
            (Outcome::Done("one".into()), Outcome::Done("one".into()))
        );
        assert_eq!(refund("pending"), Outcome::Done("one".into()));
        for status in ["pending", "processing", "requires_action", "requires_capture", "something_new"] {
            assert!(matches!(intent(status), Outcome::Unknown { .. }), "{status}");
        }
        for status in ["requires_action", "something_new"] {
            assert!(matches!(refund(status), Outcome::Unknown { .. }), "{status}");
        }
        for outcome in [intent("canceled"), intent("requires_payment_method"), refund("failed"), refund("canceled")] {
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        }
    }

    #[test]
    fn a_failed_refund_is_not_a_declined_card() {
        for status in ["failed", "canceled"] {
            let Outcome::Refused(failure) = object::<Refund>(status).outcome() else { panic!("{status}") };
            assert_eq!(failure.kind, FailureKind::Rejected, "{status}");
        }
    }
}
