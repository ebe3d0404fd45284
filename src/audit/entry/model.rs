//! Entries and their filter.

use chrono::{DateTime, Utc};
use mainstay_kernel::{id::AccountId, page::Key};
use serde_json::{Map, Value};
use uuid::Uuid;

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: Uuid,
    pub method: String,
    /// The numbers of the contract's enums.
    pub outcome: i16,
    pub actor_kind: i16,
    pub actor: Option<Uuid>,
    pub account: Option<AccountId>,
    pub resource_kind: String,
    pub resource: Option<Uuid>,
    pub request: Option<String>,
    /// The changed fields, each an object with its values `before` and `after`. It has none if it is secret or personal.
    pub changes: Map<String, Value>,
    /// The personal values; empty once they are erased.
    pub personal: Personal,
}

/// The personal values of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Personal {
    pub client_address: Option<String>,
    pub user_agent: Option<String>,
    pub reason: Option<String>,
    /// The changed fields, as [`Entry::changes`].
    pub fields: Map<String, Value>,
}

/// A changed field: its name, and its JSON values before and after, if they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    pub name: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Personal {
    /// Reads the personal values of a stored entry.
    pub fn read(value: &Value) -> Self {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            client_address: text("clientAddress"),
            user_agent: text("userAgent"),
            reason: text("reason"),
            fields: value.get("fields").and_then(Value::as_object).cloned().unwrap_or_default(),
        }
    }
}

impl Entry {
    /// Returns the time of the entry, which is that of its id.
    pub fn time(&self) -> DateTime<Utc> {
        time_of(self.id)
    }

    /// Returns the position of the entry in its list.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.time(), id: self.id }
    }

    /// Returns the changed fields, with the personal values that are not erased.
    pub fn field_changes(&self) -> impl Iterator<Item = FieldChange> {
        self.changes.iter().map(|(name, values)| {
            let values = self.personal.fields.get(name).unwrap_or(values);
            let value = |which: &str| values.get(which).map(Value::to_string);
            FieldChange { name: name.clone(), before: value("before"), after: value("after") }
        })
    }
}

/// Returns the time of a UUIDv7, in milliseconds.
pub fn time_of(id: Uuid) -> DateTime<Utc> {
    let millis = i64::try_from(id.as_u128() >> 80).unwrap_or_default();
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// The entries of a list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub actor: Option<Uuid>,
    pub account: Option<AccountId>,
    pub resource_kind: Option<String>,
    pub resource: Option<Uuid>,
    pub method: Option<String>,
    /// The first time.
    pub from: Option<DateTime<Utc>>,
    /// The end, exclusive.
    pub until: Option<DateTime<Utc>>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}
