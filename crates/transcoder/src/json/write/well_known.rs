//! Well-known types, whose JSON is not an object of their fields.

use super::{WriteError, Writer, message_bytes, write_string};
use crate::json::schema::{FieldId, Kind, Message, Shape};
use crate::json::{field_mask, time};
use crate::wire::Value;

impl<'a> Writer<'_, '_, 'a> {
    /// Writes a well-known type, whose fields are indexed from `start`.
    pub(super) fn well_known(&mut self, message: &Message, start: usize, depth: u32) -> Result<(), WriteError> {
        let end = self.occurrences.len();
        match message.shape {
            Shape::Object => Ok(()),
            Shape::Timestamp => time::write_timestamp(self.varint(1, start)?, self.varint(2, start)? as i32, self.out),
            Shape::Duration => time::write_duration(self.varint(1, start)?, self.varint(2, start)? as i32, self.out),
            Shape::FieldMask => self.mask(start),
            Shape::Wrapper if start == end => {
                self.default_value(&message.fields[0]);
                Ok(())
            }
            Shape::Wrapper => self.scalar(message.fields[0].kind, self.occurrences[end - 1].value),
            Shape::Struct | Shape::ListValue if start == end => {
                self.default_value(&message.fields[0]);
                Ok(())
            }
            Shape::Struct => self.map(message.fields[0].kind, start, end, depth),
            Shape::ListValue => self.repeated(message.fields[0].kind, start, end, depth),
            Shape::Value => self.value(message, start, depth),
            Shape::Any => self.any(start, depth),
        }
    }

    /// Returns the integer in the field at `position` (its number), or 0 if it is absent.
    fn varint(&self, position: FieldId, start: usize) -> Result<i64, WriteError> {
        let occurrence = self.occurrences[start..].iter().rfind(|occurrence| occurrence.field == position - 1);
        match occurrence.map(|occurrence| occurrence.value) {
            None => Ok(0),
            Some(Value::Varint(value)) => Ok(value as i64),
            Some(_) => Err(WriteError::Invalid("a field's wire type does not fit its declaration")),
        }
    }

    fn bytes(&self, position: FieldId, start: usize) -> Result<&'a [u8], WriteError> {
        let occurrence = self.occurrences[start..].iter().rfind(|occurrence| occurrence.field == position - 1);
        occurrence.map_or(Ok(b""), |occurrence| message_bytes(occurrence.value))
    }

    fn mask(&mut self, start: usize) -> Result<(), WriteError> {
        let mut text = String::new();
        for occurrence in &self.occurrences[start..] {
            let path = std::str::from_utf8(message_bytes(occurrence.value)?)
                .map_err(|_| WriteError::Invalid("a field mask is not valid UTF-8"))?;
            if !text.is_empty() {
                text.push(',');
            }
            field_mask::write_path(path, &mut text);
        }
        write_string(&text, self.out);
        Ok(())
    }

    fn value(&mut self, message: &Message, start: usize, depth: u32) -> Result<(), WriteError> {
        let Some(occurrence) = self.occurrences.get(start).copied() else {
            self.out.extend_from_slice(b"null");
            return Ok(());
        };
        let field = &message.fields[usize::from(occurrence.field)];
        if let (Kind::Double, Value::Fixed64(bits)) = (field.kind, occurrence.value)
            && !f64::from_bits(bits).is_finite()
        {
            return Err(WriteError::Invalid("a google.protobuf.Value holds a number that JSON has not"));
        }
        self.field(field, start, self.occurrences.len(), depth)
    }

    fn any(&mut self, start: usize, depth: u32) -> Result<(), WriteError> {
        let (type_url, bytes) = (self.bytes(1, start)?, self.bytes(2, start)?);
        let type_url = std::str::from_utf8(type_url).map_err(|_| WriteError::Invalid("a type URL is not UTF-8"))?;
        if type_url.is_empty() && bytes.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        let name = type_url.rsplit('/').next().unwrap_or_default();
        let id = self.codec.id(name).ok_or_else(|| WriteError::UnknownType(name.to_owned()))?;
        let inner = self.codec.message(id);
        let depth = self.open(b'{', depth)?;
        self.out.extend_from_slice(b"\"@type\":");
        write_string(type_url, self.out);
        if inner.shape == Shape::Object {
            self.members(inner, bytes, depth, false)?;
        } else {
            self.out.extend_from_slice(b",\"value\":");
            self.message(id, bytes, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}
