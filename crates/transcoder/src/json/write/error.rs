//! The reasons why a message has no JSON.

use crate::wire::WireError;

/// A message that can't be converted to JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The bytes are not a valid encoding.
    #[error("the message is broken: {0}")]
    Wire(#[from] WireError),
    /// An `Any` holds a type that is not in the descriptor set.
    #[error("the message type {0} is not in the descriptor set")]
    UnknownType(String),
    /// A well-known type holds a value that its JSON form can't express.
    #[error("{0}")]
    Invalid(&'static str),
}
