//! Descriptors → schemas, once per pool.

use std::collections::HashMap;

use prost_reflect::{
    Cardinality as DescriptorCardinality, DescriptorPool, EnumDescriptor, ExtensionDescriptor, FieldDescriptor,
    Kind as DescriptorKind, MessageDescriptor,
};

use super::schema::{Cardinality, Enum, EnumId, Field, FieldId, Kind, Message, MessageId, Shape};
use super::write_string;
use crate::editions;

/// Compiles every message and enum of `pool`, in its order.
pub(super) fn all(pool: &DescriptorPool, message_ids: &HashMap<Box<str>, MessageId>) -> (Vec<Message>, Vec<Enum>) {
    let enum_ids: HashMap<Box<str>, EnumId> =
        pool.all_enums().zip(0..).map(|(kind, id)| (kind.full_name().into(), id)).collect();
    let enums: Vec<Enum> = pool.all_enums().map(|descriptor| enumeration(&descriptor)).collect();
    let compiler = Compiler { message_ids, enum_ids: &enum_ids, enums: &enums };
    let messages = pool.all_messages().map(|message| compiler.message(&message)).collect();
    (messages, enums)
}

fn enumeration(descriptor: &EnumDescriptor) -> Enum {
    let mut values: Vec<(i32, Box<[u8]>)> = Vec::new();
    let mut names = HashMap::new();
    // `values()` has another order.
    for value in &descriptor.enum_descriptor_proto().value {
        names.insert(value.name().into(), value.number());
        values.push((value.number(), format!("\"{}\"", value.name()).into_bytes().into()));
    }
    let default = values.first().map_or(0, |(number, _)| *number);
    // A stable sort, so that of several aliases the one declared first is printed.
    values.sort_by_key(|(number, _)| *number);
    values.dedup_by_key(|(number, _)| *number);
    Enum { is_null: descriptor.full_name() == "google.protobuf.NullValue", default, names, values: values.into() }
}

struct Compiler<'a> {
    message_ids: &'a HashMap<Box<str>, MessageId>,
    enum_ids: &'a HashMap<Box<str>, EnumId>,
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
            // The JSON names are inserted last, because they take precedence over other fields' proto names.
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
            DescriptorCardinality::Repeated if field.is_map() => Cardinality::Map,
            DescriptorCardinality::Repeated => Cardinality::Repeated,
            _ => Cardinality::Singular,
        };
        // A proto3 `optional` is the only member of its synthetic oneof, so setting it clears nothing.
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        let position = oneof
            .and_then(|oneof| field.parent_message().oneofs().position(|other| other.full_name() == oneof.full_name()));
        let kind = self.kind(&field.kind(), field.is_group());
        let key = key(field.json_name());
        let default_member = match cardinality {
            Cardinality::Repeated => Some(b"[]".to_vec()),
            Cardinality::Map => Some(b"{}".to_vec()),
            Cardinality::Singular if editions::has_presence(field) => None,
            Cardinality::Singular => Some(self.default_value(kind)),
        };
        Field {
            number: field.number(),
            name: field.json_name().into(),
            default_member: default_member.map(|value| [&*key, &value].concat().into()),
            key,
            kind,
            cardinality,
            oneof: position.map(|at| at as u16),
        }
    }

    fn extension(&self, extension: &ExtensionDescriptor) -> Field {
        let repeated = extension.cardinality() == DescriptorCardinality::Repeated;
        Field {
            number: extension.number(),
            name: extension.json_name().into(),
            key: key(extension.json_name()),
            // Extensions of a message are open-ended; printing all absent ones would bury the other members.
            default_member: None,
            kind: self.kind(&extension.kind(), extension.is_group()),
            cardinality: if repeated { Cardinality::Repeated } else { Cardinality::Singular },
            oneof: None,
        }
    }

    fn kind(&self, kind: &DescriptorKind, is_group: bool) -> Kind {
        match kind {
            DescriptorKind::Double => Kind::Double,
            DescriptorKind::Float => Kind::Float,
            DescriptorKind::Int32 => Kind::Int32,
            DescriptorKind::Int64 => Kind::Int64,
            DescriptorKind::Uint32 => Kind::Uint32,
            DescriptorKind::Uint64 => Kind::Uint64,
            DescriptorKind::Sint32 => Kind::Sint32,
            DescriptorKind::Sint64 => Kind::Sint64,
            DescriptorKind::Fixed32 => Kind::Fixed32,
            DescriptorKind::Fixed64 => Kind::Fixed64,
            DescriptorKind::Sfixed32 => Kind::Sfixed32,
            DescriptorKind::Sfixed64 => Kind::Sfixed64,
            DescriptorKind::Bool => Kind::Bool,
            DescriptorKind::String => Kind::String,
            DescriptorKind::Bytes => Kind::Bytes,
            DescriptorKind::Enum(descriptor) => Kind::Enum(self.enum_ids[descriptor.full_name()]),
            DescriptorKind::Message(descriptor) if is_group => Kind::Group(self.message_ids[descriptor.full_name()]),
            DescriptorKind::Message(descriptor) => Kind::Message(self.message_ids[descriptor.full_name()]),
        }
    }

    /// Returns the JSON of an absent scalar.
    fn default_value(&self, kind: Kind) -> Vec<u8> {
        match kind {
            Kind::Enum(id) if self.enums[id as usize].is_null => b"null".to_vec(),
            Kind::Enum(id) => {
                let kind = &self.enums[id as usize];
                kind.json(kind.default).unwrap_or(b"0").to_vec()
            }
            kind => kind.zero().to_vec(),
        }
    }
}

/// Returns `"name":`, the text before a value.
fn key(json_name: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(json_name.len() + 3);
    write_string(json_name, &mut key);
    key.push(b':');
    key.into()
}
