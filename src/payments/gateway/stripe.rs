//! The Stripe gateway.
//!
//! | file | contents |
//! |---|---|
//! | `api.rs` | requests, idempotency keys, pages and errors |
//! | `object.rs`, `metadata.rs`, `amount.rs` | Stripe's objects, this service's ids in their metadata, and amounts |
//! | `customers.rs`, `subscriptions.rs` | recurring payments |

pub(crate) mod amount;
mod api;
mod config;
mod customers;
pub(crate) mod metadata;
mod object;
mod subscriptions;
pub(crate) mod webhooks;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::payments::id::{PaymentId, RefundId};
use crate::payments::{
    config::PaymentsConfig,
    gateway::{
        Charge, ExternalRefunds, FailedRefund, Gateway, GatewayKind, Lookup, Movement, Outcome, Purpose, RefundRequest,
        Refunds, Statement,
        stripe::{
            api::{Api, Fields},
            metadata::{ORDER, PAYMENT, REFUND, field},
            object::{PaidCharge, PaymentIntent, Refund},
        },
    },
    settlement::model::{Failure, FailureKind},
};
pub(crate) use config::{NAME, PRODUCTION, StripeConfig};
use mainstay_kernel::{
    alert::Alerts,
    app::App,
    breaker::Circuit,
    config::{Config, Verdict},
    money::Money,
    outbound::Bounds,
};

const CHARGES: &str = "/v1/charges";
const INTENTS: &str = "/v1/payment_intents";
const REFUNDS: &str = "/v1/refunds";

/// The Stripe gateway.
#[derive(Debug)]
pub(crate) struct Stripe {
    api: Api,
    alerts: Alerts,
}

impl Stripe {
    pub(crate) fn new(
        secret_key: &SecretString,
        base_url: &Url,
        bounds: Bounds,
        alerts: &Alerts,
    ) -> anyhow::Result<Self> {
        Ok(Self { api: Api::new(secret_key, base_url, bounds, alerts)?, alerts: alerts.clone() })
    }

    /// Returns a payment's intents that Stripe's search finds, and other intents that resemble them.
    async fn search_intents(&self, payment: PaymentId) -> anyhow::Result<Vec<PaymentIntent>> {
        self.api.search(&format!("{INTENTS}/search"), PAYMENT, &payment.to_string()).await
    }

    /// Returns the final outcomes of a payment's intents. An intent that was never confirmed is canceled: nothing will
    /// resume it, and while it is open, a charge can't be ruled out.
    async fn outcomes_of(&self, payment: PaymentId, intents: Vec<PaymentIntent>) -> anyhow::Result<Vec<Found>> {
        let (payment, mut outcomes) = (payment.to_string(), Vec::new());
        for intent in intents.into_iter().filter(|intent| intent.metadata.names(PAYMENT, &payment)) {
            let intent = if intent.is_left_open() { self.cancel_intent(&intent.id).await? } else { intent };
            outcomes.push(Found { amount: intent.amount(), outcome: intent.outcome() });
        }
        Ok(outcomes)
    }

    /// Returns the outcome of a payment's charge, from these intents.
    async fn lookup_of(
        &self,
        payment: PaymentId,
        amount: Money,
        intents: anyhow::Result<Vec<PaymentIntent>>,
    ) -> Lookup {
        let found = match intents {
            Ok(intents) => self.outcomes_of(payment, intents).await,
            Err(error) => Err(error),
        };
        decisive_outcome(&self.alerts, payment.0, amount, found)
    }

    async fn cancel_intent(&self, id: &str) -> anyhow::Result<PaymentIntent> {
        let (path, key) = (format!("{INTENTS}/{id}"), format!("{id}-cancel"));
        let cancelled = self.api.post::<_, ()>(&format!("{path}/cancel"), &[], &key).await;
        match cancelled {
            Ok(intent) => Ok(intent),
            // The intent may have reached a final state meanwhile.
            Err(_) => self.api.get(&path, &[]).await,
        }
    }

    async fn refunds_of(&self, charge_id: &str) -> anyhow::Result<Vec<Refund>> {
        self.api.all(REFUNDS, &[("payment_intent", charge_id)]).await
    }

    async fn part<O: api::Listed>(
        &self,
        path: &str,
        filter: &Fields<'_>,
        after: Option<&str>,
        movement: impl Fn(O) -> Option<Movement>,
    ) -> anyhow::Result<Statement> {
        let page = self.api.page(path, filter, after).await?;
        Ok(Statement { movements: page.items.into_iter().filter_map(movement).collect(), next: page.next })
    }
}

