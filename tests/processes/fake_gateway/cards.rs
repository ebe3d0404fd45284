//! Stripe's payment methods: the customer a card is attached to, and the customer it may be charged for.

use serde_json::{Value, json};

use crate::{
    books::{Books, Line},
    objects::{Form, Ran, created, declined, missing, text, wrong},
};

/// Test tokens; each use of one creates a new card.
const TOKENS: [&str; 5] = [
    "pm_card_visa",
    "pm_card_chargeCustomerFail",
    "pm_card_visa_chargeDeclined",
    "pm_card_visa_chargeDeclinedInsufficientFunds",
    "pm_card_visa_chargeDeclinedStolenCard",
];

fn card(books: &Books, token: &str) -> Value {
    json!({ "id": books.next_id("pm"), "object": "payment_method", "customer": null, "card": token, "is_used": false })
}

/// Finds an existing card, or creates one from a test token.
fn find(books: &Books, id: &str) -> Result<Value, Value> {
    let existing = books.objects.get(id).filter(|object| object["object"] == "payment_method").cloned();
    let new = || TOKENS.contains(&id).then(|| card(books, id));
    existing.or_else(new).ok_or_else(|| wrong("resource_missing"))
}

/// Creates a card without a customer.
pub(crate) fn make(books: &Books, form: &Form) -> Result<Ran, Value> {
    created(card(books, text(form, "card[token]")?))
}

/// Attaches the card in a path to a customer, or detaches it.
pub(crate) fn change(books: &Books, path: &str, form: &Form) -> Result<Ran, Value> {
    match path.trim_start_matches("/v1/payment_methods/").split_once('/') {
        Some((id, "attach")) => attach(books, id, form),
        Some((id, "detach")) => detach(books, id),
        _ => Err(wrong("url")),
    }
}

/// Attaches a card to a customer, once.
fn attach(books: &Books, id: &str, form: &Form) -> Result<Ran, Value> {
    let mut card = find(books, id)?;
    let customer = text(form, "customer")?;
    if !books.objects.contains_key(customer) || !card["customer"].is_null() || card["is_used"] == true {
        return Err(wrong("payment_method_unexpected_state"));
    }
    // A bank may decline when the card is stored.
    if card["card"] == "pm_card_visa_chargeDeclined" {
        return Ok((402, declined("generic_decline"), Vec::new()));
    }
    card["customer"] = customer.into();
    created(card)
}

/// Detaches a card from its customer, after which it can neither be attached nor charged.
fn detach(books: &Books, id: &str) -> Result<Ran, Value> {
    let mut card = find(books, id)?;
    card["customer"] = Value::Null;
    card["is_used"] = true.into();
    created(card)
}

/// The token of the card to charge, and the ledger line for its use: an attached card can be charged for its customer
/// only, and an unattached card once.
pub(crate) fn charged(books: &Books, form: &Form) -> Result<(String, Option<Line>), Value> {
    let id = text(form, "payment_method")?;
    let named = form.get("customer").map(String::as_str);
    if named.is_some_and(|customer| !books.objects.contains_key(customer)) {
        return Err(missing("customer"));
    }
    let mut card = find(books, id)?;
    let owner = card["customer"].as_str();
    if (owner.is_some() && owner != named) || card["is_used"] == true {
        return Err(wrong("payment_method_unexpected_state"));
    }
    let token = card["card"].as_str().unwrap_or_default().to_owned();
    let is_single = owner.is_none() && !TOKENS.contains(&id);
    card["is_used"] = is_single.into();
    Ok((token, is_single.then_some(Line::Object { object: card })))
}
