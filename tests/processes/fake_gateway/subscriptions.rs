//! The parts of Stripe's customers, prices, subscriptions and invoices that Mainstay uses. `POST /_subscription` lets
//! time pass, or acts like an operator at the gateway's console.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Gateway, Response,
    books::{Books, Line, Movement},
    cards,
    objects::{Form, Ran, charge_of, created, declined, metadata, now, object, problem, respond, text, wrong},
    webhooks,
};

/// The number of refunds in a charge; at Stripe it is ten.
const EXPANDED: usize = 2;
const NAME: &str = "mainstay_subscription";

/// Answers a GET about subscriptions.
pub(crate) fn read(books: &Books, path: &str, query: &Form) -> Option<Response> {
    let body = match path {
        "/v1/customers/search" => search(books, "customer", query),
        "/v1/subscriptions/search" => search(books, "subscription", query),
        "/v1/invoices" => invoices(books, query),
        _ => {
            let id = path.strip_prefix("/v1/subscriptions/").or_else(|| path.strip_prefix("/v1/payment_methods/"))?;
            return Some(match books.objects.get(id) {
                Some(object) => respond(200, object, false),
                None => respond(404, &wrong("resource_missing"), false),
            });
        }
    };
    Some(respond(200, &body, false))
}

/// Returns whether a request changes something about subscriptions.
pub(crate) fn is_known(method: &Method, path: &str) -> bool {
    let one = path.starts_with("/v1/subscriptions/");
    let many = ["/v1/customers", "/v1/payment_methods", "/v1/prices", "/v1/subscriptions"].contains(&path);
    (*method == Method::POST && (one || many || path.starts_with("/v1/payment_methods/")))
        || (*method == Method::DELETE && one)
}

/// Executes such a request.
pub(crate) fn run(books: &Books, (method, path): (&Method, &str), form: &Form, key: &str) -> Result<Ran, Value> {
    match path {
        "/v1/customers" => {
            created(json!({ "id": books.next_id("cus"), "object": "customer", "metadata": metadata(form) }))
        }
        "/v1/payment_methods" => cards::make(books, form),
        path if path.starts_with("/v1/payment_methods/") => cards::change(books, path, form),
        "/v1/prices" => price(books, form),
        "/v1/subscriptions" => subscribe(books, form, key),
        path => change(books, method, path.rsplit('/').next().unwrap_or_default(), form),
    }
}

fn price(books: &Books, form: &Form) -> Result<Ran, Value> {
    let amount: i64 = text(form, "unit_amount")?.parse().map_err(|_| wrong("unit_amount"))?;
    let (interval, name) = (text(form, "recurring[interval]")?, text(form, "product_data[name]")?);
    if !["month", "year"].contains(&interval) {
        return Err(wrong("recurring[interval]"));
    }
    created(json!({
        "id": books.next_id("price"), "object": "price", "unit_amount": amount, "currency": text(form, "currency")?,
        "interval": interval, "product_name": name, "metadata": metadata(form),
    }))
}

fn subscribe(books: &Books, form: &Form, key: &str) -> Result<Ran, Value> {
    let find = |name: &str| books.objects.get(text(form, name).ok()?).cloned();
    let customer = find("customer").ok_or_else(|| wrong("customer"))?;
    let price = find("items[0][price]").ok_or_else(|| wrong("items"))?;
    if text(form, "payment_behavior")? != "error_if_incomplete" {
        return Err(wrong("payment_behavior"));
    }
    let card = find("default_payment_method").filter(|card| card["customer"] == customer["id"]);
    let card = card.ok_or_else(|| wrong("default_payment_method"))?;
    if card["card"] == "pm_card_chargeCustomerFail" {
        return Ok((402, declined("insufficient_funds"), Vec::new()));
    }
    let start = now();
    let object = json!({
        "id": books.next_id("sub"), "object": "subscription", "status": "active", "current_period_start": start,
        "current_period_end": start + length(&price), "cancel_at_period_end": false, "canceled_at": null, "ended_at": null,
        "customer": customer["id"], "default_payment_method": card["id"], "price": price, "metadata": metadata(form),
    });
    let paid = invoice(books, &object, key);
    Ok((200, object.clone(), vec![Line::Moved(paid), Line::Object { object }]))
}

/// The length of a period in seconds.
fn length(price: &Value) -> i64 {
    86_400 * if price["interval"] == "year" { 365 } else { 30 }
}

/// The payment of a subscription's current period.
fn invoice(books: &Books, subscription: &Value, key: &str) -> Movement {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let price = &subscription["price"];
    Movement {
        kind: "invoice".to_owned(),
        id: books.next_id("in"),
        amount: price["unit_amount"].as_i64().unwrap_or_default(),
        currency: word(&price["currency"]),
        of: Some(word(&subscription["id"])),
        metadata: serde_json::from_value(subscription["metadata"].clone()).unwrap_or_default(),
        key: key.to_owned(),
        created: Some(now()),
    }
}

fn is_over(subscription: &Value) -> bool {
    subscription["status"] == "canceled"
}

