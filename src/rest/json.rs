//! Protobuf JSON directly from and to wire bytes.
//!
//! There is no intermediate message object: a table compiled once per message type holds what to print for each field
//! number, and what to write for each name. That is several times faster than a dynamic message, and cheaper than
//! generated serde code if that must first decode.
//!
//! Source: <https://protobuf.dev/programming-guides/json/>. Two documented leniencies follow Envoy: unknown fields of a
//! body are dropped, and `"true"` is accepted for a bool.

mod known;
mod read;
mod scan;
mod table;
mod text;
mod write;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use super::wire::WireError;
pub(crate) use read::{Options, read_field, read_message};
pub use table::Tables;
pub(crate) use table::{Cardinality, Field, FieldId, Kind, MessageId, Shape};
pub(crate) use text::put_text;
pub(crate) use write::{write_field, write_one};

/// The number of characters of a name that an error repeats.
const MAX_STEP: usize = 100;

/// JSON that can't be converted to the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct ReadError {
    /// The position, as the client spells it: `items[2].unitPrice`. `None` means the whole document.
    pub field: Option<String>,
    /// The fault, in words that may be shown to the client.
    pub message: String,
}

impl ReadError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { field: None, message: message.into() }
    }

    /// Adds the step that led here. Called while the error propagates outwards, so that a valid document pays nothing.
    pub(crate) fn within(mut self, step: &str) -> Self {
        // The step may be a key chosen by the client; the response need not echo a megabyte of it.
        let step = step.char_indices().nth(MAX_STEP).map_or(step, |(end, _)| &step[..end]);
        self.field = Some(match self.field {
            None => step.to_owned(),
            Some(inner) if inner.starts_with('[') => format!("{step}{inner}"),
            Some(inner) => format!("{step}.{inner}"),
        });
        self
    }

    pub(crate) fn within_index(mut self, index: usize) -> Self {
        self.field = Some(match self.field {
            None => format!("[{index}]"),
            Some(inner) if inner.starts_with('[') => format!("[{index}]{inner}"),
            Some(inner) => format!("[{index}].{inner}"),
        });
        self
    }
}

/// A message that can't be converted to JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The bytes are not a valid encoding.
    #[error("the message is broken: {0}")]
    Wire(#[from] WireError),
    /// An `Any` holds a type that is unknown here.
    #[error("the message type {0} is not in the descriptor set")]
    UnknownType(String),
    /// A well-known type holds a value that its JSON form can't express.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Tables {
    /// Appends the JSON of one encoded message to `out`; after an error `out` holds a partial document.
    ///
    /// # Errors
    /// The message is invalid, is nested deeper than 100 levels, or has no JSON (a timestamp in the year 10000, an
    /// `Any` of an unknown type).
    pub fn write_message(
        &self,
        message: &MessageDescriptor,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let id = self.id(message.full_name());
        write_one(self, id.ok_or_else(|| WriteError::UnknownType(message.full_name().to_owned()))?, bytes, out)
    }

    /// Appends the encoded message that `json` describes to `out`.
    ///
    /// # Errors
    /// The first offending field; `out` then holds a partial message.
    pub fn read_message(&self, message: &MessageDescriptor, json: &[u8], out: &mut Vec<u8>) -> Result<(), ReadError> {
        let id = self.id(message.full_name());
        let id = id.ok_or_else(|| ReadError::new(format!("the message type {} is unknown", message.full_name())))?;
        read_message(self, id, json, Options::default(), out)
    }
}

/// Like [`Tables::write_message`], for a single use: it compiles the message's whole pool first, so keep a [`Tables`]
/// to write more than one message.
///
/// # Errors
/// As [`Tables::write_message`].
pub fn write_message(message: &MessageDescriptor, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), WriteError> {
    Tables::new(message.parent_pool()).write_message(message, bytes, out)
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    write::string(text, out);
}

impl From<&DescriptorPool> for Tables {
    fn from(pool: &DescriptorPool) -> Self {
        Self::new(pool)
    }
}
