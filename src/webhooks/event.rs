//! The events that can be published.

use uuid::Uuid;

use mainstay_kernel::{id::AccountId, numbered::numbered};

numbered! {
    /// The type of an event.
    EventKind {
        /// A ticket was created.
        TicketCreated = 1,
        /// The content of a ticket changed.
        TicketUpdated = 2,
        /// A ticket was assigned or unassigned.
        TicketAssigned = 3,
        /// A ticket was resolved.
        TicketResolved = 4,
        /// A ticket was reopened.
        TicketReopened = 5,
        /// A ticket was deleted.
        TicketDeleted = 6,
        /// An order was placed.
        OrderCreated = 10,
        /// An order was canceled.
        OrderCancelled = 11,
        /// An order was paid.
        OrderPaid = 12,
        /// The full amount of an order was refunded.
        OrderRefunded = 13,
        /// A payment succeeded.
        PaymentSucceeded = 14,
        /// A payment failed.
        PaymentFailed = 15,
        /// A refund succeeded.
        RefundSucceeded = 16,
        /// A refund failed, or was returned by the bank.
        RefundFailed = 17,
        /// A subscription began, failed to begin, was renewed, became past due, or is to end with its period.
        SubscriptionUpdated = 18,
        /// A subscription ended.
        SubscriptionCancelled = 19,
        /// An operation ended, successfully or not.
        OperationFinished = 20,
    }
}

impl EventKind {
    /// Returns the name in payloads.
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

/// An event about a resource. It contains only the resource's id and version: receivers read the resource through the
/// API, and so see its current state as far as they are authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The type.
    pub kind: EventKind,
    /// The account that the resource belongs to.
    pub account: AccountId,
    /// The id of the resource.
    pub resource: Uuid,
    /// The resource's version after the event.
    pub version: i64,
}
