//! JSON → wire bytes, in one pass and in the order of the document.

mod error;
mod well_known;

use std::collections::HashSet;

use super::scanner::Scanner;
use super::schema::{Cardinality, Field, FieldId, Kind, Message, MessageId, Shape};
use super::{Codec, text};
use crate::wire::{put_delimited, put_tag, put_varint};
pub use error::ReadError;

type Result<T> = std::result::Result<T, ReadError>;

/// Appends the message that a whole document describes.
pub(crate) fn read_message(codec: &Codec, id: MessageId, json: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut scanner = Scanner::new(json, codec.max_depth)?;
    message(codec, &mut scanner, id, out)?;
    scanner.end()
}

/// Appends one field, tag included, whose value is a whole document: `body: "field"`.
pub(crate) fn read_field(codec: &Codec, field: &Field, json: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut scanner = Scanner::new(json, codec.max_depth)?;
    field_or_null(codec, &mut scanner, field, out).map_err(|error| error.within(&field.name))?;
    scanner.end()
}

/// Reads a message without its length, in the form that its type has.
fn message(codec: &Codec, scanner: &mut Scanner<'_>, id: MessageId, out: &mut Vec<u8>) -> Result<()> {
    let message = codec.message(id);
    match message.shape {
        Shape::Object => object(codec, scanner, message, false, out),
        Shape::Timestamp | Shape::Duration | Shape::FieldMask => {
            let string = scanner.string("a string")?;
            text::put_message_text(codec, id, &string, out)
        }
        Shape::Wrapper => {
            put_tag(out, 1, message.fields[0].kind.wire_type());
            scalar(codec, scanner, message.fields[0].kind, out)
        }
        Shape::Struct => map(codec, scanner, &message.fields[0], out),
        Shape::ListValue => repeated(codec, scanner, &message.fields[0], out),
        Shape::Value => well_known::value(codec, scanner, message, out),
        Shape::Any => well_known::any(codec, scanner, message, out),
    }
}

/// Reads a plain message. Inside an `Any`, `@type` is not one of its fields.
fn object(codec: &Codec, scanner: &mut Scanner<'_>, message: &Message, in_any: bool, out: &mut Vec<u8>) -> Result<()> {
    let mut set_fields = SetFields::default();
    scanner.object(|scanner, name| {
        if in_any && name == "@type" {
            return scanner.skip();
        }
        if name.is_empty() {
            return Err(ReadError::new("a member has no name"));
        }
        let id = message.by_name(&name).ok_or_else(|| message.unknown("field", &name, |_| true))?;
        let field = &message.fields[usize::from(id)];
        let is_new = set_fields.insert(id);
        let read = if is_new { field_or_null(codec, scanner, field, out) } else { Err(ReadError::new("given twice")) };
        let is_set = read.map_err(|error| error.within(&field.name))?;
        if is_set && !field.oneof.is_none_or(|oneof| set_fields.insert_oneof(oneof)) {
            return Err(ReadError::new("only one member of its oneof may be given").within(&field.name));
        }
        Ok(())
    })
}

/// The fields and oneofs that an object has set so far.
#[derive(Default)]
struct SetFields {
    /// One bit for each of the first 64 fields.
    bits: u64,
    others: Vec<FieldId>,
    oneofs: Vec<u16>,
}

impl SetFields {
    /// Returns whether the field is new.
    fn insert(&mut self, id: FieldId) -> bool {
        if let Some(bit) = 1u64.checked_shl(id.into()) {
            let new = self.bits & bit == 0;
            self.bits |= bit;
            return new;
        }
        let new = !self.others.contains(&id);
        self.others.push(id);
        new
    }

    /// Returns whether the oneof is new.
    fn insert_oneof(&mut self, id: u16) -> bool {
        let new = !self.oneofs.contains(&id);
        self.oneofs.push(id);
        new
    }
}

