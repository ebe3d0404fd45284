//! A sample of each mail, with made-up contents: for previews, and to check templates.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    mail::{content::Content, links::Links},
    orders::{
        id::ProductId,
        order::model::{Item, OrderNumber},
    },
};
use mainstay_kernel::money::{Currency, Money};

const TOKEN: &str = "a-sample-of-a-token";
const TITLE: &str = "The printer is on fire";

/// Returns a sample of each mail.
///
/// # Panics
/// Never: the amounts are valid in their currency.
pub fn all(links: Links<'_>, now: DateTime<Utc>) -> Vec<Content> {
    let euro = Currency::parse("EUR").expect("a currency");
    let money = |minor| Money::new(minor, euro).expect("an amount");
    let item = |name: &str, quantity, minor| Item {
        product: ProductId(Uuid::nil()),
        name: name.to_owned(),
        quantity,
        unit_price: money(minor),
    };
    let (number, id) = (OrderNumber::new(100_042), Uuid::from_u128(0x0197_b61a_93d4_7c55_a8e2_6d1f_3b5c_7e90));
    let (amount, product) = (money(83_805), "Snapshot club".to_owned());
    let (order, ticket) = (links.order(id), links.ticket(id));
    vec![
        Content::PasswordReset { link: links.reset(TOKEN), until: now + TimeDelta::hours(1) },
        Content::Registration { link: links.register(TOKEN), until: now + TimeDelta::hours(24) },
        Content::AlreadyRegistered { link: links.request_reset() },
        Content::SignIn {
            at: now,
            address: Some("203.0.113.7".to_owned()),
            device: Some("Firefox, Linux".to_owned()),
            link: links.request_reset(),
        },
        Content::PasswordChanged { at: now, link: links.request_reset() },
        Content::SecondFactor { template: "second_factor_added", at: now, link: links.request_reset() },
        Content::SecondFactor { template: "second_factor_removed", at: now, link: links.request_reset() },
        Content::SecondFactor { template: "recovery_code_used", at: now, link: links.request_reset() },
        Content::SecondFactor { template: "identity_linked", at: now, link: links.request_reset() },
        Content::SecondFactor { template: "identity_unlinked", at: now, link: links.request_reset() },
        Content::SecondFactor { template: "passkey_added", at: now, link: links.request_reset() },
        Content::SecondFactor { template: "passkey_removed", at: now, link: links.request_reset() },
        Content::SecondFactor { template: "passkey_refused", at: now, link: links.request_reset() },
        Content::SecondFactor {
            template: "second_factor_reset",
            at: now + TimeDelta::hours(24),
            link: links.request_reset(),
        },
        Content::SecondFactor { template: "impersonation", at: now, link: links.request_reset() },
        Content::EmailChange { link: links.confirm_email(TOKEN), until: now + TimeDelta::hours(24) },
        Content::EmailTaken { link: links.request_reset() },
        Content::EmailChanged { at: now, link: links.undo_email(TOKEN), until: now + TimeDelta::days(7) },
        Content::Invitation {
            account: "Analytical Engines <Ltd>".to_owned(),
            inviter: "Ada Lovelace".to_owned(),
            link: links.invitation(TOKEN),
            until: now + TimeDelta::days(7),
        },
        Content::OrderConfirmation {
            number,
            at: now,
            items: vec![
                item("Snapshot desk, oak & steel", 2, 39_900),
                item("Lamp <small>", 5, 799),
                item("A name without any space: Donaudampfschifffahrtsgesellschaftskapitän", 1, 10),
            ],
            total: money(83_805),
            link: order.clone(),
        },
        Content::DeletionScheduled {
            account: None,
            link: links.cancel_deletion(TOKEN),
            until: now + TimeDelta::days(14),
        },
        Content::DeletionScheduled {
            account: Some("Analytical Engines Ltd".to_owned()),
            link: links.cancel_deletion(TOKEN),
            until: now + TimeDelta::days(14),
        },
        Content::DomainLapsed { domains: vec![("engines.example".to_owned(), "Analytical Engines <Ltd>".to_owned())] },
        Content::DeletionDone { is_of_account: false, at: now },
        Content::DeletionDone { is_of_account: true, at: now },
        Content::PaymentReceipt { number, amount, at: now, payment: id.to_string(), link: order.clone() },
        Content::Refund { number, amount: money(3_995), at: now, refund: id.to_string(), link: order },
        Content::SubscriptionReceipt {
            product: product.clone(),
            amount: money(999),
            at: now,
            period_end: now + TimeDelta::days(30),
            invoice: id.to_string(),
        },
        Content::SubscriptionUnpaid { product, amount: money(999), at: now, link: links.subscription(id) },
        Content::TicketReceived { title: TITLE.to_owned(), at: now, ticket: id.to_string(), link: ticket.clone() },
        Content::TicketReply {
            title: TITLE.to_owned(),
            reply: "Please leave the room, and close the door.\n\nThen call us: <b>we</b> are on our way.".to_owned(),
            at: now,
            ticket: id.to_string(),
            link: ticket,
        },
    ]
}
