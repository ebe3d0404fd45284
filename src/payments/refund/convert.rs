//! Refunds as messages, for responses and for the responses that settlement stores.

use prost::Message as _;

use crate::payments::{payment::model::Refund, refund::ops::RefundIntent, settlement::ops::Respond};
use crate::proto::payments::v1 as pb;
use mainstay_kernel::grpc::render::{money, time};

pub(super) fn render(refund: Refund) -> pb::Refund {
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

impl From<Refund> for pb::CreateRefundResponse {
    fn from(refund: Refund) -> Self {
        Self { data: Some(render(refund)) }
    }
}

impl Respond for RefundIntent {
    type View = Refund;

    fn respond(refund: Refund) -> Vec<u8> {
        pb::CreateRefundResponse::from(refund).encode_to_vec()
    }
}
