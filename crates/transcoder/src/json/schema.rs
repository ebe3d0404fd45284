//! Properties of messages, fields and enums that are computed before the first conversion.

use std::collections::HashMap;

use super::ReadError;

/// The number of bytes of an unknown name that are compared to the known ones.
const MAX_COMPARED_BYTES: usize = 64;

/// The maximum number of enum values that an error lists.
const MAX_LISTED_VALUES: usize = 50;

/// The index of a message in its codec.
pub(crate) type MessageId = u32;

/// The index of a field in its message.
pub(crate) type FieldId = u16;

/// The index of an enum in its codec.
pub(crate) type EnumId = u32;

/// Converts between the protobuf wire format and protobuf JSON, for every message of one descriptor pool.
///
/// Creating one compiles the whole pool, so make it once; it is immutable and can be shared.
#[derive(Debug)]
pub struct Codec {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
    pub(super) ids: HashMap<Box<str>, MessageId>,
    /// The maximum nesting depth of objects and arrays in JSON that is read.
    pub(super) max_depth: u32,
    /// Whether an unknown name of an enum is read as a number that the enum does not declare.
    pub(super) passes_unknown_enum_names: bool,
}

impl Codec {
    pub(crate) fn id(&self, full_name: &str) -> Option<MessageId> {
        self.ids.get(full_name).copied()
    }

    #[inline]
    pub(crate) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id as usize]
    }

    #[inline]
    pub(crate) fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id as usize]
    }
}

/// A message type.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) shape: Shape,
    /// In the order of their numbers, in which encoders write and the codec prints.
    pub(crate) fields: Box<[Field]>,
    /// Field number → index + 1 for small numbers; other numbers are searched in `fields`.
    pub(super) dense: Box<[FieldId]>,
    /// By proto and by JSON name.
    pub(super) names: HashMap<Box<str>, FieldId>,
}

/// The form of a message's JSON: an object of its fields, or that of a well-known type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Any,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    Wrapper,
}

/// A field of a message type.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The JSON name, for error messages.
    pub(crate) name: Box<str>,
    /// `"name":`, ready to print.
    pub(crate) key: Box<[u8]>,
    /// `"name":0`, printed when the field is absent; `None` with explicit presence.
    pub(crate) default_member: Option<Box<[u8]>>,
    pub(crate) kind: Kind,
    pub(crate) cardinality: Cardinality,
    /// The real oneof that the field is a member of.
    pub(crate) oneof: Option<u16>,
}

/// The number of values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    Singular,
    Repeated,
    Map,
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
    Group(MessageId),
}

/// An enum type.
#[derive(Debug)]
pub(crate) struct Enum {
    /// `google.protobuf.NullValue` prints as `null`.
    pub(crate) is_null: bool,
    /// The value that is declared first.
    pub(crate) default: i32,
    pub(super) names: HashMap<Box<str>, i32>,
    /// Sorted by number; the text is quoted.
    pub(super) values: Box<[(i32, Box<[u8]>)]>,
}

impl Message {
    #[inline]
    pub(crate) fn by_number(&self, number: u32) -> Option<FieldId> {
        match self.dense.get(number as usize) {
            Some(0) => None,
            Some(id) => Some(id - 1),
            None => self.fields.binary_search_by_key(&number, |field| field.number).ok().map(|at| at as FieldId),
        }
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<FieldId> {
        self.names.get(name).copied()
    }

    /// Returns the error for an unknown field name, with the most similar field name as a suggestion. Only fields that
    /// `accepts` allows are suggested, so that the suggestion is valid.
    #[cold]
    pub(crate) fn unknown(&self, what: &str, name: &str, accepts: impl Fn(&Field) -> bool) -> ReadError {
        let fault = match self.nearest(name, accepts) {
            Some(field) => format!("unknown {what}; did you mean {field:?}?"),
            None => format!("unknown {what}"),
        };
        ReadError::new(fault).within(name)
    }

    /// Returns the JSON name of the field whose name differs from `name` by at most a third of its characters; case and
    /// punctuation don't count.
    fn nearest(&self, name: &str, accepts: impl Fn(&Field) -> bool) -> Option<&str> {
        let letters = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
        // A longer name matches no field, and comparing it costs the product of the lengths.
        let target = letters(name.get(..name.len().min(MAX_COMPARED_BYTES))?);
        let distance = |field: &Field| strsim::osa_distance(&target, &letters(&field.name));
        let candidates = self.fields.iter().filter(|field| accepts(field));
        let (distance, field) = candidates.map(|field| (distance(field), field)).min_by_key(|pair| pair.0)?;
        (distance * 3 <= target.chars().count()).then_some(&field.name)
    }
}

impl Field {
    /// Returns whether the field is an extension, whose JSON name is `[package.name]`.
    pub(crate) fn is_extension(&self) -> bool {
        self.name.starts_with('[')
    }

