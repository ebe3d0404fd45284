//! The books, in double entry: whatever money moved at a gateway is a transaction that debits one account and credits
//! another with the same amount. Nothing in them is ever changed or removed.

use uuid::Uuid;

use super::{
    money::Money,
    numbered,
    payment::{Payment, Refund},
    subscription::{Invoice, Subscription},
};
use crate::id::{PaymentId, RefundId, SubscriptionId};

numbered! {
    /// What a movement of money was.
    Kind {
        /// A charge; its subject is a payment, always.
        Charge = 1,
        /// A refund; its subject is a refund.
        Refund = 2,
        /// A paid invoice; its subject is a subscription, which may have many.
        Invoice = 3,
        /// A refund that was booked and came back: no movement of its own, for the gateway has the refund as failed.
        Reversal = 4,
    }
}

numbered! {
    /// An account of the books.
    Account {
        /// What the gateway owes us.
        Gateway = 1,
        /// What was sold.
        Sales = 2,
        /// What was given back.
        Refunds = 3,
    }
}

impl Kind {
    /// The accounts that such a movement debits and credits.
    pub fn accounts(self) -> (Account, Account) {
        match self {
            Self::Charge | Self::Invoice => (Account::Gateway, Account::Sales),
            Self::Reversal => (Account::Gateway, Account::Refunds),
            Self::Refund => (Account::Refunds, Account::Gateway),
        }
    }
}

/// A transaction to be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// What it is.
    pub kind: Kind,
    /// The payment that was charged, or is given back of.
    pub payment: Option<PaymentId>,
    /// The refund.
    pub refund: Option<RefundId>,
    /// The subscription whose invoice was paid.
    pub subscription: Option<SubscriptionId>,
    /// What the gateway knows the movement by.
    pub gateway_id: String,
    /// How much; more than nothing.
    pub amount: Money,
}

impl Posting {
    fn new(kind: Kind, gateway_id: &str, amount: Money) -> Self {
        Self { kind, payment: None, refund: None, subscription: None, gateway_id: gateway_id.to_owned(), amount }
    }

    /// The charge of a payment.
    pub fn charge(payment: &Payment, gateway_id: &str) -> Self {
        Self { payment: Some(payment.id), ..Self::new(Kind::Charge, gateway_id, payment.amount) }
    }

    /// A refund.
    pub fn refund(refund: &Refund, gateway_id: &str) -> Self {
        let posting = Self::new(Kind::Refund, gateway_id, refund.amount);
        Self { payment: Some(refund.payment), refund: Some(refund.id), ..posting }
    }

    /// A booked refund that came back.
    pub fn reversal(refund: &Refund, gateway_id: &str) -> Self {
        Self { kind: Kind::Reversal, ..Self::refund(refund, gateway_id) }
    }

    /// A paid invoice of a subscription.
    pub fn invoice(subscription: &Subscription, invoice: &Invoice) -> Self {
        let posting = Self::new(Kind::Invoice, &invoice.gateway_id, invoice.amount);
        Self { subscription: Some(subscription.id), ..posting }
    }
}

/// A transaction, as the books have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// What it was.
    pub kind: Kind,
    /// The payment, the refund or the subscription; none for a refund that was made at the gateway itself.
    pub subject: Option<Uuid>,
    /// What the gateway knows it by.
    pub gateway_id: String,
    /// How much.
    pub amount: Money,
}
