//! The part of Stripe's API that Mainstay uses.

use http::{Method, request::Parts};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    Gateway, HangUp, Response,
    behaviour::Behaviour,
    books::{Books, Line, Movement},
    cards,
    objects::{Form, Ran, charge_of, declined, intent_of, invoice_of, metadata, now, object, problem, respond, wrong},
    subscriptions, webhooks,
};

/// The paths that move money at once.
const MONEY: [&str; 2] = ["/v1/payment_intents", "/v1/refunds"];

/// A charge, with the metadata of its intent, or the invoice that it paid; see [`charge_of`].
fn charge_at(books: &Books, path: &str) -> Value {
    let id = path.trim_start_matches("/v1/charges/");
    let of = id.strip_prefix("ch_").unwrap_or(id);
    let intent = books.movements.iter().find(|movement| movement.kind == "charge" && charge_of(&movement.id) == id);
    let metadata = intent.map(|intent| intent.metadata.clone()).unwrap_or_default();
    json!({ "id": id, "object": "charge", "invoice": invoice_of(of), "metadata": metadata })
}

fn read(books: &Books, path: &str, query: &Form) -> Response {
    match path {
        "/v1/payment_intents" => respond(200, &list(books, "charge", query), false),
        "/v1/payment_intents/search" => respond(200, &search(books, query), false),
        "/v1/refunds" => respond(200, &list(books, "refund", query), false),
        _ if path.starts_with("/v1/charges/") => respond(200, &charge_at(books, path), false),
        _ if intent(books, path).is_some() => respond(200, &intent(books, path).unwrap_or_default(), false),
        _ => subscriptions::read(books, path, query).unwrap_or_else(|| {
            respond(404, &problem("invalid_request_error", "url", "Unrecognized request URL."), false)
        }),
    }
}

/// Answers a request.
pub(crate) async fn answer(gateway: &Gateway, head: &Parts, body: &[u8]) -> Result<Response, HangUp> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !header("authorization").starts_with("Bearer sk_test") {
        return Ok(respond(401, &problem("invalid_request_error", "api_key", "Invalid API Key provided."), false));
    }
    let query: Form = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let path = head.uri.path();
    let behaviour = gateway.behaviour.next(&head.method, path);
    if head.method == Method::GET {
        behaviour.before().await;
        let response = read(&*gateway.books.lock().await, path, &query);
        behaviour.after().await;
        return match behaviour {
            Behaviour::Refuse(status) => Ok(respond(status, &refusal(status), false)),
            Behaviour::HangUpBefore | Behaviour::HangUpAfter => Err(HangUp),
            _ => Ok(response),
        };
    }
    let form: Form = form_urlencoded::parse(body).into_owned().collect();
    let key = header("idempotency-key").to_owned();
    let is_known = MONEY.contains(&path) || cancelled(path).is_some() || subscriptions::is_known(&head.method, path);
    if !is_known || key.is_empty() || key.len() > 255 {
        return Ok(respond(
            404,
            &problem("invalid_request_error", "url", "Unrecognized request URL, or no key."),
            false,
        ));
    }
    behaviour.before().await;
    let (status, body, replayed) = match behaviour {
        Behaviour::Refuse(status) => (status, refusal(status), false),
        Behaviour::HangUpBefore => return Err(HangUp),
        _ => once(gateway, (&head.method, path), &form, &key, behaviour).await,
    };
    behaviour.after().await;
    if behaviour == Behaviour::HangUpAfter {
        return Err(HangUp);
    }
    Ok(respond(status, &body, replayed))
}

/// Returns the body of a scripted error, with Stripe's error type: a rejected request is not an API failure.
fn refusal(status: u16) -> Value {
    let kind = if matches!(status, 400 | 404) { "invalid_request_error" } else { "api_error" };
    problem(kind, "told_to", "As instructed.")
}

