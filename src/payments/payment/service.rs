//! `mainstay.payments.v1.PaymentService`.

use crate::payments::settlement::call::gateway_request;
use tonic::Request;

use crate::payments::{
    payment::{convert::render, model::Filter, ops},
    settlement::{model::Status, ops::IntentContext},
};
use crate::proto::payments::v1::{self as pb, payment_service_server::PaymentService};
use crate::{orders::id::OrderId, payments::id::PaymentId};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    grpc::{Call, Reply},
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Payments {
    pub app: App,
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn charge_payment(&self, request: Request<pb::ChargePaymentRequest>) -> Reply<pb::ChargePaymentResponse> {
        let (call, context) = (Call::admit(request)?, IntentContext::new(&self.app));
        let (order, method) = (OrderId::parse(&call.message.order_id)?, call.message.payment_method.clone());
        gateway_request(&call, &self.app, async move |work: &mut Work| ops::begin(work, context, order, method).await)
            .await
    }

    async fn get_payment(&self, request: Request<pb::GetPaymentRequest>) -> Reply<pb::GetPaymentResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, PaymentId::parse(&call.message.payment_id)?);
        let is_staff = permit.visibility() == Visibility::All;
        let payment = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetPaymentResponse { data: Some(render(payment, is_staff)) })
    }

    async fn list_payments(&self, request: Request<pb::ListPaymentsRequest>) -> Reply<pb::ListPaymentsResponse> {
        let call = Call::admit(request)?;
        let pb::ListPaymentsRequest { statuses, account_id, order_id, .. } = &call.message;
        let filter = Filter {
            statuses: statuses.iter().filter_map(|&number| Status::from_number(number)).collect(),
            account: account_id.as_deref().map(AccountId::parse).transpose()?,
            order: order_id.as_deref().map(OrderId::parse).transpose()?,
        };
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let is_staff = permit.visibility() == Visibility::All;
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (payments, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        let data = payments.into_iter().map(|payment| render(payment, is_staff)).collect();
        call.read(pb::ListPaymentsResponse { data, meta })
    }
}
