//! `mainstay.subscriptions.v1.SubscriptionService`.

use crate::payments::call::gateway_request;
use prost::Message as _;
use tonic::Request;

use crate::proto::subscriptions::v1::{self as pb, subscription_service_server::SubscriptionService};
use crate::{orders::id::ProductId, subscriptions::id::SubscriptionId};
use crate::{
    payments::settlement::ops::{IntentContext, Respond},
    subscriptions::{
        model::{Cancellation, Filter, Status, Subscription},
        ops,
    },
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    grpc::{
        Call, Reply,
        render::{money, time},
    },
    id::AccountId,
};

#[derive(Debug, Clone)]
pub struct Subscriptions {
    pub app: App,
}

/// Renders a subscription. Only staff see a failure code that reveals what the bank suspects.
fn render(subscription: Subscription, is_staff: bool) -> pb::Subscription {
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

fn create_response(subscription: Subscription) -> pb::CreateSubscriptionResponse {
    pb::CreateSubscriptionResponse { data: Some(render(subscription, false)) }
}

fn cancel_response(subscription: Subscription) -> pb::CancelSubscriptionResponse {
    pb::CancelSubscriptionResponse { data: Some(render(subscription, false)) }
}

impl Respond for Subscription {
    type View = Self;

    /// The responses of both methods that begin a gateway request are encoded alike, see the test.
    fn respond(subscription: &Self) -> Vec<u8> {
        create_response(subscription.clone()).encode_to_vec()
    }
}

#[tonic::async_trait]
impl SubscriptionService for Subscriptions {
    async fn create_subscription(
        &self,
        request: Request<pb::CreateSubscriptionRequest>,
    ) -> Reply<pb::CreateSubscriptionResponse> {
        let mut call = Call::admit(request)?;
        let (permit, context) = (call.permit()?, IntentContext::new(&self.app));
        let account = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let (product, method) = (ProductId::parse(&call.message.product_id)?, call.message.payment_method.clone());
        gateway_request(
            &mut call,
            &self.app,
            async move |connection| ops::begin(connection, permit, context, account, product, method).await,
            async |connection, permit, id| ops::get(connection, &permit, SubscriptionId(id)).await,
            create_response,
        )
        .await
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Reply<pb::GetSubscriptionResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, SubscriptionId::parse(&call.message.subscription_id)?);
        let is_staff = permit.visibility() == Visibility::All;
        let subscription =
            self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetSubscriptionResponse { data: Some(render(subscription, is_staff)) })
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Reply<pb::ListSubscriptionsResponse> {
        let call = Call::admit(request)?;
        let pb::ListSubscriptionsRequest { statuses, account_id, .. } = &call.message;
        let filter = Filter {
            statuses: statuses.iter().filter_map(|&number| Status::from_number(number)).collect(),
            account: account_id.as_deref().map(AccountId::parse).transpose()?,
        };
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let is_staff = permit.visibility() == Visibility::All;
        let (subscriptions, meta) = call
            .list(
                &self.app,
                pager,
                async move |connection| ops::list(connection, permit, filter, pager.start, pager.size).await,
                Subscription::page_key,
            )
            .await?;
        let data = subscriptions.into_iter().map(|subscription| render(subscription, is_staff)).collect();
        call.read(pb::ListSubscriptionsResponse { data, meta })
    }

    async fn cancel_subscription(
        &self,
        request: Request<pb::CancelSubscriptionRequest>,
    ) -> Reply<pb::CancelSubscriptionResponse> {
        let mut call = Call::admit(request)?;
        let (permit, context) = (call.permit()?, IntentContext::new(&self.app));
        let (id, expected) = (SubscriptionId::parse(&call.message.subscription_id)?, call.if_match.clone());
        let how = if call.message.at_period_end { Cancellation::AtPeriodEnd } else { Cancellation::Immediately };
        gateway_request(
            &mut call,
            &self.app,
            async move |connection| ops::cancel(connection, permit, context, id, expected, how).await,
            async |connection, permit, id| ops::get(connection, &permit, SubscriptionId(id)).await,
            cancel_response,
        )
        .await
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
