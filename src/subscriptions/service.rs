//! `mainstay.subscriptions.v1.SubscriptionService`.

use crate::payments::call::gateway_request;
use tonic::Request;

use crate::proto::subscriptions::v1::{self as pb, subscription_service_server::SubscriptionService};
use crate::{orders::id::ProductId, subscriptions::id::SubscriptionId};
use crate::{
    payments::settlement::ops::IntentContext,
    subscriptions::{
        convert::render,
        model::{Cancellation, Filter, Status},
        ops,
    },
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    grpc::{Call, Reply},
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Subscriptions {
    pub app: App,
}

#[tonic::async_trait]
impl SubscriptionService for Subscriptions {
    async fn create_subscription(
        &self,
        request: Request<pb::CreateSubscriptionRequest>,
    ) -> Reply<pb::CreateSubscriptionResponse> {
        let (call, context) = (Call::admit(request)?, IntentContext::new(&self.app));
        let account = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let (product, method) = (ProductId::parse(&call.message.product_id)?, call.message.payment_method.clone());
        gateway_request(&call, &self.app, async move |work: &mut Work| {
            ops::begin(work, context, account, product, method).await
        })
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
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (subscriptions, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        let data = subscriptions.into_iter().map(|subscription| render(subscription, is_staff)).collect();
        call.read(pb::ListSubscriptionsResponse { data, meta })
    }

    async fn cancel_subscription(
        &self,
        request: Request<pb::CancelSubscriptionRequest>,
    ) -> Reply<pb::CancelSubscriptionResponse> {
        let (call, context) = (Call::admit(request)?, IntentContext::new(&self.app));
        let (id, expected) = (SubscriptionId::parse(&call.message.subscription_id)?, call.if_match.clone());
        let how = if call.message.at_period_end { Cancellation::AtPeriodEnd } else { Cancellation::Immediately };
        gateway_request(&call, &self.app, async move |work: &mut Work| {
            ops::cancel(work, context, id, expected, how).await
        })
        .await
    }
}
