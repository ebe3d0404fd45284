//! Reads the operations of PATCH (RFC 7644, section 3.5.2), as Entra ID and Okta send them.

use serde_json::Value;

use super::read::{UserDraft, group_name, members, object, text};
use crate::identity::scim::model::{GroupPatch, MAX_MEMBERS, MemberChange, Path, UserPatch, invalid, too_many};
use mainstay_kernel::{error::Result, id::UserId};

/// The maximum number of operations of a request.
const MAX_OPERATIONS: usize = 100;
/// The read-only attributes that a value without a path may have, such as the id that Okta sends with the new name of a group.
const IGNORED: [&str; 3] = ["id", "meta", "schemas"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// One operation on one attribute.
#[derive(Debug)]
struct Operation<'d> {
    verb: Verb,
    path: Path<'d>,
    value: &'d Value,
}

/// Returns the operations of a document. An operation without a path has a value for each attribute.
fn operations(document: &Value) -> Result<Vec<Operation<'_>>> {
    let get = |object: &'_ serde_json::Map<String, Value>, name: &str| {
        object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(key, _)| key.clone())
    };
    let root = object(document)?;
    let list = get(root, "operations").and_then(|key| root[&key].as_array());
    let list = list.ok_or_else(|| invalid("invalidSyntax", "Operations is required."))?;
    if list.len() > MAX_OPERATIONS {
        return Err(invalid("invalidSyntax", format!("A request has at most {MAX_OPERATIONS} operations.")));
    }
    let mut operations = Vec::new();
    for item in list {
        let verb = match item["op"].as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("add") => Verb::Add,
            Some("replace") => Verb::Replace,
            Some("remove") => Verb::Remove,
            _ => return Err(invalid("invalidSyntax", "op must be add, replace or remove.")),
        };
        let value = &item["value"];
        match item["path"].as_str() {
            Some(path) => operations.push(Operation { verb, path: Path::parse(path)?, value }),
            None if verb == Verb::Remove => return Err(invalid("noTarget", "The path of remove is required.")),
            None => {
                for (key, value) in object(value)? {
                    let path = Path::parse(key)?;
                    if !IGNORED.contains(&path.name.as_str()) {
                        operations.push(Operation { verb, path, value });
                    }
                }
            }
        }
    }
    Ok(operations)
}

/// Reads the changes of a user.
///
/// # Errors
/// `MALFORMED_REQUEST`.
pub(super) fn user(document: &Value) -> Result<UserPatch> {
    let mut draft = UserDraft::default();
    for operation in operations(document)? {
        match (operation.verb, operation.path.name.as_str()) {
            (_, name @ ("id" | "meta" | "groups")) => {
                return Err(invalid("mutability", format!("{name} is read-only.")));
            }
            (Verb::Remove, "externalid") => draft.set("externalid", &Value::Null)?,
            (Verb::Remove, name @ ("username" | "active" | "displayname")) => {
                return Err(invalid("mutability", format!("{name} is required.")));
            }
            (Verb::Remove, _) => {}
            (Verb::Add | Verb::Replace, name) => draft.set(name, operation.value)?,
        }
    }
    Ok(draft.finish())
}

/// Reads the changes of a group.
///
/// # Errors
/// `MALFORMED_REQUEST`; `PAYLOAD_TOO_LARGE`.
pub(super) fn group(document: &Value) -> Result<GroupPatch> {
    let (mut patch, mut count) = (GroupPatch::default(), 0);
    for Operation { verb, path, value } in operations(document)? {
        match (verb, path.name.as_str()) {
            (_, name @ ("id" | "meta")) => return Err(invalid("mutability", format!("{name} is read-only."))),
            (Verb::Remove, "displayname") => return Err(invalid("mutability", "displayName is required.")),
            (_, "displayname") => patch.name = Some(group_name(value)?),
            (Verb::Remove, "externalid") => patch.external_id = Some(None),
            (_, "externalid") => patch.external_id = Some(text("externalId", value)?),
            (verb, "members") => {
                let change = member_change(verb, &path, value)?;
                let (MemberChange::Add(ids) | MemberChange::Remove(ids) | MemberChange::Replace(ids)) = &change;
                count += ids.len();
                patch.members.push(change);
            }
            _ => {}
        }
        if count > MAX_MEMBERS {
            return Err(too_many("members", MAX_MEMBERS));
        }
    }
    Ok(patch)
}

