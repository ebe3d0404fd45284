//! The building blocks of requests and responses.

use std::collections::BTreeMap;

use http_body_util::Full;
use mainstay_kernel::clock::Clock;
use serde_json::{Value, json};

use crate::{
    Response,
    books::{Books, Line, Movement},
};

pub(crate) type Form = BTreeMap<String, String>;

/// The outcome of a request: the response and the ledger lines.
pub(crate) type Ran = (u16, Value, Vec<Line>);

/// Returns the time in Unix seconds.
pub(crate) fn now() -> i64 {
    Clock::default().now().timestamp()
}

pub(crate) fn respond(status: u16, body: &Value, replayed: bool) -> Response {
    let mut response = http::Response::builder().status(status).header("content-type", "application/json");
    if replayed {
        response = response.header("idempotent-replayed", "true");
    }
    if status == 429 {
        response = response.header("retry-after", "1");
    }
    response.body(Full::from(body.to_string())).expect("a response")
}

pub(crate) fn problem(kind: &str, code: &str, message: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": message } })
}

pub(crate) fn wrong(code: &str) -> Value {
    problem("invalid_request_error", code, "The request is not right.")
}

/// Returns the error that an object named by a parameter does not exist.
pub(crate) fn missing(param: &str) -> Value {
    let mut problem = problem("invalid_request_error", "resource_missing", "No such object.");
    problem["error"]["param"] = param.into();
    problem
}

pub(crate) fn metadata(form: &Form) -> BTreeMap<String, String> {
    let inner = |(name, value): (&String, &String)| {
        Some((name.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned(), value.clone()))
    };
    form.iter().filter_map(inner).collect()
}

/// The error for a card that its bank declines.
pub(crate) fn declined(code: &str) -> Value {
    let error = json!({ "type": "card_error", "code": "card_declined", "decline_code": code, "message": "Your card was declined." });
    json!({ "error": error })
}

pub(crate) fn object(books: &Books, movement: &Movement) -> Value {
    let status = if books.returned.contains(&movement.id) { "failed" } else { "succeeded" };
    json!({
        "id": movement.id, "object": movement.kind, "status": status, "amount": movement.amount,
        "currency": movement.currency, "payment_intent": movement.of.as_deref().map(intent_of),
        "charge": movement.of.as_deref().map(charge_of), "metadata": movement.metadata,
    })
}

/// Returns the id of the intent that a charge belongs to; a charge that paid an invoice has a separate intent.
pub(crate) fn intent_of(of: &str) -> String {
    if of.starts_with("in_") { format!("pi_{of}") } else { of.to_owned() }
}

/// The id of the charge of an intent or an invoice.
pub(crate) fn charge_of(of: &str) -> String {
    intent_of(of).replacen("pi_", "ch_", 1)
}

/// The invoice that a charge paid.
pub(crate) fn invoice_of(of: &str) -> Option<&str> {
    Some(of).filter(|of| of.starts_with("in_"))
}

pub(crate) fn created(object: Value) -> Result<Ran, Value> {
    Ok((200, object.clone(), vec![Line::Object { object }]))
}

pub(crate) fn text<'f>(form: &'f Form, name: &str) -> Result<&'f str, Value> {
    form.get(name).map(String::as_str).filter(|text| !text.is_empty()).ok_or_else(|| wrong(name))
}
