//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A support ticket.
    TicketId
    /// A comment on a ticket.
    CommentId
    /// A canned answer.
    CannedAnswerId
    /// A link between tickets.
    TicketLinkId
    /// An entry in the history of a ticket.
    ActivityId
}