/// Executes a request, or replays the response stored under its key.
async fn once(
    gateway: &Gateway,
    what: (&Method, &str),
    form: &Form,
    key: &str,
    behaviour: Behaviour,
) -> (u16, Value, bool) {
    // Stripe stores responses to POST only; any other repeated request runs again.
    let is_kept = what.0 == Method::POST;
    let fingerprint = format!("{} {form:?}", what.1);
    {
        let mut books = gateway.books.lock().await;
        if let Some(response) = books.responses.get(key).filter(|_| is_kept) {
            if response.fingerprint != fingerprint {
                let refusal =
                    problem("idempotency_error", "idempotency_key_reused", "The key stands for something else.");
                return (400, refusal, false);
            }
            return (response.status, response.body.clone(), true);
        }
        if !books.running.insert(key.to_owned()) {
            let refusal = problem("invalid_request_error", "idempotency_key_in_use", "The key's request is running.");
            return (409, refusal, false);
        }
    }
    // A real gateway takes time, so duplicates arrive during the execution.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let mut books = gateway.books.lock().await;
    books.running.remove(key);
    let (status, body, mut lines) = match run(&books, what, form, key, behaviour) {
        Ok(ran) => ran,
        // Rejected before execution: nothing is stored.
        Err(refusal) => return (400, refusal, false),
    };
    lines.extend(webhooks::events_of(&books, &lines));
    if status == 402 && what.1 == "/v1/payment_intents" {
        let currency = form.get("currency").map(String::as_str).unwrap_or_default();
        let requested = amount(form).unwrap_or_default();
        lines.push(Line::Event(webhooks::declined_event(&books, requested, currency, &metadata(form))));
    }
    if is_kept {
        lines.push(Line::StoredResponse { key: key.to_owned(), fingerprint, status, body: body.clone() });
    }
    match books.write(lines) {
        Ok(()) => {
            gateway.webhooks.happened.notify_one();
            (status, body, false)
        }
        Err(error) => (500, problem("api_error", "disk", &error.to_string()), false),
    }
}

fn run(books: &Books, what: (&Method, &str), form: &Form, key: &str, behaviour: Behaviour) -> Result<Ran, Value> {
    let broken = || problem("api_error", "broken", "An error occurred.");
    if behaviour == Behaviour::Break {
        return Ok((500, broken(), Vec::new()));
    }
    let (status, body, lines) = match what.1 {
        "/v1/refunds" => refund(books, form, key)?,
        "/v1/payment_intents" => charge(books, form, key)?,
        path => match cancelled(path) {
            Some(id) => cancel(books, id)?,
            None => subscriptions::run(books, what, form, key)?,
        },
    };
    if let (Behaviour::LeaveOpen, [Line::Moved(movement)]) = (behaviour, lines.as_slice()) {
        let mut object = object(books, movement);
        object["object"] = "payment_intent".into();
        object["status"] = "requires_confirmation".into();
        return Ok((500, broken(), vec![Line::Object { object }]));
    }
    if behaviour == Behaviour::MoveAndBreak && !lines.is_empty() {
        return Ok((500, broken(), lines));
    }
    Ok((status, body, lines))
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
    let (card, used) = cards::charged(books, form)?;
    let code = match card.as_str() {
        "pm_card_visa" => None,
        "pm_card_visa_chargeDeclined" => Some("generic_decline"),
        "pm_card_visa_chargeDeclinedInsufficientFunds" => Some("insufficient_funds"),
        "pm_card_visa_chargeDeclinedStolenCard" => Some("stolen_card"),
        _ => return Err(wrong("resource_missing")),
    };
    if let Some(code) = code {
        return Ok((402, declined(code), Vec::new()));
    }
    let movement = Movement {
        kind: "charge".to_owned(),
        id: books.next_id("pi"),
        amount: amount(form)?,
        currency: text("currency").to_owned(),
        of: None,
        metadata: metadata(form),
        key: key.to_owned(),
        created: Some(now()),
    };
    Ok((200, object(books, &movement), [Line::Moved(movement)].into_iter().chain(used).collect()))
}

/// The intent that a path asks to cancel.
fn cancelled(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/payment_intents/")?.strip_suffix("/cancel")
}

