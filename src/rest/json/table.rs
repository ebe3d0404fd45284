//! Per-message tables: everything about a field that can be computed before the first request.

use std::collections::HashMap;

use prost_reflect::{
    Cardinality as Rule, DescriptorPool, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind as Reflected,
    MessageDescriptor,
};

/// The index of a message's table.
pub(crate) type MessageId = u32;
/// The index of a field in its message's table.
pub(crate) type FieldId = u16;

/// The tables of every message and enum of one descriptor pool.
#[derive(Debug)]
pub struct Tables {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    by_name: HashMap<Box<str>, MessageId>,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) shape: Shape,
    /// In the order of their numbers, in which encoders write and we print.
    pub(crate) fields: Box<[Field]>,
    /// Field number → index + 1 for small numbers; others are searched in `fields`.
    dense: Box<[FieldId]>,
    names: HashMap<Box<str>, FieldId>,
}

/// The form of a message's JSON.
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

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The JSON name, for error messages.
    pub(crate) name: Box<str>,
    /// `"name":`, ready to print.
    pub(crate) key: Box<[u8]>,
    /// `"name":0`, printed when the field is absent; `None` with explicit presence.
    pub(crate) absent: Option<Box<[u8]>>,
    pub(crate) kind: Kind,
    pub(crate) cardinality: Cardinality,
    /// The real oneof that the field is a member of.
    pub(crate) oneof: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    Single,
    Repeated,
    Map,
}

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
    Enum(u32),
    Message(MessageId),
    Group(MessageId),
}

#[derive(Debug)]
pub(crate) struct Enum {
    /// `google.protobuf.NullValue` prints as `null`.
    pub(crate) is_null: bool,
    names: HashMap<Box<str>, i32>,
    /// Sorted by number; the text is quoted.
    values: Box<[(i32, Box<[u8]>)]>,
}

impl Tables {
    /// Compiles every message and enum of `pool`.
    pub fn new(pool: &DescriptorPool) -> Self {
        let by_name: HashMap<Box<str>, MessageId> =
            pool.all_messages().zip(0..).map(|(message, id)| (message.full_name().into(), id)).collect();
        let enum_ids: HashMap<String, u32> =
            pool.all_enums().zip(0..).map(|(kind, id)| (kind.full_name().to_owned(), id)).collect();
        let enums: Vec<Enum> = pool.all_enums().map(|descriptor| Enum::new(&descriptor)).collect();
        let compiler = Compiler { by_name: &by_name, enum_ids: &enum_ids, enums: &enums };
        let messages = pool.all_messages().map(|message| compiler.message(&message)).collect();
        Self { messages, enums, by_name }
    }

    pub(crate) fn id(&self, full_name: &str) -> Option<MessageId> {
        self.by_name.get(full_name).copied()
    }

    #[inline]
    pub(crate) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id as usize]
    }

    #[inline]
    pub(crate) fn enumeration(&self, id: u32) -> &Enum {
        &self.enums[id as usize]
    }
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
}

impl Field {
    /// Returns whether `null` is a value of this field rather than its absence.
    pub(crate) fn takes_null(&self, tables: &Tables) -> bool {
        match self.kind {
            Kind::Message(id) | Kind::Group(id) => tables.message(id).shape == Shape::Value,
            Kind::Enum(id) => tables.enumeration(id).is_null,
            _ => false,
        }
    }
}

impl Kind {
    pub(crate) fn wire_type(self) -> u8 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => 1,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => 5,
            Self::String | Self::Bytes | Self::Message(_) => 2,
            Self::Group(_) => 3,
            _ => 0,
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
    fn new(descriptor: &EnumDescriptor) -> Self {
        let mut values: Vec<(i32, Box<[u8]>)> = Vec::new();
        let mut names = HashMap::new();
        for value in descriptor.values() {
            names.insert(value.name().into(), value.number());
            values.push((value.number(), format!("\"{}\"", value.name()).into_bytes().into()));
        }
        // A stable sort, so that of several aliases the one declared first is printed.
        values.sort_by_key(|(number, _)| *number);
        values.dedup_by_key(|(number, _)| *number);
        Self { is_null: descriptor.full_name() == "google.protobuf.NullValue", names, values: values.into() }
    }

    #[inline]
    pub(crate) fn json(&self, number: i32) -> Option<&[u8]> {
        let at = match self.values.get(number as usize) {
            // Most enums count from zero without gaps.
            Some((found, _)) if *found == number => number as usize,
            _ => self.values.binary_search_by_key(&number, |(number, _)| *number).ok()?,
        };
        Some(&self.values[at].1)
    }

    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        self.names.get(name).copied()
    }
}

struct Compiler<'a> {
    by_name: &'a HashMap<Box<str>, MessageId>,
    enum_ids: &'a HashMap<String, u32>,
    enums: &'a [Enum],
}

