//! The documents that describe the service (RFC 7643, sections 5 to 7), and lists.

use serde_json::{Value, json};

use crate::identity::scim::model::Slice;

pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(super) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// Returns a list (RFC 7644, section 3.4.2).
pub(super) fn list(resources: Vec<Value>, slice: Slice, total: i64) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": total,
        "startIndex": slice.offset + 1, "itemsPerPage": resources.len(), "Resources": resources,
    })
}

/// Returns whether a collection consists of documents.
pub(super) fn is_collection(name: &str) -> bool {
    matches!(name, "ResourceTypes" | "Schemas" | "ServiceProviderConfig")
}

/// Returns the document, or the list of the documents, of a collection.
pub(super) fn collection(name: &str) -> Option<Value> {
    let all = match name {
        "ServiceProviderConfig" => return Some(config()),
        "ResourceTypes" => resource_types(),
        "Schemas" => schemas(),
        _ => return None,
    };
    let total = i64::try_from(all.len()).unwrap_or_default();
    Some(list(all, Slice { offset: 0, limit: total }, total))
}

/// Returns the document of a collection with an id.
pub(super) fn find(collection: &str, id: &str) -> Option<Value> {
    let all = match collection {
        "ResourceTypes" => resource_types(),
        "Schemas" => schemas(),
        _ => return None,
    };
    all.into_iter().find(|document| document["id"] == id)
}

fn config() -> Value {
    let unsupported = json!({ "supported": false });
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": Slice::MAX },
        "changePassword": unsupported, "sort": unsupported, "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "Service key", "primary": true,
            "description": "A service key of the account with the scope identity.scim.manage.",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
        }],
        "meta": { "resourceType": "ServiceProviderConfig", "location": "/scim/v2/ServiceProviderConfig" },
    })
}

fn resource_types() -> Vec<Value> {
    let document = |name: &str, description: &str, schema: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": name, "name": name,
            "description": description, "endpoint": format!("/{name}s"), "schema": schema,
            "meta": { "resourceType": "ResourceType", "location": format!("/scim/v2/ResourceTypes/{name}") },
        })
    };
    vec![document("User", "A person in the account.", USER), document("Group", "A group, which gives a role.", GROUP)]
}

fn attribute(name: &str, kind: &str, description: &str, more: Value) -> Value {
    let mut attribute = json!({
        "name": name, "type": kind, "description": description, "multiValued": false, "required": false,
        "caseExact": false, "mutability": "readWrite", "returned": "default", "uniqueness": "none",
    });
    if let (Some(attribute), Value::Object(more)) = (attribute.as_object_mut(), more) {
        attribute.extend(more);
    }
    attribute
}

fn schemas() -> Vec<Value> {
    let document = |id: &str, name: &str, description: &str, attributes: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": id, "name": name,
            "description": description, "attributes": attributes,
            "meta": { "resourceType": "Schema", "location": format!("/scim/v2/Schemas/{id}") },
        })
    };
    vec![
        document(USER, "User", "A person in the account.", user_attributes()),
        document(
            GROUP,
            "Group",
            "A group, which gives its members the role of the account that has its name.",
            group_attributes(),
        ),
    ]
}

fn external_id() -> Value {
    attribute("externalId", "string", "The identity provider's own id.", json!({ "caseExact": true }))
}

fn user_attributes() -> Value {
    let read_only = || json!({ "mutability": "readOnly" });
    let email = [
        attribute("value", "string", "The address.", read_only()),
        attribute(
            "type",
            "string",
            "The kind of address.",
            json!({ "mutability": "readOnly", "canonicalValues": ["work"] }),
        ),
        attribute("primary", "boolean", "Whether it is the preferred address.", read_only()),
    ];
    json!([
        attribute(
            "userName",
            "string",
            "The mail address, in a proved mail domain of the account.",
            json!({ "required": true, "mutability": "immutable", "uniqueness": "server" }),
        ),
        attribute(
            "displayName",
            "string",
            "The name of the person. It changes if the account has proved the domain of the address.",
            json!({ "required": true }),
        ),
        attribute(
            "name",
            "complex",
            "The name of the person, as in displayName.",
            json!({
                "mutability": "readOnly",
                "subAttributes": [attribute("formatted", "string", "The full name.", read_only())],
            }),
        ),
        attribute("active", "boolean", "Whether the person is a member of the account.", json!({ "required": true })),
        attribute(
            "emails",
            "complex",
            "The mail address, as in userName.",
            json!({ "multiValued": true, "mutability": "readOnly", "subAttributes": email }),
        ),
        external_id(),
    ])
}

fn group_attributes() -> Value {
    let immutable = || json!({ "mutability": "immutable" });
    let member = [
        attribute("value", "string", "The id of the user.", immutable()),
        attribute(
            "$ref",
            "reference",
            "The path of the user.",
            json!({ "mutability": "immutable", "referenceTypes": ["User"] }),
        ),
        attribute(
            "type",
            "string",
            "The kind of member.",
            json!({ "mutability": "immutable", "canonicalValues": ["User"] }),
        ),
    ];
    json!([
        attribute(
            "displayName",
            "string",
            "The name, unique in the account. A group with the name of a role gives it.",
            json!({ "required": true, "uniqueness": "server" }),
        ),
        attribute("members", "complex", "The members.", json!({ "multiValued": true, "subAttributes": member })),
        external_id(),
    ])
}
