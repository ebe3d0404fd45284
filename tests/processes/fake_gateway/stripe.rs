//! The part of Stripe's API that is asked for.

use std::collections::BTreeMap;

use http::{Method, request::Parts};
use http_body_util::Full;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    Gateway, HangUp, Response,
    behaviour::Behaviour,
    books::{Books, Line, Movement},
    webhooks,
};

type Form = BTreeMap<String, String>;

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

fn problem(kind: &str, code: &str, message: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": message } })
}

/// Answers a request.
pub(crate) async fn answer(gateway: &Gateway, head: &Parts, body: &[u8]) -> Result<Response, HangUp> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !header("authorization").starts_with("Bearer sk_test") {
        return Ok(respond(401, &problem("invalid_request_error", "api_key", "Invalid API Key provided."), false));
    }
    let query: Form = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let path = head.uri.path();
    if head.method == Method::GET {
        let books = gateway.books.lock().await;
        return Ok(match path {
            "/v1/payment_intents" => respond(200, &list(&books, "charge", &query), false),
            "/v1/payment_intents/search" => respond(200, &search(&books, &query), false),
            "/v1/refunds" => respond(200, &list(&books, "refund", &query), false),
            _ => respond(404, &problem("invalid_request_error", "url", "Unrecognized request URL."), false),
        });
    }
    let form: Form = form_urlencoded::parse(body).into_owned().collect();
    let key = header("idempotency-key").to_owned();
    if !["/v1/payment_intents", "/v1/refunds"].contains(&path) || key.is_empty() || key.len() > 255 {
        return Ok(respond(
            404,
            &problem("invalid_request_error", "url", "Unrecognized request URL, or no key."),
            false,
        ));
    }
    let behaviour = gateway.behaviour.next();
    behaviour.before().await;
    let (status, said, replayed) = match behaviour {
        Behaviour::Refuse(status) => (status, problem("api_error", "told_to", "Told to."), false),
        Behaviour::HangUpBefore => return Err(HangUp),
        _ => once(gateway, path, &form, &key, behaviour).await,
    };
    behaviour.after().await;
    if behaviour == Behaviour::HangUpAfter {
        return Err(HangUp);
    }
    Ok(respond(status, &said, replayed))
}

/// Runs a request, or replays what was kept under its key.
async fn once(gateway: &Gateway, path: &str, form: &Form, key: &str, behaviour: Behaviour) -> (u16, Value, bool) {
    let fingerprint = format!("{path} {form:?}");
    {
        let mut books = gateway.books.lock().await;
        if let Some(kept) = books.kept.get(key) {
            if kept.fingerprint != fingerprint {
                let said = problem("idempotency_error", "idempotency_key_reused", "The key stands for something else.");
                return (400, said, false);
            }
            return (kept.status, kept.body.clone(), true);
        }
        if !books.running.insert(key.to_owned()) {
            let said = problem("invalid_request_error", "idempotency_key_in_use", "The key's request is running.");
            return (409, said, false);
        }
    }
    // A real one takes its time, and duplicates meet it.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let mut books = gateway.books.lock().await;
    books.running.remove(key);
    let (status, body, moved) = match run(&books, path, form, key, behaviour) {
        Ok(ran) => ran,
        // Refused before it ran: nothing is kept.
        Err(said) => return (400, said, false),
    };
    let event = match &moved {
        Some(movement) => Some(webhooks::moved(&books, movement)),
        None if status == 402 => {
            let currency = form.get("currency").map(String::as_str).unwrap_or_default();
            Some(webhooks::declined(&books, amount(form).unwrap_or_default(), currency, &metadata(form)))
        }
        None => None,
    };
    let mut lines: Vec<_> = moved.into_iter().map(Line::Moved).chain(event.map(Line::Event)).collect();
    lines.push(Line::Kept { key: key.to_owned(), fingerprint, status, body: body.clone() });
    match books.write(lines) {
        Ok(()) => {
            gateway.webhooks.happened.notify_one();
            (status, body, false)
        }
        Err(error) => (500, problem("api_error", "disk", &error.to_string()), false),
    }
}

type Ran = (u16, Value, Option<Movement>);

