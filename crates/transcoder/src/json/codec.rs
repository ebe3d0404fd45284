//! The two conversions of a [`Codec`], and its construction.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use super::compile;
use super::read::{self, ReadError};
use super::schema::{Codec, MessageId};
use super::write::{self, PrintOptions, WriteError};

/// The maximum nesting depth of objects and arrays, unless [`Codec::with_max_depth`] sets another.
pub(crate) const MAX_DEPTH: u32 = 64;

impl Codec {
    /// Compiles every message and enum of `pool`.
    pub fn new(pool: &DescriptorPool) -> Self {
        let ids: HashMap<Box<str>, MessageId> =
            pool.all_messages().zip(0..).map(|(message, id)| (message.full_name().into(), id)).collect();
        let (messages, enums) = compile::all(pool, &ids);
        Self { messages, enums, ids, max_depth: MAX_DEPTH, passes_unknown_enum_names: false }
    }

    /// Sets the maximum nesting depth of objects and arrays in JSON that is read, including the outermost level: 64 by
    /// default. JSON that is written has the same limit, but at least 100 levels.
    #[must_use]
    pub fn with_max_depth(self, max_depth: u32) -> Self {
        Self { max_depth, ..self }
    }

    /// Reads an unknown name of an enum as a number that the enum does not declare, instead of failing, so that a
    /// validator of the message can report it together with other faults. Two unknown names in one document get
    /// different numbers.
    #[must_use]
    pub fn with_unknown_enum_names(self) -> Self {
        Self { passes_unknown_enum_names: true, ..self }
    }

    /// Appends the JSON of one encoded message to `out`; after an error `out` holds a partial document.
    ///
    /// # Errors
    /// An error if the message is invalid, is nested too deeply, has no JSON (a timestamp in the year 10000, an `Any`
    /// of an unknown type), or has a type outside the codec's pool.
    pub fn write_json(&self, message: &MessageDescriptor, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WriteError> {
        let id = self.id(message.full_name());
        let id = id.ok_or_else(|| WriteError::UnknownType(message.full_name().to_owned()))?;
        write::write_message(self, id, PrintOptions::default(), wire, out)
    }

    /// Appends the encoded message that `json` describes to `out`.
    ///
    /// # Errors
    /// The first offending field; `out` then holds a partial message.
    pub fn read_json(&self, message: &MessageDescriptor, json: &[u8], out: &mut Vec<u8>) -> Result<(), ReadError> {
        let id = self.id(message.full_name());
        let id = id.ok_or_else(|| ReadError::new(format!("the message type {} is unknown", message.full_name())))?;
        read::read_message(self, id, json, out)
    }
}
