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

mod subscriptions;

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded::Serializer};

use super::{Charge, Found, Gateway, Kind, Movement, Outcome, Return, Statement};
use crate::{
    domain::{
        effect::{Failure, FailureKind},
        money::{Currency, Money},
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
struct List {
    data: Vec<Object>,
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
        let list: List = self.get(path, fields).await?;
        let last = list.data.last().map(|object| object.id.clone()).filter(|_| list.has_more);
        Ok((list.data.into_iter().filter_map(|object| object.movement(kind)).collect(), last))
    }

    /// The first of `found` that is for `subject` and moved money, or may yet.
    fn found(list: anyhow::Result<List>, metadata: &str, subject: &str) -> Found {
        let list = match list {
            Ok(list) => list,
            Err(error) => return Found::Unknown { why: format!("{error:#}") },
        };
        let ours = list.data.into_iter().filter(|object| object.metadata.get(metadata).is_some_and(|id| id == subject));
        let mut found = Found::Nothing;
        for object in ours {
            match object.outcome() {
                Outcome::Done(gateway_id) => return Found::Done(gateway_id),
                Outcome::Unknown { why, .. } => found = Found::Unknown { why },
                Outcome::Refused(_) => {}
            }
        }
        if found == Found::Nothing && list.has_more {
            return Found::Unknown { why: "there are more than were read".to_owned() };
        }
        found
    }
}

impl Object {
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
        let amount = money(self.amount, &self.currency)?;
        match self.outcome() {
            Outcome::Done(gateway_id) => Some(Movement { kind, subject, gateway_id, charge_id, amount }),
            _ => None,
        }
    }
}

/// An amount in Stripe's words.
fn money(minor: i64, currency: &str) -> Option<Money> {
    Money::new(minor, Currency::parse(&currency.to_ascii_uppercase())?).ok()
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
            let fields = [
                ("amount", charge.amount.minor().to_string()),
                ("currency", currency),
                ("payment_method", charge.method),
                ("payment_method_types[0]", "card".to_owned()),
                ("confirm", "true".to_owned()),
                // Nobody is there to answer a challenge: a card that wants one is declined.
                ("error_on_requires_action", "true".to_owned()),
                ("metadata[mainstay_payment]", payment),
                ("metadata[mainstay_order]", order),
            ];
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.post("/v1/payment_intents", &fields, &charge.key).await
        }
        .boxed()
    }

    fn give_back(&self, refund: Return) -> BoxFuture<'_, Outcome> {
        async move {
            let (id, amount) = (refund.refund.to_string(), refund.amount.minor().to_string());
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
            let query = format!("metadata['{PAYMENT}']:'{payment}'");
            let list = self.get("/v1/payment_intents/search", &[("query", &query), ("limit", "100")]).await;
            Self::found(list, PAYMENT, &payment)
        }
        .boxed()
    }

    fn find_refund<'a>(&'a self, refund: RefundId, charge_id: &'a str) -> BoxFuture<'a, Found> {
        async move {
            let list = self.get("/v1/refunds", &[("payment_intent", charge_id), ("limit", "100")]).await;
            Self::found(list, REFUND, &refund.to_string())
        }
        .boxed()
    }

    fn refunds<'a>(&'a self, charge_id: &'a str) -> BoxFuture<'a, anyhow::Result<Vec<Movement>>> {
        async move {
            let (mut found, mut after) = (Vec::new(), None::<String>);
            loop {
                let mut fields = vec![("payment_intent", charge_id), ("limit", "100")];
                fields.extend(after.as_deref().map(|after| ("starting_after", after)));
                let (movements, last) = self.moved(Kind::Refund, "/v1/refunds", &fields).await?;
                found.extend(movements);
                after = last;
                if after.is_none() {
                    return Ok(found);
                }
            }
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
    fn a_search_that_is_not_complete_has_not_found_nothing() {
        let list = |json: &str| serde_json::from_str::<List>(json).map_err(Into::into);
        let of = |json: &str| Stripe::found(list(json), PAYMENT, "one");
        assert_eq!(of(r#"{"data":[]}"#), Found::Nothing);
        assert!(matches!(of(r#"{"data":[],"has_more":true}"#), Found::Unknown { .. }));
        assert!(matches!(of("{}"), Found::Unknown { .. }));
        let pi = |status: &str, subject: &str| {
            format!(
                r#"{{"data":[{{"id":"pi_1","status":"{status}","amount":1,"currency":"eur","metadata":{{"{PAYMENT}":"{subject}"}}}}]}}"#
            )
        };
        assert_eq!(of(&pi("succeeded", "one")), Found::Done("pi_1".into()));
        assert_eq!(of(&pi("succeeded", "other")), Found::Nothing);
        assert!(matches!(of(&pi("processing", "one")), Found::Unknown { .. }));
        assert_eq!(of(&pi("canceled", "one")), Found::Nothing);
    }
}
