//! `mainstay.payments.v1.RefundService`.

use crate::payments::settlement::call::gateway_request;
use tonic::Request;

use crate::payments::id::{PaymentId, RefundId};
use crate::payments::{
    refund::{convert::render, ops},
    settlement::ops::IntentContext,
};
use crate::proto::payments::v1::{self as pb, refund_service_server::RefundService};
use mainstay_kernel::{
    app::App,
    grpc::{Call, Reply, parse::price},
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Refunds {
    pub app: App,
}

#[tonic::async_trait]
impl RefundService for Refunds {
    async fn create_refund(&self, request: Request<pb::CreateRefundRequest>) -> Reply<pb::CreateRefundResponse> {
        let (call, context) = (Call::admit(request)?, IntentContext::new(&self.app));
        let payment = PaymentId::parse(&call.message.payment_id)?;
        let amount = call.message.amount.as_ref().map(|amount| price(amount, "amount")).transpose()?;
        gateway_request(&call, &self.app, async move |work: &mut Work| ops::begin(work, context, payment, amount).await)
            .await
    }

    async fn get_refund(&self, request: Request<pb::GetRefundRequest>) -> Reply<pb::GetRefundResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, RefundId::parse(&call.message.refund_id)?);
        let refund = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetRefundResponse { data: Some(render(refund)) })
    }

    async fn list_refunds(&self, request: Request<pb::ListRefundsRequest>) -> Reply<pb::ListRefundsResponse> {
        let call = Call::admit(request)?;
        let pb::ListRefundsRequest { payment_id, .. } = &call.message;
        let (permit, id) = (call.permit()?, PaymentId::parse(payment_id)?);
        let pager = call.pager(&self.app)?;
        let list = async move |connection: &_| ops::list(connection, permit, id, pager.page).await;
        let (refunds, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListRefundsResponse { data: refunds.into_iter().map(render).collect(), meta })
    }
}
