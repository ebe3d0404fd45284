//! `mainstay.payments.v1.PaymentService`.

use crate::payments::settlement::call::gateway_request;
use prost::Message as _;
use tonic::Request;

use crate::payments::{
    payment::{
        model::{Filter, Payment},
        ops,
    },
    settlement::{
        model::Status,
        ops::{IntentContext, Respond},
    },
};
use crate::proto::payments::v1::{self as pb, payment_service_server::PaymentService};
use crate::{orders::id::OrderId, payments::id::PaymentId};
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
pub struct Payments {
    pub app: App,
}

/// Renders a payment. Only staff see a failure code that reveals what the bank suspects.
fn render(payment: Payment, is_staff: bool) -> pb::Payment {
    let failure = payment.state.failure();
    pb::Payment {
        id: Some(payment.id.to_string()),
        account_id: Some(payment.account.to_string()),
        order_id: Some(payment.order.to_string()),
        status: Some(payment.state.status().number().into()),
        amount: Some(money(payment.amount)),
        refunded: Some(money(payment.refunded)),
        gateway_id: payment.state.gateway_id().map(str::to_owned),
        failure_code: failure.map(|failure| failure.code_for(is_staff).to_owned()),
        failure_message: failure.map(|failure| failure.message.clone()),
        gateway: Some(payment.gateway),
        version: Some(payment.version),
        create_time: Some(time(payment.created_at)),
        update_time: Some(time(payment.updated_at)),
    }
}

fn charge_response(payment: Payment) -> pb::ChargePaymentResponse {
    pb::ChargePaymentResponse { data: Some(render(payment, false)) }
}

impl Respond for Payment {
    type View = Self;

    fn respond(payment: &Self) -> Vec<u8> {
        charge_response(payment.clone()).encode_to_vec()
    }
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn charge_payment(&self, request: Request<pb::ChargePaymentRequest>) -> Reply<pb::ChargePaymentResponse> {
        let mut call = Call::admit(request)?;
        let (permit, context) = (call.permit()?, IntentContext::new(&self.app));
        let (order, method) = (OrderId::parse(&call.message.order_id)?, call.message.payment_method.clone());
        gateway_request(
            &mut call,
            &self.app,
            async move |connection| ops::begin(connection, permit, context, order, method).await,
            async |connection, permit, id| ops::get(connection, &permit, PaymentId(id)).await,
            charge_response,
        )
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
        let (payments, meta) = call
            .list(
                &self.app,
                pager,
                async move |connection| ops::list(connection, permit, filter, pager.start, pager.size).await,
                Payment::page_key,
            )
            .await?;
        let data = payments.into_iter().map(|payment| render(payment, is_staff)).collect();
        call.read(pb::ListPaymentsResponse { data, meta })
    }
}
