//! Event kinds that modules declare.

/// A kind of event as its module declares it.
#[derive(Debug, Clone)]
pub struct DeclaredEvent {
    /// The qualified name, such as `support.ticket.created`.
    pub name: String,
    /// The occasion of its publication, in one sentence.
    pub summary: String,
}
