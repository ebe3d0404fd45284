//! Realistic examples, from one table of field names.

mod money;
mod webhooks;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value as Protobuf};
use serde_json::{Map, Value, json};

use super::{rules, schema::Side};
use crate::contract::proto::buf::validate::field_rules::Type;

const TICKET: &str = "0197b5f2-0c8e-7d3a-9f41-6f2f6b1d2c3e";
const ACCOUNT: &str = "0197b5ea-51c4-7a10-8a3e-0d9c4f7e1b22";
const CUSTOMER: &str = "0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417";
const AGENT: &str = "0197a102-9e44-7c81-a0b7-5e6d2f8c4a90";
const COMMENT: &str = "0197b60c-7b2f-7e95-8c13-4a5b6c7d8e9f";
const ACTIVITY: &str = "0197b60d-02aa-7b3c-9d20-1f2e3d4c5b6a";
const SESSION: &str = "0197b5ef-8812-7660-b1f9-c0ffee5e5510";
const SERVICE_KEY: &str = "01979f00-3d21-7d5e-8b44-7c6b5a493827";
const OPERATION: &str = "0197b612-45de-7a99-9e01-a1b2c3d4e5f6";

/// The id in the `X-Request-Id` of responses and the `requestId` of errors.
pub(super) const REQUEST_ID: &str = "0197b613-77c0-7e21-8f5d-2b3c4d5e6f70";

/// Returns the example value of a field, by its message and its name.
fn by_name(message: &str, field: &str) -> Option<Value> {
    Some(match (message, field) {
        ("Ticket", "id") | (_, "ticket_id") => json!(TICKET),
        ("User", "id") | (_, "user_id" | "requester_id" | "author_id" | "actor_id") => json!(CUSTOMER),
        ("Comment", "id") | (_, "comment_id") => json!(COMMENT),
        ("Activity", "id") => json!(ACTIVITY),
        ("Session", "id") | (_, "session_id") => json!(SESSION),
        ("ServiceKey", "id") | (_, "service_key_id") => json!(SERVICE_KEY),
        ("Operation", "id") | (_, "operation_id") => json!(OPERATION),
        (_, "account_id") => json!(ACCOUNT),
        (_, "assignee_id") => json!(AGENT),
        (_, "request_id") => json!(REQUEST_ID),
        ("Comment" | "CreateCommentRequest", "body") => json!("A restart did not help; the queue is still stuck."),
        ("OperationFailure", "message") => json!("The file can't be read: it is not UTF-8."),
        ("OperationError", "message") => json!("body: must be 1 to 20000 characters"),
        ("OperationFailure", "code") => json!("MALFORMED_REQUEST"),
        ("OperationError", "code") => json!("VALIDATION_FAILED"),
        ("OperationError", "line") => json!("2182"),
        ("ServiceKey" | "CreateServiceKeyRequest", "name") => json!("billing-sync"),
        ("SetUserRoleRequest", "role") => json!("ROLE_AGENT"),
        ("User", "role") | (_, "author_role" | "actor_role") => json!("ROLE_CUSTOMER"),
        ("ServiceKey" | "CreateServiceKeyRequest", "expire_time") => json!("2026-12-31T23:59:59Z"),
        (_, "subject") => json!("Invoices are printed twice"),
        (_, "body") => json!("Since this morning every invoice comes out of the printer twice."),
        (_, "queue") => json!("Billing and Payments"),
        (_, "language") => json!("en"),
        (_, "tags") => json!("printing"),
        (_, "kind" | "status" | "state" | "priority") => return by_state(message, field),
        (_, "query") => json!("\"printed twice\" -test"),
        (_, "detail") => json!(AGENT),
        (_, "email") => json!("ada@example.com"),
        (_, "password") => json!("correct horse battery staple"),
        (_, "account_name") => json!("Analytical Engines Ltd"),
        (_, "name") => json!("Ada Lovelace"),
        (_, "token" | "refresh_token") => json!("mrt_q7v0Zk3yT1n8XcW5"),
        (_, "access_token") => json!("eyJhbGciOiJFZERTQSJ9.eyJyb2xlIjoiY3VzdG9tZXIifQ.MEUCIQ"),
        (_, "token_type") => json!("Bearer"),
        (_, "expires_in") => json!(900),
        (_, "secret") => json!("msk_2fJw9bR4tYp6LqXz"),
        (_, "user_agent") => json!("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"),
        (_, "ip_address") => json!("203.0.113.7"),
        (_, "current") => json!(true),
        (_, "page") => json!(1),
        (_, "page_size") => json!(20),
        (_, "total") => json!("57"),
        (_, "total_pages") => json!(3),
        (_, "page_token" | "next_page_token") => json!("MDE5N2I1ZjItMGM4ZQ"),
        (_, "read_mask") => json!("id,subject,status"),
        (_, "update_mask") => json!("subject,priority"),
        (_, "version") => json!("7"),
        (_, "rows_total") => json!("2181"),
        (_, "rows_done") => json!("1200"),
        (_, "rows_created") => json!("1194"),
        (_, "rows_known") => json!("5"),
        (_, "rows_failed") => json!("1"),
        (_, "create_time") => json!("2026-03-02T08:15:30Z"),
        (_, "update_time" | "refresh_time") => json!("2026-03-02T09:41:07Z"),
        (_, "resolve_time" | "finish_time") => json!("2026-03-02T11:20:00Z"),
        (_, "expire_time") => json!("2026-04-01T08:15:30Z"),
        _ => return None,
    })
}

