//! Refunds. Lock order: order, payment, refund.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::payments::id::RefundId;
use crate::{
    orders::{
        events::OrderRefunded,
        order::{model::Order, ops as order},
    },
    payments::{
        events::{RefundFailed, RefundSucceeded},
        gateway::{Gateway, Lookup, Outcome, RefundRequest},
        ledger::{model::Posting, store as ledger},
        payment::{
            model::{Payment, Refund},
            store as payment,
        },
        refund::{
            ops::{RefundIntent, event},
            store,
        },
        settlement::{
            model::{AttemptLease, Failure, State},
            ops::{Facts, GatewayRequest, conclude, finish, next_state},
        },
    },
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::{Connection, pipeline::pipeline},
    error::Result,
    queue::rows::{DueRows, set_due},
    unit_of_work::Work,
};

impl DueRows for RefundIntent {
    const NAME: &'static str = "settle_refund";
    const TABLE: &'static str = "refunds";

    async fn run(app: &App, id: Uuid) -> Result<()> {
        finish::<Self>(app, id).await
    }
}

impl GatewayRequest for RefundIntent {
    type Done = String;
    type Locked = (Order, Payment, Refund);

    const ID: &'static str = "refundId";

    async fn lock_unsettled(connection: &Connection, id: Uuid) -> Result<Option<Self>> {
        let refund = store::lock(connection, RefundId(id)).await?;
        if refund.state != State::Pending {
            return Ok(None);
        }
        let payment = payment::get(connection, Visibility::All, refund.payment).await?;
        Ok(Some(Self::of(refund, &payment)?))
    }

    fn facts(&self) -> Facts<'_> {
        let Refund { id, lease, created_at, .. } = self.refund;
        Facts { id: id.0, gateway: &self.gateway, lease, created_at, missing_customer: None }
    }

    fn view(&self) -> Refund {
        self.refund.clone()
    }

    async fn get(connection: &Connection, visibility: Visibility, id: Uuid) -> Result<Refund> {
        store::get(connection, visibility, RefundId(id)).await
    }

    fn failure(view: &Refund) -> Option<&Failure> {
        view.state.failure()
    }

    async fn set_due(connection: &mut Connection, id: Uuid, at: Option<DateTime<Utc>>) -> Result<()> {
        set_due::<Self>(connection, id, at).await
    }

    async fn store_lease(self, connection: &mut Connection, lease: AttemptLease) -> Result<Self> {
        store::set_lease(connection, self.refund.id, lease).await?;
        Ok(Self { refund: Refund { lease, ..self.refund }, ..self })
    }

    async fn send(&self, gateway: &dyn Gateway, _is_repeated: bool) -> Outcome {
        let (key, charge_id) = (self.refund.key(), self.charge_id.clone());
        gateway.refund(RefundRequest { key, refund: self.refund.id, charge_id, amount: self.refund.amount }).await
    }

    async fn find(&self, gateway: &dyn Gateway) -> Lookup {
        gateway.find_refund(self.refund.id, &self.charge_id, self.refund.amount).await
    }

    async fn lock(&self, connection: &Connection) -> Result<(Order, Payment, Refund)> {
        // One round trip, in this order.
        pipeline!(
            order::lock(connection, Visibility::All, self.order),
            payment::lock(connection, Visibility::All, self.refund.payment),
            store::lock(connection, self.refund.id),
        )
    }

    async fn settle(
        &self,
        work: &mut Work,
        (order, payment, current): (Order, Payment, Refund),
        outcome: Result<String, Failure>,
    ) -> Result<Option<Refund>> {
        let now = work.now();
        let refund = &self.refund;
        let same_attempt = current.lease.attempt == refund.lease.attempt;
        let Some(state) = next_state(&current.state, same_attempt, outcome, refund.id.0) else { return Ok(None) };
        let lease = current.lease.settle();
        let settled = Refund { state, lease, ..current }.next_version(now);
        let stored = settled.clone();
        work.queue(move |connection| {
            Box::pin(async move {
                pipeline!(store::update(connection, &stored), conclude::<Self>(connection, stored.id.0, &stored))
                    .map(drop)
            })
        });
        if let Some(gateway_id) = settled.state.gateway_id() {
            book(work, order, &payment, &settled, gateway_id).await?;
        } else {
            let released = payment.release_refund(settled.amount, now)?;
            work.queue(move |connection| Box::pin(async move { payment::update(connection, &released).await }));
            work.publish(event::<RefundFailed>(&settled));
        }
        Ok(Some(settled))
    }
}

/// Books a refund that succeeded, and is stored and reserved. A refund of the full amount ends the order. The caller
/// holds the locks on the order and the payment.
pub(crate) async fn book(
    work: &mut Work,
    order: Order,
    payment: &Payment,
    refund: &Refund,
    gateway_id: &str,
) -> Result<()> {
    let (now, posting) = (work.now(), Posting::refund(refund, gateway_id));
    work.publish(event::<RefundSucceeded>(refund));
    // The refunded amount is read after the refund, which is queued or stored.
    let book = async |connection: &Connection| {
        pipeline!(ledger::book(connection, &posting, now), store::given_back(connection, payment.id))
    };
    let (_, given_back) = work.write(book).await?;
    if given_back == payment.amount.minor() {
        let order = order.clone().with_state(order.state.refund(now)?, now);
        work.publish(order::event::<OrderRefunded>(&order));
        work.queue(move |connection| Box::pin(async move { order::update(connection, &order).await }));
    }
    Ok(())
}
