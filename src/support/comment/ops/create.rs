//! Adds comments.

use chrono::{DateTime, Utc};

use crate::{
    files::{
        file::{
            model::{Parent, Purpose},
            ops as files,
        },
        id::FileId,
    },
    mail::{model::Topic, ops as mail},
    support::{
        comment::{model::Comment, store},
        id::{CommentId, TicketId},
        ticket::{model::ActivityKind, ops::record_comment, store as ticket},
    },
};
use mainstay_kernel::{caller::Permit, contract::policy::Role, database::Connection, error::Result};

/// Adds a comment, and queues the mail that tells the customer, atomically.
///
/// # Errors
/// `NOT_FOUND`, and those of [`files::attach`].
pub async fn create(
    connection: &mut Connection,
    permit: Permit,
    id: TicketId,
    body: String,
    attachments: Vec<FileId>,
    now: DateTime<Utc>,
) -> Result<Comment> {
    let ticket = ticket::lock(connection, permit.visibility(), id).await?;
    let caller = permit.caller();
    let comment = Comment {
        id: CommentId::generate(now),
        ticket: id,
        author: Some(caller.principal()),
        author_role: caller.role() as i16,
        body,
        attachments,
        created_at: now,
        edited_at: None,
    };
    store::insert(connection, &comment).await?;
    let parent = Parent { id: comment.id.0, account: Some(ticket.account), is_public: false };
    let attached = &comment.attachments;
    files::attach(connection, &permit, parent, attached, Purpose::Attachment, "attachmentIds").await?;
    record_comment(connection, caller, &ticket, ActivityKind::Commented, comment.id, now).await?;
    // The customer is told what staff answered; staff follows the queue.
    let is_answer = ticket.requester.is_some_and(|requester| requester.0 != caller.principal());
    if is_answer && caller.role() != Role::Customer {
        mail::send(connection, Topic::TicketReply { comment: comment.id, ticket: id }, now).await?;
    }
    Ok(comment)
}