/// An object that a look-up found.
struct Found {
    outcome: Outcome,
    /// The amount; `None` if it can't be represented here.
    amount: Option<Money>,
}

/// Returns the first outcome that moved this amount, or else the last that moved or still may move money, as an unknown
/// outcome. Raises an alert for each other movement of money.
fn decisive_outcome(alerts: &Alerts, subject: Uuid, amount: Money, found: anyhow::Result<Vec<Found>>) -> Lookup {
    let found = match found {
        Ok(found) => found,
        Err(error) => return Lookup::Unknown { why: format!("{error:#}") },
    };
    let (mut ours, mut others, mut lookup) = (None, Vec::new(), Lookup::Nothing);
    for found in found {
        match found.outcome {
            Outcome::Done(gateway_id) if ours.is_none() && found.amount == Some(amount) => ours = Some(gateway_id),
            Outcome::Done(gateway_id) => others.push(match found.amount {
                Some(moved) => format!("{gateway_id} moved {moved}, and {amount} was requested"),
                None => format!("{gateway_id} moved an unknown amount, and {amount} was requested"),
            }),
            Outcome::Unknown { why, .. } => lookup = Lookup::Unknown { why },
            Outcome::Refused(_) => {}
        }
    }
    let cause = if ours.is_some() { "moved_twice" } else { "mismatch" };
    for why in others {
        alerts.raise("gateway", cause, subject, &why);
        lookup = Lookup::Unknown { why };
    }
    ours.map_or(lookup, Lookup::Done)
}

/// Separates refunds that moved money from refunds that moved none.
fn partition(refunds: Vec<Refund>) -> Refunds {
    let (failed, rest): (Vec<_>, Vec<_>) = refunds.into_iter().partition(Refund::is_failed);
    let failed = failed.into_iter().map(|refund| FailedRefund {
        subject: refund.metadata.id(REFUND).map(RefundId),
        invoice_id: refund.invoice_id(),
        gateway_id: refund.id,
        charge_id: refund.payment_intent,
    });
    Refunds { moved: rest.into_iter().filter_map(Refund::movement).collect(), failed: failed.collect() }
}

/// Formats an amount for Stripe; returns a refusal, before any request is sent, if Stripe can't represent it.
fn format_amount<T>(amount: Money) -> Result<String, Outcome<T>> {
    let failure = || Failure {
        kind: FailureKind::Rejected,
        code: "amount_not_supported".to_owned(),
        message: "The gateway can't move this amount to the smallest unit; no money was moved.".to_owned(),
    };
    amount::to_stripe(amount).ok_or_else(|| Outcome::Refused(failure()))
}

impl GatewayKind for Stripe {
    const NAME: &'static str = NAME;

    fn moves_money(config: &Config) -> Verdict {
        let is_test = config.section::<StripeConfig>().is_test_mode();
        Verdict::of(!is_test, "STRIPE_SECRET_KEY is a key of the test mode")
    }

    fn open(app: &App) -> anyhow::Result<Self> {
        let (secret_key, base_url) =
            app.config.section::<StripeConfig>().api.as_ref().context("Stripe is not configured")?;
        Self::new(secret_key, base_url, app.config.section::<PaymentsConfig>().bounds(), &app.alerts)
    }
}

