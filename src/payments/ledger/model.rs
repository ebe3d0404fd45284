//! The double-entry ledger: each movement of money at a gateway is a transaction that debits one account and credits
//! another with the same amount. Entries are never changed or removed.

use uuid::Uuid;

use crate::{
    payments::id::{PaymentId, RefundId},
    subscriptions::id::SubscriptionId,
};
use crate::{
    payments::payment::model::{Payment, Refund},
    subscriptions::model::{Invoice, Subscription},
};
use mainstay_kernel::{money::Money, numbered::numbered};

numbered! {
    /// The kind of a movement of money.
    Kind {
        /// A charge; its subject is always a payment.
        Charge = 1,
        /// A refund; its subject is a refund.
        Refund = 2,
        /// A paid invoice; its subject is a subscription, which may have many.
        Invoice = 3,
        /// A refund that was booked and then returned: not a movement of its own, because the gateway lists the refund
        /// as failed.
        Reversal = 4,
    }
}

numbered! {
    /// An account of the ledger.
    Account {
        /// What the gateway owes.
        Gateway = 1,
        /// What was sold.
        Sales = 2,
        /// What was refunded.
        Refunds = 3,
    }
}

impl Kind {
    /// Returns the accounts that a movement debits and credits.
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
    pub kind: Kind,
    /// The payment that was charged or refunded.
    pub payment: Option<PaymentId>,
    pub refund: Option<RefundId>,
    /// The subscription whose invoice was paid.
    pub subscription: Option<SubscriptionId>,
    /// The gateway's id for the movement.
    pub gateway_id: String,
    /// The amount; greater than zero.
    pub amount: Money,
}

impl Posting {
    fn new(kind: Kind, gateway_id: &str, amount: Money) -> Self {
        Self { kind, payment: None, refund: None, subscription: None, gateway_id: gateway_id.to_owned(), amount }
    }

    /// Returns the posting of a charge.
    pub fn charge(payment: &Payment, gateway_id: &str) -> Self {
        Self { payment: Some(payment.id), ..Self::new(Kind::Charge, gateway_id, payment.amount) }
    }

    /// Returns the posting of a refund.
    pub fn refund(refund: &Refund, gateway_id: &str) -> Self {
        let posting = Self::new(Kind::Refund, gateway_id, refund.amount);
        Self { payment: Some(refund.payment), refund: Some(refund.id), ..posting }
    }

    /// Returns the posting of a booked refund that was returned.
    pub fn reversal(refund: &Refund, gateway_id: &str) -> Self {
        Self { kind: Kind::Reversal, ..Self::refund(refund, gateway_id) }
    }

    /// Returns the posting of a subscription's paid invoice.
    pub fn invoice(subscription: &Subscription, invoice: &Invoice) -> Self {
        let posting = Self::new(Kind::Invoice, &invoice.gateway_id, invoice.amount);
        Self { subscription: Some(subscription.id), ..posting }
    }
}

/// A transaction in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    pub kind: Kind,
    /// The payment, refund or subscription; `None` for a refund that was made at the gateway itself.
    pub subject: Option<Uuid>,
    /// The gateway's id.
    pub gateway_id: String,
    pub amount: Money,
}
