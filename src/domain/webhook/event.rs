//! What can be told.

use uuid::Uuid;

use crate::{domain::numbered, id::AccountId};

numbered! {
    /// What can be told.
    EventKind {
        /// A ticket was made.
        TicketCreated = 1,
        /// What a ticket says changed.
        TicketUpdated = 2,
        /// A ticket was given to somebody, or taken away.
        TicketAssigned = 3,
        /// A ticket is done.
        TicketResolved = 4,
        /// A ticket is taken up again.
        TicketReopened = 5,
        /// A ticket was removed.
        TicketDeleted = 6,
        /// An order was placed.
        OrderCreated = 10,
        /// An order was called off.
        OrderCancelled = 11,
        /// An order was paid.
        OrderPaid = 12,
        /// All that was paid for an order was given back.
        OrderRefunded = 13,
        /// A payment succeeded.
        PaymentSucceeded = 14,
        /// A payment failed.
        PaymentFailed = 15,
        /// Money went back.
        RefundSucceeded = 16,
        /// Money did not go back.
        RefundFailed = 17,
        /// A subscription began or failed to, was renewed, fell due, or is to end with its period.
        SubscriptionUpdated = 18,
        /// A subscription ended.
        SubscriptionCancelled = 19,
        /// An operation ended.
        OperationFinished = 20,
    }
}

impl EventKind {
    /// The words on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::TicketCreated => "ticket.created",
            Self::TicketUpdated => "ticket.updated",
            Self::TicketAssigned => "ticket.assigned",
            Self::TicketResolved => "ticket.resolved",
            Self::TicketReopened => "ticket.reopened",
            Self::TicketDeleted => "ticket.deleted",
            Self::OrderCreated => "order.created",
            Self::OrderCancelled => "order.cancelled",
            Self::OrderPaid => "order.paid",
            Self::OrderRefunded => "order.refunded",
            Self::PaymentSucceeded => "payment.succeeded",
            Self::PaymentFailed => "payment.failed",
            Self::RefundSucceeded => "refund.succeeded",
            Self::RefundFailed => "refund.failed",
            Self::SubscriptionUpdated => "subscription.updated",
            Self::SubscriptionCancelled => "subscription.cancelled",
            Self::OperationFinished => "operation.finished",
        }
    }
}

/// Something that happened to a resource. It names the resource and its version and says no more: who is told may read
/// it, and so sees what it may see, as it is by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Whose resource it is.
    pub account: AccountId,
    /// The resource.
    pub resource: Uuid,
    /// The resource's version after it.
    pub version: i64,
}