/// Reads one field with its tag; returns `false` if `null` left it unset.
fn field_or_null(codec: &Codec, scanner: &mut Scanner<'_>, field: &Field, out: &mut Vec<u8>) -> Result<bool> {
    let single = field.cardinality == Cardinality::Singular;
    if scanner.peek()? == b'n' && !(single && field.accepts_null(codec)) {
        scanner.literal("null")?;
        return Ok(false);
    }
    match field.cardinality {
        Cardinality::Singular => element(codec, scanner, field, out)?,
        Cardinality::Repeated => repeated(codec, scanner, field, out)?,
        Cardinality::Map => map(codec, scanner, field, out)?,
    }
    Ok(true)
}

/// Reads one value with its tag.
fn element(codec: &Codec, scanner: &mut Scanner<'_>, field: &Field, out: &mut Vec<u8>) -> Result<()> {
    put_tag(out, field.number, field.kind.wire_type());
    scalar(codec, scanner, field.kind, out)?;
    if let Kind::Group(_) = field.kind {
        put_tag(out, field.number, 4);
    }
    Ok(())
}

/// Reads an array. `null` is a valid element only for types that have it as a value.
fn repeated(codec: &Codec, scanner: &mut Scanner<'_>, field: &Field, out: &mut Vec<u8>) -> Result<()> {
    if !field.kind.is_packable() {
        return scanner
            .array(|scanner, index| element(codec, scanner, field, out).map_err(|error| error.within_index(index)));
    }
    put_tag(out, field.number, 2);
    put_delimited(out, |out| {
        scanner
            .array(|scanner, index| scalar(codec, scanner, field.kind, out).map_err(|error| error.within_index(index)))
    })
}

fn map(codec: &Codec, scanner: &mut Scanner<'_>, field: &Field, out: &mut Vec<u8>) -> Result<()> {
    let Kind::Message(entry) = field.kind else { return Err(ReadError::new("not a map")) };
    let entry = codec.message(entry);
    let (key, value) = (&entry.fields[0], &entry.fields[1]);
    let mut keys = HashSet::new();
    scanner.object(|scanner, name| {
        let mut encoded = Vec::with_capacity(name.len() + 2);
        put_tag(&mut encoded, 1, key.kind.wire_type());
        text::put_text(codec, key.kind, &name, &mut encoded).map_err(|error| error.within(&name))?;
        put_tag(out, field.number, 2);
        put_delimited(out, |out| {
            out.extend_from_slice(&encoded);
            element(codec, scanner, value, out)
        })
        .map_err(|error| error.within(&name))?;
        if keys.insert(encoded) { Ok(()) } else { Err(ReadError::new("given twice").within(&name)) }
    })
}

/// Reads one value without its tag.
fn scalar(codec: &Codec, scanner: &mut Scanner<'_>, kind: Kind, out: &mut Vec<u8>) -> Result<()> {
    let first = scanner.peek()?;
    match kind {
        Kind::String => {
            let string = scanner.string("a string")?;
            put_varint(out, string.len() as u64);
            out.extend_from_slice(string.as_bytes());
            Ok(())
        }
        Kind::Bytes => text::put_base64(&scanner.string("a base64 string")?, out),
        Kind::Bool if first == b'"' => text::put_bool(&scanner.string("a bool")?, out),
        Kind::Bool => {
            out.push(u8::from(scanner.boolean()?));
            Ok(())
        }
        Kind::Enum(id) if first == b'n' && codec.enumeration(id).is_null => {
            out.push(0);
            scanner.literal("null")
        }
        Kind::Enum(id) if first == b'"' => text::put_enum(codec, id, &scanner.string("an enum value")?, out),
        Kind::Enum(_) if is_number(first) => text::put_number(Kind::Int32, scanner.number()?, out),
        Kind::Enum(_) => Err(scanner.unexpected("a string")),
        Kind::Message(id) => put_delimited(out, |out| message(codec, scanner, id, out)),
        Kind::Group(id) => message(codec, scanner, id, out),
        number if first == b'"' => text::put_quoted_number(number, &scanner.string("a number")?, out),
        number if is_number(first) => text::put_number(number, scanner.number()?, out),
        _ => Err(scanner.unexpected("a number")),
    }
}

fn is_number(first: u8) -> bool {
    first == b'-' || first.is_ascii_digit()
}
