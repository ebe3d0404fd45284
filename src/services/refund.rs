//! `mainstay.payments.v1.RefundService`.

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tonic::Request;

use super::{
    Call, Reply,
    page::Pager,
    render::{money, time},
};
use crate::{
    app::App,
    contract::proto::payments::v1::{self as pb, refund_service_server::RefundService},
    domain::payment::Refund,
    id::{PaymentId, RefundId},
    jobs::Settle,
    ops::{
        payment::Terms,
        refund::{self as ops, Begun},
        settle::{self, Work},
        work::Answer,
    },
};

/// The RPC bodies.
#[derive(Debug, Clone)]
pub struct Refunds {
    /// The house.
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
        create_time: Some(time(refund.created_at)),
        update_time: Some(time(refund.updated_at)),
    }
}

fn made(refund: Refund) -> pb::CreateRefundResponse {
    pb::CreateRefundResponse { data: Some(render(refund)) }
}

#[tonic::async_trait]
impl RefundService for Refunds {
    async fn create_refund(&self, request: Request<pb::CreateRefundRequest>) -> Reply<pb::CreateRefundResponse> {
        let mut call = Call::admit(request)?;
        let (permit, terms) = (call.permit()?, Terms::of(&self.app));
        let (payment, amount) = (PaymentId::parse(&call.message.payment_id)?, call.message.amount_minor);
        let (intend, mut intended) = oneshot::channel::<Begun>();
        let caller = permit.clone();
        let begun = call.begin(
            &self.app,
            move |connection| ops::begin(connection, caller, terms, payment, amount).boxed(),
            move |begun| {
                let refund = begun.refund.clone();
                // Taken below, once it is committed.
                intend.send(begun).ok();
                made(refund)
            },
        );
        let (id, known) = match begun.await? {
            Answer::Pending(id) => {
                let id = RefundId(id);
                if let Some(work) = settle::resume(&self.app, Settle::Refund(id)).await? {
                    settle::attend(&self.app, work).await;
                }
                (id, None)
            }
            answer => match intended.try_recv() {
                Ok(begun) => {
                    let refund = begun.refund.clone();
                    settle::attend(&self.app, Work::Return(begun)).await;
                    (refund.id, Some(refund))
                }
                Err(_) => return call.respond(answer),
            },
        };
        let is_new = known.is_some();
        let read = self.app.database.read(move |connection| ops::get(connection, permit, id).boxed()).await;
        // Once it is begun nothing is a failure: what can't be read now is told as it was last known.
        let refund = match (read, known) {
            (Ok(refund), _) | (Err(_), Some(refund)) => refund,
            (Err(error), None) => return Err(error.into()),
        };
        if let Some(error) = refund.state.failure().map(|failure| failure.error()) {
            return Err(if is_new { error } else { error.replayed() }.into());
        }
        call.respond(if is_new { Answer::Fresh(made(refund)) } else { Answer::Replayed(made(refund)) })
    }

    async fn get_refund(&self, request: Request<pb::GetRefundRequest>) -> Reply<pb::GetRefundResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, RefundId::parse(&call.message.refund_id)?);
        let refund = self.app.database.read(move |connection| ops::get(connection, permit, id).boxed()).await?;
        call.read(pb::GetRefundResponse { data: Some(render(refund)) })
    }

    async fn list_refunds(&self, request: Request<pb::ListRefundsRequest>) -> Reply<pb::ListRefundsResponse> {
        let call = Call::admit(request)?;
        let pb::ListRefundsRequest { payment_id, page, page_size, page_token } = &call.message;
        let (permit, id) = (call.permit()?, PaymentId::parse(payment_id)?);
        let pager = Pager::read(*page, *page_size, page_token, &("refunds", id))?;
        let (mut refunds, total) = self
            .app
            .database
            .read(move |connection| ops::list(connection, permit, id, pager.start, pager.size).boxed())
            .await?;
        let meta = Some(pager.meta(&mut refunds, total, Refund::page_key));
        call.read(pb::ListRefundsResponse { data: refunds.into_iter().map(render).collect(), meta })
    }
}