fn change(books: &Books, method: &Method, id: &str, form: &Form) -> Result<Ran, Value> {
    let object = books.objects.get(id).filter(|object| !is_over(object));
    let mut object = object.cloned().ok_or_else(|| wrong("resource_missing"))?;
    if *method == Method::DELETE {
        end(&mut object, now());
    } else if text(form, "cancel_at_period_end")? == "true" {
        object["cancel_at_period_end"] = true.into();
        object["canceled_at"] = now().into();
    } else {
        return Err(wrong("cancel_at_period_end"));
    }
    created(object)
}

fn end(object: &mut Value, at: i64) {
    object["status"] = "canceled".into();
    object["canceled_at"] = at.into();
    object["ended_at"] = at.into();
}

/// `metadata['name']:'value'`.
fn search(books: &Books, kind: &str, query: &Form) -> Value {
    let condition = query.get("query").map(String::as_str).unwrap_or_default();
    let name = if kind == "customer" { "mainstay_account" } else { NAME };
    let of = |object: &&Value| {
        let ours = object["metadata"][name].as_str().unwrap_or_default();
        let id = object["id"].as_str().unwrap_or_default();
        object["object"] == kind && books.is_indexed(id) && condition == format!("metadata['{name}']:'{ours}'")
    };
    let objects: Vec<_> = books.objects.values().filter(of).collect();
    json!({ "object": "search_result", "has_more": false, "data": objects })
}

/// Newest first, like Stripe's lists.
fn invoices(books: &Books, query: &Form) -> Value {
    let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(10_usize);
    let of = query.get("subscription");
    let paid = books.movements.iter().rev().filter(|movement| movement.kind == "invoice");
    let mut rest: Vec<_> = paid.filter(|movement| of.is_none() || movement.of.as_ref() == of).collect();
    if let Some(after) = query.get("starting_after") {
        let at = rest.iter().position(|movement| movement.id == *after).map_or(rest.len(), |at| at + 1);
        rest.drain(..at);
    }
    let is_expanded = query.get("expand[]").is_some_and(|name| name == "data.charge.refunds");
    let charge = |paid: &Movement| {
        // Newest first, and no more than this many.
        let mut refunds: Vec<_> = books.refunds(&paid.id).map(|refund| object(books, refund)).collect();
        refunds.reverse();
        let has_more = refunds.len() > EXPANDED;
        refunds.truncate(EXPANDED);
        let id = charge_of(&paid.id);
        match is_expanded {
            true => json!({ "id": id, "refunds": { "object": "list", "data": refunds, "has_more": has_more } }),
            false => id.into(),
        }
    };
    let object = |paid: &&Movement| {
        json!({
            "charge": charge(paid), "id": paid.id, "object": "invoice", "status": "paid", "amount_paid": paid.amount, "currency": paid.currency,
            "subscription": paid.of, "subscription_details": { "metadata": paid.metadata },
        })
    };
    let page: Vec<_> = rest.iter().take(limit).map(object).collect();
    json!({ "object": "list", "has_more": rest.len() > page.len(), "data": page })
}

/// A change of a subscription that bypasses the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    /// The period ends: the subscription is renewed and paid, or ends if that was scheduled.
    Renewed,
    /// The subscription is renewed without a payment.
    Unpaid,
    /// The amount due is paid.
    Paid,
    /// An operator deletes the subscription.
    Deleted,
    /// The subscription is created once more, bypassing its key.
    Again,
}

#[derive(Debug, Deserialize)]
struct ChangeRequest {
    /// The id of one of Mainstay's subscriptions.
    subscription: String,
    change: Change,
}

/// Reads `{"subscription": …, "change": …}` and answers with the changed subscription.
pub(crate) async fn change_past_api(gateway: &Gateway, body: &[u8]) -> Response {
    let Ok(ChangeRequest { subscription, change }) = serde_json::from_slice(body) else {
        return respond(400, &problem("invalid_request_error", "order", "There is no such order."), false);
    };
    let mut books = gateway.books.lock().await;
    let ours =
        |object: &&Value| object["object"] == "subscription" && object["metadata"][NAME] == subscription.as_str();
    let Some(mut object) = books.objects.values().find(ours).filter(|object| !is_over(object)).cloned() else {
        return respond(404, &wrong("resource_missing"), false);
    };
    let end_of_period = object["current_period_end"].as_i64().unwrap_or_default();
    let ends = object["cancel_at_period_end"] == true;
    match change {
        Change::Deleted => end(&mut object, now()),
        Change::Renewed | Change::Unpaid if ends => end(&mut object, end_of_period),
        Change::Renewed | Change::Unpaid => {
            object["current_period_start"] = end_of_period.into();
            object["current_period_end"] = (end_of_period + length(&object["price"])).into();
            object["status"] = if change == Change::Unpaid { "past_due" } else { "active" }.into();
        }
        Change::Paid => object["status"] = "active".into(),
        Change::Again => object["id"] = books.next_id("sub").into(),
    }
    let is_paid = matches!(change, Change::Renewed | Change::Paid | Change::Again) && !is_over(&object);
    let paid = is_paid.then(|| Line::Moved(invoice(&books, &object, "console")));
    let mut lines: Vec<_> = paid.into_iter().chain([Line::Object { object: object.clone() }]).collect();
    lines.extend(webhooks::events_of(&books, &lines));
    match books.write(lines) {
        Ok(()) => {
            gateway.webhooks.happened.notify_one();
            respond(200, &object, false)
        }
        Err(error) => respond(500, &problem("api_error", "disk", &error.to_string()), false),
    }
}
