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
        id::CommentId,
        ticket::{
            model::{ActivityKind, Ticket},
            ops::record_comment,
        },
    },
};
use mainstay_kernel::{
    caller::Permit,
    contract::policy::Role,
    database::{Connection, pipeline::pipeline},
    error::Result,
};

/// Adds a comment to a locked ticket, and queues the mail that tells the customer, atomically.
///
/// # Errors
/// Those of [`files::attach`].
pub async fn create(
    connection: &mut Connection,
    permit: Permit,
    ticket: Ticket,
    body: String,
    attachments: Vec<FileId>,
    now: DateTime<Utc>,
) -> Result<Comment> {
    let caller = permit.caller();
    let comment = Comment {
        id: CommentId::generate(now),
        ticket: ticket.id,
        author: Some(caller.principal()),
        author_role: caller.role() as i16,
        body,
        attachments,
        created_at: now,
        edited_at: None,
    };
    let parent = Parent { id: comment.id.0, account: Some(ticket.account), is_public: false };
    let attached = &comment.attachments;
    files::attach(connection, &permit, parent, attached, Purpose::Attachment, "attachmentIds").await?;
    // The customer is told what staff answered; staff follows the queue.
    let is_answer = ticket.requester.is_some_and(|requester| requester.0 != caller.principal());
    let shared: &Connection = connection;
    let tell = async {
        if !is_answer || caller.role() == Role::Customer {
            return Ok(());
        }
        mail::send(shared, Topic::TicketReply { comment: comment.id, ticket: ticket.id }, now).await
    };
    // In one round trip.
    pipeline!(
        store::insert(shared, &comment),
        record_comment(shared, caller, &ticket, ActivityKind::Commented, comment.id, now),
        tell,
    )?;
    Ok(comment)
}
