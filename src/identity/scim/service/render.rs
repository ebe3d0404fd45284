//! Writes the JSON of users and groups.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::{
    Versioned,
    document::{GROUP, USER},
};
use crate::identity::scim::model::{GroupDetails, GroupMember, Path, Person};
use mainstay_kernel::contract::proto::google::api::HttpBody;

/// The media type (RFC 7644, section 8.1).
const MEDIA_TYPE: &str = "application/scim+json";

/// Returns a body.
#[expect(clippy::unnecessary_wraps, reason = "the field of a message is optional")]
pub(super) fn body(document: &Value) -> Option<HttpBody> {
    let data = document.to_string().into_bytes().into();
    Some(HttpBody { content_type: MEDIA_TYPE.to_owned(), data, ..HttpBody::default() })
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn meta(kind: &str, id: &str, version: i64, created: DateTime<Utc>, updated: DateTime<Utc>) -> Value {
    json!({
        "resourceType": kind, "created": time(created), "lastModified": time(updated),
        "location": format!("/scim/v2/{kind}s/{id}"), "version": format!("\"{version}\""),
    })
}

/// Writes a user.
pub(super) fn user(person: Person) -> Versioned {
    let id = person.user.to_string();
    let mut resource = json!({
        "schemas": [USER], "id": id, "userName": person.email, "displayName": person.name,
        "name": { "formatted": person.name }, "active": person.member.is_some(),
        "emails": [{ "value": person.email, "type": "work", "primary": true }],
        "meta": meta("User", &id, person.version, person.created_at, person.updated_at),
    });
    if let Some(external_id) = person.external_id {
        resource["externalId"] = external_id.into();
    }
    (resource, person.version)
}

fn member(member: &GroupMember) -> Value {
    let id = member.user.to_string();
    json!({ "value": id, "$ref": format!("/scim/v2/Users/{id}"), "type": "User" })
}

/// Writes a group.
pub(super) fn group(GroupDetails { group, members }: GroupDetails) -> Versioned {
    let id = group.id.to_string();
    let mut resource = json!({
        "schemas": [GROUP], "id": id, "displayName": group.name,
        "meta": meta("Group", &id, group.version, group.created_at, group.updated_at),
    });
    // An empty list is as none (RFC 7643, section 2.5).
    if !members.is_empty() {
        resource["members"] = members.iter().map(member).collect();
    }
    if let Some(external_id) = group.external_id {
        resource["externalId"] = external_id.into();
    }
    (resource, group.version)
}

/// The attributes that a request asks for (RFC 7644, section 3.9), by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Selection {
    only: Vec<String>,
    without: Vec<String>,
}

impl Selection {
    pub(super) fn parse(only: &str, without: &str) -> Self {
        let names = |list: &str| {
            let paths = list.split(',').filter_map(|name| Path::parse(name).ok());
            paths.map(|path| path.name).collect()
        };
        Self { only: names(only), without: names(without) }
    }

    /// Returns whether an attribute is in the response.
    pub(super) fn has(&self, attribute: &str) -> bool {
        let is_below = |name: &String| name.strip_prefix(attribute).is_some_and(|rest| rest.starts_with('.'));
        let is_named = |name: &String| name == attribute;
        match self.only.as_slice() {
            [] => !self.without.iter().any(is_named),
            only => only.iter().any(|name| is_named(name) || is_below(name)),
        }
    }

    /// Leaves out what the request does not ask for. The id and the schemas remain.
    pub(super) fn apply(&self, resource: Value) -> Value {
        let attributes = match resource {
            Value::Object(attributes) => attributes,
            other => return other,
        };
        let kept = attributes.into_iter().filter_map(|(key, value)| {
            let name = key.to_ascii_lowercase();
            match name.as_str() {
                "id" | "schemas" => Some((key, value)),
                name if self.has(name) => Some((key, self.parts(name, value))),
                _ => None,
            }
        });
        Value::Object(kept.collect())
    }

    /// Leaves out parts of an attribute, in each item of a list.
    fn parts(&self, name: &str, value: Value) -> Value {
        let is_kept = |part: &String| {
            let path = format!("{name}.{}", part.to_ascii_lowercase());
            let is_whole = self.only.is_empty() || self.only.iter().any(|only| only == name);
            (is_whole || self.only.contains(&path)) && !self.without.contains(&path)
        };
        match value {
            Value::Object(parts) => parts.into_iter().filter(|(part, _)| is_kept(part)).collect::<Map<_, _>>().into(),
            Value::Array(items) => items.into_iter().map(|item| self.parts(name, item)).collect(),
            value => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_selected() {
        let resource = json!({
            "schemas": [USER], "id": "1", "userName": "a@b.example", "name": { "formatted": "Ada" },
            "emails": [{ "value": "a@b.example", "type": "work" }],
        });
        for (only, without, expected) in [
            ("", "", resource.clone()),
            ("userName", "", json!({ "schemas": [USER], "id": "1", "userName": "a@b.example" })),
            ("emails.value", "", json!({ "schemas": [USER], "id": "1", "emails": [{ "value": "a@b.example" }] })),
            (
                "",
                "name, emails.type,urn:ietf:params:scim:schemas:core:2.0:User:userName",
                json!({ "schemas": [USER], "id": "1", "emails": [{ "value": "a@b.example" }] }),
            ),
        ] {
            assert_eq!(Selection::parse(only, without).apply(resource.clone()), expected, "{only} {without}");
        }
        assert!(
            !Selection::parse("", "members").has("members") && Selection::parse("members.value", "").has("members")
        );
    }
}
