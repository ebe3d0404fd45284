//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const ENTRY: &str = "0197c240-3b1e-7c52-8f0a-6d5c4b3a2918";
const TICKET: &str = "0197b5f2-0c8e-7d3a-9f41-6f2f6b1d2c3e";
const AGENT: &str = "0197a102-9e44-7c81-a0b7-5e6d2f8c4a90";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    const MESSAGES: [&str; 4] = ["AuditEntry", "FieldChange", "ListAuditEntriesRequest", "ExportAuditEntriesRequest"];
    if !MESSAGES.contains(&message) {
        return None;
    }
    Some(match (message, field) {
        ("AuditEntry", "id") => json!(ENTRY).into(),
        (_, "method") => json!("TicketService.ResolveTicket").into(),
        (_, "outcome") => json!("AUDIT_OUTCOME_DONE").into(),
        (_, "actor_kind") => json!("ACTOR_KIND_STAFF").into(),
        (_, "actor_id") => json!(AGENT).into(),
        (_, "resource_kind") => json!("support.ticket").into(),
        (_, "resource_id") => json!(TICKET).into(),
        ("AuditEntry", "request_id") => json!("0197c240-3b19-7e08-9a44-1b2c3d4e5f60").into(),
        ("AuditEntry", "client_address") => json!("192.0.2.7").into(),
        ("AuditEntry", "user_agent") => json!("Mozilla/5.0 (X11; Linux x86_64)").into(),
        ("AuditEntry", "reason" | "impersonator_id" | "oauth_client_id") => Example::Omitted,
        ("AuditEntry", "record_time") => json!("2026-03-02T08:15:30Z").into(),
        ("FieldChange", "name") => json!("status").into(),
        ("FieldChange", "before") => json!("\"TICKET_STATUS_OPEN\"").into(),
        ("FieldChange", "after") => json!("\"TICKET_STATUS_RESOLVED\"").into(),
        ("FieldChange", "is_withheld") => json!(false).into(),
        _ => return None,
    })
}
