//! Charges. Code that also needs the order locks it before the payment.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::payments::id::PaymentId;
use crate::{
    orders::{
        events::OrderPaid,
        order::{model::Order, ops as order},
    },
    payments::{
        events::{PaymentFailed, PaymentSucceeded},
        gateway::{Charge, Gateway, Lookup, Outcome, SKEW},
        ledger::{model::Posting, store as ledger},
        payment::{model::Payment, ops::event, store},
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

impl DueRows for Payment {
    const NAME: &'static str = "settle_payment";
    const TABLE: &'static str = "payments";

    async fn run(app: &App, id: Uuid) -> Result<()> {
        finish::<Self>(app, id).await
    }
}

impl GatewayRequest for Payment {
    type Done = String;
    type Locked = (Order, Self);

    const ID: &'static str = "paymentId";

    async fn lock_unsettled(connection: &Connection, id: Uuid) -> Result<Option<Self>> {
        let payment = store::lock(connection, Visibility::All, PaymentId(id)).await?;
        Ok((payment.state == State::Pending).then_some(payment))
    }

    fn facts(&self) -> Facts<'_> {
        let Self { id, lease, created_at, .. } = *self;
        Facts { id: id.0, gateway: &self.gateway, lease, created_at, missing_customer: None }
    }

    fn view(&self) -> Self {
        self.clone()
    }

    async fn get(connection: &Connection, visibility: Visibility, id: Uuid) -> Result<Self> {
        store::get(connection, visibility, PaymentId(id)).await
    }

    fn failure(view: &Self) -> Option<&Failure> {
        view.state.failure()
    }

    async fn set_due(connection: &mut Connection, id: Uuid, at: Option<DateTime<Utc>>) -> Result<()> {
        set_due::<Self>(connection, id, at).await
    }

    async fn store_lease(self, connection: &mut Connection, lease: AttemptLease) -> Result<Self> {
        store::set_lease(connection, self.id, lease).await?;
        Ok(Self { lease, ..self })
    }

    async fn send(&self, gateway: &dyn Gateway, _is_repeated: bool) -> Outcome {
        let (key, method, customer) = (self.key(), self.method.token().to_owned(), self.customer.clone());
        gateway.charge(Charge { key, payment: self.id, order: self.order, amount: self.amount, method, customer }).await
    }

    async fn find(&self, gateway: &dyn Gateway) -> Lookup {
        gateway.find_charge(self.id, self.amount).await
    }

    /// Lists the charges of the attempt's time.
    async fn find_listed(&self, gateway: &dyn Gateway) -> Lookup {
        let AttemptLease { since, key_abandoned_at, .. } = self.lease;
        let until = key_abandoned_at.unwrap_or(since);
        gateway.find_listed_charge(self.id, self.amount, (since - SKEW, until + SKEW)).await
    }

    async fn lock(&self, connection: &Connection) -> Result<(Order, Self)> {
        // One round trip, in this order.
        pipeline!(
            order::lock(connection, Visibility::All, self.order),
            store::lock(connection, Visibility::All, self.id),
        )
    }

    async fn settle(
        &self,
        work: &mut Work,
        (order, current): (Order, Self),
        outcome: Result<String, Failure>,
    ) -> Result<Option<Self>> {
        let now = work.now();
        let same_attempt = current.lease.attempt == self.lease.attempt;
        let Some(state) = next_state(&current.state, same_attempt, outcome, self.id.0) else { return Ok(None) };
        let lease = current.lease.settle();
        let settled = Self { state, lease, ..current }.next_version(now);
        let order = if let Some(gateway_id) = settled.state.gateway_id() {
            let state = order.state.paid(settled.id, now)?;
            let order = order.with_state(state, now);
            // The payment, which is stored next, refers to its ledger transaction.
            let posting = Posting::charge(&settled, gateway_id);
            work.queue(move |connection| {
                Box::pin(async move { ledger::book(connection, &posting, now).await.map(drop) })
            });
            work.publish(event::<PaymentSucceeded>(&settled));
            work.publish(order::event::<OrderPaid>(&order));
            order
        } else {
            work.publish(event::<PaymentFailed>(&settled));
            let state = order.state.unpaid(settled.id)?;
            order.with_state(state, now)
        };
        let payment = settled.clone();
        work.queue(move |connection| {
            Box::pin(async move {
                pipeline!(
                    store::update(connection, &payment),
                    order::update(connection, &order),
                    conclude::<Self>(connection, payment.id.0, &payment),
                )
                .map(drop)
            })
        });
        Ok(Some(settled))
    }
}
