//! Wire bytes → JSON.
//!
//! The fields of a message are indexed in one pass, then printed in the order of their numbers. Encoders write in that
//! order, so the index is nearly always sorted; otherwise (merged, repeated or interleaved fields, two members of a
//! oneof) it is sorted first. Printed output is never removed, so the work is linear in the length of the input, even
//! for hostile input.

mod collection;
mod error;
mod scalar;
mod string;
mod well_known;

use super::schema::{Cardinality, Field, FieldId, Kind, Message, MessageId, Shape};
use super::{Codec, FieldSet};
use crate::wire::{Reader, Value};
pub use error::WriteError;
pub(crate) use string::write_string;

/// Protobuf's own recursion limit. Messages up to this depth can always be written.
const MIN_DEPTH: u32 = 100;

/// The form of enum values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EnumFormat {
    #[default]
    Name,
    Number,
}

/// The fields of a message to print, and their format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrintOptions<'s> {
    pub(crate) enums: EnumFormat,
    pub(crate) fields: &'s FieldSet,
}

impl Default for PrintOptions<'_> {
    fn default() -> Self {
        Self { enums: EnumFormat::default(), fields: FieldSet::ALL }
    }
}

/// Appends the JSON of one message.
pub(crate) fn write_message(
    codec: &Codec,
    message: MessageId,
    options: PrintOptions<'_>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let PrintOptions { enums, fields } = options;
    Writer { codec, enums, fields, out, occurrences: Vec::with_capacity(32) }.message(message, bytes, 0)
}

/// Appends the JSON of one field of a message, for `response_body`; an unset message field is `null`.
pub(crate) fn write_field(
    codec: &Codec,
    message: MessageId,
    field: FieldId,
    options: PrintOptions<'_>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let message = codec.message(message);
    let fields = options.fields.within(message.fields[usize::from(field)].number).unwrap_or(FieldSet::ALL);
    let mut writer = Writer { codec, enums: options.enums, fields, out, occurrences: Vec::new() };
    writer.index_fields(message, bytes, 0)?;
    writer.occurrences.retain(|occurrence| occurrence.field == field);
    let field = &message.fields[usize::from(field)];
    match (&field.default_member, writer.occurrences.len()) {
        (Some(_), 0) => writer.default_value(field),
        (None, 0) => writer.out.extend_from_slice(b"null"),
        (_, end) => writer.field(field, 0, end, 0)?,
    }
    Ok(())
}

/// One occurrence of a field on the wire.
#[derive(Clone, Copy)]
struct Occurrence<'a> {
    field: FieldId,
    value: Value<'a>,
}

struct Writer<'t, 'o, 'a> {
    codec: &'t Codec,
    enums: EnumFormat,
    /// The printed fields of the next message.
    fields: &'t FieldSet,
    out: &'o mut Vec<u8>,
    /// The indexed fields of all messages being written, innermost last.
    occurrences: Vec<Occurrence<'a>>,
}

impl<'a> Writer<'_, '_, 'a> {
    /// Writes a message, in the form that its type has, inside `depth` objects and arrays.
    fn message(&mut self, id: MessageId, bytes: &'a [u8], depth: u32) -> Result<(), WriteError> {
        let message = self.codec.message(id);
        if message.shape == Shape::Object {
            let depth = self.open(b'{', depth)?;
            self.members(message, bytes, depth, true)?;
            self.out.push(b'}');
            return Ok(());
        }
        let start = self.occurrences.len();
        self.index_fields(message, bytes, start)?;
        // A well-known type is a single value, regardless of its number of fields.
        self.fields = FieldSet::ALL;
        self.well_known(message, start, depth)?;
        self.occurrences.truncate(start);
        Ok(())
    }

    /// Opens an object or array, and returns the depth inside it.
    fn open(&mut self, bracket: u8, depth: u32) -> Result<u32, WriteError> {
        if depth >= self.codec.max_depth.max(MIN_DEPTH) {
            return Err(WriteError::Invalid("the message nests too deeply"));
        }
        self.out.push(bracket);
        Ok(depth + 1)
    }

