//! Stripe over HTTP: form-encoded requests, `Idempotency-Key`, JSON answers, and Stripe's own taxonomy of errors
//! (<https://docs.stripe.com/api/errors>, <https://docs.stripe.com/api/idempotent_requests>).
//!
//! What an error says about the money:
//!
//! | answer | outcome |
//! |---|---|
//! | 402 `card_error` | refused: Stripe keeps it under the key |
//! | 400, 404 `invalid_request_error` | refused: it never ran, and never will |
//! | 400 `idempotency_error`, 409 | unknown: the key stands for something else, or it is still running |
//! | 401, 403, 429 | unknown: this try did nothing, an earlier one under the key may have |
//! | 5xx, no answer | unknown; a 5xx that comes with `Idempotent-Replayed` is what the key will say for good |

pub(crate) mod amount;
mod customers;
mod subscriptions;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded::Serializer};

use super::{Charge, Found, Gateway, Kind, Movement, Outcome, Refunds, Return, Statement};
use crate::{
    domain::{
        effect::{Failure, FailureKind},
        money::Money,
    },
    id::{PaymentId, RefundId},
    outbound::{Bounds, Circuit, Client, Error, Request},
};

/// The version of the API that the shapes below are of.
const VERSION: &str = "2024-06-20";
/// What our ids stand under in Stripe's metadata.
const PAYMENT: &str = "mainstay_payment";
const REFUND: &str = "mainstay_refund";

/// Stripe.
#[derive(Debug)]
pub(super) struct Stripe {
    client: Client,
    base_url: Url,
    authorization: HeaderValue,
}

/// A payment intent or a refund, as much of it as matters here.
#[derive(Debug, Deserialize)]
struct Object {
    id: String,
    status: String,
    amount: i64,
    currency: String,
    /// Of a refund.
    #[serde(default)]
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct List<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Debug, Deserialize)]
struct Problem {
    error: ProblemBody,
}

