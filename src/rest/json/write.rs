//! Wire bytes → JSON.
//!
//! The fields of a message are indexed in one pass, then printed in the order of their numbers. Encoders write in that
//! order, so the index is nearly always sorted; if it is not (merged, repeated or interleaved fields, two members of a
//! oneof), it is sorted first. Nothing is printed and then removed, so the work grows no faster than the length of the
//! input, even if it is hostile.

mod scalar;
mod well_known;

use super::WriteError;
use super::table::{Cardinality, Field, FieldId, Kind, Message, MessageId, Shape, Tables};
use crate::rest::wire::{Reader, Value};

/// Protobuf's own recursion limit.
const MAX_DEPTH: u32 = 100;

/// Appends the JSON of one message.
pub(crate) fn write_one(
    tables: &Tables,
    message: MessageId,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    Writer { tables, out, seen: Vec::with_capacity(32) }.message(message, bytes, 0)
}

/// Appends the JSON of one field of a message, for `response_body`; an unset message field is `null`.
pub(crate) fn write_field(
    tables: &Tables,
    message: MessageId,
    field: FieldId,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let mut writer = Writer { tables, out, seen: Vec::new() };
    let table = tables.message(message);
    writer.gather(table, bytes, 0)?;
    writer.seen.retain(|seen| seen.field == field);
    let field = &table.fields[usize::from(field)];
    match (&field.absent, writer.seen.len()) {
        (Some(absent), 0) => writer.out.extend_from_slice(&absent[field.key.len()..]),
        (None, 0) => writer.out.extend_from_slice(b"null"),
        (_, end) => writer.field(field, 0, end, 0)?,
    }
    Ok(())
}

/// Appends `text` as a JSON string. Runs of bytes that need no escape are copied whole.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

#[derive(Clone, Copy)]
struct Seen<'a> {
    field: FieldId,
    value: Value<'a>,
}

struct Writer<'t, 'o, 'a> {
    tables: &'t Tables,
    out: &'o mut Vec<u8>,
    /// The indexed fields of all messages being written, innermost last.
    seen: Vec<Seen<'a>>,
}

impl<'a> Writer<'_, '_, 'a> {
    fn message(&mut self, id: MessageId, bytes: &'a [u8], depth: u32) -> Result<(), WriteError> {
        if depth > MAX_DEPTH {
            return Err(WriteError::Invalid("the message nests too deeply"));
        }
        let message = self.tables.message(id);
        if message.shape == Shape::Object {
            self.out.push(b'{');
            self.fields(message, bytes, depth, true)?;
            self.out.push(b'}');
            return Ok(());
        }
        let start = self.seen.len();
        self.gather(message, bytes, start)?;
        self.known(message, start, depth)?;
        self.seen.truncate(start);
        Ok(())
    }

    /// Writes everything between the braces.
    fn fields(&mut self, message: &Message, bytes: &'a [u8], depth: u32, first: bool) -> Result<(), WriteError> {
        let start = self.seen.len();
        self.gather(message, bytes, start)?;
        let mut comma = !first;
        let mut at = start;
        for (index, field) in message.fields.iter().enumerate() {
            let run = at;
            while self.seen.get(at).is_some_and(|seen| usize::from(seen.field) == index) {
                at += 1;
            }
            if run == at && field.absent.is_none() {
                continue;
            }
            if comma {
                self.out.push(b',');
            }
            comma = true;
            match &field.absent {
                Some(absent) if run == at => self.out.extend_from_slice(absent),
                _ => {
                    self.out.extend_from_slice(&field.key);
                    self.field(field, run, at, depth)?;
                }
            }
        }
        self.seen.truncate(start);
        Ok(())
    }

