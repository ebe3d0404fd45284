//! Protobuf JSON directly from and to wire bytes.
//!
//! There is no intermediate message object: a [`Codec`], compiled once per descriptor pool, maps field numbers to
//! output and names to encodings. This is several times faster than a dynamic message, and cheaper than generated serde
//! code that must decode first.
//!
//! Source: <https://protobuf.dev/programming-guides/json/>. Some leniencies follow Envoy: `"true"` for a bool, a field
//! mask in snake case, `"+1s"` for a duration, and line breaks inside base64.

mod codec;
mod compile;
mod field_mask;
mod field_set;
mod read;
mod scanner;
mod schema;
mod text;
mod time;
mod write;

pub(crate) use codec::MAX_DEPTH;
pub use field_set::FieldSet;
pub use read::ReadError;
pub(crate) use read::{read_field, read_message};
pub use schema::Codec;
pub(crate) use schema::{Cardinality, Field, FieldId, Kind, MessageId, Shape};
pub(crate) use text::{put_text, replaces_earlier, writes_plus};
pub use write::WriteError;
pub(crate) use write::{EnumFormat, PrintOptions, write_field, write_message, write_string};
