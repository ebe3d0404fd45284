//! The texts of mails: plain text, and the same as simple HTML, in which names of products are escaped.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    mail::transport::Letter,
    orders::order::model::{Item, Order},
    payments::payment::model::Payment,
};

/// A password reset: `token` can be used once, until `until`.
pub fn password_reset(to: String, token: &SecretString, until: DateTime<Utc>) -> Letter {
    let (token, until) = (token.expose_secret(), until.format("%H:%M UTC"));
    let [asked, good, send, ignore] = [
        "Someone, most likely you, asked to reset the password of your account.".to_owned(),
        format!("Your reset token, good once and until {until}:"),
        "Send it with the new password to POST /api/v1/auth/password-reset/confirm.".to_owned(),
        "If it was not you, there is nothing to do.".to_owned(),
    ];
    Letter {
        to,
        subject: "Reset your password".to_owned(),
        text: format!("{asked}\n\n{good}\n\n    {token}\n\n{send}\n{ignore}\n"),
        html: page(&format!("<p>{asked}</p><p>{good}</p><pre>{token}</pre><p>{send}<br>{ignore}</p>")),
    }
}

/// A registration: `token` can be used once, until `until`.
pub fn registration(to: String, token: &SecretString, until: DateTime<Utc>) -> Letter {
    let (token, until) = (token.expose_secret(), until.format("%Y-%m-%d %H:%M UTC"));
    let [asked, good, send, ignore] = [
        "Someone, most likely you, asked to register this address.".to_owned(),
        format!("Your registration token, good once and until {until}:"),
        "Send it with a name and a password to POST /api/v1/auth/register/confirm.".to_owned(),
        "If it was not you, there is nothing to do: without the token there is no account.".to_owned(),
    ];
    Letter {
        to,
        subject: "Confirm your address".to_owned(),
        text: format!("{asked}\n\n{good}\n\n    {token}\n\n{send}\n{ignore}\n"),
        html: page(&format!("<p>{asked}</p><p>{good}</p><pre>{token}</pre><p>{send}<br>{ignore}</p>")),
    }
}

/// The answer to a registration of an address that a user has.
pub fn already_registered(to: String) -> Letter {
    let [asked, known, ignore] = [
        "Someone, most likely you, asked to register this address.",
        "You have an account already: sign in, or reset your password if you have forgotten it.",
        "If it was not you, there is nothing to do.",
    ];
    Letter {
        to,
        subject: "You are registered already".to_owned(),
        text: format!("{asked}\n\n{known}\n{ignore}\n"),
        html: page(&format!("<p>{asked}</p><p>{known}<br>{ignore}</p>")),
    }
}

/// The confirmation of an order, with items and prices.
pub fn order_confirmation(to: String, order: &Order, items: &[Item]) -> Letter {
    let thanks = "Thank you for your order.";
    let number = format!("Order {}", order.id);
    let (mut text, mut rows) = (String::new(), String::new());
    for item in items {
        let Item { name, quantity, unit_price, .. } = item;
        // The order's total is within bounds, so the amounts of its items are too.
        let amount = item.amount().map(|amount| amount.to_string()).unwrap_or_default();
        // The name is written on one line.
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        // Writing to a string does not fail.
        writeln!(text, "{quantity} x {name}\n    at {unit_price}: {amount}").ok();
        let name = escape(&name);
        write!(rows, "<tr><td>{quantity} × {name}</td><td>{unit_price}</td><td>{amount}</td></tr>").ok();
    }
    let total = order.total;
    Letter {
        to,
        subject: format!("Your order {}", order.id),
        text: format!("{thanks}\n\n{number}\n\n{text}\nTotal: {total}\n"),
        html: page(&format!(
            "<p>{thanks}</p><p>{number}</p><table>{rows}<tr><th>Total</th><td></td><td>{total}</td></tr></table>"
        )),
    }
}

/// The receipt of a payment.
pub fn payment_receipt(to: String, order: &Order, payment: &Payment, at: DateTime<Utc>) -> Letter {
    let lines = [
        format!("We received your payment of {}.", payment.amount),
        format!("Order {}", order.id),
        format!("Payment {}", payment.id),
        format!("Paid on {}", at.format("%Y-%m-%d %H:%M UTC")),
    ];
    Letter {
        to,
        subject: format!("Payment received for your order {}", order.id),
        text: format!("{}\n\n{}\n", lines[0], lines[1..].join("\n")),
        html: page(&format!("<p>{}</p><p>{}</p>", lines[0], lines[1..].join("<br>"))),
    }
}

fn page(body: &str) -> String {
    format!("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"></head><body>{body}</body></html>")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::payments::id::PaymentId;
    use crate::{orders::product::model::Product, payments::payment::model::PaymentMethod};
    use mainstay_kernel::{
        id::AccountId,
        money::{Currency, Money},
    };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
    }

    fn order(name: &str, minor: i64, currency: &str) -> (Order, [Item; 1]) {
        let price = Money::new(minor, Currency::parse(currency).expect("a currency")).expect("a price");
        let items = [Item::of(&Product::new(name.to_owned(), price, None, now()), 3).expect("offered")];
        (Order::place(AccountId(Uuid::nil()), Uuid::nil(), &items, None, now()).expect("an order"), items)
    }

    #[test]
    fn names_are_escaped_in_html() {
        let (order, items) = order("<b>\"A\" & 'B'</b>\r\n\r\nTotal: EUR 0.00", 1999, "EUR");
        let Letter { text, html, subject, .. } = order_confirmation("a@b.example".to_owned(), &order, &items);
        assert!(text.contains("3 x <b>\"A\" & 'B'</b> Total: EUR 0.00\n    at EUR 19.99: EUR 59.97\n"), "{text}");
        assert!(text.ends_with("\nTotal: EUR 59.97\n"), "{text}");
        assert!(html.contains("&lt;b&gt;&quot;A&quot; &amp; &#39;B&#39;&lt;/b&gt;") && !html.contains("<b>"), "{html}");
        assert_eq!(subject, format!("Your order {}", order.id));
    }

    #[test]
    fn a_receipt_formats_the_amount_in_its_currency() {
        let ((order, _), id) = (order("A thing", 500, "JPY"), PaymentId(Uuid::from_u128(1)));
        let method = PaymentMethod::parse("pm".to_owned()).expect("a token");
        let payment = Payment::intend(id, &order, Uuid::nil(), "sandbox", method, now(), now()).expect("intended");
        let Letter { text, html, .. } = payment_receipt("a@b.example".to_owned(), &order, &payment, now());
        for said in ["JPY 1500", &order.id.to_string(), &id.to_string(), "2026-09-21 14:13 UTC"] {
            assert!(text.contains(said) && html.contains(said), "{said}: {text}{html}");
        }
    }
}
