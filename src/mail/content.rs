//! The contents of mails: the values that their templates receive.

mod locale;
pub mod samples;

use chrono::{DateTime, Utc};
use minijinja::{Value, context};

use crate::orders::order::model::{Item, OrderNumber};
use mainstay_kernel::money::Money;

use locale::Locale;

/// The content of a mail. Its link may hold a secret.
#[derive(Clone)]
pub enum Content {
    /// The link resets a password, once, until a time.
    PasswordReset { link: String, until: DateTime<Utc> },
    /// The link confirms an address, once, until a time.
    Registration { link: String, until: DateTime<Utc> },
    /// The address of a requested registration belongs to a user.
    AlreadyRegistered { link: String },
    /// A user signed in from an unknown network.
    SignIn { at: DateTime<Utc>, address: Option<String>, device: Option<String>, link: String },
    /// A user changed the password.
    PasswordChanged { at: DateTime<Utc>, link: String },
    /// The second factor of a user was added, used in an unusual way, or removed: the template says which.
    SecondFactor { template: &'static str, at: DateTime<Utc>, link: String },
    /// The link confirms the new address of a user, once, until a time.
    EmailChange { link: String, until: DateTime<Utc> },
    /// The new address of a user belongs to another user.
    EmailTaken { link: String },
    /// The address of a user was changed; the link undoes it, once, until a time.
    EmailChanged { at: DateTime<Utc>, link: String, until: DateTime<Utc> },
    /// An address was invited to an account. The link accepts it, once, until a time.
    Invitation { account: String, inviter: String, link: String, until: DateTime<Utc> },
    /// The deletion of a user or, if it has a name, of an account was scheduled; the link cancels it until a time.
    DeletionScheduled { account: Option<String>, link: String, until: DateTime<Utc> },
    /// Mail domains, each with the name of its account, are no longer proved.
    DomainLapsed { domains: Vec<(String, String)> },
    /// The data of a user or an account was erased.
    DeletionDone { is_of_account: bool, at: DateTime<Utc> },
    /// An order was placed.
    OrderConfirmation { number: OrderNumber, at: DateTime<Utc>, items: Vec<Item>, total: Money, link: Option<String> },
    /// An order was paid.
    PaymentReceipt { number: OrderNumber, amount: Money, at: DateTime<Utc>, payment: String, link: Option<String> },
    /// A refund was made.
    Refund { number: OrderNumber, amount: Money, at: DateTime<Utc>, refund: String, link: Option<String> },
    /// A period of a subscription was paid.
    SubscriptionReceipt {
        product: String,
        amount: Money,
        at: DateTime<Utc>,
        period_end: DateTime<Utc>,
        invoice: String,
    },
    /// The payment for a period of a subscription failed.
    SubscriptionUnpaid { product: String, amount: Money, at: DateTime<Utc>, link: Option<String> },
    /// A customer created a ticket.
    TicketReceived { title: String, at: DateTime<Utc>, ticket: String, link: Option<String> },
    /// Staff answered a ticket.
    TicketReply { title: String, reply: String, at: DateTime<Utc>, ticket: String, link: Option<String> },
}

/// The maximum length of a reply that a mail quotes, in characters.
const MAX_REPLY_CHARS: usize = 5_000;

impl Content {
    /// Returns the name of the template.
    pub fn template(&self) -> &'static str {
        match self {
            Self::PasswordReset { .. } => "password_reset",
            Self::Registration { .. } => "registration",
            Self::AlreadyRegistered { .. } => "already_registered",
            Self::SignIn { .. } => "sign_in",
            Self::PasswordChanged { .. } => "password_changed",
            Self::SecondFactor { template, .. } => template,
            Self::EmailChange { .. } => "email_change",
            Self::EmailTaken { .. } => "email_taken",
            Self::EmailChanged { .. } => "email_changed",
            Self::Invitation { .. } => "invitation",
            Self::DeletionScheduled { .. } => "deletion_scheduled",
            Self::DomainLapsed { .. } => "domain_lapsed",
            Self::DeletionDone { .. } => "deletion_done",
            Self::OrderConfirmation { .. } => "order_confirmation",
            Self::PaymentReceipt { .. } => "payment_receipt",
            Self::Refund { .. } => "refund",
            Self::SubscriptionReceipt { .. } => "subscription_receipt",
            Self::SubscriptionUnpaid { .. } => "subscription_unpaid",
            Self::TicketReceived { .. } => "ticket_received",
            Self::TicketReply { .. } => "ticket_reply",
        }
    }

