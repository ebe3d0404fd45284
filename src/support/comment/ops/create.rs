//! Adds comments.

use crate::{
    files::file::{model::Purpose, ops as files},
    mail::ops as mail,
    support::{
        comment::{
            model::{Audience, Comment, Draft},
            store,
        },
        id::{CommentId, TicketId},
        mails::TicketReply,
        ticket::store as ticket,
    },
};
use mainstay_kernel::{
    contract::policy::Role,
    database::Connection,
    error::{Error, Reason, Result},
    unit_of_work::Work,
};

/// Adds a comment to a ticket, which is locked, and queues the mail that tells the customer, atomically. There is no mail
/// about an internal note.
///
/// # Errors
/// `PERMISSION_DENIED` for an internal note by a customer, `NOT_FOUND`, `TICKET_MERGED`, and those of [`files::attach`].
pub async fn create(work: &mut Work, ticket: TicketId, draft: Draft) -> Result<Comment> {
    let (permit, now) = (work.permit()?, work.now());
    let lock = async |connection: &Connection| ticket::lock(connection, permit.visibility(), ticket).await;
    let ticket = work.read(lock).await?;
    let Draft { body, attachments, is_internal } = draft;
    if is_internal && !Audience::of(permit.visibility()).sees_notes() {
        return Err(Error::with_message(Reason::PermissionDenied, "Only staff may write internal comments."));
    }
    ticket.check_unmerged()?;
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
        is_internal,
    };
    let parent = super::parent(&ticket, &comment);
    let (connection, attached) = (work.connection().await?, &comment.attachments);
    files::attach(connection, &permit, parent, attached, Purpose::Attachment, "attachmentIds").await?;
    // The customer is told what staff answered; staff follows the queue.
    let is_answer = !is_internal && ticket.requester.is_some_and(|requester| requester.0 != caller.principal());
    let is_told = is_answer && caller.role() != Role::Customer;
    let new = comment.clone();
    work.queue(move |connection| Box::pin(async move { store::insert(connection, &new).await }));
    super::record(work, permit, &ticket, &comment, super::ADDED);
    if is_told {
        let (comment, ticket) = (comment.id.0, Some(ticket.id.0));
        work.queue(move |connection| Box::pin(mail::send::<TicketReply>(connection, comment, ticket, now)));
    }
    Ok(comment)
}