fn run(books: &Books, path: &str, form: &Form, key: &str, behaviour: Behaviour) -> Result<Ran, Value> {
    let broken = || problem("api_error", "broken", "An error occurred.");
    if behaviour == Behaviour::Break {
        return Ok((500, broken(), None));
    }
    let (status, body, moved) =
        if path == "/v1/refunds" { refund(books, form, key)? } else { charge(books, form, key)? };
    if behaviour == Behaviour::MoveAndBreak && moved.is_some() {
        return Ok((500, broken(), moved));
    }
    Ok((status, body, moved))
}

fn wrong(code: &str) -> Value {
    problem("invalid_request_error", code, "The request is not right.")
}

fn metadata(form: &Form) -> BTreeMap<String, String> {
    let inner = |(name, value): (&String, &String)| {
        Some((name.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned(), value.clone()))
    };
    form.iter().filter_map(inner).collect()
}

fn amount(form: &Form) -> Result<i64, Value> {
    form.get("amount").and_then(|text| text.parse().ok()).filter(|&amount| amount > 0).ok_or_else(|| wrong("amount"))
}

fn charge(books: &Books, form: &Form, key: &str) -> Result<Ran, Value> {
    let text = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if text("confirm") != "true"
        || text("currency").len() != 3
        || text("currency").to_ascii_lowercase() != text("currency")
    {
        return Err(wrong("parameter"));
    }
    let code = match text("payment_method") {
        "pm_card_visa" => None,
        "pm_card_visa_chargeDeclined" => Some("generic_decline"),
        "pm_card_visa_chargeDeclinedInsufficientFunds" => Some("insufficient_funds"),
        _ => return Err(wrong("resource_missing")),
    };
    if let Some(code) = code {
        let error = json!({ "type": "card_error", "code": "card_declined", "decline_code": code, "message": "Your card was declined." });
        return Ok((402, json!({ "error": error }), None));
    }
    let movement = Movement {
        kind: "charge".to_owned(),
        id: books.next_id("pi"),
        amount: amount(form)?,
        currency: text("currency").to_owned(),
        of: None,
        metadata: metadata(form),
        key: key.to_owned(),
    };
    Ok((200, object(&movement), Some(movement)))
}

fn refund(books: &Books, form: &Form, key: &str) -> Result<Ran, Value> {
    let of = form.get("payment_intent").cloned().unwrap_or_default();
    let left = books.left(&of).ok_or_else(|| wrong("resource_missing"))?;
    let amount = amount(form)?;
    if amount > left {
        return Err(wrong("charge_already_refunded"));
    }
    let made = books.movements.iter().find(|movement| movement.id == of);
    let movement = Movement {
        kind: "refund".to_owned(),
        id: books.next_id("re"),
        amount,
        currency: made.map(|made| made.currency.clone()).unwrap_or_default(),
        of: Some(of),
        metadata: metadata(form),
        key: key.to_owned(),
    };
    Ok((200, object(&movement), Some(movement)))
}

fn object(movement: &Movement) -> Value {
    json!({
        "id": movement.id, "object": movement.kind, "status": "succeeded", "amount": movement.amount,
        "currency": movement.currency, "payment_intent": movement.of, "metadata": movement.metadata,
    })
}

/// Newest first, as Stripe lists.
fn list(books: &Books, kind: &str, query: &Form) -> Value {
    let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(10_usize);
    let of = query.get("payment_intent");
    let all = books.movements.iter().rev().filter(|movement| movement.kind == kind);
    let all = all.filter(|movement| of.is_none() || movement.of.as_ref() == of);
    let mut rest: Vec<_> = all.collect();
    if let Some(after) = query.get("starting_after") {
        let at = rest.iter().position(|movement| movement.id == *after).map_or(rest.len(), |at| at + 1);
        rest.drain(..at);
    }
    let page: Vec<_> = rest.iter().take(limit).map(|movement| object(movement)).collect();
    json!({ "object": "list", "has_more": rest.len() > page.len(), "data": page })
}

/// `metadata['name']:'value'`.
fn search(books: &Books, query: &Form) -> Value {
    let text = query.get("query").map(String::as_str).unwrap_or_default();
    let parts: Vec<_> = text.split('\'').collect();
    let found = |movement: &&Movement| match parts.as_slice() {
        ["metadata[", name, "]:", value, ""] => movement.metadata.get(*name).is_some_and(|known| known == value),
        _ => false,
    };
    let found: Vec<_> = books.movements.iter().filter(|m| m.kind == "charge").filter(found).map(object).collect();
    json!({ "object": "search_result", "has_more": false, "data": found })
}
