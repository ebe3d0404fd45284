//! Reads the JSON of users and groups. Attributes that are not provisioned, such as `title`, are ignored, because providers send
//! them by default.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::identity::{
    scim::model::{GroupPatch, MAX_MEMBERS, MAX_TEXT, MemberChange, Path, UserPatch, invalid, too_many},
    user::model::{EmailAddress, name},
};
use mainstay_kernel::{
    contract::{proto::google::api::HttpBody, validate::check},
    error::Result,
    id::UserId,
};

/// Reads the document in a body.
///
/// # Errors
/// `MALFORMED_REQUEST` with `invalidSyntax`.
pub(super) fn document(body: Option<HttpBody>) -> Result<Value> {
    let document = serde_json::from_slice(&body.unwrap_or_default().data);
    document.map_err(|_| invalid("invalidSyntax", "The body is no JSON."))
}

/// Returns the members of an object.
///
/// # Errors
/// `MALFORMED_REQUEST` with `invalidSyntax`.
pub(super) fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().ok_or_else(|| invalid("invalidSyntax", "A resource is an object."))
}

fn wrong(attribute: &str, expected: &str) -> mainstay_kernel::error::Error {
    invalid("invalidValue", format!("{attribute} must be {expected}."))
}

/// Returns a text of at most [`MAX_TEXT`] characters; `None` for null and for an empty one.
pub(super) fn text(attribute: &str, value: &Value) -> Result<Option<String>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) if check::characters(text) <= MAX_TEXT && !text.contains('\0') => {
            Ok(Some(text.trim().to_owned()))
        }
        _ => Err(wrong(attribute, &format!("a text of at most {MAX_TEXT} characters"))),
    }
}

/// Returns a flag, which Entra ID writes as a text.
fn flag(attribute: &str, value: &Value) -> Result<bool> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(wrong(attribute, "true or false")),
    }
}

/// The attributes of a user, as they are read. The displayName comes before the parts of the name.
#[derive(Debug, Default)]
pub(super) struct UserDraft {
    patch: UserPatch,
    formatted: Option<String>,
}

