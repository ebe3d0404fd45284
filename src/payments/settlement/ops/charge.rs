//! Charges. Code that also needs the order locks it before the payment.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::payments::id::PaymentId;
use crate::{
    orders::{events::OrderPaid, order::ops as order},
    payments::{
        events::{PaymentFailed, PaymentSucceeded},
        gateway::{Charge, Found, Gateway, Outcome},
        ledger::{model::Posting, store as ledger},
        payment::{model::Payment, ops::event, store},
        settlement::{
            job::SettlePayment,
            model::{AttemptLease, Failure, State},
            ops::{GatewayRequest, settled},
        },
    },
};
use mainstay_kernel::{caller::Visibility, database::Connection, error::Result, events};

impl GatewayRequest for Payment {
    type View = Self;
    type Done = String;

    const ID: &'static str = "paymentId";

    async fn lock_unsettled(connection: &mut Connection, id: Uuid) -> Result<Option<Self>> {
        let payment = store::lock(connection, Visibility::All, PaymentId(id)).await?;
        Ok((payment.state == State::Pending).then_some(payment))
    }

    type Job = SettlePayment;

    fn job(id: Uuid) -> SettlePayment {
        SettlePayment(PaymentId(id))
    }

    fn id(&self) -> Uuid {
        self.id.0
    }

    fn gateway(&self) -> &str {
        &self.gateway
    }

    fn lease(&self) -> AttemptLease {
        self.lease
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn view(&self) -> Self {
        self.clone()
    }

    fn failure(view: &Self) -> Option<&Failure> {
        view.state.failure()
    }

    async fn store_lease(self, connection: &mut Connection, lease: AttemptLease) -> Result<Self> {
        store::set_lease(connection, self.id, lease).await?;
        Ok(Self { lease, ..self })
    }

    async fn send(&self, gateway: &dyn Gateway) -> Outcome {
        let (key, method, customer) = (self.key(), self.method.token().to_owned(), self.customer.clone());
        gateway.charge(Charge { key, payment: self.id, order: self.order, amount: self.amount, method, customer }).await
    }

    async fn find(&self, gateway: &dyn Gateway) -> Found {
        gateway.find_charge(self.id).await
    }

    async fn commit(
        &self,
        connection: &mut Connection,
        outcome: Result<String, Failure>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let order = order::lock(connection, Visibility::All, self.order).await?;
        let current = store::lock(connection, Visibility::All, self.id).await?;
        let same_attempt = current.lease.attempt == self.lease.attempt;
        let Some(state) = settled(&current.state, same_attempt, outcome, self.id.0) else { return Ok(()) };
        let lease = current.lease.released();
        let settled = Self { state, lease, ..current }.changed(now);
        let (order, published) = if let Some(gateway_id) = settled.state.gateway_id() {
            ledger::book(connection, &Posting::charge(&settled, gateway_id), now).await?;
            let state = order.state.paid(settled.id, now)?;
            let order = order.with_state(state, now);
            let paid = order::event::<OrderPaid>(&order);
            (order, vec![event::<PaymentSucceeded>(&settled), paid])
        } else {
            let state = order.state.unpaid(settled.id)?;
            (order.with_state(state, now), vec![event::<PaymentFailed>(&settled)])
        };
        store::update(connection, &settled).await?;
        order::update(connection, &order).await?;
        events::publish(connection, &published, now).await
    }
}