    /// Returns whether a query parameter can set the field.
    pub(crate) fn has_text_form(&self, codec: &Codec) -> bool {
        let is_text = match self.kind {
            Kind::Message(id) => codec.message(id).shape.is_text(),
            Kind::Group(_) => false,
            _ => true,
        };
        is_text && self.cardinality != Cardinality::Map && !self.is_extension()
    }

    /// Returns whether `null` is a value of this field rather than its absence.
    pub(crate) fn accepts_null(&self, codec: &Codec) -> bool {
        match self.kind {
            Kind::Message(id) | Kind::Group(id) => codec.message(id).shape == Shape::Value,
            Kind::Enum(id) => codec.enumeration(id).is_null,
            _ => false,
        }
    }
}

impl Kind {
    /// Returns the wire type of one value (0 varint, 1 fixed64, 2 delimited, 3 group, 5 fixed32).
    pub(crate) fn wire_type(self) -> u8 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => 1,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => 5,
            Self::String | Self::Bytes | Self::Message(_) => 2,
            Self::Group(_) => 3,
            _ => 0,
        }
    }

    /// Returns the JSON of the default value of a scalar that is not an enum.
    pub(super) fn zero(self) -> &'static [u8] {
        match self {
            Self::Bool => b"false",
            Self::String | Self::Bytes => b"\"\"",
            Self::Int64 | Self::Uint64 | Self::Sint64 | Self::Fixed64 | Self::Sfixed64 => b"\"0\"",
            _ => b"0",
        }
    }

    pub(crate) fn is_whole_number(self) -> bool {
        self.is_packable() && !matches!(self, Self::Double | Self::Float | Self::Bool | Self::Enum(_))
    }

    pub(crate) fn is_packable(self) -> bool {
        !matches!(self.wire_type(), 2 | 3)
    }
}

impl Enum {
    /// Returns the quoted name of a value, or `None` if the number is unknown.
    #[inline]
    pub(crate) fn json(&self, number: i32) -> Option<&[u8]> {
        let at = match self.values.get(number as usize) {
            // Most enums count from zero without gaps.
            Some((other, _)) if *other == number => number as usize,
            _ => self.values.binary_search_by_key(&number, |(number, _)| *number).ok()?,
        };
        Some(&self.values[at].1)
    }

    /// Returns the error for an unknown value, which lists the valid ones. The zero value of proto3 means unspecified,
    /// so it is not listed.
    #[cold]
    pub(crate) fn unknown(&self) -> ReadError {
        let named = self.values.iter().filter(|(number, _)| *number != 0 || self.values.len() == 1);
        let names: Vec<_> = named.map(|(_, json)| String::from_utf8_lossy(json).trim_matches('"').to_owned()).collect();
        match names.get(..MAX_LISTED_VALUES) {
            Some(first) => ReadError::new(format!("not one of {}, …", first.join(", "))),
            None => ReadError::new(format!("not one of {}", names.join(", "))),
        }
    }

    /// Returns the `index`th number that is not declared, counted from the least integer.
    #[cold]
    pub(super) fn undeclared(&self, index: usize) -> i32 {
        let first = i32::MIN.saturating_add(i32::try_from(index).unwrap_or(i32::MAX));
        (first..).find(|&number| self.json(number).is_none()).unwrap_or(first)
    }

    /// Returns the number of a value, or `None` if the name is unknown.
    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        self.names.get(name).copied()
    }
}

impl Shape {
    /// Returns whether messages of this form have a text form.
    fn is_text(self) -> bool {
        matches!(self, Self::Timestamp | Self::Duration | Self::FieldMask | Self::Wrapper)
    }

    /// Returns the form of the message with this name.
    pub(super) fn of(full_name: &str) -> Self {
        let Some(name) = full_name.strip_prefix("google.protobuf.") else { return Self::Object };
        match name {
            "Any" => Self::Any,
            "Timestamp" => Self::Timestamp,
            "Duration" => Self::Duration,
            "FieldMask" => Self::FieldMask,
            "Struct" => Self::Struct,
            "Value" => Self::Value,
            "ListValue" => Self::ListValue,
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
            | "BoolValue" | "StringValue" | "BytesValue" => Self::Wrapper,
            _ => Self::Object,
        }
    }
}