fn by_state(message: &str, field: &str) -> Option<Value> {
    Some(json!(match (message, field) {
        ("Ticket", "status") => "TICKET_STATUS_IN_PROGRESS",
        ("Activity", "kind") => "ACTIVITY_KIND_RESOLVED",
        ("Operation", "kind") => "OPERATION_KIND_IMPORT_TICKETS",
        ("Operation", "state") => "OPERATION_STATE_RUNNING",
        (_, "kind") => "TICKET_KIND_INCIDENT",
        (_, "priority") => "TICKET_PRIORITY_HIGH",
        _ => return None,
    }))
}

/// Returns whether an example omits a field that its caller would not send or that its resource does not have.
fn is_left_out(field: &FieldDescriptor, side: Side) -> bool {
    let message = field.parent_message();
    match (side, message.name(), field.name()) {
        (Side::Request, _, "account_id") => !rules::is_required(field),
        (Side::Request, "CreateProductRequest", "billing_interval") => true,
        (Side::Response, "Ticket", "resolve_time") => true,
        (Side::Response, name, field) if money::is_left_out(name, field) || webhooks::is_left_out(name, field) => true,
        (Side::Response, "Operation", "failure" | "finish_time") => true,
        (Side::Response, "ServiceKey", "revoke_time") | (Side::Response, "PageMeta", "total_is_lower_bound") => true,
        // Only the first member of a oneof is shown.
        _ => field
            .containing_oneof()
            .filter(|oneof| !oneof.is_synthetic())
            .is_some_and(|oneof| oneof.fields().next().is_some_and(|first| first.number() != field.number())),
    }
}

/// Returns an example of a message, without the fields that the path contains.
pub(super) fn message(message: &MessageDescriptor, side: Side, without: &[String]) -> Value {
    match message.full_name() {
        "google.protobuf.Timestamp" => return json!("2026-03-02T08:15:30Z"),
        "google.protobuf.FieldMask" => return json!("id"),
        "google.protobuf.Duration" => return json!("1.5s"),
        _ => {}
    }
    let fields = message.fields().filter(|field| !without.iter().any(|name| name == field.name()));
    let shown = fields.filter(|field| !is_left_out(field, side));
    let entries = shown.map(|field| (field.json_name().to_owned(), self::field(&field, side)));
    entries.collect::<Map<_, _>>().into()
}

/// Returns an example of a field.
pub(super) fn field(field: &FieldDescriptor, side: Side) -> Value {
    let (parent, name) = (field.parent_message(), field.name());
    let of_domain = money::by_name(parent.name(), name).or_else(|| webhooks::by_name(parent.name(), name));
    let named = of_domain.or_else(|| by_name(parent.name(), name));
    let value = named.unwrap_or_else(|| match field.kind() {
        Kind::Message(inner) => message(&inner, side, &[]),
        Kind::Enum(values) => {
            let rules = rules::of(field).r#type;
            let rules = match &rules {
                Some(Type::Enum(rules)) => Some(rules),
                _ => None,
            };
            let shown = |number: i32| number != 0 && rules::allows(rules, number);
            values.values().find(|value| shown(value.number())).map_or(Value::Null, |value| json!(value.name()))
        }
        Kind::Bool => json!(true),
        Kind::Float | Kind::Double => json!(1.5),
        Kind::String => json!("text"),
        Kind::Bytes => json!("AA=="),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => json!("1"),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => json!(1),
    });
    if field.is_list() { json!([value]) } else { value }
}

/// Returns an example of a raw body, by its media type.
pub(super) fn file(media_type: &str) -> &'static str {
    match media_type {
        "text/csv" => {
            "subject,body,type,queue,priority,language\n\"Invoices are printed twice\",\"Since this morning.\",Incident,Billing and Payments,high,en\n"
        }
        "application/json" => "{\"id\":\"evt_1PgafmB7WZ01zgkW6dKueIc5\",\"type\":\"payment_intent.succeeded\"}",
        _ => "{\"subject\":\"Invoices are printed twice\",\"body\":\"Since this morning.\",\"priority\":\"high\"}\n",
    }
}

/// Returns whether a field identifies a resource: `id` or `…_id`, except request ids, which callers may choose, and
/// the ids of gateways and providers.
pub(super) fn is_id(field: &FieldDescriptor) -> bool {
    !matches!(field.name(), "request_id" | "gateway_id" | "provider_event_id")
        && (field.name() == "id" || field.name().ends_with("_id"))
}

/// Returns whether a field holds a secret.
pub(super) fn is_secret(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|value| *value == Protobuf::Bool(true))
}
