//! Subscriptions at Stripe (<https://docs.stripe.com/api/subscriptions>): the account's customer, which holds the
//! payment method, a price, and the subscription that combines them, each created under its own key. With
//! `error_if_incomplete`, a failed first payment leaves no subscription behind; the price it leaves is harmless, and
//! the payment method stays attached.

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;
use uuid::Uuid;

use crate::subscriptions::id::SubscriptionId;
use crate::{
    payments::gateway::{
        Cancel, Kind, Movement, NewCustomer, Subscribe, Subscriptions,
        stripe::{
            Lookup, Outcome, REFUNDS, Statement, Stripe,
            amount::from_stripe,
            api::{Fields, List, Listed, unknown},
            format_amount,
            metadata::{Metadata, SUBSCRIPTION, field},
            object::{AnyObject, Refund},
        },
    },
    payments::settlement::model::Failure,
    subscriptions::model::{Cancellation, Invoice, Period, Phase, Snapshot},
};

const INVOICES: &str = "/v1/invoices";
/// Only paid invoices moved money. Their charges come with their newest refunds.
const PAID_INVOICES: [(&str, &str); 2] = [("status", "paid"), ("expand[]", "data.charge.refunds")];

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
struct PaidInvoice {
    id: String,
    amount_paid: i64,
    currency: String,
    #[serde(default)]
    subscription: Option<String>,
    subscription_details: Option<SubscriptionDetails>,
    /// The charge that paid the invoice; `None` if no charge was needed.
    charge: Option<Charge>,
}

#[derive(Debug, Deserialize)]
struct Charge {
    id: String,
    #[serde(default)]
    refunds: Option<List<Refund>>,
}

#[derive(Debug, Deserialize)]
struct SubscriptionDetails {
    #[serde(default)]
    metadata: Option<Metadata>,
}

