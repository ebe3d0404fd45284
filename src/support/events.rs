//! The events that the module publishes, as its `module.proto` declares them.

mainstay_kernel::event_kinds! {
    /// A ticket was created, other than by an import, which ends with a separate event.
    TicketCreated = "support.ticket.created";
    /// The content of a ticket changed.
    TicketUpdated = "support.ticket.updated";
    /// A ticket was assigned or unassigned.
    TicketAssigned = "support.ticket.assigned";
    /// A ticket was resolved.
    TicketResolved = "support.ticket.resolved";
    /// A ticket was reopened.
    TicketReopened = "support.ticket.reopened";
    /// A ticket was merged into another one, which resolves it.
    TicketMerged = "support.ticket.merged";
    /// A ticket was deleted.
    TicketDeleted = "support.ticket.deleted";
}