impl Compiler<'_> {
    fn message(&self, descriptor: &MessageDescriptor) -> Message {
        let mut names = HashMap::new();
        let mut fields: Vec<(Field, [Box<str>; 2])> = Vec::new();
        for field in descriptor.fields() {
            fields.push((self.field(&field), [field.name().into(), field.json_name().into()]));
        }
        for extension in descriptor.extensions() {
            let name: Box<str> = extension.json_name().into();
            fields.push((self.extension(&extension), [name.clone(), name]));
        }
        fields.sort_by_key(|(field, _)| field.number);
        let highest = fields.iter().map(|(field, _)| field.number).filter(|number| *number < 256).max();
        let mut dense = vec![0; highest.map_or(0, |number| number as usize + 1)];
        for (index, (field, spellings)) in fields.iter().enumerate() {
            if let Some(slot) = dense.get_mut(field.number as usize) {
                *slot = index as FieldId + 1;
            }
            // The JSON names are inserted last, because they win over other fields' proto names.
            names.entry(spellings[0].clone()).or_insert(index as FieldId);
        }
        for (index, (_, [_, json_name])) in fields.iter().enumerate() {
            names.insert(json_name.clone(), index as FieldId);
        }
        let fields = fields.into_iter().map(|(field, _)| field).collect();
        Message { shape: Shape::of(descriptor.full_name()), fields, dense: dense.into(), names }
    }

    fn field(&self, field: &FieldDescriptor) -> Field {
        let cardinality = match field.cardinality() {
            Rule::Repeated if field.is_map() => Cardinality::Map,
            Rule::Repeated => Cardinality::Repeated,
            _ => Cardinality::Single,
        };
        // A proto3 `optional` is the only member of its synthetic oneof, so setting it clears nothing.
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        let position = oneof
            .and_then(|oneof| field.parent_message().oneofs().position(|other| other.full_name() == oneof.full_name()));
        let kind = self.kind(&field.kind(), field.is_group());
        let key = key(field.json_name());
        let absent = match cardinality {
            Cardinality::Repeated => Some(b"[]".to_vec()),
            Cardinality::Map => Some(b"{}".to_vec()),
            Cardinality::Single if field.supports_presence() => None,
            Cardinality::Single => Some(self.zero(kind)),
        };
        Field {
            number: field.number(),
            name: field.json_name().into(),
            absent: absent.map(|zero| [&*key, &zero].concat().into()),
            key,
            kind,
            cardinality,
            oneof: position.map(|at| at as u16),
        }
    }

    fn extension(&self, extension: &ExtensionDescriptor) -> Field {
        let repeated = extension.cardinality() == Rule::Repeated;
        Field {
            number: extension.number(),
            name: extension.json_name().into(),
            key: key(extension.json_name()),
            // Extensions of a message are open-ended; listing all absent ones would bury the rest.
            absent: None,
            kind: self.kind(&extension.kind(), extension.is_group()),
            cardinality: if repeated { Cardinality::Repeated } else { Cardinality::Single },
            oneof: None,
        }
    }

    fn kind(&self, kind: &Reflected, is_group: bool) -> Kind {
        match kind {
            Reflected::Double => Kind::Double,
            Reflected::Float => Kind::Float,
            Reflected::Int32 => Kind::Int32,
            Reflected::Int64 => Kind::Int64,
            Reflected::Uint32 => Kind::Uint32,
            Reflected::Uint64 => Kind::Uint64,
            Reflected::Sint32 => Kind::Sint32,
            Reflected::Sint64 => Kind::Sint64,
            Reflected::Fixed32 => Kind::Fixed32,
            Reflected::Fixed64 => Kind::Fixed64,
            Reflected::Sfixed32 => Kind::Sfixed32,
            Reflected::Sfixed64 => Kind::Sfixed64,
            Reflected::Bool => Kind::Bool,
            Reflected::String => Kind::String,
            Reflected::Bytes => Kind::Bytes,
            Reflected::Enum(descriptor) => Kind::Enum(self.enum_ids[descriptor.full_name()]),
            Reflected::Message(descriptor) if is_group => Kind::Group(self.by_name[descriptor.full_name()]),
            Reflected::Message(descriptor) => Kind::Message(self.by_name[descriptor.full_name()]),
        }
    }

    /// Returns the JSON of a scalar that is not on the wire.
    fn zero(&self, kind: Kind) -> Vec<u8> {
        match kind {
            Kind::Bool => b"false".to_vec(),
            Kind::String | Kind::Bytes => b"\"\"".to_vec(),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => b"\"0\"".to_vec(),
            Kind::Enum(id) if self.enums[id as usize].is_null => b"null".to_vec(),
            Kind::Enum(id) => self.enums[id as usize].json(0).unwrap_or(b"0").to_vec(),
            _ => b"0".to_vec(),
        }
    }
}

impl Shape {
    fn of(full_name: &str) -> Self {
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

fn key(json_name: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(json_name.len() + 3);
    super::write_string(json_name, &mut key);
    key.push(b':');
    key.into()
}
