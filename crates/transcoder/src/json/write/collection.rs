//! Repeated fields and maps.

use super::{WriteError, Writer, message_bytes};
use crate::json::FieldSet;
use crate::json::schema::{Cardinality, Field, Kind, Message};
use crate::wire::{Reader, Value};

impl<'a> Writer<'_, '_, 'a> {
    pub(super) fn repeated(&mut self, kind: Kind, from: usize, to: usize, depth: u32) -> Result<(), WriteError> {
        let depth = self.open(b'[', depth)?;
        let empty = self.out.len();
        for at in from..to {
            match (kind, self.occurrences[at].value) {
                (Kind::Message(id) | Kind::Group(id), value) => {
                    self.comma(empty);
                    self.message(id, message_bytes(value)?, depth)?;
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

    /// Writes the entries sorted by key, so that equal maps have equal JSON; of equal keys the last wins.
    pub(super) fn map(&mut self, kind: Kind, from: usize, to: usize, depth: u32) -> Result<(), WriteError> {
        let Kind::Message(id) = kind else { return Err(WriteError::Invalid("a map without entries")) };
        let entry = self.codec.message(id);
        let mut entries = Vec::with_capacity(to - from);
        for at in from..to {
            let bytes = message_bytes(self.occurrences[at].value)?;
            entries.push((self.map_key(entry, bytes)?, bytes));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let depth = self.open(b'{', depth)?;
        // A path can end at a map, but can't descend into it.
        self.fields = FieldSet::ALL;
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
        let start = self.occurrences.len();
        self.index_fields(entry, bytes, start)?;
        let key_start = self.out.len();
        match self.occurrences[start..].iter().rfind(|occurrence| occurrence.field == 0) {
            Some(occurrence) => self.scalar(entry.fields[0].kind, occurrence.value)?,
            None => self.zero(entry.fields[0].kind),
        }
        self.occurrences.truncate(start);
        let key = self.out.split_off(key_start);
        Ok(if key.starts_with(b"\"") { key } else { [b"\"", &*key, b"\""].concat() })
    }

    fn map_value(&mut self, entry: &Message, bytes: &'a [u8], depth: u32) -> Result<(), WriteError> {
        let start = self.occurrences.len();
        self.index_fields(entry, bytes, start)?;
        let from = self.occurrences[start..].iter().position(|occurrence| occurrence.field == 1).map(|at| start + at);
        match (from, entry.fields[1].kind) {
            (Some(from), kind) => self.single(kind, from, self.occurrences.len(), depth)?,
            (None, Kind::Message(id)) => self.message(id, b"", depth)?,
            (None, kind) => self.zero(kind),
        }
        self.occurrences.truncate(start);
        Ok(())
    }

    /// Writes the value of an absent field without presence.
    pub(super) fn default_value(&mut self, field: &Field) {
        match field.cardinality {
            Cardinality::Singular => self.zero(field.kind),
            Cardinality::Repeated => self.out.extend_from_slice(b"[]"),
            Cardinality::Map => self.out.extend_from_slice(b"{}"),
        }
    }

    /// Writes the default value of a scalar.
    fn zero(&mut self, kind: Kind) {
        match kind {
            Kind::Enum(id) => self.enumeration(id, self.codec.enumeration(id).default),
            kind => self.out.extend_from_slice(kind.zero()),
        }
    }
}
