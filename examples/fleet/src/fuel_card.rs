//! A gateway of payments with fuel cards. The example has no network of fuel cards to call: the books are those of the
//! product's sandbox, and its test cards are the fuel cards.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use mainstay::{
    payments::{
        gateway::{
            Cancel, Charge, ExternalRefunds, Gateway, GatewayKind, Lookup, NewCustomer, Outcome, RefundRequest,
            Statement, Subscribe, Subscriptions, sandbox::Sandbox,
        },
        id::{PaymentId, RefundId},
    },
    subscriptions::{id::SubscriptionId, model::Snapshot},
};
use mainstay_kernel::{
    app::App,
    breaker::Circuit,
    config::{Config, Verdict},
    money::Money,
};

/// The gateway.
#[derive(Debug)]
pub struct FuelCards(Sandbox);

impl GatewayKind for FuelCards {
    const NAME: &'static str = "fleet.fuel_card";

    fn moves_money(_: &Config) -> Verdict {
        Verdict::Missed("the fuel cards are those of the sandbox")
    }

    fn open(app: &App) -> anyhow::Result<Self> {
        Ok(Self(Sandbox::new(app.database.clone(), app.clock.clone())))
    }
}

impl Gateway for FuelCards {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn circuit(&self) -> Circuit {
        self.0.circuit()
    }

    fn charge(&self, charge: Charge) -> BoxFuture<'_, Outcome> {
        self.0.charge(charge)
    }

    fn refund(&self, refund: RefundRequest) -> BoxFuture<'_, Outcome> {
        self.0.refund(refund)
    }

    fn probe(&self) -> BoxFuture<'_, ()> {
        self.0.probe()
    }

    fn find_charge(&self, payment: PaymentId, amount: Money) -> BoxFuture<'_, Lookup> {
        self.0.find_charge(payment, amount)
    }

    fn find_listed_charge(
        &self,
        payment: PaymentId,
        amount: Money,
        between: (DateTime<Utc>, DateTime<Utc>),
    ) -> BoxFuture<'_, Lookup> {
        self.0.find_listed_charge(payment, amount, between)
    }

    fn find_refund<'a>(&'a self, refund: RefundId, charge_id: &'a str, amount: Money) -> BoxFuture<'a, Lookup> {
        self.0.find_refund(refund, charge_id, amount)
    }

    fn external_refunds(&self) -> Option<&dyn ExternalRefunds> {
        self.0.external_refunds()
    }

    fn statement<'a>(
        &'a self,
        since: Option<DateTime<Utc>>,
        from: Option<&'a str>,
    ) -> BoxFuture<'a, anyhow::Result<Statement>> {
        self.0.statement(since, from)
    }
}

impl Subscriptions for FuelCards {
    fn customer(&self, new: NewCustomer) -> BoxFuture<'_, Outcome> {
        self.0.customer(new)
    }

    fn subscribe(&self, request: Subscribe) -> BoxFuture<'_, Outcome<Snapshot>> {
        self.0.subscribe(request)
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, Outcome<Snapshot>> {
        self.0.cancel(cancel)
    }

    fn subscription<'a>(&'a self, gateway_id: &'a str) -> BoxFuture<'a, Lookup<Snapshot>> {
        self.0.subscription(gateway_id)
    }

    fn find_subscription(&self, subscription: SubscriptionId) -> BoxFuture<'_, Lookup<Snapshot>> {
        self.0.find_subscription(subscription)
    }
}