/// Returns the outcome of a subscription whose preparation was not successful. A refusal is definite only for the first
/// request under the keys: after an earlier one, the subscription may exist, although its payment method has been
/// detached since, for example.
fn refused_early(outcome: Outcome<Snapshot>, is_repeated: bool) -> Outcome<Snapshot> {
    match outcome {
        Outcome::Refused(Failure { code, .. }) if is_repeated => {
            let why = format!("its preparation was refused ({code}), and an earlier request may have created it");
            Outcome::Unknown { why, remembered: true }
        }
        outcome => outcome,
    }
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

impl Listed for PaidInvoice {
    fn id(&self) -> &str {
        &self.id
    }
}

impl PaidInvoice {
    /// Returns the id of the subscription, if it is one of ours.
    fn subject(&self) -> Option<Uuid> {
        self.subscription_details.as_ref()?.metadata.as_ref()?.id(SUBSCRIPTION)
    }

    /// Returns the invoice, unless its amount is zero.
    fn invoice(self, refunds: Vec<Refund>) -> Option<Invoice> {
        let amount = from_stripe(self.amount_paid, &self.currency).filter(|amount| amount.minor() > 0)?;
        let refunds = refunds.into_iter().filter_map(Refund::of_invoice).collect();
        Some(Invoice { gateway_id: self.id, amount, refunds })
    }

    /// Returns the movements of an invoice: its payment, and its refunds. There are none if its amount is zero, or if
    /// another user of the Stripe account made it.
    fn movements(self, refunds: Vec<Refund>) -> Vec<Movement> {
        let (Some(subject), subscription_id) = (self.subject(), self.subscription.clone()) else { return Vec::new() };
        let Some(Invoice { gateway_id, amount, refunds }) = self.invoice(refunds) else { return Vec::new() };
        let movement = |kind, gateway_id, amount| Movement {
            kind,
            subject: Some(subject),
            gateway_id,
            charge_id: None,
            invoice_id: None,
            subscription_id: subscription_id.clone(),
            amount,
        };
        let refunds = refunds.into_iter().filter(|refund| !refund.is_returned);
        let refunds = refunds.map(|refund| movement(Kind::InvoiceRefund, refund.gateway_id, refund.amount));
        [movement(Kind::Invoice, gateway_id, amount)].into_iter().chain(refunds).collect()
    }
}

impl Stripe {
    /// Returns a page of paid invoices, and of their refunds.
    pub(crate) async fn invoices(&self, filter: &Fields<'_>, after: Option<&str>) -> anyhow::Result<Statement> {
        let page = self.api.page::<PaidInvoice>(INVOICES, &[PAID_INVOICES.as_slice(), filter].concat(), after).await?;
        let mut statement = Statement { next: page.next, ..Statement::default() };
        for mut paid in page.items {
            if paid.subject().is_some() {
                let refunds = self.refunds_of_invoice(&mut paid).await?;
                statement.movements.extend(paid.movements(refunds));
            }
        }
        Ok(statement)
    }

    /// Returns the refunds of an invoice. Refunds that the invoice's response did not include are fetched separately.
    async fn refunds_of_invoice(&self, paid: &mut PaidInvoice) -> anyhow::Result<Vec<Refund>> {
        match paid.charge.take() {
            None => Ok(Vec::new()),
            Some(Charge { refunds: Some(List { data, has_more: false }), .. }) => Ok(data),
            Some(Charge { id, .. }) => self.api.all(REFUNDS, &[("charge", &id)]).await,
        }
    }

    /// Returns the state of a subscription. Invoices are read after the subscription, so an invoice that is paid in
    /// between is booked early rather than missed.
    async fn snapshot(&self, id: &str) -> anyhow::Result<Snapshot> {
        let subscription: Subscription = self.api.get(&format!("/v1/subscriptions/{id}"), &[]).await?;
        let filter = [PAID_INVOICES.as_slice(), &[("subscription", id)]].concat();
        let mut invoices = Vec::new();
        for mut paid in self.api.all::<PaidInvoice>(INVOICES, &filter).await? {
            let refunds = self.refunds_of_invoice(&mut paid).await?;
            invoices.extend(paid.invoice(refunds));
        }
        let status = subscription.status.clone();
        subscription.snapshot(invoices).ok_or_else(|| anyhow::anyhow!("it is {status}"))
    }

    async fn outcome(&self, id: &str) -> Outcome<Snapshot> {
        self.snapshot(id).await.map_or_else(|error| unknown(format!("{error:#}")), Outcome::Done)
    }

    /// Attaches the payment method and creates the price, and returns the ids of both.
    async fn prepare(&self, request: &Subscribe, amount: &str) -> Result<(String, String), Outcome<Snapshot>> {
        let method = self.attach(&request.method, &request.customer, &request.key("attach")).await?;
        let currency = request.price.currency().code().to_ascii_lowercase();
        let fields = [
            ("currency", currency.as_str()),
            ("unit_amount", amount),
            ("recurring[interval]", request.interval.name()),
            ("product_data[name]", &request.product_name),
            (&field(SUBSCRIPTION), &request.subscription.to_string()),
        ];
        let price: AnyObject = self.api.post("/v1/prices", &fields, &request.key("price")).await?;
        Ok((method, price.id))
    }

    /// Creates the subscription and what it combines, and returns its id.
    async fn create(&self, request: Subscribe) -> Result<String, Outcome<Snapshot>> {
        let amount = format_amount(request.price)?;
        let prepared = self.prepare(&request, &amount).await;
        let (method, price) = prepared.map_err(|outcome| refused_early(outcome, request.is_repeated))?;
        let id = request.subscription.to_string();
        let fields = [
            ("customer", request.customer.as_str()),
            ("default_payment_method", &method),
            ("items[0][price]", &price),
            ("payment_behavior", "error_if_incomplete"),
            (&field(SUBSCRIPTION), &id),
        ];
        Ok(self.api.post::<AnyObject, _>("/v1/subscriptions", &fields, &request.key("subscription")).await?.id)
    }

    async fn request_cancellation(&self, cancel: &Cancel) -> Outcome<AnyObject> {
        let path = format!("/v1/subscriptions/{}", cancel.gateway_id);
        let request = match cancel.how {
            Cancellation::Immediately => self.api.delete(&path, &cancel.key).await,
            Cancellation::AtPeriodEnd => self.api.post(&path, &[("cancel_at_period_end", "true")], &cancel.key).await,
        };
        request.map_or_else(|outcome| outcome, Outcome::Done)
    }
}

impl Subscriptions for Stripe {
    fn customer(&self, new: NewCustomer) -> BoxFuture<'_, Outcome> {
        self.customer_of(new).boxed()
    }

    fn subscribe(&self, request: Subscribe) -> BoxFuture<'_, Outcome<Snapshot>> {
        async move {
            match self.create(request).await {
                Ok(id) => self.outcome(&id).await,
                Err(outcome) => outcome,
            }
        }
        .boxed()
    }

    fn cancel(&self, cancel: Cancel) -> BoxFuture<'_, Outcome<Snapshot>> {
        async move {
            let request = self.request_cancellation(&cancel).await;
            // Whatever the request's outcome, an earlier request may have canceled the subscription.
            match (self.outcome(&cancel.gateway_id).await, request) {
                (Outcome::Done(snapshot), _) if snapshot.is_cancelled(cancel.how) => Outcome::Done(snapshot),
                (_, Outcome::Unknown { why, .. }) | (Outcome::Unknown { why, .. }, _) => unknown(why),
                (_, Outcome::Refused(Failure { code, message, .. })) => {
                    let why = format!("the cancellation was refused, and it goes on: {code}: {message}");
                    self.alerts.raise("gateway", "cancellation_refused", &cancel.gateway_id, &why);
                    unknown(why)
                }
                _ => unknown("it goes on"),
            }
        }
        .boxed()
    }

    fn subscription<'a>(&'a self, gateway_id: &'a str) -> BoxFuture<'a, Lookup<Snapshot>> {
        async move {
            match self.snapshot(gateway_id).await {
                Ok(snapshot) => Lookup::Done(snapshot),
                Err(error) => Lookup::Unknown { why: format!("{error:#}") },
            }
        }
        .boxed()
    }

    fn find_subscription(&self, subscription: SubscriptionId) -> BoxFuture<'_, Lookup<Snapshot>> {
        async move {
            match self.search("/v1/subscriptions/search", SUBSCRIPTION, &subscription.to_string()).await {
                Ok(Some(id)) => self.subscription(&id).await,
                Ok(None) => Lookup::Nothing,
                Err(error) => Lookup::Unknown { why: format!("{error:#}") },
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
            assert_eq!(snapshot(theirs).map(|snapshot| snapshot.phase), Some(ours), "{theirs}");
        }
        for unknown in ["incomplete", "something_new"] {
            assert_eq!(snapshot(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn only_our_paid_invoices_are_movements() {
        let movements = |amount: i64, details: &str| {
            let json =
                format!(r#"{{"id":"in_1","amount_paid":{amount},"currency":"eur","subscription_details":{details}}}"#);
            let refund = |id: &str, status: &str| {
                let json =
                    format!(r#"{{"id":"{id}","status":"{status}","amount":100,"currency":"eur","charge":"ch_1"}}"#);
                serde_json::from_str(&json).expect("a refund")
            };
            let refunds = vec![refund("re_1", "succeeded"), refund("re_2", "failed"), refund("re_3", "something_new")];
            let movements = serde_json::from_str::<PaidInvoice>(&json).expect("an invoice").movements(refunds);
            movements
                .into_iter()
                .map(|movement| (movement.kind, movement.gateway_id, movement.amount.minor()))
                .collect::<Vec<_>>()
        };
        let ours = r#"{"metadata":{"mainstay_subscription":"0197b5f2-0c8e-7d3a-9f41-6f2f6b1d2c3e"}}"#;
        let expected = [(Kind::Invoice, "in_1".to_owned(), 900), (Kind::InvoiceRefund, "re_1".to_owned(), 100)];
        assert_eq!(movements(900, ours), expected);
        assert_eq!(movements(0, ours), []);
        for strangers in ["null", r#"{"metadata":null}"#, r#"{"metadata":{}}"#] {
            assert_eq!(movements(900, strangers), [], "{strangers}");
        }
    }
}