    /// Indexes the known fields of a message from `start`, sorted, without superseded oneof members.
    fn gather(&mut self, message: &Message, bytes: &'a [u8], start: usize) -> Result<(), WriteError> {
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
            self.seen.push(Seen { field, value });
        }
        if !in_order {
            self.settle(message, start);
        }
        Ok(())
    }

    /// Drops superseded oneof members: setting a member clears the others, so only the last run survives.
    fn settle(&mut self, message: &Message, start: usize) {
        // Per oneof: the member that won, and whether an earlier rival ended its run.
        let mut winners: Vec<(u16, FieldId, bool)> = Vec::new();
        let mut kept: Vec<Seen<'a>> = Vec::with_capacity(self.seen.len() - start);
        for seen in self.seen.drain(start..).rev() {
            if let Some(oneof) = message.fields[usize::from(seen.field)].oneof {
                match winners.iter_mut().find(|winner| winner.0 == oneof) {
                    None => winners.push((oneof, seen.field, false)),
                    Some((_, field, closed)) => {
                        *closed |= *field != seen.field;
                        if *closed {
                            continue;
                        }
                    }
                }
            }
            kept.push(seen);
        }
        kept.reverse();
        kept.sort_by_key(|seen| seen.field);
        self.seen.extend(kept);
    }

    /// Writes the value of one field, which is indexed in the non-empty `from..to`.
    fn field(&mut self, field: &Field, from: usize, to: usize, depth: u32) -> Result<(), WriteError> {
        match field.cardinality {
            Cardinality::Single => self.single(field.kind, from, to, depth),
            Cardinality::Repeated => self.repeated(field.kind, from, to, depth),
            Cardinality::Map => self.map(field.kind, from, to, depth),
        }
    }

    /// Writes a singular field. The last occurrence of a scalar wins; occurrences of a message are merged, which is
    /// concatenation on the wire.
    fn single(&mut self, kind: Kind, from: usize, to: usize, depth: u32) -> Result<(), WriteError> {
        let (Kind::Message(id) | Kind::Group(id)) = kind else { return self.scalar(kind, self.seen[to - 1].value) };
        if to - from == 1 {
            let bytes = contents(self.seen[from].value)?;
            return self.message(id, bytes, depth + 1);
        }
        let mut merged = Vec::new();
        for seen in &self.seen[from..to] {
            merged.extend_from_slice(contents(seen.value)?);
        }
        Writer { tables: self.tables, out: self.out, seen: Vec::new() }.message(id, &merged, depth + 1)
    }

    fn repeated(&mut self, kind: Kind, from: usize, to: usize, depth: u32) -> Result<(), WriteError> {
        self.out.push(b'[');
        let empty = self.out.len();
        for at in from..to {
            match (kind, self.seen[at].value) {
                (Kind::Message(id) | Kind::Group(id), value) => {
                    self.comma(empty);
                    self.message(id, contents(value)?, depth + 1)?;
                }
                (kind, Value::Bytes(packed)) if kind.is_packable() => {
                    let mut reader = Reader::new(packed);
                    while !reader.is_empty() {
                        self.comma(empty);
                        let value = match kind.wire_type() {
                            0 => Value::Varint(reader.varint()?),
                            1 => Value::Fixed64(reader.fixed64()?),
                            _ => Value::Fixed32(reader.fixed32()?),
                        };
                        self.scalar(kind, value)?;
                    }
                }
                (kind, value) => {
                    self.comma(empty);
                    self.scalar(kind, value)?;
                }
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn comma(&mut self, empty: usize) {
        if self.out.len() > empty {
            self.out.push(b',');
        }
    }

    /// Writes the entries sorted by key, so that equal maps print the same; of equal keys the last wins.
    fn map(&mut self, kind: Kind, from: usize, to: usize, depth: u32) -> Result<(), WriteError> {
        let Kind::Message(id) = kind else { return Err(WriteError::Invalid("a map without entries")) };
        let entry = self.tables.message(id);
        let mut entries = Vec::with_capacity(to - from);
        for at in from..to {
            let bytes = contents(self.seen[at].value)?;
            entries.push((self.map_key(entry, bytes)?, bytes));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        self.out.push(b'{');
        for (at, (key, bytes)) in entries.iter().enumerate() {
            if entries.get(at + 1).is_some_and(|next| next.0 == *key) {
                continue;
            }
            if !self.out.ends_with(b"{") {
                self.out.push(b',');
            }
            self.out.extend_from_slice(key);
            self.out.push(b':');
            self.map_value(entry, bytes, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes a key, which is always a JSON string, even in a `map<bool, …>`.
    fn map_key(&mut self, entry: &Message, bytes: &'a [u8]) -> Result<Vec<u8>, WriteError> {
        let start = self.seen.len();
        self.gather(entry, bytes, start)?;
        let written = self.out.len();
        match self.seen[start..].iter().rfind(|seen| seen.field == 0) {
            Some(seen) => self.scalar(entry.fields[0].kind, seen.value)?,
            None => self.zero(&entry.fields[0]),
        }
        self.seen.truncate(start);
        let key = self.out.split_off(written);
        Ok(if key.starts_with(b"\"") { key } else { [b"\"", &*key, b"\""].concat() })
    }

    fn map_value(&mut self, entry: &Message, bytes: &'a [u8], depth: u32) -> Result<(), WriteError> {
        let start = self.seen.len();
        self.gather(entry, bytes, start)?;
        let from = self.seen[start..].iter().position(|seen| seen.field == 1).map(|at| start + at);
        match (from, entry.fields[1].kind) {
            (Some(from), kind) => self.single(kind, from, self.seen.len(), depth)?,
            (None, Kind::Message(id)) => self.message(id, b"", depth + 1)?,
            (None, _) => self.zero(&entry.fields[1]),
        }
        self.seen.truncate(start);
        Ok(())
    }

    fn zero(&mut self, field: &Field) {
        let zero = field.absent.as_deref().map_or(&b"0"[..], |absent| &absent[field.key.len()..]);
        self.out.extend_from_slice(zero);
    }
}

fn contents(value: Value<'_>) -> Result<&[u8], WriteError> {
    match value {
        Value::Bytes(bytes) | Value::Group(bytes) => Ok(bytes),
        _ => Err(WriteError::Invalid("a field's wire type does not fit its declaration")),
    }
}
