//! The direction of a message.

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// From the caller.
    Request,
    /// To the caller.
    Response,
}