impl UserDraft {
    /// Sets an attribute, by its name in lower case.
    ///
    /// # Errors
    /// `MALFORMED_REQUEST` for a value of another type.
    pub(super) fn set(&mut self, attribute: &str, value: &Value) -> Result<()> {
        match attribute {
            "username" => {
                let address = value.as_str().and_then(|text| EmailAddress::parse(text).ok());
                self.patch.email = Some(address.ok_or_else(|| wrong("userName", "the mail address of the user"))?);
            }
            "active" => self.patch.is_active = Some(flag("active", value)?),
            "externalid" => self.patch.external_id = Some(text("externalId", value)?),
            "displayname" => self.patch.name = person("displayName", value)?.or(self.patch.name.take()),
            "name.formatted" => self.formatted = person("name.formatted", value)?,
            "name" => self.formatted = formatted(value)?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish(self) -> UserPatch {
        UserPatch { name: self.patch.name.or(self.formatted), ..self.patch }
    }
}

/// Returns the name of a person.
fn person(attribute: &str, value: &Value) -> Result<Option<String>> {
    let text = text(attribute, value)?;
    text.map(|text| name(&text).map_err(|_| wrong(attribute, "a name of at most 100 characters"))).transpose()
}

/// Returns the name that an object of the attribute `name` has.
fn formatted(value: &Value) -> Result<Option<String>> {
    let part = |part: &str| value.get(part).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let parts = [part("givenName"), part("familyName")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    person("name", &part("formatted").map_or(Value::from(parts), Value::from))
}

/// Reads a new user.
///
/// # Errors
/// `MALFORMED_REQUEST`.
pub(super) fn user(document: &Value) -> Result<UserPatch> {
    let mut draft = UserDraft::default();
    for (key, value) in object(document)? {
        draft.set(&Path::parse(key).map_or_else(|_| String::new(), |path| path.name), value)?;
    }
    Ok(draft.finish())
}

/// Reads a user that replaces one. Without `active` or a name, the user keeps them.
///
/// # Errors
/// `MALFORMED_REQUEST`.
pub(super) fn replaced_user(document: &Value) -> Result<UserPatch> {
    let read = user(document)?;
    Ok(UserPatch { external_id: Some(read.external_id.flatten()), ..read })
}

/// Reads the ids of members: one object, or several.
///
/// # Errors
/// `MALFORMED_REQUEST` for other values; `PAYLOAD_TOO_LARGE`.
pub(super) fn members(value: &Value) -> Result<Vec<UserId>> {
    let list: &[Value] = match value {
        Value::Null => &[],
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if list.len() > MAX_MEMBERS {
        return Err(too_many("members", MAX_MEMBERS));
    }
    let id = |member: &Value| member.get("value").unwrap_or(member).as_str()?.parse::<Uuid>().ok().map(UserId);
    let ids: Option<Vec<_>> = list.iter().map(id).collect();
    ids.ok_or_else(|| wrong("members", "users by their ids in value"))
}

/// Returns the name of a group.
///
/// # Errors
/// `MALFORMED_REQUEST` for an empty text, and for other values.
pub(super) fn group_name(value: &Value) -> Result<String> {
    text("displayName", value)?.ok_or_else(|| wrong("displayName", "a text"))
}

/// Reads a new group.
///
/// # Errors
/// `MALFORMED_REQUEST`; `PAYLOAD_TOO_LARGE`.
pub(super) fn group(document: &Value) -> Result<GroupPatch> {
    let mut patch = GroupPatch::default();
    for (key, value) in object(document)? {
        match Path::parse(key).map_or_else(|_| String::new(), |path| path.name).as_str() {
            "displayname" => patch.name = Some(group_name(value)?),
            "externalid" => patch.external_id = Some(text("externalId", value)?),
            "members" => patch.members = vec![MemberChange::Replace(members(value)?)],
            _ => {}
        }
    }
    Ok(patch)
}

/// Reads a group that replaces one, in full.
///
/// # Errors
/// `MALFORMED_REQUEST`; `PAYLOAD_TOO_LARGE`.
pub(super) fn replaced_group(document: &Value) -> Result<GroupPatch> {
    let mut read = group(document)?;
    read.name.as_ref().ok_or_else(|| wrong("displayName", "a text"))?;
    read.external_id = Some(read.external_id.flatten());
    if read.members.is_empty() {
        read.members.push(MemberChange::Replace(Vec::new()));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_user_of_a_provider_is_read() {
        let okta = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "Ada@Example.com",
            "name": { "givenName": "Ada", "familyName": "Lovelace" }, "externalId": "00u1", "active": true,
            "emails": [{ "primary": true, "value": "ada@example.com", "type": "work" }], "password": "secret",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "Engines" },
        });
        let read = user(&okta).expect("a user");
        assert_eq!(read.email.expect("an address").as_str(), "ada@example.com");
        assert_eq!(read.name.as_deref(), Some("Ada Lovelace"));
        assert_eq!((read.external_id, read.is_active), (Some(Some("00u1".into())), Some(true)));
        let entra =
            json!({ "userName": "a@b.example", "displayName": "Ada", "active": "False", "name": { "formatted": "X" } });
        let read = replaced_user(&entra).expect("a user");
        assert_eq!((read.name.as_deref(), read.is_active, read.external_id), (Some("Ada"), Some(false), Some(None)));
    }

    #[test]
    fn values_of_other_types_are_refused() {
        let long = "a".repeat(201);
        for document in [
            json!([]),
            json!({ "userName": 1 }),
            json!({ "userName": "no address" }),
            json!({ "userName": "a@b.example", "active": "yes" }),
            json!({ "userName": "a@b.example", "externalId": ["x"] }),
            json!({ "userName": "a@b.example", "externalId": long }),
            json!({ "userName": "a@b.example", "displayName": "a\u{0}b" }),
        ] {
            assert!(user(&document).is_err(), "{document}");
        }
        assert!(group(&json!({ "displayName": "" })).is_err());
        assert!(group(&json!({ "displayName": "A", "members": [{ "value": "x" }] })).is_err());
        assert!(replaced_group(&json!({})).is_err());
    }
}