    /// Returns the link that the mail requires.
    pub(super) fn needed_link(&self) -> Option<&str> {
        match self {
            Self::PasswordReset { link, .. }
            | Self::Registration { link, .. }
            | Self::EmailChange { link, .. }
            | Self::EmailChanged { link, .. }
            | Self::Invitation { link, .. }
            | Self::DeletionScheduled { link, .. } => Some(link),
            _ => None,
        }
    }

    /// Returns the values for the template, with amounts and times in the format of a language.
    pub(super) fn values(&self, language: &str) -> Value {
        let locale = Locale::of(language);
        match self {
            Self::PasswordReset { link, until }
            | Self::Registration { link, until }
            | Self::EmailChange { link, until } => context! { link, until => locale.time(*until) },
            Self::AlreadyRegistered { link } | Self::EmailTaken { link } => context! { link },
            Self::PasswordChanged { at, link } | Self::SecondFactor { at, link, .. } => {
                context! { at => locale.time(*at), link }
            }
            Self::EmailChanged { at, link, until } => {
                context! { at => locale.time(*at), link, until => locale.time(*until) }
            }
            Self::Invitation { account, inviter, link, until } => context! {
                account => unlinked(account), inviter => unlinked(inviter), link, until => locale.time(*until),
            },
            Self::SignIn { at, address, device, link } => context! { at => locale.time(*at), address, device, link },
            Self::DeletionScheduled { account, link, until } => context! {
                account => account.as_deref().map(one_line), link, until => locale.time(*until),
            },
            Self::DomainLapsed { domains } => context! {
                domains => domains.iter().map(|(domain, account)| {
                    context! { domain => unlinked(domain), account => unlinked(account) }
                }).collect::<Vec<_>>(),
            },
            Self::DeletionDone { is_of_account, at } => context! { is_of_account, at => locale.time(*at) },
            Self::OrderConfirmation { number, at, items, total, link } => context! {
                number => number.to_string(), at => locale.time(*at), total => locale.money(*total), link,
                items_ordered => items.iter().map(|item| item_values(item, locale)).collect::<Vec<_>>(),
            },
            Self::PaymentReceipt { number, amount, at, payment, link } => context! {
                number => number.to_string(), amount => locale.money(*amount), at => locale.time(*at), payment, link,
            },
            Self::Refund { number, amount, at, refund, link } => context! {
                number => number.to_string(), amount => locale.money(*amount), at => locale.time(*at), refund, link,
            },
            Self::SubscriptionReceipt { product, amount, at, period_end, invoice } => context! {
                product => one_line(product), amount => locale.money(*amount), at => locale.time(*at),
                period_end => locale.time(*period_end), invoice,
            },
            Self::SubscriptionUnpaid { product, amount, at, link } => context! {
                product => one_line(product), amount => locale.money(*amount), at => locale.time(*at), link,
            },
            Self::TicketReceived { title, at, ticket, link } => {
                context! { title => one_line(title), at => locale.time(*at), ticket, link }
            }
            Self::TicketReply { title, reply, at, ticket, link } => context! {
                title => one_line(title), at => locale.time(*at), ticket, link,
                reply => reply.chars().take(MAX_REPLY_CHARS).collect::<String>(),
            },
        }
    }
}

fn item_values(item: &Item, locale: Locale) -> Value {
    // The order's total is within bounds, so the amounts of its items are as well.
    let amount = item.amount().map(|amount| locale.money(amount)).unwrap_or_default();
    let (name, unit_price) = (one_line(&item.name), locale.money(item.unit_price));
    context! { name, quantity => item.quantity, unit_price, amount }
}

/// Returns the label of the unsubscribe link.
pub(super) fn unsubscribe_label(language: &str) -> &'static str {
    Locale::of(language).unsubscribe()
}

/// Returns a name that a stranger has chosen, on one line, with a zero-width space after each character that could make a part
/// of it look like a link or an address. Mail programs then show the name as it is, and make no link of it. The names themselves
/// have no such rule, because companies are named after their domains.
fn unlinked(name: &str) -> String {
    const ZERO_WIDTH_SPACE: char = '\u{200b}';
    let apart = |c: char| std::iter::once(c).chain(matches!(c, '.' | ':' | '/' | '@').then_some(ZERO_WIDTH_SPACE));
    one_line(name).chars().flat_map(apart).collect()
}

/// Collapses user input into one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
