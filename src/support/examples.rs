//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const TICKET: &str = "0197b5f2-0c8e-7d3a-9f41-6f2f6b1d2c3e";
const OTHER_TICKET: &str = "0197b5f9-41d6-7b08-93e2-7c1d4a5b6e80";
const LINK: &str = "0197b611-5f3d-7a6e-b048-9d2c3e4f5a71";
const ANSWER: &str = "0197b3c8-6a1e-7f29-8d54-2b7c9e0f1a36";
const CUSTOMER: &str = "0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417";
const AGENT: &str = "0197a102-9e44-7c81-a0b7-5e6d2f8c4a90";
const COMMENT: &str = "0197b60c-7b2f-7e95-8c13-4a5b6c7d8e9f";
const FILE: &str = "0197b5f4-8a20-7d13-9c4b-6e5f7a8b9c01";
const ACTIVITY: &str = "0197b60d-02aa-7b3c-9d20-1f2e3d4c5b6a";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("Ticket" | "Comment", "attachment_ids") => json!(FILE).into(),
        (_, "attachment_ids") => Example::Omitted,
        ("Ticket", "included" | "merged_into_id") => Example::Omitted,
        (_, "target_id") => json!(OTHER_TICKET).into(),
        ("TicketRequester", "id") => json!(CUSTOMER).into(),
        ("BatchGetTicketsRequest" | "BulkChangeTicketsRequest", "ids") | ("BulkChangeSkip", "example_ids") => {
            json!(TICKET).into()
        }
        ("BulkChangeTicketsRequest", "action") => json!("TICKET_BULK_ACTION_RESOLVE").into(),
        ("BulkChangeTicketsRequest", "filter" | "patch" | "assignee_id") | ("BulkChangeTicketsResponse", "preview") => {
            Example::Omitted
        }
        ("BulkChangeTicketsRequest", "validate_only") => json!(false).into(),
        ("BulkChangeSkip", "code") => json!("TICKET_RESOLVED").into(),
        ("Ticket", "id") | (_, "ticket_id") => json!(TICKET).into(),
        ("Comment", "id") | (_, "comment_id") => json!(COMMENT).into(),
        ("TicketLink", "id") | (_, "link_id") => json!(LINK).into(),
        (_, "other_id") => json!(OTHER_TICKET).into(),
        ("TicketLink" | "CreateTicketLinkRequest", "kind") => json!("TICKET_LINK_KIND_DUPLICATE_OF").into(),
        ("TicketLink", "author_id") => json!(AGENT).into(),
        ("CannedAnswer", "id") | (_, "canned_answer_id") => json!(ANSWER).into(),
        ("CannedAnswer" | "CannedAnswerPatch" | "CreateCannedAnswerRequest" | "ListCannedAnswersRequest", "name") => {
            json!("Ask for the serial number").into()
        }
        ("RenderedAnswer", "body") => json!("Dear Ada Lovelace, please send us the serial number.").into(),
        ("CannedAnswer" | "CannedAnswerPatch" | "CreateCannedAnswerRequest", "body") => {
            json!("Dear {{customer.name}}, please send us the serial number.").into()
        }
        ("CannedAnswer", "author_id") => json!(AGENT).into(),
        ("Activity", "id") => json!(ACTIVITY).into(),
        (_, "requester_id" | "author_id" | "actor_id") => json!(CUSTOMER).into(),
        (_, "assignee_id" | "detail") => json!(AGENT).into(),
        ("Comment" | "CreateCommentRequest" | "CommentPatch", "body") => {
            json!("A restart did not help; the queue is still stuck.").into()
        }
        ("Comment" | "CreateCommentRequest", "internal") => json!(false).into(),
        (_, "author_role" | "actor_role") => json!("ROLE_CUSTOMER").into(),
        (_, "subject") => json!("Invoices are printed twice").into(),
        (_, "body") => json!("Since this morning every invoice comes out of the printer twice.").into(),
        (_, "queue") | ("TicketLabels", "queues") => json!("Billing and Payments").into(),
        (_, "language") => json!("en").into(),
        (_, "tags" | "add_tags") => json!("printing").into(),
        (_, "remove_tags") => json!("urgent").into(),
        ("Ticket", "status") => json!("TICKET_STATUS_IN_PROGRESS").into(),
        ("Activity", "kind") => json!("ACTIVITY_KIND_RESOLVED").into(),
        (_, "kind") => json!("TICKET_KIND_INCIDENT").into(),
        (_, "priority") => json!("TICKET_PRIORITY_HIGH").into(),
        (_, "query") => json!("\"printed twice\" -test").into(),
        (_, "read_mask") => json!("id,subject,status").into(),
        (_, "update_mask") => json!("subject,priority").into(),
        ("Ticket", "resolve_time") | ("Comment", "edit_time") | ("WatchTicketsResponse", "deleted_id") => {
            Example::Omitted
        }
        _ => return None,
    })
}