#[derive(Debug, Deserialize)]
struct ProblemBody {
    r#type: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    decline_code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Stripe {
    pub(super) fn new(secret_key: &SecretString, base_url: &Url, bounds: Bounds) -> anyhow::Result<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", secret_key.expose_secret()))?;
        authorization.set_sensitive(true);
        Ok(Self { client: Client::new("stripe", bounds)?, base_url: base_url.clone(), authorization })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        key: Option<&str>,
    ) -> anyhow::Result<Request> {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut url = self.base_url.join(path)?;
        let body = if method == Method::GET {
            url.set_query(Some(&form).filter(|form| !form.is_empty()).map(String::as_str));
            Bytes::new()
        } else {
            form.into()
        };
        let mut request = http::Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::USER_AGENT, concat!("mainstay/", env!("CARGO_PKG_VERSION")))
            .header("stripe-version", VERSION);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Ok(request.body(body)?)
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)], key: &str) -> Outcome {
        match self.make::<Object, _>(path, fields, key).await {
            Ok(object) => object.outcome(),
            Err(outcome) => outcome,
        }
    }

    /// What a POST makes, or what its failure says.
    async fn make<O: DeserializeOwned, T>(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        key: &str,
    ) -> Result<O, Outcome<T>> {
        let request = self.request(Method::POST, path, fields, Some(key)).map_err(unknown)?;
        let answer = self.client.send(request).await.map_err(|error| failed(&error))?;
        serde_json::from_slice(answer.body()).map_err(|error| unknown(format!("not an object: {error}")))
    }

    async fn get<O: DeserializeOwned>(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<O> {
        let answer = self.client.send(self.request(Method::GET, path, fields, None)?).await?;
        Ok(serde_json::from_slice(answer.body())?)
    }

    /// A page of movements, and the id its next page begins after.
    async fn moved(
        &self,
        kind: Kind,
        path: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<(Vec<Movement>, Option<String>)> {
        let list: List<Object> = self.get(path, fields).await?;
        let last = list.data.last().map(|object| object.id.clone()).filter(|_| list.has_more);
        Ok((list.data.into_iter().filter_map(|object| object.movement(kind)).collect(), last))
    }

    /// Every refund of a charge, or since a time, in seconds.
    async fn every_refund(&self, which: (&str, &str)) -> anyhow::Result<Vec<Object>> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut fields = vec![which, ("limit", "100")];
            fields.extend(after.as_deref().map(|after| ("starting_after", after)));
            let list: List<Object> = self.get("/v1/refunds", &fields).await?;
            after = list.data.last().map(|object| object.id.clone()).filter(|_| list.has_more);
            found.extend(list.data);
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// The intents of a payment, each of them at its end: one that Stripe left before it was confirmed is cancelled, for
    /// nobody will go on with it, and while it is open it is not known to have done nothing.
    async fn intents_of(&self, payment: &str) -> anyhow::Result<Vec<Object>> {
        let query = format!("metadata['{PAYMENT}']:'{payment}'");
        let list: List<Object> = self.get("/v1/payment_intents/search", &[("query", &query), ("limit", "100")]).await?;
        anyhow::ensure!(!list.has_more, "there are more than were read");
        let mut intents = Vec::new();
        for intent in list.data {
            let intent = if intent.is_for(PAYMENT, payment) && intent.is_left_open() {
                self.cancel_intent(&intent.id).await?
            } else {
                intent
            };
            intents.push(intent);
        }
        Ok(intents)
    }

    async fn cancel_intent(&self, id: &str) -> anyhow::Result<Object> {
        let (path, key) = (format!("/v1/payment_intents/{id}"), format!("{id}-cancel"));
        let cancelled = self.make::<Object, ()>(&format!("{path}/cancel"), &[], &key).await;
        match cancelled {
            Ok(intent) => Ok(intent),
            // It may have come to an end meanwhile.
            Err(_) => self.get(&path, &[]).await,
        }
    }

    /// The first of `objects` that is for `subject` and moved money, or may yet.
    fn found(objects: anyhow::Result<Vec<Object>>, metadata: &str, subject: &str) -> Found {
        let objects = match objects {
            Ok(objects) => objects,
            Err(error) => return Found::Unknown { why: format!("{error:#}") },
        };
        let mut found = Found::Nothing;
        for object in objects.into_iter().filter(|object| object.is_for(metadata, subject)) {
            match object.outcome() {
                Outcome::Done(gateway_id) => return Found::Done(gateway_id),
                Outcome::Unknown { why, .. } => found = Found::Unknown { why },
                Outcome::Refused(_) => {}
            }
        }
        found
    }
}

impl Object {
    fn is_for(&self, metadata: &str, subject: &str) -> bool {
        self.metadata.get(metadata).is_some_and(|id| id == subject)
    }

    /// Whether it is an intent that waits for somebody.
    fn is_left_open(&self) -> bool {
        matches!(self.status.as_str(), "requires_confirmation" | "requires_action" | "requires_capture")
    }

    /// What its status says. A refund that is `pending` is on its way, and Stripe owes it from then on.
    fn outcome(self) -> Outcome {
        match (self.status.as_str(), self.id.starts_with("re_")) {
            ("succeeded", _) | ("pending", true) => Outcome::Done(self.id),
            ("requires_payment_method" | "canceled" | "failed", _) => Outcome::Refused(Failure {
                kind: FailureKind::Declined,
                code: self.status,
                message: "The payment was not made.".to_owned(),
            }),
            (status, _) => unknown(format!("it is {status}")),
        }
    }

    fn movement(self, kind: Kind) -> Option<Movement> {
        let name = if kind == Kind::Charge { PAYMENT } else { REFUND };
        let subject = self.metadata.get(name).and_then(|id| id.parse().ok());
        let charge_id = self.payment_intent.clone();
        // Whoever else uses the account has charges too.
        if kind == Kind::Charge && subject.is_none() {
            return None;
        }
        let amount = amount::from_stripe(self.amount, &self.currency)?;
        match self.outcome() {
            Outcome::Done(gateway_id) => {
                Some(Movement { kind, subject, gateway_id, charge_id, subscription_id: None, amount })
            }
            _ => None,
        }
    }
}

/// An amount that Stripe has no words for is refused before it is asked.
fn written<T>(amount: Money) -> Result<String, Outcome<T>> {
    let refused = || Failure {
        kind: FailureKind::Rejected,
        code: "amount_not_supported".to_owned(),
        message: "The gateway can't move this amount to the smallest unit; nothing was charged.".to_owned(),
    };
    amount::to_stripe(amount).ok_or_else(|| Outcome::Refused(refused()))
}

fn unknown<T>(why: impl ToString) -> Outcome<T> {
    Outcome::Unknown { why: why.to_string(), remembered: false }
}

/// What a failed call says about the money.
fn failed<T>(error: &Error) -> Outcome<T> {
    let Some(answer) = &error.answer else { return unknown(error) };
    let problem = serde_json::from_slice::<Problem>(answer.body()).map(|problem| problem.error);
    let kind = match (answer.status().as_u16(), problem.as_ref().map(|problem| problem.r#type.as_str())) {
        (402, Ok("card_error")) => FailureKind::Declined,
        (400 | 404, Ok("invalid_request_error")) => FailureKind::Rejected,
        _ => {
            let remembered = answer.status().is_server_error() && error.is_replay();
            return Outcome::Unknown { why: error.to_string(), remembered };
        }
    };
    let (code, message) =
        problem.map(|problem| (problem.decline_code.or(problem.code), problem.message)).unwrap_or_default();
    // What Stripe says of a card is meant for its holder; what it says of a request is meant for us.
    let message = message.filter(|_| kind == FailureKind::Declined);
    Outcome::Refused(Failure {
        kind,
        code: code.unwrap_or_else(|| "unspecified".to_owned()),
        message: message.unwrap_or_else(|| "The payment was refused; nothing was charged.".to_owned()),
    })
}

impl Gateway for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn circuit(&self) -> Circuit {
        self.client.circuit()
    }

    fn charge(&self, charge: Charge) -> BoxFuture<'_, Outcome> {
        async move {
            let (payment, order) = (charge.payment.to_string(), charge.order.to_string());
            let currency = charge.amount.currency().code().to_ascii_lowercase();
            let amount = match written(charge.amount) {
                Ok(amount) => amount,
                Err(refused) => return refused,
            };
            let mut fields = vec![
                ("amount", amount),
                ("currency", currency),
                ("payment_method", charge.method),
                ("payment_method_types[0]", "card".to_owned()),
                ("confirm", "true".to_owned()),
                // Nobody is there to answer a challenge: a card that wants one is declined.
                ("error_on_requires_action", "true".to_owned()),
                ("metadata[mainstay_payment]", payment),
                ("metadata[mainstay_order]", order),
            ];
            fields.extend(charge.customer.map(|customer| ("customer", customer)));
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.post("/v1/payment_intents", &fields, &charge.key).await
        }
        .boxed()
    }

    fn give_back(&self, refund: Return) -> BoxFuture<'_, Outcome> {
        async move {
            let id = refund.refund.to_string();
            let amount = match written(refund.amount) {
                Ok(amount) => amount,
                Err(refused) => return refused,
            };
            let fields = [
                ("payment_intent", refund.charge_id.as_str()),
                ("amount", amount.as_str()),
                ("metadata[mainstay_refund]", id.as_str()),
            ];
            self.post("/v1/refunds", &fields, &refund.key).await
        }
        .boxed()
    }

    fn find_charge(&self, payment: PaymentId) -> BoxFuture<'_, Found> {
        async move {
            let payment = payment.to_string();
            Self::found(self.intents_of(&payment).await, PAYMENT, &payment)
        }
        .boxed()
    }

    fn find_refund<'a>(&'a self, refund: RefundId, charge_id: &'a str) -> BoxFuture<'a, Found> {
        async move { Self::found(self.every_refund(("payment_intent", charge_id)).await, REFUND, &refund.to_string()) }
            .boxed()
    }

    fn refunds<'a>(&'a self, charge_id: &'a str) -> BoxFuture<'a, anyhow::Result<Refunds>> {
        async move {
            let mut refunds = Refunds::default();
            for object in self.every_refund(("payment_intent", charge_id)).await? {
                if matches!(object.status.as_str(), "failed" | "canceled") {
                    refunds.failed.push(object.id);
                } else {
                    refunds.moved.extend(object.movement(Kind::Refund));
                }
            }
            Ok(refunds)
        }
        .boxed()
    }

    fn refunds_since(&self, since: DateTime<Utc>) -> BoxFuture<'_, anyhow::Result<Vec<Movement>>> {
        async move {
            let all = self.every_refund(("created[gte]", &since.timestamp().to_string())).await?;
            Ok(all.into_iter().filter_map(|object| object.movement(Kind::Refund)).collect())
        }
        .boxed()
    }

    fn statement<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, anyhow::Result<Statement>> {
        async move {
            // Charges to the end, then refunds, then invoices; a cursor is the part and the last id read.
            let (part, after) = from.and_then(|from| from.split_once(' ')).unwrap_or(("charges", ""));
            let mut fields = vec![("limit", "100")];
            if !after.is_empty() {
                fields.push(("starting_after", after));
            }
            let (movements, last, following) = match part {
                "invoices" => {
                    let (movements, last) = self.invoices(&fields).await?;
                    (movements, last, None)
                }
                "refunds" => {
                    let (movements, last) = self.moved(Kind::Refund, "/v1/refunds", &fields).await?;
                    (movements, last, Some("invoices "))
                }
                _ => {
                    let (movements, last) = self.moved(Kind::Charge, "/v1/payment_intents", &fields).await?;
                    (movements, last, Some("refunds "))
                }
            };
            let next = last.map_or_else(|| following.map(str::to_owned), |last| Some(format!("{part} {last}")));
            Ok(Statement { movements, next })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: &str, id: &str) -> Outcome {
        let json = format!(r#"{{"id":"{id}","status":"{status}","amount":1,"currency":"eur","metadata":{{}}}}"#);
        serde_json::from_str::<Object>(&json).expect("an object").outcome()
    }

    #[test]
    fn only_what_is_final_is_taken_as_such() {
        assert_eq!(outcome("succeeded", "pi_1"), Outcome::Done("pi_1".into()));
        assert_eq!(outcome("pending", "re_1"), Outcome::Done("re_1".into()));
        for status in ["pending", "processing", "requires_action", "requires_capture", "something_new"] {
            assert!(matches!(outcome(status, "pi_1"), Outcome::Unknown { .. }), "{status}");
        }
        assert!(matches!(outcome("canceled", "pi_1"), Outcome::Refused(_)));
    }

    #[test]
    fn only_what_did_nothing_is_nothing() {
        let of = |status: &str, subject: &str| {
            let json = format!(
                r#"{{"id":"pi_1","status":"{status}","amount":1,"currency":"eur","metadata":{{"{PAYMENT}":"{subject}"}}}}"#
            );
            let object = serde_json::from_str::<Object>(&json).expect("an object");
            Stripe::found(Ok(vec![object]), PAYMENT, "one")
        };
        assert_eq!(Stripe::found(Ok(Vec::new()), PAYMENT, "one"), Found::Nothing);
        assert!(matches!(Stripe::found(Err(anyhow::anyhow!("away")), PAYMENT, "one"), Found::Unknown { .. }));
        assert_eq!(of("succeeded", "one"), Found::Done("pi_1".into()));
        assert_eq!(of("succeeded", "other"), Found::Nothing);
        assert_eq!(of("canceled", "one"), Found::Nothing);
        for open in ["processing", "requires_confirmation", "requires_action"] {
            assert!(matches!(of(open, "one"), Found::Unknown { .. }), "{open}");
        }
    }
}
