//! The direction of a message, which decides which of its fields the schema shows.

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// From the caller.
    Request,
    /// To the caller.
    Response,
}
