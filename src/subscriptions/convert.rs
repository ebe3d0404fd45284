//! Subscriptions as messages, for responses and for the responses that settlement stores.

use prost::Message as _;

use crate::payments::settlement::ops::Respond;
use crate::proto::subscriptions::v1 as pb;
use crate::subscriptions::model::Subscription;
use mainstay_kernel::{
    audit::Audited,
    grpc::render::{money, time},
};

/// Renders a subscription. Only staff see failure codes that reveal a bank's suspicion.
pub(super) fn render(subscription: Subscription, is_staff: bool) -> pb::Subscription {
    let (state, failure) = (&subscription.state, subscription.state.failure());
    pb::Subscription {
        id: Some(subscription.id.to_string()),
        account_id: Some(subscription.account.to_string()),
        product_id: Some(subscription.product.to_string()),
        status: Some(state.status().number().into()),
        price: Some(money(subscription.price)),
        billing_interval: Some(subscription.interval.number().into()),
        period_start_time: state.period().map(|period| time(period.start)),
        period_end_time: state.period().map(|period| time(period.end)),
        cancel_at_period_end: Some(subscription.cancel_at_period_end),
        pending_cancellation: subscription.pending_cancellation.map(|how| how.number().into()),
        cancel_time: state.cancelled_at().map(time),
        gateway_id: state.gateway_id().map(str::to_owned),
        failure_code: failure.map(|failure| failure.code_for(is_staff).to_owned()),
        failure_message: failure.map(|failure| failure.message.clone()),
        product_name: Some(subscription.product_name),
        gateway: Some(subscription.gateway),
        version: Some(subscription.version),
        create_time: Some(time(subscription.created_at)),
        update_time: Some(time(subscription.updated_at)),
    }
}

impl Audited for Subscription {
    type Message = pb::Subscription;

    fn message(self) -> pb::Subscription {
        render(self, false)
    }
}

impl From<Subscription> for pb::CreateSubscriptionResponse {
    fn from(subscription: Subscription) -> Self {
        Self { data: Some(render(subscription, false)) }
    }
}

impl From<Subscription> for pb::CancelSubscriptionResponse {
    fn from(subscription: Subscription) -> Self {
        Self { data: Some(render(subscription, false)) }
    }
}

impl Respond for Subscription {
    type View = Self;

    /// The response to a cancellation is encoded the same; a test checks that.
    fn respond(subscription: Self) -> Vec<u8> {
        pb::CreateSubscriptionResponse::from(subscription).encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_responses_are_encoded_alike() {
        let data = pb::Subscription { id: Some("one".to_owned()), version: Some(3), ..pb::Subscription::default() };
        let creation = pb::CreateSubscriptionResponse { data: Some(data.clone()) };
        let cancellation = pb::CancelSubscriptionResponse { data: Some(data) };
        assert_eq!(creation.encode_to_vec(), cancellation.encode_to_vec());
    }
}
