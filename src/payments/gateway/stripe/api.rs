//! Stripe's HTTP API: form-encoded requests, `Idempotency-Key`, JSON responses, paged lists, and Stripe's taxonomy of
//! errors (<https://docs.stripe.com/api/errors>, <https://docs.stripe.com/api/idempotent_requests>).
//!
//! What an error implies for the request:
//!
//! | response | outcome |
//! |---|---|
//! | 402 `card_error` | refused: Stripe stores it under the key |
//! | 400, 404 `invalid_request_error` | refused: the request never ran, and never will |
//! | 400 `idempotency_error`, 409 | unknown: the key was used for another request, or the request is still running |
//! | 401, 403, 429 | unknown: this request did nothing, but an earlier one under the key may have |
//! | 5xx, no response | unknown; a 5xx with `Idempotent-Replayed` is repeated under the key permanently |

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded::Serializer};

use crate::payments::{
    gateway::{CUSTOMER_MISSING, Outcome},
    settlement::model::{Failure, FailureKind},
};
use mainstay_kernel::{
    alert::Alerts,
    breaker::Circuit,
    outbound::{Bounds, Client, Error, Request, Response},
};

/// The API version that the types here are written for.
const VERSION: &str = "2024-06-20";
/// The maximum page size.
const PAGE_SIZE: &str = "100";
/// The maximum number of pages of a whole list (10,000 objects), more than any payment has refunds or any subscription
/// has invoices. A longer list of charges leaves the outcome of a charge unknown.
const MAX_PAGES: usize = 100;

/// The fields of a form or a query string.
pub(crate) type Fields<'a> = [(&'a str, &'a str)];

/// The API, called through one client with its circuit breaker, retry budget and bulkhead.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    base_url: Url,
    authorization: HeaderValue,
}

/// An object that is returned in lists.
pub(crate) trait Listed: DeserializeOwned {
    /// The id, which is the cursor of the next page if the object is the last of its page.
    fn id(&self) -> &str;
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The id after which the next page begins, if there is one.
    pub(crate) next: Option<String>,
}

/// A list, or the part of it that a response contains.
#[derive(Debug, Deserialize)]
pub(crate) struct List<T> {
    pub(crate) data: Vec<T>,
    #[serde(default)]
    pub(crate) has_more: bool,
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
    #[serde(default)]
    param: Option<String>,
}

impl ProblemBody {
    /// Returns the most specific code that Stripe or this module defines for the problem.
    fn code(&self) -> Option<&str> {
        match (self.code.as_deref(), self.param.as_deref()) {
            (Some("resource_missing"), Some("customer")) => Some(CUSTOMER_MISSING),
            (code, _) => self.decline_code.as_deref().or(code),
        }
    }
}

impl Api {
    pub(crate) fn new(
        secret_key: &SecretString,
        base_url: &Url,
        bounds: Bounds,
        alerts: &Alerts,
    ) -> anyhow::Result<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", secret_key.expose_secret()))?;
        authorization.set_sensitive(true);
        Ok(Self { client: Client::new("stripe", bounds, alerts)?, base_url: base_url.clone(), authorization })
    }

    pub(crate) fn circuit(&self) -> Circuit {
        self.client.circuit()
    }

    /// Sends a POST request and returns the object, or the outcome of the error.
    pub(crate) async fn post<O: DeserializeOwned, T>(
        &self,
        path: &str,
        fields: &Fields<'_>,
        key: &str,
    ) -> Result<O, Outcome<T>> {
        read(&self.send(Method::POST, path, fields, Some(key)).await?)
    }

    /// Sends a DELETE request and returns the object, or the outcome of the error. Stripe ignores idempotency keys
    /// here; the client does not retry a request without a key.
    pub(crate) async fn delete<O: DeserializeOwned, T>(&self, path: &str, key: &str) -> Result<O, Outcome<T>> {
        read(&self.send(Method::DELETE, path, &[], Some(key)).await?)
    }

    /// Sends a GET request and returns the object, or the outcome of the error: `Refused` if it does not exist.
    pub(crate) async fn get_object<O: DeserializeOwned, T>(&self, path: &str) -> Result<O, Outcome<T>> {
        read(&self.send(Method::GET, path, &[], None).await?)
    }

    /// Sends a GET request and returns the object.
    pub(crate) async fn get<O: DeserializeOwned>(&self, path: &str, query: &Fields<'_>) -> anyhow::Result<O> {
        let answer = self.client.send(self.request(Method::GET, path, query, None)?).await?;
        Ok(serde_json::from_slice(answer.body())?)
    }

    /// Returns a page of a list, newest first, from the beginning or after an id.
    pub(crate) async fn page<O: Listed>(
        &self,
        path: &str,
        filter: &Fields<'_>,
        after: Option<&str>,
    ) -> anyhow::Result<Page<O>> {
        let mut query = [filter, &[("limit", PAGE_SIZE)]].concat();
        query.extend(after.map(|after| ("starting_after", after)));
        let list: List<O> = self.get(path, &query).await?;
        let next = list.data.last().map(|last| last.id().to_owned()).filter(|_| list.has_more);
        Ok(Page { items: list.data, next })
    }

    /// Returns a whole list, newest first.
    ///
    /// # Errors
    /// An error if the list does not end: it exceeds `MAX_PAGES`, or a page leads back to itself.
    pub(crate) async fn all<O: Listed>(&self, path: &str, filter: &Fields<'_>) -> anyhow::Result<Vec<O>> {
        let mut pages = Pages::default();
        loop {
            let page = self.page(path, filter, pages.after.as_deref()).await?;
            if pages.add(page)? {
                return Ok(pages.items);
            }
        }
    }

    /// Returns all objects with an id under a name in their metadata. Stripe's index is eventually consistent
    /// (<https://docs.stripe.com/search#data-freshness>).
    pub(crate) async fn search<O: DeserializeOwned>(&self, path: &str, name: &str, id: &str) -> anyhow::Result<Vec<O>> {
        let query = format!("metadata['{name}']:'{id}'");
        let list: List<O> = self.get(path, &[("query", &query), ("limit", PAGE_SIZE)]).await?;
        anyhow::ensure!(!list.has_more, "there are more than were read");
        Ok(list.data)
    }

    async fn send<T>(
        &self,
        method: Method,
        path: &str,
        fields: &Fields<'_>,
        key: Option<&str>,
    ) -> Result<Response, Outcome<T>> {
        let request = self.request(method, path, fields, key).map_err(unknown)?;
        self.client.send(request).await.map_err(|error| outcome_of_failure(&error))
    }

    fn request(&self, method: Method, path: &str, fields: &Fields<'_>, key: Option<&str>) -> anyhow::Result<Request> {
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
}

