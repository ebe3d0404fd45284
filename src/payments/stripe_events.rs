//! Stripe's events about payments and refunds.

use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;

use crate::payments::id::PaymentId;
use crate::{
    payments::{
        gateway::stripe::{
            NAME as STRIPE,
            amount::from_stripe,
            metadata::{self, Metadata},
            webhooks::object,
        },
        payment::ops::gateway_events::{self, Dispute, RefundedCharge},
    },
    webhooks::{InboundEventHandler, inbound_event::model::InboundEvent},
};
use mainstay_kernel::{error::Result, money::Money, unit_of_work::Work};

const SUCCEEDED: &str = "payment_intent.succeeded";
const FAILED: &str = "payment_intent.payment_failed";
const REFUNDED: &str = "charge.refunded";
/// Events about a refund, which may fail long after it was made. Older endpoints receive `charge.refund.updated`.
const REFUND_CHANGED: [&str; 3] = ["charge.refund.updated", "refund.updated", "refund.failed"];
const DISPUTED: &str = "charge.dispute.created";

/// Handles events about payments, refunds and disputes.
#[derive(Debug)]
pub(crate) struct PaymentEvents;

/// A payment intent, a charge, a refund or a dispute, with the fields used here.
#[derive(Deserialize)]
struct Object {
    id: String,
    /// Set for a payment intent.
    #[serde(default)]
    amount_received: Option<i64>,
    /// Set for a charge, a refund or a dispute.
    #[serde(default)]
    payment_intent: Option<String>,
    /// Set for a dispute or a refund.
    #[serde(default)]
    charge: Option<String>,
    /// Set for a charge that paid an invoice, depending on the API version of the endpoint.
    #[serde(default)]
    invoice: Option<String>,
    currency: String,
    /// A charge has the metadata of its payment intent.
    #[serde(default)]
    metadata: Metadata,
}

impl Object {
    /// Returns the id of the payment here, if any. Charges of other users of the Stripe account have none.
    fn payment(&self) -> Option<PaymentId> {
        self.metadata.id(metadata::PAYMENT).map(PaymentId)
    }

    fn amount_received(&self) -> Option<Money> {
        from_stripe(self.amount_received?, &self.currency)
    }
}

impl InboundEventHandler for PaymentEvents {
    fn provider(&self) -> &'static str {
        STRIPE
    }

    fn kinds(&self) -> &[&'static str] {
        const { &[SUCCEEDED, FAILED, REFUNDED, REFUND_CHANGED[0], REFUND_CHANGED[1], REFUND_CHANGED[2], DISPUTED] }
    }

    fn handle<'c>(&'c self, work: &'c mut Work, event: &'c InboundEvent) -> BoxFuture<'c, Result<()>> {
        async move {
            let object: Object = object(event)?;
            match (event.kind.as_str(), object.payment()) {
                (kind, payment) if kind == REFUNDED || REFUND_CHANGED.contains(&kind) => {
                    let charge = if kind == REFUNDED { Some(object.id.as_str()) } else { object.charge.as_deref() };
                    let (payment_intent, invoice) = (object.payment_intent.as_deref(), object.invoice.as_deref());
                    let refunded = RefundedCharge { payment_intent, charge, invoice };
                    gateway_events::on_refunds_changed(work.connection().await?, payment, STRIPE, refunded).await
                }
                (DISPUTED, payment) => {
                    let payment_intent = object.payment_intent.as_deref();
                    let dispute = Dispute { id: &object.id, payment_intent, charge: object.charge.as_deref() };
                    gateway_events::on_disputed(work.connection().await?, payment, STRIPE, dispute).await
                }
                (SUCCEEDED, Some(payment)) => {
                    let amount = object.amount_received();
                    gateway_events::on_succeeded(work, payment, STRIPE, object.id, amount).await
                }
                (FAILED, Some(payment)) => gateway_events::on_failed(work.connection().await?, payment).await,
                _ => Ok(()),
            }
        }
        .boxed()
    }
}
