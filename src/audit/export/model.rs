//! What a receiver gets of an entry: the JSON of the API with the link of the chain, and the message of syslog around it.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use data_encoding::HEXLOWER;
use mainstay_kernel::{
    caller::{APPLICATION, IMPERSONATOR},
    id::AccountId,
};
use serde_json::{Map, Value, json};

use crate::audit::{
    chain::model::{Link, StoredEntry},
    entry::model::{Entry, FieldChange, Personal},
};

/// The longest message of syslog that receivers should take (RFC 5425, 4.3.1), in bytes.
const MAX_SYSLOG_BYTES: usize = 8192;
/// The name of the program in messages of syslog.
const APP_NAME: &str = "mainstay";
/// The facility of messages: log audit.
const FACILITY: u8 = 13;

/// The names of the contract's enums, by their numbers.
const OUTCOMES: [&str; 3] = ["AUDIT_OUTCOME_UNSPECIFIED", "AUDIT_OUTCOME_DONE", "AUDIT_OUTCOME_REFUSED"];
const ACTORS: [&str; 6] = [
    "ACTOR_KIND_UNSPECIFIED",
    "ACTOR_KIND_ANONYMOUS",
    "ACTOR_KIND_USER",
    "ACTOR_KIND_STAFF",
    "ACTOR_KIND_SERVICE",
    "ACTOR_KIND_SYSTEM",
];

/// An entry with its link.
#[derive(Debug, Clone)]
pub struct Item {
    number: i64,
    hash: String,
    entry: Entry,
}

