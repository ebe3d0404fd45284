//! Images of a resource before and after a change, and their difference.

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    contract::policy::{Class, Privacy, Shape},
    error::{Error, Result},
};

const MAX_CHARS: usize = 500;

/// A resource whose changes are recorded, as the message that shows it to its callers. The service of a resource implements
/// it, so that its operations need not know the message.
pub trait Audited: Clone {
    /// The message, which has an `id` and may have an `account_id`.
    type Message: Message + Name;

    /// Returns the message.
    fn message(self) -> Self::Message;
}

#[derive(Debug, Clone)]
pub(crate) struct Image {
    name: String,
    encoded: Vec<u8>,
}

impl Image {
    pub(crate) fn of<R: Audited>(resource: &R) -> Self {
        Self { name: R::Message::full_name(), encoded: resource.clone().message().encode_to_vec() }
    }

    pub(crate) fn new(name: String, encoded: Vec<u8>) -> Self {
        Self { name, encoded }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn id(&self, privacy: &Privacy) -> Option<Uuid> {
        privacy.shape(&self.name)?.id.as_ref()?.text(&self.encoded)?.parse().ok()
    }

    /// Returns the fields that are set, as JSON.
    /// Errors: `INTERNAL_ERROR` for a message that is not of the contract.
    pub(super) fn fields(&self, privacy: &Privacy) -> Result<Map<String, Value>> {
        let descriptor = shape(privacy, &self.name)?.descriptor.clone();
        let message = DynamicMessage::decode(descriptor, self.encoded.as_slice()).map_err(Error::internal)?;
        let options = SerializeOptions::new().stringify_64_bit_integers(true);
        let value = message.serialize_with_options(serde_json::value::Serializer, &options).map_err(Error::internal)?;
        match value {
            Value::Object(fields) => Ok(fields),
            _ => Ok(Map::new()),
        }
    }
}

fn shape<'p>(privacy: &'p Privacy, name: &str) -> Result<&'p Shape> {
    privacy.shape(name).ok_or_else(|| Error::internal(anyhow::anyhow!("{name} is not in the contract")))
}

pub(super) fn id(fields: &Map<String, Value>, name: &str) -> Option<Uuid> {
    fields.get(name)?.as_str()?.parse().ok()
}

/// Returns the fields that differ, with their values before and after: the open ones, and the personal ones. The open ones
/// name the others, too.
/// Errors: `INTERNAL_ERROR` for a message that is not of the contract.
pub(super) fn difference(
    privacy: &Privacy,
    name: &str,
    mut before: Map<String, Value>,
    mut after: Map<String, Value>,
) -> Result<(Map<String, Value>, Map<String, Value>)> {
    let (mut open, mut personal) = (Map::new(), Map::new());
    for field in &shape(privacy, name)?.fields {
        let (old, new) = (before.remove(&field.json_name), after.remove(&field.json_name));
        if old == new {
            continue;
        }
        let mut values = Map::new();
        values.extend(old.map(|value| ("before".to_owned(), cut(value))));
        values.extend(new.map(|value| ("after".to_owned(), cut(value))));
        let values = Value::Object(values);
        match field.class {
            Class::Open => drop(open.insert(field.json_name.clone(), values)),
            Class::Personal => {
                open.insert(field.json_name.clone(), json!({}));
                personal.insert(field.json_name.clone(), values);
            }
            Class::Secret => drop(open.insert(field.json_name.clone(), json!({}))),
        }
    }
    Ok((open, personal))
}

fn cut(value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return value,
    };
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => Value::String(format!("{}…", &text[..end])),
        None => value,
    }
}
