//! Which fields of the messages are personal or secret, for the audit log.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor, Value};

use super::{FieldPath, is_marked};

const PERSONAL: &str = "mainstay.policy.v1.is_personal";
/// Fields that every change touches, or that identify the resource.
const UNTOLD: [&str; 5] = ["id", "version", "create_time", "update_time", "included"];
/// The depth of nested messages that is searched; deeper ones count as personal.
const MAX_DEPTH: usize = 4;

/// How the audit log stores the values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Its values are stored in the entry itself.
    Open,
    /// Its values are stored apart, so that they can be erased.
    Personal,
    /// Its values are never stored.
    Secret,
}

/// A field of a resource.
#[derive(Debug)]
pub struct Field {
    /// The name in JSON.
    pub json_name: String,
    /// The class, which is the strictest of those within a message.
    pub class: Class,
}

/// The fields of a message that the audit log tells.
#[derive(Debug)]
pub struct Shape {
    /// The message.
    pub descriptor: MessageDescriptor,
    /// The fields that are told.
    pub fields: Vec<Field>,
    /// The path of the id, if the message has one.
    pub id: Option<FieldPath>,
}

/// The shapes of all messages, by full name.
#[derive(Debug)]
pub struct Privacy(HashMap<String, Shape>);

impl Privacy {
    pub(super) fn read(pool: &DescriptorPool) -> Self {
        let shape = |descriptor: MessageDescriptor| {
            let told = descriptor.fields().filter(|field| !UNTOLD.contains(&field.name()));
            let field =
                |field: FieldDescriptor| Field { json_name: field.json_name().to_owned(), class: class(&field, 0) };
            Shape { fields: told.map(field).collect(), id: FieldPath::resolve(&descriptor, "id").ok(), descriptor }
        };
        // The messages of protobuf itself are of no resource.
        let all = pool.all_messages().filter(|message| !message.full_name().starts_with("google."));
        Self(all.map(|message| (message.full_name().to_owned(), shape(message))).collect())
    }

    /// Returns the shape of a message with a full name.
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        self.0.get(name)
    }
}

/// Returns the class of a field, which is the strictest of those within its message.
fn class(field: &FieldDescriptor, depth: usize) -> Class {
    let options = field.options();
    if options.get_field_by_name("debug_redact").is_some_and(|value| *value == Value::Bool(true)) {
        return Class::Secret;
    }
    let own = if is_marked(&options, PERSONAL) { Class::Personal } else { Class::Open };
    let Some(message) = field.kind().as_message().cloned() else { return own };
    if message.full_name().starts_with("google.") {
        return own;
    }
    if depth == MAX_DEPTH {
        return Class::Personal;
    }
    message.fields().map(|field| class(&field, depth + 1)).max().unwrap_or(own).max(own)
}