fn name(names: &[&'static str], number: i16) -> &'static str {
    usize::try_from(number).ok().and_then(|number| names.get(number)).copied().unwrap_or(names[0])
}

impl Item {
    /// Makes the item of a link; `None` for an entry whose JSON is damaged, which `mainstay audit verify` finds.
    pub fn new(link: &Link, entry: StoredEntry) -> Option<Self> {
        let personal: Option<Value> = entry.personal.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let entry = Entry {
            id: entry.id,
            method: entry.method,
            outcome: entry.outcome,
            actor_kind: entry.actor_kind,
            actor: entry.actor_id,
            account: entry.account_id.map(AccountId),
            resource_kind: entry.resource_kind,
            resource: entry.resource_id,
            request: entry.request_id,
            changes: serde_json::from_str(&entry.changes).ok()?,
            personal: personal.as_ref().map(Personal::read).unwrap_or_default(),
        };
        Some(Self { number: link.number, hash: HEXLOWER.encode(&link.hash), entry })
    }

    /// Returns the entry in the form of the API, with `number` and `hash` of its link.
    pub fn json(&self) -> Value {
        self.render(true)
    }

    fn render(&self, has_values: bool) -> Value {
        let entry = &self.entry;
        let fields = entry.field_changes().filter(|change| ![IMPERSONATOR, APPLICATION].contains(&&*change.name));
        let changes = fields.map(|change| {
            let FieldChange { name, before, after } = change;
            let (before, after) = if has_values { (before, after) } else { (None, None) };
            let is_withheld = before.is_none() && after.is_none();
            present([("name", json!(name)), ("before", json!(before)), ("after", json!(after))])
                .with("isWithheld", json!(is_withheld))
        });
        let changes: Vec<_> = changes.map(|fields| Value::Object(fields.0)).collect();
        let fact = |name: &str| entry.changes.get(name).and_then(|fact| fact.get("after"));
        let personal = &entry.personal;
        let fields = present([
            ("number", json!(self.number.to_string())),
            ("hash", json!(self.hash)),
            ("id", json!(entry.id)),
            ("recordTime", json!(entry.time().to_rfc3339_opts(SecondsFormat::Millis, true))),
            ("method", json!(entry.method)),
            ("outcome", json!(name(&OUTCOMES, entry.outcome))),
            ("actorKind", json!(name(&ACTORS, entry.actor_kind))),
            ("actorId", json!(entry.actor)),
            ("accountId", json!(entry.account.map(|account| account.0))),
            ("resourceKind", json!(entry.resource_kind)),
            ("resourceId", json!(entry.resource)),
            ("requestId", json!(entry.request)),
            ("changes", Value::Array(changes)),
            ("clientAddress", json!(personal.client_address)),
            ("userAgent", json!(personal.user_agent)),
            ("reason", json!(personal.reason)),
            ("impersonatorId", json!(fact(IMPERSONATOR))),
            ("oauthClientId", json!(fact(APPLICATION))),
        ]);
        Value::Object(fields.0)
    }

    /// Returns the message of syslog (RFC 5424) in its frame, with its length in front (RFC 6587, 3.4.1). An entry that would be
    /// too long names the changed fields without their values.
    pub fn syslog(&self, host: &str) -> String {
        // Informational, or a notice for a refusal.
        let severity = if self.entry.outcome == 2 { 5 } else { 6 };
        let method = &self.entry.method;
        let kind: String = method.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(32).collect();
        let mut header = format!("<{}>1 ", FACILITY * 8 + severity);
        header.push_str(&self.entry.time().to_rfc3339_opts(SecondsFormat::Millis, true));
        // The number of RFC 5424, 7.3.1, which begins again after the greatest one.
        let sequence = (self.number - 1).rem_euclid(i64::from(i32::MAX)) + 1;
        // Writing to a string can't fail.
        write!(header, " {host} {APP_NAME} - {kind} [meta sequenceId=\"{sequence}\"] ").ok();
        let message = [true, false].map(|has_values| format!("{header}{}", self.render(has_values)));
        let [whole, short] = &message;
        let message = if whole.len() <= MAX_SYSLOG_BYTES { whole } else { short };
        format!("{} {message}", message.len())
    }
}

/// The fields of an object that are present.
struct Fields(Map<String, Value>);

fn present<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    let present = fields.into_iter().filter(|(_, value)| !value.is_null());
    Fields(present.map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Fields {
    fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn item(number: i64, changes: &str) -> Item {
        let link =
            Link { id: Uuid::nil(), number, entry: Uuid::nil(), digest: vec![1; 32], hash: vec![0xab; 32], seal: None };
        let entry = StoredEntry {
            id: "0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417".parse().expect("an id"),
            writer: 1,
            method: "page /session".to_owned(),
            outcome: 2,
            actor_kind: 1,
            actor_id: None,
            account_id: None,
            resource_kind: "identity.user".to_owned(),
            resource_id: None,
            request_id: None,
            changes: changes.to_owned(),
            salt: None,
            personal: Some(r#"{"clientAddress":"203.0.113.7","fields":{"name":{"after":"Ada\nB"}}}"#.to_owned()),
            personal_digest: None,
        };
        Item::new(&link, entry).expect("an item")
    }

    #[test]
    fn a_message_has_the_form_of_rfc_5424_with_its_length() {
        let frame = item(i64::from(i32::MAX) + 7, r#"{"name":{}}"#).syslog("api.example");
        let (length, message) = frame.split_once(' ').expect("a length");
        assert_eq!(length.parse::<usize>().ok(), Some(message.len()));
        let (header, json) = message.split_once("] ").expect("a message");
        assert_eq!(
            header,
            "<109>1 2025-06-28T09:42:01.936Z api.example mainstay - page_/session [meta sequenceId=\"7\""
        );
        // A line break in a value does not end the message.
        assert!(!message.contains('\n'), "{message}");
        let json: Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(
            (&json["outcome"], &json["clientAddress"]),
            (&json!("AUDIT_OUTCOME_REFUSED"), &json!("203.0.113.7"))
        );
        assert_eq!(json["changes"], json!([{ "name": "name", "after": "\"Ada\\nB\"", "isWithheld": false }]));
        assert!(json.get("actorId").is_none() && json["number"] == "2147483654", "{json}");
    }

    #[test]
    fn a_message_that_would_be_too_long_names_its_fields() {
        let long = format!(r#"{{"scopes":{{"after":"{}"}}}}"#, "x".repeat(9000));
        let frame = item(1, &long).syslog("-");
        assert!(frame.len() < MAX_SYSLOG_BYTES, "{}", frame.len());
        let json = frame.split_once("] ").expect("a message").1;
        let json: Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(json["changes"], json!([{ "name": "scopes", "isWithheld": true }]));
    }
}
