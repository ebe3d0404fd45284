//! Protobuf JSON straight from and to wire bytes.
//!
//! No message object stands in between: a table compiled once per message type says for each field number what to
//! print, and for each name what to write. That is several times faster than a dynamic message, and cheaper than
//! generated serde code where that must first decode.
//!
//! Source: <https://protobuf.dev/programming-guides/json/>. Two documented leniencies follow Envoy: unknown fields of
//! a body are dropped, and `"true"` is taken for a bool.

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

/// How many characters of one name an error repeats.
const MAX_STEP: usize = 100;

/// JSON that can't become the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct ReadError {
    /// Where, as the client spells it: `items[2].unitPrice`. `None`: the document as a whole.
    pub field: Option<String>,
    /// What is wrong, in words that may be shown to the client.
    pub message: String,
}

impl ReadError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { field: None, message: message.into() }
    }

    /// Adds the step that led here; called while the error travels outwards, so a good document pays nothing.
    pub(crate) fn within(mut self, step: &str) -> Self {
        // The step may be a key of the client's own making; an answer need not echo a megabyte of it.
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

/// A message that can't become JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("the message is broken: {0}")]
    Wire(#[from] WireError),
    #[error("the message type {0} is not in the descriptor set")]
    UnknownType(String),
    #[error("{0}")]
    Invalid(&'static str),
}

impl Tables {
    /// Appends the JSON of one encoded message to `out`; on an error `out` holds a torn document.
    ///
    /// # Errors
    /// The bytes are no such message, nest deeper than 100 levels, or have no JSON (a timestamp in the year 10000, an
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
    /// Names the first offending field; `out` then holds a torn message.
    pub fn read_message(&self, message: &MessageDescriptor, json: &[u8], out: &mut Vec<u8>) -> Result<(), ReadError> {
        let id = self.id(message.full_name());
        let id = id.ok_or_else(|| ReadError::new(format!("the message type {} is unknown", message.full_name())))?;
        read_message(self, id, json, Options::default(), out)
    }
}

/// [`Tables::write_message`] for a single use: compiles the message's whole pool first, so keep a [`Tables`] where it
/// happens twice.
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
