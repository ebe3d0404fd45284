//! The double-entry ledger. Each movement of money at a gateway is a transaction that debits one account and credits
//! another with the same amount. A transaction is one row with both accounts and one amount, so no row can be out of
//! balance. Rows are never changed or removed.

pub mod sums;

use uuid::Uuid;

use crate::{
    payments::id::{PaymentId, RefundId},
    subscriptions::id::SubscriptionId,
};
use crate::{
    payments::payment::model::{Payment, Refund},
    subscriptions::model::{Invoice, InvoiceRefund, Subscription},
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
        /// A refund that was booked and then returned. The gateway lists the refund as failed, so this is not a
        /// movement at the gateway.
        Reversal = 4,
        /// A refund of an invoice, made at the gateway itself; its subject is the subscription.
        InvoiceRefund = 5,
        /// A refund of an invoice that was booked and then returned; like [`Reversal`](Self::Reversal), not a movement
        /// at the gateway.
        InvoiceReversal = 6,
    }
}

numbered! {
    /// An account of the ledger.
    Account {
        /// The balance that the gateway owes.
        Gateway = 1,
        /// Sold amounts.
        Sales = 2,
        /// Refunded amounts.
        Refunds = 3,
    }
}

impl Kind {
    /// Returns the accounts that a movement debits and credits.
    pub fn accounts(self) -> (Account, Account) {
        match self {
            Self::Charge | Self::Invoice => (Account::Gateway, Account::Sales),
            Self::Reversal | Self::InvoiceReversal => (Account::Gateway, Account::Refunds),
            Self::Refund | Self::InvoiceRefund => (Account::Refunds, Account::Gateway),
        }
    }
}

/// The subject of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The payment that was charged.
    Charge(PaymentId),
    /// The refund that was made.
    Refund(RefundId),
    /// The subscription whose invoice was paid.
    Invoice(SubscriptionId),
    /// The refund that was booked and then returned.
    Reversal(RefundId),
    /// The subscription whose invoice was refunded.
    InvoiceRefund(SubscriptionId),
    /// The subscription whose invoice's refund was booked and then returned.
    InvoiceReversal(SubscriptionId),
}

impl Subject {
    /// Returns the kind.
    pub fn kind(self) -> Kind {
        match self {
            Self::Charge(_) => Kind::Charge,
            Self::Refund(_) => Kind::Refund,
            Self::Invoice(_) => Kind::Invoice,
            Self::Reversal(_) => Kind::Reversal,
            Self::InvoiceRefund(_) => Kind::InvoiceRefund,
            Self::InvoiceReversal(_) => Kind::InvoiceReversal,
        }
    }
}

/// A transaction to be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    pub subject: Subject,
    /// The gateway's id for the movement.
    pub gateway_id: String,
    /// The amount; greater than zero.
    pub amount: Money,
}

impl Posting {
    /// Returns the posting of a charge.
    pub fn charge(payment: &Payment, gateway_id: &str) -> Self {
        Self { subject: Subject::Charge(payment.id), gateway_id: gateway_id.to_owned(), amount: payment.amount }
    }

    /// Returns the posting of a refund.
    pub fn refund(refund: &Refund, gateway_id: &str) -> Self {
        Self { subject: Subject::Refund(refund.id), gateway_id: gateway_id.to_owned(), amount: refund.amount }
    }

    /// Returns the posting of a booked refund that was returned.
    pub fn reversal(refund: &Refund, gateway_id: &str) -> Self {
        Self { subject: Subject::Reversal(refund.id), ..Self::refund(refund, gateway_id) }
    }

    /// Returns the posting of a subscription's paid invoice.
    pub fn invoice(subscription: &Subscription, invoice: &Invoice) -> Self {
        let subject = Subject::Invoice(subscription.id);
        Self { subject, gateway_id: invoice.gateway_id.clone(), amount: invoice.amount }
    }

    /// Returns the posting of a refund of a subscription's invoice, or of its return.
    pub fn invoice_refund(subscription: &Subscription, refund: &InvoiceRefund) -> Self {
        let subject = match refund.is_returned {
            false => Subject::InvoiceRefund(subscription.id),
            true => Subject::InvoiceReversal(subscription.id),
        };
        Self { subject, gateway_id: refund.gateway_id.clone(), amount: refund.amount }
    }
}

/// A transaction in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerTransaction {
    pub kind: Kind,
    /// The payment, refund or subscription; `None` for a refund that was made at the gateway itself.
    pub subject: Option<Uuid>,
    pub gateway_id: String,
    pub amount: Money,
}