impl Gateway for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn circuit(&self) -> Circuit {
        self.api.circuit()
    }

    fn charge(&self, charge: Charge) -> BoxFuture<'_, Outcome> {
        async move {
            let (payment, order) = (charge.payment.to_string(), charge.order.to_string());
            let currency = charge.amount.currency().code().to_ascii_lowercase();
            let amount = match format_amount(charge.amount) {
                Ok(amount) => amount,
                Err(outcome) => return outcome,
            };
            let (of_payment, of_order) = (field(PAYMENT), field(ORDER));
            let mut fields = vec![
                ("amount", amount.as_str()),
                ("currency", &currency),
                ("payment_method", &charge.method),
                ("payment_method_types[0]", "card"),
                ("confirm", "true"),
                // No cardholder is present to complete a challenge: a card that requires one is declined.
                ("error_on_requires_action", "true"),
                (&of_payment, &payment),
                (&of_order, &order),
            ];
            fields.extend(charge.customer.as_deref().map(|customer| ("customer", customer)));
            let result = self.api.post(INTENTS, &fields, &charge.key).await;
            result.map_or_else(|outcome| outcome, PaymentIntent::outcome)
        }
        .boxed()
    }

    fn refund(&self, refund: RefundRequest) -> BoxFuture<'_, Outcome> {
        async move {
            let amount = match format_amount(refund.amount) {
                Ok(amount) => amount,
                Err(outcome) => return outcome,
            };
            let fields = [
                ("payment_intent", refund.charge_id.as_str()),
                ("amount", &amount),
                (&field(REFUND), &refund.refund.to_string()),
            ];
            let result = self.api.post(REFUNDS, &fields, &refund.key).await;
            result.map_or_else(|outcome| outcome, Refund::outcome)
        }
        .boxed()
    }

    /// Searches for a payment that does not exist.
    fn probe(&self) -> BoxFuture<'_, ()> {
        async move { drop(self.search_intents(PaymentId(Uuid::nil())).await) }.boxed()
    }

    fn find_charge(&self, payment: PaymentId, amount: Money) -> BoxFuture<'_, Lookup> {
        async move {
            let intents = self.search_intents(payment).await;
            self.lookup_of(payment, amount, intents).await
        }
        .boxed()
    }

    fn find_listed_charge(
        &self,
        payment: PaymentId,
        amount: Money,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
    ) -> BoxFuture<'_, Lookup> {
        async move {
            let (from, until) = (from.timestamp().to_string(), until.timestamp().to_string());
            let filter = [("created[gte]", from.as_str()), ("created[lte]", until.as_str())];
            let intents = self.api.all(INTENTS, &filter).await;
            self.lookup_of(payment, amount, intents).await
        }
        .boxed()
    }

    fn find_refund<'a>(&'a self, refund: RefundId, charge_id: &'a str, amount: Money) -> BoxFuture<'a, Lookup> {
        async move {
            let id = refund.to_string();
            let refunds = self.refunds_of(charge_id).await;
            let found = refunds.map(|refunds| {
                let ours = refunds.into_iter().filter(|refund| refund.metadata.names(REFUND, &id));
                ours.map(|refund| Found { amount: refund.amount(), outcome: refund.outcome() }).collect()
            });
            decisive_outcome(&self.alerts, refund.0, amount, found)
        }
        .boxed()
    }

    fn external_refunds(&self) -> Option<&dyn ExternalRefunds> {
        Some(self)
    }

    fn statement<'a>(
        &'a self,
        since: Option<DateTime<Utc>>,
        from: Option<&'a str>,
    ) -> BoxFuture<'a, anyhow::Result<Statement>> {
        async move {
            let since = since.map(|since| since.timestamp().to_string());
            let filter: Vec<_> = since.iter().map(|since| ("created[gte]", since.as_str())).collect();
            // Charges first, then refunds, then invoices; a cursor is the part and the last id read.
            let (part, after) = from.and_then(|from| from.split_once(' ')).unwrap_or(("charges", ""));
            let after = Some(after).filter(|after| !after.is_empty());
            let (page, following) = match part {
                "invoices" => (self.invoices(&filter, after).await?, None),
                "refunds" => (self.part(REFUNDS, &filter, after, Refund::movement).await?, Some("invoices ")),
                _ => (self.part(INTENTS, &filter, after, PaymentIntent::movement).await?, Some("refunds ")),
            };
            let next = page.next.map_or_else(|| following.map(str::to_owned), |last| Some(format!("{part} {last}")));
            Ok(Statement { next, ..page })
        }
        .boxed()
    }
}

impl ExternalRefunds for Stripe {
    fn purpose_of_charge<'a>(&'a self, charge: &'a str) -> BoxFuture<'a, anyhow::Result<Purpose>> {
        async move {
            let is_id = charge.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            anyhow::ensure!(is_id && !charge.is_empty(), "{charge:?} is no id of a charge");
            let PaidCharge { invoice, metadata } = self.api.get(&format!("{CHARGES}/{charge}"), &[]).await?;
            Ok(Purpose { payment: metadata.id(PAYMENT).map(PaymentId), invoice })
        }
        .boxed()
    }

    fn refunds<'a>(&'a self, charge_id: &'a str) -> BoxFuture<'a, anyhow::Result<Refunds>> {
        async move { Ok(partition(self.refunds_of(charge_id).await?)) }.boxed()
    }

    fn refunds_since<'a>(
        &'a self,
        since: DateTime<Utc>,
        from: Option<&'a str>,
    ) -> BoxFuture<'a, anyhow::Result<(Refunds, Option<String>)>> {
        async move {
            let since = since.timestamp().to_string();
            let filter = [("created[gte]", since.as_str()), ("expand[]", "data.charge")];
            let page = self.api.page(REFUNDS, &filter, from).await?;
            Ok((partition(page.items), page.next))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
