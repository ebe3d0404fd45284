//! Conversion of tickets to messages, and of messages to drafts, patches and filters.

use crate::files::id::FileId;
use crate::identity::user::model::Language;
use crate::proto::support::v1 as pb;
use crate::support::ticket::model::{
    Content, DEFAULT_QUEUE, Draft, Filter, Kind, Order, Patch, Priority, Status, Ticket,
};
use mainstay_kernel::{
    audit::Audited,
    error::{Error, Result},
    grpc::{parse, render::time},
    id::{AccountId, UserId},
};

/// Renders a ticket.
pub(crate) fn ticket(ticket: Ticket) -> pb::Ticket {
    let Ticket { content, state, .. } = ticket;
    pb::Ticket {
        id: Some(ticket.id.to_string()),
        account_id: Some(ticket.account.to_string()),
        requester_id: ticket.requester.map(|id| id.to_string()),
        subject: Some(content.subject),
        body: Some(content.body),
        kind: Some(content.kind.number().into()),
        status: Some(state.status().number().into()),
        priority: Some(content.priority.number().into()),
        queue: Some(content.queue),
        language: Some(content.language.into()),
        tags: content.tags,
        attachment_ids: content.attachments.iter().map(ToString::to_string).collect(),
        assignee_id: state.assignee().map(|id| id.to_string()),
        version: Some(ticket.version),
        create_time: Some(time(ticket.created_at)),
        update_time: Some(time(ticket.updated_at)),
        resolve_time: state.resolved_at().map(time),
        included: None,
        merged_into_id: ticket.merged_into.map(|id| id.to_string()),
    }
}

impl Audited for Ticket {
    type Message = pb::Ticket;

    fn message(self) -> pb::Ticket {
        ticket(self)
    }
}

fn or_default(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}

/// Reads a draft from a validated message; `prefix` is what precedes the names of its fields in errors.
///
/// # Errors
/// `VALIDATION_FAILED` for text that is not a language tag.
pub(crate) fn draft(message: pb::TicketDraft, prefix: &str) -> Result<Draft> {
    let kind = message.kind.and_then(Kind::from_number).unwrap_or(Kind::Request);
    let priority = message.priority.and_then(Priority::from_number).unwrap_or(Priority::Medium);
    let content = Content {
        subject: message.subject,
        body: message.body,
        kind,
        priority,
        queue: or_default(message.queue, DEFAULT_QUEUE),
        language: Language::of_field(format!("{prefix}language"), message.language.as_deref())?,
        tags: message.tags,
        attachments: Vec::new(),
    };
    Ok(Draft { account: message.account_id.as_deref().map(AccountId::parse).transpose()?, content })
}

/// Returns the draft in a request for one ticket.
pub(crate) fn single_draft(request: pb::CreateTicketRequest) -> pb::TicketDraft {
    let pb::CreateTicketRequest { subject, body, kind, priority, queue, language, tags, account_id, .. } = request;
    pb::TicketDraft { subject, body, kind, priority, queue, language, tags, account_id }
}

/// Reads the new values of the fields in `paths`. A field that is in `paths` and absent is cleared: reset to its
/// default, or emptied where the ticket does not need it.
///
/// # Errors
/// `VALIDATION_FAILED` for a field that can't be cleared, or for text that is not a language tag.
pub(crate) fn patch(message: pb::TicketPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    let required = |path: &str| Error::field(format!("ticket.{path}"), "can't be cleared");
    for path in paths {
        match path.as_str() {
            "subject" => patch.subject = Some(message.subject.clone().ok_or_else(|| required(path))?),
            "body" => patch.body = Some(message.body.clone().ok_or_else(|| required(path))?),
            "kind" => patch.kind = Some(message.kind.and_then(Kind::from_number).unwrap_or(Kind::Request)),
            "priority" => {
                patch.priority = Some(message.priority.and_then(Priority::from_number).unwrap_or(Priority::Medium))
            }
            "queue" => patch.queue = Some(message.queue.clone().unwrap_or_else(|| DEFAULT_QUEUE.to_owned())),
            "language" => {
                patch.language = Some(Language::of_field("ticket.language", message.language.as_deref())?);
            }
            "tags" => patch.tags = Some(message.tags.clone()),
            "attachment_ids" => patch.attachments = Some(FileId::parse_all(&message.attachment_ids)?),
            other => return Err(mainstay_kernel::grpc::mask::unhandled(other)),
        }
    }
    Ok(patch)
}

/// Reads the filter of a list.
pub(crate) fn list_filter(message: &pb::ListTicketsRequest) -> Result<Filter> {
    Ok(Filter {
        statuses: message.statuses.iter().filter_map(|&number| Status::from_number(number)).collect(),
        priorities: message.priorities.iter().filter_map(|&number| Priority::from_number(number)).collect(),
        assignee: message.assignee_id.as_deref().map(UserId::parse).transpose()?,
        account: message.account_id.as_deref().map(AccountId::parse).transpose()?,
        query: message.query.trim().to_owned(),
        queues: message.queues.clone(),
        tags: message.tags.clone(),
        kinds: message.kinds.iter().filter_map(|&number| Kind::from_number(number)).collect(),
        created_from: message.created_from.map(|time| parse::time(time, "createdFrom")).transpose()?,
        created_before: message.created_before.map(|time| parse::time(time, "createdBefore")).transpose()?,
    })
}

/// Moves the fields of a filter, which the messages of lists, exports and bulk changes share, into another message.
macro_rules! with_filter {
    ($message:expr, $from:ident => $to:ident { $($rest:tt)* }) => {{
        let pb::$from {
            statuses, priorities, assignee_id, account_id, query, queues, tags, kinds, created_from, created_before,
        } = $message;
        pb::$to {
            statuses, priorities, assignee_id, account_id, query, queues, tags, kinds, created_from, created_before,
            $($rest)*
        }
    }};
}

/// Reads the filter of an export, which has the same fields as that of a list.
pub(crate) fn export_filter(message: pb::ExportTicketsRequest) -> Result<Filter> {
    list_filter(&with_filter!(message, ExportTicketsRequest => ListTicketsRequest { ..Default::default() }))
}

/// Reads the filter of a bulk change, which has the same fields as that of a list.
pub(crate) fn filter(message: pb::TicketFilter) -> Result<Filter> {
    list_filter(&with_filter!(message, TicketFilter => ListTicketsRequest { ..Default::default() }))
}

/// Returns the request for the same tickets in the other format.
pub(crate) fn same_export(request: pb::ExportTicketsCsvRequest) -> pb::ExportTicketsRequest {
    with_filter!(request, ExportTicketsCsvRequest => ExportTicketsRequest {})
}

/// Reads an order; the default is newest first.
pub(crate) fn order(number: i32) -> Order {
    Order::from_number(number).unwrap_or(Order::CreateTimeDesc)
}