/// The pages of a list that were read.
struct Pages<T> {
    items: Vec<T>,
    count: usize,
    /// The cursor of the next page.
    after: Option<String>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { items: Vec::new(), count: 0, after: None }
    }
}

impl<T> Pages<T> {
    /// Adds a page, and returns whether it is the last one.
    fn add(&mut self, page: Page<T>) -> anyhow::Result<bool> {
        self.items.extend(page.items);
        self.count += 1;
        anyhow::ensure!(page.next.is_none() || page.next != self.after, "a page leads back to itself");
        anyhow::ensure!(page.next.is_none() || self.count < MAX_PAGES, "there are more than {MAX_PAGES} pages");
        self.after = page.next;
        Ok(self.after.is_none())
    }
}

/// Parses the object in a response.
fn read<O: DeserializeOwned, T>(answer: &Response) -> Result<O, Outcome<T>> {
    serde_json::from_slice(answer.body()).map_err(|error| unknown(format!("not an object: {error}")))
}

/// Returns an unknown outcome.
pub(crate) fn unknown<T>(why: impl ToString) -> Outcome<T> {
    Outcome::Unknown { why: why.to_string(), remembered: false }
}

/// Returns what a failed call implies for the request.
fn outcome_of_failure<T>(error: &Error) -> Outcome<T> {
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
        problem.map(|problem| (problem.code().map(str::to_owned), problem.message)).unwrap_or_default();
    // Stripe's messages about cards are meant for the cardholder; those about requests are meant for developers.
    let message = message.filter(|_| kind == FailureKind::Declined);
    Outcome::Refused(Failure {
        kind,
        code: code.unwrap_or_else(|| "unspecified".to_owned()),
        message: message.unwrap_or_else(|| "The gateway refused the request; no money was moved.".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(next: Option<usize>) -> Page<usize> {
        Page { items: vec![7], next: next.map(|next| next.to_string()) }
    }

    #[test]
    fn a_list_is_read_to_its_end() {
        let mut pages = Pages::default();
        assert!(!pages.add(page(Some(1))).expect("more") && !pages.add(page(Some(2))).expect("more"));
        assert!(pages.add(page(None)).expect("the end"));
        assert_eq!((pages.items.len(), pages.count), (3, 3));
    }

    #[test]
    fn a_list_without_an_end_is_an_error() {
        let mut pages = Pages::default();
        let read = (1..=MAX_PAGES + 1).take_while(|&number| pages.add(page(Some(number))).is_ok()).count();
        assert_eq!(read, MAX_PAGES - 1);
        let mut pages = Pages::default();
        assert!(!pages.add(page(Some(1))).expect("more"));
        assert!(pages.add(page(Some(1))).is_err(), "leads back to itself");
    }
}
