//! The audit log: an entry for each write, its values, and the chain that finds a change.

mod chain;
mod entries;
mod export;
mod methods;
mod pages;
mod sign_in;

use serde_json::{Value, json};

use crate::support::Actor;

const LIST: &str = "AuditService.ListAuditEntries";

/// Returns the entries about a resource, newest first, as the caller sees them.
async fn about(who: &Actor, resource: &str) -> Vec<Value> {
    let list = who.rest(LIST, json!({ "resourceId": resource })).await.success();
    list.data().as_array().expect("a list").clone()
}

/// Returns a field of an entry's changes.
fn change<'e>(entry: &'e Value, name: &str) -> &'e Value {
    let changes = entry["changes"].as_array().expect("a list");
    changes.iter().find(|change| change["name"] == name).unwrap_or(&Value::Null)
}
