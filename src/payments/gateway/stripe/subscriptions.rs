//! Subscriptions at Stripe (<https://docs.stripe.com/api/subscriptions>): the account's customer, which holds the
//! payment method, a price, and the subscription that combines them, each created under its own key. With
//! `error_if_incomplete`, a failed first payment leaves no subscription behind; the price it leaves is harmless, and
//! the payment method stays attached.

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;

use crate::subscriptions::id::SubscriptionId;
use crate::{
    payments::gateway::{
        Cancel, Kind, Movement, NewCustomer, Subscribe, Subscriptions,
        stripe::{
            Found, Outcome, Statement, Stripe,
            amount::from_stripe,
            api::{Listed, unknown},
            metadata::{Metadata, SUBSCRIPTION, field},
            object::Named,
            written,
        },
    },
    subscriptions::model::{Cancellation, Invoice, Period, Phase, Snapshot},
};

const INVOICES: &str = "/v1/invoices";
/// Only paid invoices moved money.
const PAID: (&str, &str) = ("status", "paid");

/// A subscription; times are in seconds.
#[derive(Debug, Deserialize)]
struct Subscription {
    id: String,
    status: String,
    current_period_start: i64,
    current_period_end: i64,
    #[serde(default)]
    cancel_at_period_end: bool,
    canceled_at: Option<i64>,
    ended_at: Option<i64>,
}

/// A paid invoice.
#[derive(Debug, Deserialize)]
struct Paid {
    id: String,
    amount_paid: i64,
    currency: String,
    #[serde(default)]
    subscription: Option<String>,
    subscription_details: Option<Details>,
}

#[derive(Debug, Deserialize)]
struct Details {
    #[serde(default)]
    metadata: Option<Metadata>,
}

