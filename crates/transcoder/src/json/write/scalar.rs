//! Scalars: numbers, text, bytes, enums.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{EnumFormat, WriteError, Writer, write_string};
use crate::json::schema::{EnumId, Kind};
use crate::wire::{Value, unzigzag};

impl<'a> Writer<'_, '_, 'a> {
    pub(super) fn scalar(&mut self, kind: Kind, value: Value<'a>) -> Result<(), WriteError> {
        match (kind, value) {
            (Kind::String, Value::Bytes(bytes)) => {
                let text =
                    std::str::from_utf8(bytes).map_err(|_| WriteError::Invalid("a string is not valid UTF-8"))?;
                write_string(text, self.out);
            }
            (Kind::Bytes, Value::Bytes(bytes)) => self.base64(bytes),
            (Kind::Bool, Value::Varint(value)) => {
                self.out.extend_from_slice(if value == 0 { b"false" } else { b"true" });
            }
            (Kind::Enum(id), Value::Varint(value)) => self.enumeration(id, value as i32),
            (Kind::Int32, Value::Varint(value)) => put_number(self.out, value as i32),
            (Kind::Uint32, Value::Varint(value)) => put_number(self.out, value as u32),
            (Kind::Sint32, Value::Varint(value)) => put_number(self.out, unzigzag(u64::from(value as u32)) as i32),
            (Kind::Fixed32, Value::Fixed32(value)) => put_number(self.out, value),
            (Kind::Sfixed32, Value::Fixed32(value)) => put_number(self.out, value as i32),
            (Kind::Int64, Value::Varint(value)) => self.quoted_integer(value as i64),
            (Kind::Uint64, Value::Varint(value)) => self.quoted_integer(value),
            (Kind::Sint64, Value::Varint(value)) => self.quoted_integer(unzigzag(value)),
            (Kind::Fixed64, Value::Fixed64(value)) => self.quoted_integer(value),
            (Kind::Sfixed64, Value::Fixed64(value)) => self.quoted_integer(value as i64),
            (Kind::Double, Value::Fixed64(bits)) => {
                let value = f64::from_bits(bits);
                self.float(value, value.is_finite());
            }
            (Kind::Float, Value::Fixed32(bits)) => {
                let value = f32::from_bits(bits);
                // Not widened to f64 when finite: 0.1 must print as 0.1.
                if value.is_finite() { self.float(value, true) } else { self.float(f64::from(value), false) }
            }
            _ => return Err(WriteError::Invalid("a field's wire type does not fit its declaration")),
        }
        Ok(())
    }

    /// Writes a 64-bit integer as a string, because JavaScript's integers are exact only up to 2^53.
    fn quoted_integer(&mut self, value: impl serde::Serialize) {
        self.out.push(b'"');
        put_number(self.out, value);
        self.out.push(b'"');
    }

    fn float(&mut self, value: impl serde::Serialize + Into<f64> + Copy, finite: bool) {
        if finite {
            put_number(self.out, value);
            if self.out.ends_with(b".0") {
                self.out.truncate(self.out.len() - 2);
            }
            return;
        }
        let value: f64 = value.into();
        let text = if value.is_nan() {
            "\"NaN\""
        } else if value > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        };
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn enumeration(&mut self, id: EnumId, number: i32) {
        let descriptor = self.codec.enumeration(id);
        match descriptor.json(number).filter(|_| self.enums == EnumFormat::Name) {
            _ if descriptor.is_null => self.out.extend_from_slice(b"null"),
            Some(name) => self.out.extend_from_slice(name),
            // A requested number, or a value that is newer than this descriptor set.
            None => put_number(self.out, number),
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        let start = self.out.len();
        self.out.resize(start + bytes.len().div_ceil(3) * 4, 0);
        // The slice is exactly as long as the padded text, so this can't fail.
        let length = BASE64_STANDARD.encode_slice(bytes, &mut self.out[start..]).unwrap_or_default();
        self.out.truncate(start + length);
        self.out.push(b'"');
    }
}

/// Writes a number. serde_json prints numbers without an allocation, and writing to a `Vec` never fails.
fn put_number(out: &mut Vec<u8>, value: impl serde::Serialize) {
    let result = serde_json::to_writer(out, &value);
    debug_assert!(result.is_ok());
}