    /// Writes everything between the braces. `first` is true if no member has been written yet.
    fn members(&mut self, message: &Message, bytes: &'a [u8], depth: u32, first: bool) -> Result<(), WriteError> {
        let start = self.occurrences.len();
        self.index_fields(message, bytes, start)?;
        let fields = self.fields;
        let mut comma = !first;
        let mut at = start;
        for (index, field) in message.fields.iter().enumerate() {
            let run_start = at;
            while self.occurrences.get(at).is_some_and(|occurrence| usize::from(occurrence.field) == index) {
                at += 1;
            }
            let Some(within) = fields.within(field.number) else { continue };
            if run_start == at && field.default_member.is_none() {
                continue;
            }
            self.fields = within;
            if comma {
                self.out.push(b',');
            }
            comma = true;
            match &field.default_member {
                Some(member) if run_start == at && self.enums == EnumFormat::Name => self.out.extend_from_slice(member),
                Some(_) if run_start == at => {
                    self.out.extend_from_slice(&field.key);
                    self.default_value(field);
                }
                _ => {
                    self.out.extend_from_slice(&field.key);
                    self.field(field, run_start, at, depth)?;
                }
            }
        }
        self.occurrences.truncate(start);
        self.fields = fields;
        Ok(())
    }

    /// Indexes the known fields of a message from `start`, sorted, without superseded oneof members.
    fn index_fields(&mut self, message: &Message, bytes: &'a [u8], start: usize) -> Result<(), WriteError> {
        let mut reader = Reader::new(bytes);
        let mut last = 0;
        let mut oneofs = 0u64;
        let mut in_order = true;
        while let Some((number, value)) = reader.field()? {
            let Some(field) = message.by_number(number) else { continue };
            if let Some(oneof) = message.fields[usize::from(field)].oneof {
                // One bit per oneof; with more than 64 oneofs the slow path decides.
                let bit = 1u64.checked_shl(u32::from(oneof)).unwrap_or(u64::MAX);
                in_order &= oneofs & bit == 0;
                oneofs |= bit;
            }
            in_order &= field >= last;
            last = field;
            self.occurrences.push(Occurrence { field, value });
        }
        if !in_order {
            self.drop_superseded(message, start);
        }
        Ok(())
    }

    /// Drops superseded oneof members: setting a member clears the others, so only the last run survives.
    fn drop_superseded(&mut self, message: &Message, start: usize) {
        // Per oneof: the winning member, and whether an earlier rival ended its run.
        let mut winners: Vec<(u16, FieldId, bool)> = Vec::new();
        let mut remaining: Vec<Occurrence<'a>> = Vec::with_capacity(self.occurrences.len() - start);
        for occurrence in self.occurrences.drain(start..).rev() {
            if let Some(oneof) = message.fields[usize::from(occurrence.field)].oneof {
                match winners.iter_mut().find(|winner| winner.0 == oneof) {
                    None => winners.push((oneof, occurrence.field, false)),
                    Some((_, field, is_closed)) => {
                        *is_closed |= *field != occurrence.field;
                        if *is_closed {
                            continue;
                        }
                    }
                }
            }
            remaining.push(occurrence);
        }
        remaining.reverse();
        remaining.sort_by_key(|occurrence| occurrence.field);
        self.occurrences.extend(remaining);
    }

    /// Writes the value of one field, which is indexed in the non-empty `from..to`.
    fn field(&mut self, field: &Field, from: usize, to: usize, depth: u32) -> Result<(), WriteError> {
        match field.cardinality {
            Cardinality::Singular => self.single(field.kind, from, to, depth),
            Cardinality::Repeated => self.repeated(field.kind, from, to, depth),
            Cardinality::Map => self.map(field.kind, from, to, depth),
        }
    }

    /// Writes a singular field. The last occurrence of a scalar wins; occurrences of a message are merged, which is
    /// concatenation on the wire.
    fn single(&mut self, kind: Kind, from: usize, to: usize, depth: u32) -> Result<(), WriteError> {
        let (Kind::Message(id) | Kind::Group(id)) = kind else {
            return self.scalar(kind, self.occurrences[to - 1].value);
        };
        if to - from == 1 {
            let bytes = message_bytes(self.occurrences[from].value)?;
            return self.message(id, bytes, depth);
        }
        let mut merged = Vec::new();
        for occurrence in &self.occurrences[from..to] {
            merged.extend_from_slice(message_bytes(occurrence.value)?);
        }
        let Self { codec, enums, fields, .. } = *self;
        Writer { codec, enums, fields, out: self.out, occurrences: Vec::new() }.message(id, &merged, depth)
    }
}

/// Returns the bytes of a message, string or bytes field.
fn message_bytes(value: Value<'_>) -> Result<&[u8], WriteError> {
    match value {
        Value::Bytes(bytes) | Value::Group(bytes) => Ok(bytes),
        _ => Err(WriteError::Invalid("a field's wire type does not fit its declaration")),
    }
}
