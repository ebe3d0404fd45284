//! JSON → wire bytes, in one pass and in the order of the document.

use std::collections::HashSet;

use super::scan::Scanner;
use super::table::{Cardinality, Field, FieldId, Kind, Message, MessageId, Shape, Tables};
use super::{ReadError, text};
use crate::rest::wire::{put_delimited, put_tag, put_varint};

type Result<T> = std::result::Result<T, ReadError>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The maximum nesting depth of objects and arrays, including the outermost.
    pub(crate) max_depth: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_depth: 64 }
    }
}

/// Appends the message that a whole document describes.
pub(crate) fn read_message(
    tables: &Tables,
    id: MessageId,
    json: &[u8],
    options: Options,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut scan = Scanner::new(json, options.max_depth)?;
    message(tables, &mut scan, id, out)?;
    scan.end()
}

/// Appends one field, tag included, whose value is a whole document: `body: "field"`.
pub(crate) fn read_field(tables: &Tables, of: &Field, json: &[u8], options: Options, out: &mut Vec<u8>) -> Result<()> {
    let mut scan = Scanner::new(json, options.max_depth)?;
    field(tables, &mut scan, of, out).map_err(|error| error.within(&of.name))?;
    scan.end()
}

fn message(tables: &Tables, scan: &mut Scanner<'_>, id: MessageId, out: &mut Vec<u8>) -> Result<()> {
    let message = tables.message(id);
    match message.shape {
        Shape::Object => object(tables, scan, message, false, out),
        Shape::Timestamp | Shape::Duration | Shape::FieldMask => {
            let string = scan.string("a string")?;
            text::put_message_text(tables, id, &string, out)
        }
        Shape::Wrapper => {
            put_tag(out, 1, message.fields[0].kind.wire_type());
            scalar(tables, scan, message.fields[0].kind, out)
        }
        Shape::Struct => map(tables, scan, &message.fields[0], out),
        Shape::ListValue => repeated(tables, scan, &message.fields[0], out),
        Shape::Value => value(tables, scan, message, out),
        Shape::Any => any(tables, scan, message, out),
    }
}

/// Reads a plain message. `typed` means it is inside an `Any`, whose `@type` is not one of its fields.
fn object(tables: &Tables, scan: &mut Scanner<'_>, message: &Message, typed: bool, out: &mut Vec<u8>) -> Result<()> {
    let mut seen = Seen::default();
    scan.object(|scan, name| {
        if typed && name == "@type" {
            return scan.skip();
        }
        if name.is_empty() {
            return Err(ReadError::new("a member has no name"));
        }
        let Some(id) = message.by_name(&name) else { return scan.skip().map_err(|error| error.within(&name)) };
        let of = &message.fields[usize::from(id)];
        let set = if seen.field(id) { field(tables, scan, of, out) } else { Err(ReadError::new("given twice")) };
        if set.map_err(|error| error.within(&of.name))? && !of.oneof.is_none_or(|oneof| seen.oneof(oneof)) {
            return Err(ReadError::new("only one member of its oneof may be given").within(&of.name));
        }
        Ok(())
    })
}

/// The fields and oneofs that an object has set so far.
#[derive(Default)]
struct Seen {
    first: u64,
    more: Vec<FieldId>,
    oneofs: Vec<u16>,
}

impl Seen {
    /// Returns whether the field is new.
    fn field(&mut self, id: FieldId) -> bool {
        if let Some(bit) = 1u64.checked_shl(id.into()) {
            let new = self.first & bit == 0;
            self.first |= bit;
            return new;
        }
        let new = !self.more.contains(&id);
        self.more.push(id);
        new
    }

    fn oneof(&mut self, id: u16) -> bool {
        let new = !self.oneofs.contains(&id);
        self.oneofs.push(id);
        new
    }
}

/// Reads one field with its tag; returns `false` if `null` left it unset.
fn field(tables: &Tables, scan: &mut Scanner<'_>, field: &Field, out: &mut Vec<u8>) -> Result<bool> {
    let single = field.cardinality == Cardinality::Single;
    if scan.peek()? == b'n' && !(single && field.takes_null(tables)) {
        scan.word("null")?;
        return Ok(false);
    }
    match field.cardinality {
        Cardinality::Single => element(tables, scan, field, out)?,
        Cardinality::Repeated => repeated(tables, scan, field, out)?,
        Cardinality::Map => map(tables, scan, field, out)?,
    }
    Ok(true)
}

/// Reads one value with its tag.
fn element(tables: &Tables, scan: &mut Scanner<'_>, field: &Field, out: &mut Vec<u8>) -> Result<()> {
    put_tag(out, field.number, field.kind.wire_type());
    scalar(tables, scan, field.kind, out)?;
    if let Kind::Group(_) = field.kind {
        put_tag(out, field.number, 4);
    }
    Ok(())
}

/// Reads an array, or a single value in place of one. `null` elements are dropped, unless null is a value of the type.
/// All as in Envoy.
fn repeated(tables: &Tables, scan: &mut Scanner<'_>, field: &Field, out: &mut Vec<u8>) -> Result<()> {
    let keeps_null = field.takes_null(tables);
    let values = |scan: &mut Scanner<'_>, packed: bool, out: &mut Vec<u8>| {
        if scan.peek()? != b'[' {
            return if packed { scalar(tables, scan, field.kind, out) } else { element(tables, scan, field, out) };
        }
        scan.array(|scan, index| {
            if !keeps_null && scan.peek()? == b'n' {
                return scan.word("null");
            }
            let written =
                if packed { scalar(tables, scan, field.kind, out) } else { element(tables, scan, field, out) };
            written.map_err(|error| error.within_index(index))
        })
    };
    if !field.kind.is_packable() {
        return values(scan, false, out);
    }
    put_tag(out, field.number, 2);
    put_delimited(out, |out| values(scan, true, out))
}