fn member_change(verb: Verb, path: &Path<'_>, value: &Value) -> Result<MemberChange> {
    match (verb, path.member()?) {
        (Verb::Remove, Some(id)) => Ok(MemberChange::Remove(vec![UserId(id)])),
        // Entra ID names the members in the value.
        (Verb::Remove, None) if !value.is_null() => members(value).map(MemberChange::Remove),
        (Verb::Remove, None) => Ok(MemberChange::Replace(Vec::new())),
        (Verb::Add, None) => members(value).map(MemberChange::Add),
        (Verb::Replace, None) => members(value).map(MemberChange::Replace),
        (Verb::Add | Verb::Replace, Some(_)) => Err(invalid("noTarget", "A member of a group has nothing to change.")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const ID: &str = "0199c0de-0000-7000-8000-000000000001";

    fn patch(operations: &Value) -> Value {
        json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
    }

    #[test]
    fn a_leaver_is_read_in_the_forms_of_providers() {
        for operations in [
            json!([{ "op": "replace", "value": { "active": false } }]),
            json!([{ "op": "Replace", "path": "active", "value": "False" }]),
            json!([{ "op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": false }]),
            json!([{ "op": "add", "path": "title", "value": "Dr" }, { "op": "replace", "path": "active", "value": false }]),
        ] {
            let read = user(&patch(&operations)).expect("a patch");
            assert_eq!(read, UserPatch { is_active: Some(false), ..UserPatch::default() }, "{operations}");
        }
        let cleared = user(&patch(&json!([{ "op": "remove", "path": "externalId" }]))).expect("a patch");
        assert_eq!(cleared.external_id, Some(None));
    }

    #[test]
    fn members_are_read_in_the_forms_of_providers() {
        let id = UserId(ID.parse::<Uuid>().expect("an id"));
        for (operation, expected) in [
            (json!({ "op": "add", "path": "members", "value": [{ "value": ID }] }), MemberChange::Add(vec![id])),
            (json!({ "op": "add", "value": { "members": [{ "value": ID }] } }), MemberChange::Add(vec![id])),
            (json!({ "op": "Remove", "path": format!("members[value eq \"{ID}\"]") }), MemberChange::Remove(vec![id])),
            (json!({ "op": "Remove", "path": "members", "value": [{ "value": ID }] }), MemberChange::Remove(vec![id])),
            (json!({ "op": "remove", "path": "members" }), MemberChange::Replace(vec![])),
            (
                json!({ "op": "replace", "path": "members", "value": [{ "value": ID }] }),
                MemberChange::Replace(vec![id]),
            ),
        ] {
            assert_eq!(group(&patch(&json!([operation]))).expect("a patch").members, [expected], "{operation}");
        }
    }

    #[test]
    fn a_renamed_group_is_read_in_the_form_of_okta() {
        let read = group(&patch(&json!([{ "op": "replace", "value": { "id": ID, "displayName": "IT" } }])));
        assert_eq!(read.expect("a patch"), GroupPatch { name: Some("IT".to_owned()), ..GroupPatch::default() });
        assert!(group(&patch(&json!([{ "op": "replace", "path": "id", "value": ID }]))).is_err());
    }

    #[test]
    fn operations_are_bounded_and_complete() {
        let many = vec![json!({ "op": "replace", "path": "active", "value": true }); 101];
        for operations in [
            json!(many),
            json!([{ "op": "remove" }]),
            json!([{ "op": "move", "path": "active" }]),
            json!([{ "op": "replace", "path": "active[", "value": true }]),
            json!([{ "op": "replace", "value": true }]),
            json!([{ "op": "replace", "path": "id", "value": "x" }]),
            json!([{ "op": "remove", "path": "active" }]),
        ] {
            assert!(user(&patch(&operations)).is_err(), "{operations}");
        }
        assert!(user(&json!({})).is_err());
        let changed = json!([{ "op": "add", "path": format!("members[value eq \"{ID}\"]"), "value": "x" }]);
        assert!(group(&patch(&changed)).is_err());
    }
}
