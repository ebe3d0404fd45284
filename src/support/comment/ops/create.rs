//! Adds comments.

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
        ticket::{model::ActivityKind, store as ticket},
    },
};
use mainstay_kernel::{contract::policy::Role, database::Connection, error::Result, unit_of_work::Work};

/// Adds a comment to a ticket, which is locked, and queues the mail that tells the customer, atomically.
///
/// # Errors
/// `NOT_FOUND`, and those of [`files::attach`].
pub async fn create(work: &mut Work, ticket: TicketId, body: String, attachments: Vec<FileId>) -> Result<Comment> {
    let (permit, now) = (work.permit()?, work.now());
    let lock = async |connection: &Connection| ticket::lock(connection, permit.visibility(), ticket).await;
    let ticket = work.read(lock).await?;
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
    let (connection, attached) = (work.connection().await?, &comment.attachments);
    files::attach(connection, &permit, parent, attached, Purpose::Attachment, "attachmentIds").await?;
    // The customer is told what staff answered; staff follows the queue.
    let is_answer = ticket.requester.is_some_and(|requester| requester.0 != caller.principal());
    let is_told = is_answer && caller.role() != Role::Customer;
    let new = comment.clone();
    work.queue(move |connection| Box::pin(async move { store::insert(connection, &new).await }));
    super::record(work, permit, &ticket, ActivityKind::Commented, comment.id);
    if is_told {
        let topic = Topic::TicketReply { comment: comment.id, ticket: ticket.id };
        work.queue(move |connection| Box::pin(mail::send(connection, topic, now)));
    }
    Ok(comment)
}