fn map(tables: &Tables, scan: &mut Scanner<'_>, field: &Field, out: &mut Vec<u8>) -> Result<()> {
    let Kind::Message(entry) = field.kind else { return Err(ReadError::new("not a map")) };
    let entry = tables.message(entry);
    let (key, value) = (&entry.fields[0], &entry.fields[1]);
    let mut keys = HashSet::new();
    scan.object(|scan, name| {
        let mut encoded = Vec::with_capacity(name.len() + 2);
        put_tag(&mut encoded, 1, key.kind.wire_type());
        text::put_text(tables, key.kind, &name, &mut encoded).map_err(|error| error.within(&name))?;
        if scan.peek()? == b'n' && !value.takes_null(tables) {
            return scan.word("null");
        }
        put_tag(out, field.number, 2);
        put_delimited(out, |out| {
            out.extend_from_slice(&encoded);
            element(tables, scan, value, out)
        })
        .map_err(|error| error.within(&name))?;
        if keys.insert(encoded) { Ok(()) } else { Err(ReadError::new("given twice").within(&name)) }
    })
}

/// Reads one value without its tag.
fn scalar(tables: &Tables, scan: &mut Scanner<'_>, kind: Kind, out: &mut Vec<u8>) -> Result<()> {
    let first = scan.peek()?;
    match kind {
        Kind::String => {
            let string = scan.string("a string")?;
            put_varint(out, string.len() as u64);
            out.extend_from_slice(string.as_bytes());
            Ok(())
        }
        Kind::Bytes => text::put_base64(&scan.string("a base64 string")?, out),
        Kind::Bool if first == b'"' => text::put_bool(&scan.string("a bool")?, out),
        Kind::Bool => {
            out.push(u8::from(scan.boolean()?));
            Ok(())
        }
        Kind::Enum(id) if first == b'n' && tables.enumeration(id).is_null => {
            out.push(0);
            scan.word("null")
        }
        Kind::Enum(id) if first == b'"' => text::put_enum(tables, id, &scan.string("an enum value")?, out),
        Kind::Enum(_) if is_number(first) => text::put_number(Kind::Int32, scan.number()?, out),
        Kind::Enum(_) => Err(scan.unexpected("a string")),
        Kind::Message(id) => put_delimited(out, |out| message(tables, scan, id, out)),
        Kind::Group(id) => message(tables, scan, id, out),
        number if first == b'"' => text::put_quoted_number(number, &scan.string("a number")?, out),
        number if is_number(first) => text::put_number(number, scan.number()?, out),
        _ => Err(scan.unexpected("a number")),
    }
}

fn is_number(first: u8) -> bool {
    first == b'-' || first.is_ascii_digit()
}

/// Reads a `google.protobuf.Value`: any JSON, distinguished by its first byte. Field numbers: struct.proto.
fn value(tables: &Tables, scan: &mut Scanner<'_>, message: &Message, out: &mut Vec<u8>) -> Result<()> {
    let number = match scan.peek()? {
        b'n' => {
            scan.word("null")?;
            out.extend_from_slice(&[0x08, 0]);
            return Ok(());
        }
        b'"' => 3,
        b't' | b'f' => 4,
        b'{' => 5,
        b'[' => 6,
        _ => {
            let number = text::double(scan.number()?)?;
            put_tag(out, 2, 1);
            out.extend_from_slice(&number.to_le_bytes());
            return Ok(());
        }
    };
    let id = message.by_number(number).ok_or_else(|| ReadError::new("google.protobuf.Value is incomplete"))?;
    element(tables, scan, &message.fields[usize::from(id)], out)
}

/// Reads an `Any`. `@type` may be anywhere, so a copy of the scanner finds it before the members are read.
fn any(tables: &Tables, scan: &mut Scanner<'_>, message: &Message, out: &mut Vec<u8>) -> Result<()> {
    let (mut type_url, mut empty) = (None, true);
    Scanner::clone(scan).object(|scan, name| {
        empty = false;
        if name != "@type" {
            return scan.skip();
        }
        type_url = Some(scan.string("a type URL").map_err(|error| error.within("@type"))?);
        Ok(())
    })?;
    if empty {
        return scan.skip();
    }
    let type_url = type_url.ok_or_else(|| ReadError::new("required here").within("@type"))?;
    let name = type_url.rsplit_once('/').map(|(_, name)| name);
    let id = name.and_then(|name| tables.id(name));
    let id = id.ok_or_else(|| ReadError::new("an unknown type").within("@type"))?;
    put_tag(out, message.fields[0].number, 2);
    put_varint(out, type_url.len() as u64);
    out.extend_from_slice(type_url.as_bytes());
    put_tag(out, message.fields[1].number, 2);
    let inner = tables.message(id);
    put_delimited(out, |out| {
        if inner.shape == Shape::Object && name != Some("google.protobuf.Empty") {
            return object(tables, scan, inner, true, out);
        }
        scan.object(|scan, name| match &*name {
            "value" => self::message(tables, scan, id, out).map_err(|error| error.within("value")),
            _ => scan.skip(),
        })
    })
}