fn cancel(books: &Books, id: &str) -> Result<Ran, Value> {
    let open = books.objects.get(id).filter(|intent| intent["status"] == "requires_confirmation");
    let mut object = open.cloned().ok_or_else(|| wrong("payment_intent_unexpected_state"))?;
    object["status"] = "canceled".into();
    Ok((200, object.clone(), vec![Line::Object { object }]))
}

/// The intent in a path.
fn intent(books: &Books, path: &str) -> Option<Value> {
    let id = path.strip_prefix("/v1/payment_intents/")?;
    let movement = books.movements.iter().find(|movement| movement.id == id);
    movement.map(|movement| object(books, movement)).or_else(|| books.objects.get(id).cloned())
}

fn refund(books: &Books, form: &Form, key: &str) -> Result<Ran, Value> {
    let of = form.get("payment_intent").cloned().unwrap_or_default();
    let rest = books.refundable(&of).ok_or_else(|| wrong("resource_missing"))?;
    let amount = amount(form)?;
    if amount > rest {
        return Err(wrong("charge_already_refunded"));
    }
    let charge = books.movements.iter().find(|movement| movement.id == of);
    let movement = Movement {
        kind: "refund".to_owned(),
        id: books.next_id("re"),
        amount,
        currency: charge.map(|charge| charge.currency.clone()).unwrap_or_default(),
        of: Some(of),
        metadata: metadata(form),
        key: key.to_owned(),
        created: Some(now()),
    };
    Ok((200, object(books, &movement), vec![Line::Moved(movement)]))
}

/// Newest first, like Stripe's lists.
fn list(books: &Books, kind: &str, query: &Form) -> Value {
    let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(10_usize);
    let (intent, charge) = (query.get("payment_intent"), query.get("charge"));
    let is_of = |value: Option<&String>, of: fn(&str) -> String, movement: &Movement| {
        value.is_none() || movement.of.as_deref().map(of).as_ref() == value
    };
    let all = books.movements.iter().rev().filter(|movement| movement.kind == kind);
    let all = all.filter(|movement| is_of(intent, intent_of, movement) && is_of(charge, charge_of, movement));
    let bound = |name| query.get(name).and_then(|text| text.parse::<i64>().ok());
    let (from, until) = (bound("created[gte]"), bound("created[lte]"));
    let is_within =
        |created: i64| from.is_none_or(|from| from <= created) && until.is_none_or(|until| created <= until);
    let all = all.filter(|movement| movement.created.is_none_or(is_within));
    let mut rest: Vec<_> = all.collect();
    if let Some(after) = query.get("starting_after") {
        let at = rest.iter().position(|movement| movement.id == *after).map_or(rest.len(), |at| at + 1);
        rest.drain(..at);
    }
    let is_expanded = query.get("expand[]").is_some_and(|name| name == "data.charge");
    let listed = |movement: &&Movement| {
        let mut object = object(books, movement);
        if let Some(of) = movement.of.as_deref().filter(|_| is_expanded) {
            object["charge"] = json!({ "id": charge_of(of), "object": "charge", "invoice": invoice_of(of) });
        }
        object
    };
    let page: Vec<_> = rest.iter().take(limit).map(listed).collect();
    json!({ "object": "list", "has_more": rest.len() > page.len(), "data": page })
}

/// `metadata['name']:'value'`.
fn search(books: &Books, query: &Form) -> Value {
    let text = query.get("query").map(String::as_str).unwrap_or_default();
    let parts: Vec<_> = text.split('\'').collect();
    let is_match = |intent: &Value| match parts.as_slice() {
        ["metadata[", name, "]:", value, ""] => {
            intent["metadata"][name] == *value && books.is_indexed(intent["id"].as_str().unwrap_or_default())
        }
        _ => false,
    };
    let charges =
        books.movements.iter().filter(|movement| movement.kind == "charge").map(|movement| object(books, movement));
    let intents = books.objects.values().filter(|object| object["object"] == "payment_intent").cloned();
    let objects: Vec<_> = charges.chain(intents).filter(is_match).collect();
    json!({ "object": "search_result", "has_more": false, "data": objects })
}
