//! Stripe's events about subscriptions and their invoices.

use futures_util::{FutureExt as _, future::BoxFuture};
use serde_json::Value;

use crate::subscriptions::id::SubscriptionId;
use crate::{
    payments::{STRIPE, metadata::SUBSCRIPTION, object},
    subscriptions::ops::{self as subscription, GatewayEvent},
    webhooks::{InboundEventHandler, inbound_event::model::InboundEvent},
};
use mainstay_kernel::{error::Result, unit_of_work::Work};

/// Events after which a subscription does not collect money.
const ENDINGS: [&str; 2] = ["customer.subscription.deleted", "invoice.payment_failed"];

/// Queues a query for the subscription's state. The state in the event is ignored, because it may be out of date.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SubscriptionEvents;

/// Returns the ids of an event's subscription: this service's id, if Stripe knows it, and Stripe's. The place where an
/// invoice names its subscription depends on the API version of the endpoint.
fn subject(object: &Value) -> (Option<SubscriptionId>, Option<&str>) {
    let details = match object["object"].as_str() {
        Some("subscription") => return (own_id(&object["metadata"]), object["id"].as_str()),
        _ if object["parent"].is_object() => &object["parent"]["subscription_details"],
        _ => &object["subscription_details"],
    };
    let gateway_id = object["subscription"].as_str().or_else(|| details["subscription"].as_str());
    (own_id(&details["metadata"]), gateway_id)
}

fn own_id(metadata: &Value) -> Option<SubscriptionId> {
    metadata[SUBSCRIPTION].as_str()?.parse().ok().map(SubscriptionId)
}

impl InboundEventHandler for SubscriptionEvents {
    fn provider(&self) -> &'static str {
        STRIPE
    }

    fn kinds(&self) -> &[&'static str] {
        &[
            "customer.subscription.created",
            "customer.subscription.updated",
            "customer.subscription.deleted",
            "customer.subscription.paused",
            "customer.subscription.resumed",
            "invoice.paid",
            "invoice.payment_failed",
        ]
    }

    fn handle<'c>(&'c self, work: &'c mut Work, event: &'c InboundEvent) -> BoxFuture<'c, Result<()>> {
        async move {
            let object: Value = object(event)?;
            let (id, gateway_id) = subject(&object);
            let lives = !ENDINGS.contains(&event.kind.as_str());
            subscription::gateway_event(work.connection().await?, STRIPE, GatewayEvent { id, gateway_id, lives }).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_subscription_is_found_wherever_it_is_named() {
        let id = "0197b5f2-0c8e-7d3a-9f41-6f2f6b1d2c3e";
        let metadata = json!({ "mainstay_subscription": id });
        let both = (Some(SubscriptionId(id.parse().expect("an id"))), Some("sub_1"));
        for object in [
            json!({ "object": "subscription", "id": "sub_1", "metadata": metadata }),
            json!({ "object": "invoice", "id": "in_1", "subscription": "sub_1", "subscription_details": { "metadata": metadata } }),
            json!({ "object": "invoice", "id": "in_1", "parent": { "subscription_details": { "subscription": "sub_1", "metadata": metadata } } }),
        ] {
            assert_eq!(subject(&object), both, "{object}");
        }
        assert_eq!(subject(&json!({ "object": "invoice", "subscription": "sub_1" })), (None, Some("sub_1")));
        assert_eq!(subject(&json!({ "object": "invoice", "subscription": null })), (None, None));
        assert_eq!(subject(&json!({ "object": "subscription", "id": "sub_1", "metadata": {} })), (None, Some("sub_1")));
    }
}
