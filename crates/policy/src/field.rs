//! A path to one scalar field of a response, read directly from the encoded message.
//!
//! Status, Location and ETag are derived from the encoded response, so that a replayed response gets the same ones, and
//! no service has to set them.

use prost::encoding::{WireType, decode_key, decode_varint, skip_field};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::is_marked;

/// The field numbers from the response down to a scalar field.
#[derive(Debug, Clone)]
pub struct FieldPath {
    numbers: Vec<u32>,
    leaf: FieldDescriptor,
}

/// The value of a scalar field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// An integer, bool or enum.
    Number(u64),
    /// A string, or the bytes of a message.
    Bytes(&'a [u8]),
}

impl FieldPath {
    /// Resolves `data.create_time` against a message.
    ///
    /// # Errors
    /// The part of the path that is not a field or has no parent message.
    pub fn resolve(message: &MessageDescriptor, path: &str) -> Result<Self, String> {
        let mut message = Some(message.clone());
        let mut numbers = Vec::new();
        let mut leaf = None;
        for name in path.split('.') {
            let parent = message.ok_or_else(|| format!("{path}: {name} has no parent message"))?;
            let field = parent.get_field_by_name(name).ok_or_else(|| format!("{path}: no field {name}"))?;
            numbers.push(field.number());
            message = field.kind().as_message().cloned();
            leaf = Some(field);
        }
        leaf.map(|leaf| Self { numbers, leaf }).ok_or_else(|| "an empty field path".to_owned())
    }

    /// Returns the JSON name of the field, without those of its parents.
    pub fn json_name(&self) -> &str {
        self.leaf.json_name()
    }

    /// Returns whether the field is a list.
    pub fn is_list(&self) -> bool {
        self.leaf.is_list()
    }

    /// Returns whether the field is a single bool.
    pub fn is_bool(&self) -> bool {
        self.leaf.kind() == Kind::Bool && !self.leaf.is_list()
    }

    /// Returns the numbers of the enum values that are marked with an option, which is a bool.
    ///
    /// # Errors
    /// The field is no enum, or one without such a value.
    pub fn marked_values(&self, option: &str) -> Result<Vec<i32>, String> {
        let mut numbers = Vec::new();
        if let Kind::Enum(values) = self.leaf.kind() {
            let marked = values.values().filter(|value| is_marked(&value.options(), option));
            numbers.extend(marked.map(|value| value.number()));
        }
        if numbers.is_empty() {
            return Err(format!("{} must be an enum with values that are marked {option}", self.leaf.full_name()));
        }
        Ok(numbers)
    }

    /// Returns the value in an encoded message; `None` if it is absent or the message is invalid.
    pub fn read<'a>(&self, message: &'a [u8]) -> Option<FieldValue<'a>> {
        let (last, parents) = self.numbers.split_last()?;
        let mut bytes = message;
        for &number in parents {
            let Some(FieldValue::Bytes(inner)) = find(bytes, number) else { return None };
            bytes = inner;
        }
        find(bytes, *last)
    }

    /// As [`FieldPath::read`], for a string.
    pub fn text<'a>(&self, message: &'a [u8]) -> Option<&'a str> {
        match self.read(message)? {
            FieldValue::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            FieldValue::Number(_) => None,
        }
    }

    /// Returns the encoded items of a list of messages at the top, or the one message of a field.
    pub fn messages<'a>(&self, message: &'a [u8]) -> Vec<&'a [u8]> {
        let (mut all, target) = (Vec::new(), self.numbers.first().copied().unwrap_or_default());
        each(message, |number, value| {
            if let (true, FieldValue::Bytes(bytes)) = (number == target, value) {
                all.push(bytes);
            }
        });
        all
    }

    /// As [`FieldPath::read`], for a number.
    pub fn number(&self, message: &[u8]) -> Option<u64> {
        match self.read(message)? {
            FieldValue::Number(number) => Some(number),
            FieldValue::Bytes(_) => None,
        }
    }

    /// Returns whether the field is an enum, or a bool, with one of these numbers; an absent one is 0.
    pub fn is_one_of(&self, numbers: &[i32], message: &[u8]) -> bool {
        // Enums are written as varints of their two's complement.
        numbers.contains(&(self.number(message).unwrap_or(0) as i32))
    }
}

/// Returns the last occurrence of a field, which is the one that counts in protobuf.
fn find(bytes: &[u8], target: u32) -> Option<FieldValue<'_>> {
    let mut last = None;
    each(bytes, |number, value| {
        if number == target {
            last = Some(value);
        }
    })
    .and(last)
}

/// Visits the integers, texts and messages of an encoded message; `None` if it is invalid.
fn each<'a>(mut bytes: &'a [u8], mut visit: impl FnMut(u32, FieldValue<'a>)) -> Option<()> {
    while !bytes.is_empty() {
        let (number, wire_type) = decode_key(&mut bytes).ok()?;
        match wire_type {
            WireType::Varint => visit(number, FieldValue::Number(decode_varint(&mut bytes).ok()?)),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                let (inner, rest) = bytes.split_at_checked(length)?;
                visit(number, FieldValue::Bytes(inner));
                bytes = rest;
            }
            other => skip_field(other, number, &mut bytes, Default::default()).ok()?,
        }
    }
    Some(())
}
