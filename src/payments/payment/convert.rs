//! Payments as messages, for responses and for the responses that settlement stores.

use prost::Message as _;

use crate::payments::{payment::model::Payment, settlement::ops::Respond};
use crate::proto::payments::v1 as pb;
use mainstay_kernel::grpc::render::{money, time};

/// Renders a payment. Only staff see failure codes that reveal a bank's suspicion.
pub(super) fn render(payment: Payment, is_staff: bool) -> pb::Payment {
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

impl From<Payment> for pb::ChargePaymentResponse {
    fn from(payment: Payment) -> Self {
        Self { data: Some(render(payment, false)) }
    }
}

impl Respond for Payment {
    type View = Self;

    fn respond(payment: Self) -> Vec<u8> {
        pb::ChargePaymentResponse::from(payment).encode_to_vec()
    }
}