fn time(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

impl Subscription {
    /// Returns the state; `None` for a status that has no equivalent here, such as that of an unknown first payment.
    fn snapshot(self, invoices: Vec<Invoice>) -> Option<Snapshot> {
        let period = Period { start: time(self.current_period_start)?, end: time(self.current_period_end)? };
        let phase = match self.status.as_str() {
            "active" | "trialing" => Phase::Active,
            "past_due" | "unpaid" | "paused" => Phase::PastDue,
            "canceled" | "incomplete_expired" => {
                Phase::Cancelled(self.ended_at.or(self.canceled_at).and_then(time).unwrap_or(period.end))
            }
            _ => return None,
        };
        let cancel_at_period_end = self.cancel_at_period_end;
        Some(Snapshot { gateway_id: self.id, phase, period, cancel_at_period_end, invoices })
    }
}

impl Listed for Paid {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Paid {
    /// Returns the invoice, unless its amount is zero.
    fn invoice(self) -> Option<Invoice> {
        let amount = from_stripe(self.amount_paid, &self.currency).filter(|amount| amount.minor() > 0)?;
        Some(Invoice { gateway_id: self.id, amount })
    }

    fn movement(self) -> Option<Movement> {
        let details = self.subscription_details.as_ref()?.metadata.as_ref()?;
        let subject = Some(details.id(SUBSCRIPTION)?);
        let subscription_id = self.subscription.clone();
        let Invoice { gateway_id, amount } = self.invoice()?;
        Some(Movement { kind: Kind::Invoice, subject, gateway_id, charge_id: None, subscription_id, amount })
    }
}

impl Stripe {
    /// Returns a page of paid invoices.
    pub(crate) async fn invoices(&self, after: Option<&str>) -> anyhow::Result<Statement> {
        self.part(INVOICES, &[PAID], after, Paid::movement).await
    }

    /// Returns the state of a subscription. Invoices are read after the subscription, so one that is paid in between is
    /// booked early rather than missed.
    async fn stand(&self, id: &str) -> anyhow::Result<Snapshot> {
        let subscription: Subscription = self.api.get(&format!("/v1/subscriptions/{id}"), &[]).await?;
        let paid: Vec<Paid> = self.api.all(INVOICES, &[PAID, ("subscription", id)]).await?;
        let invoices = paid.into_iter().filter_map(Paid::invoice).collect();
        let status = subscription.status.clone();
        subscription.snapshot(invoices).ok_or_else(|| anyhow::anyhow!("it is {status}"))
    }

    async fn outcome(&self, id: &str) -> Outcome<Snapshot> {
        self.stand(id).await.map_or_else(|error| unknown(format!("{error:#}")), Outcome::Done)
    }

    async fn join(&self, wanted: Subscribe) -> Result<String, Outcome<Snapshot>> {
        let id = wanted.subscription.to_string();
        let amount = written(wanted.price)?;
        let method = self.attach(&wanted.method, &wanted.customer, &wanted.key("attach")).await?;
        let currency = wanted.price.currency().code().to_ascii_lowercase();
        let fields = [
            ("currency", currency.as_str()),
            ("unit_amount", &amount),
            ("recurring[interval]", wanted.interval.name()),
            ("product_data[name]", &wanted.product_name),
            (&field(SUBSCRIPTION), &id),
        ];
        let price: Named = self.api.post("/v1/prices", &fields, &wanted.key("price")).await?;
        let fields = [
            ("customer", wanted.customer.as_str()),
            ("default_payment_method", &method),
            ("items[0][price]", &price.id),
            ("payment_behavior", "error_if_incomplete"),
            (&field(SUBSCRIPTION), &id),
        ];
        Ok(self.api.post::<Named, _>("/v1/subscriptions", &fields, &wanted.key("subscription")).await?.id)
    }

    /// Requests the cancellation. `Err` means that it is not known whether Stripe processed the request.
    async fn end(&self, cancel: &Cancel) -> Result<(), Outcome<Snapshot>> {
        let path = format!("/v1/subscriptions/{}", cancel.gateway_id);
        let request = match cancel.how {
            Cancellation::Immediately => self.api.delete::<Named, _>(&path, &cancel.key).await,
            Cancellation::AtPeriodEnd => self.api.post(&path, &[("cancel_at_period_end", "true")], &cancel.key).await,
        };
        match request {
            Err(outcome @ Outcome::Unknown { .. }) => Err(outcome),
            // If Stripe refuses, the subscription may already be canceled; the caller checks its state.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Subscriptions for Stripe {
    fn customer(&self, newcomer: NewCustomer) -> BoxFuture<'_, Outcome> {
        self.customer_of(newcomer).boxed()
    }

    fn subscribe(&self, wanted: Subscribe) -> BoxFuture<'_, Outcome<Snapshot>> {
        async move {
            match self.join(wanted).await {
                Ok(id) => self.outcome(&id).await,
                Err(outcome) => outcome,
            }
        }
        .boxed()
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, Outcome<Snapshot>> {
        async move {
            let result = self.end(&cancel).await;
            match (self.outcome(&cancel.gateway_id).await, result) {
                (Outcome::Done(snapshot), _) if snapshot.is_cancelled(cancel.how) => Outcome::Done(snapshot),
                (_, Err(Outcome::Unknown { why, .. })) => unknown(why),
                (Outcome::Unknown { why, .. }, _) => unknown(why),
                _ => unknown("it goes on"),
            }
        }
        .boxed()
    }

    fn subscription<'a>(&'a self, gateway_id: &'a str) -> BoxFuture<'a, Found<Snapshot>> {
        async move {
            match self.stand(gateway_id).await {
                Ok(snapshot) => Found::Done(snapshot),
                Err(error) => Found::Unknown { why: format!("{error:#}") },
            }
        }
        .boxed()
    }

    fn find_subscription(&self, subscription: SubscriptionId) -> BoxFuture<'_, Found<Snapshot>> {
        async move {
            match self.search("/v1/subscriptions/search", SUBSCRIPTION, &subscription.to_string()).await {
                Ok(Some(id)) => self.subscription(&id).await,
                Ok(None) => Found::Nothing,
                Err(error) => Found::Unknown { why: format!("{error:#}") },
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(status: &str) -> Option<Snapshot> {
        let json = format!(
            r#"{{"id":"sub_1","status":"{status}","current_period_start":100,"current_period_end":200,
                "cancel_at_period_end":false,"canceled_at":150,"ended_at":null}}"#
        );
        serde_json::from_str::<Subscription>(&json).expect("a subscription").snapshot(Vec::new())
    }

    #[test]
    fn every_status_is_mapped_or_unknown() {
        for (theirs, ours) in [
            ("active", Phase::Active),
            ("trialing", Phase::Active),
            ("past_due", Phase::PastDue),
            ("unpaid", Phase::PastDue),
            ("paused", Phase::PastDue),
            ("canceled", Phase::Cancelled(time(150).expect("a time"))),
        ] {
            assert_eq!(snapshot(theirs).map(|found| found.phase), Some(ours), "{theirs}");
        }
        for unknown in ["incomplete", "something_new"] {
            assert_eq!(snapshot(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn only_our_paid_invoices_are_movements() {
        let movement = |amount: i64, details: &str| {
            let json =
                format!(r#"{{"id":"in_1","amount_paid":{amount},"currency":"eur","subscription_details":{details}}}"#);
            serde_json::from_str::<Paid>(&json).expect("an invoice").movement()
        };
        let ours = r#"{"metadata":{"mainstay_subscription":"0197b5f2-0c8e-7d3a-9f41-6f2f6b1d2c3e"}}"#;
        let found = movement(900, ours).expect("ours");
        assert_eq!((found.kind, found.gateway_id.as_str(), found.amount.minor()), (Kind::Invoice, "in_1", 900));
        assert_eq!(movement(0, ours), None);
        for strangers in ["null", r#"{"metadata":null}"#, r#"{"metadata":{}}"#] {
            assert_eq!(movement(900, strangers), None, "{strangers}");
        }
    }
}
