//! `mainstay.payments.v1.RefundService`.

use crate::payments::settlement::call::gateway_request;
use prost::Message as _;
use tonic::Request;

use crate::payments::id::{PaymentId, RefundId};
use crate::payments::{
    payment::model::Refund,
    refund::ops::{self, RefundIntent},
    settlement::ops::{IntentContext, Respond},
};
use crate::proto::payments::v1::{self as pb, refund_service_server::RefundService};
use mainstay_kernel::{
    app::App,
    grpc::{
        Call, Reply,
        parse::price,
        render::{money, time},
    },
};

#[derive(Debug, Clone)]
pub struct Refunds {
    pub app: App,
}

fn render(refund: Refund) -> pb::Refund {
    let failure = refund.state.failure();
    pb::Refund {
        id: Some(refund.id.to_string()),
        payment_id: Some(refund.payment.to_string()),
        account_id: Some(refund.account.to_string()),
        status: Some(refund.state.status().number().into()),
        amount: Some(money(refund.amount)),
        gateway_id: refund.state.gateway_id().map(str::to_owned),
        failure_code: failure.map(|failure| failure.code.clone()),
        failure_message: failure.map(|failure| failure.message.clone()),
        version: Some(refund.version),
        made_at_gateway: Some(refund.refunded_by.is_none()),
        create_time: Some(time(refund.created_at)),
        update_time: Some(time(refund.updated_at)),
    }
}

fn create_response(refund: Refund) -> pb::CreateRefundResponse {
    pb::CreateRefundResponse { data: Some(render(refund)) }
}

impl Respond for RefundIntent {
    type View = Refund;

    fn respond(refund: &Refund) -> Vec<u8> {
        create_response(refund.clone()).encode_to_vec()
    }
}

#[tonic::async_trait]
impl RefundService for Refunds {
    async fn create_refund(&self, request: Request<pb::CreateRefundRequest>) -> Reply<pb::CreateRefundResponse> {
        let mut call = Call::admit(request)?;
        let (permit, context) = (call.permit()?, IntentContext::new(&self.app));
        let payment = PaymentId::parse(&call.message.payment_id)?;
        let amount = call.message.amount.as_ref().map(|amount| price(amount, "amount")).transpose()?;
        gateway_request(
            &mut call,
            &self.app,
            async move |connection| ops::begin(connection, permit, context, payment, amount).await,
            async |connection, permit, id| ops::get(connection, &permit, RefundId(id)).await,
            create_response,
        )
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
        let (refunds, meta) = call
            .list(
                &self.app,
                pager,
                async move |connection| ops::list(connection, permit, id, pager.start, pager.size).await,
                Refund::page_key,
            )
            .await?;
        call.read(pb::ListRefundsResponse { data: refunds.into_iter().map(render).collect(), meta })
    }
}
