//! Comments on, and activities of, a ticket that the caller can see.

mod create;

use futures_util::join;

use crate::files::file::{
    model::{Parent, Purpose},
    ops as files,
};
use crate::support::id::{CommentId, TicketId};
use crate::support::{
    comment::{
        model::{Activity, Comment, Patch},
        store,
    },
    ticket::{
        model::{ActivityKind, Ticket},
        ops as tickets, store as ticket,
    },
};
use mainstay_kernel::{
    caller::Permit,
    contract::policy::Role,
    database::Connection,
    error::{Error, Reason, Result},
    page::{Start, Total},
    unit_of_work::Work,
};

// For mail, which has no caller.
pub(crate) use store::get as read;

pub use create::create;

/// Returns a comment, with an empty text unless that is asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(
    connection: &Connection,
    permit: &Permit,
    ticket: TicketId,
    id: CommentId,
    texts: bool,
) -> Result<Comment> {
    ticket::get(connection, permit.visibility(), ticket, false).await?;
    store::get(connection, ticket, id, texts).await
}

/// Returns a page of comments plus one more if another page follows, and the total unless paging by key. The comments
/// have empty texts unless these are asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    ticket: TicketId,
    start: Start,
    limit: i64,
    texts: bool,
) -> Result<(Vec<Comment>, Option<Total>)> {
    ticket::get(connection, permit.visibility(), ticket, false).await?;
    let total = start.total(store::total(connection, ticket)).await?;
    Ok((store::list(connection, ticket, start, limit + 1, texts).await?, total))
}

/// Locks the ticket of a comment until the transaction ends. The comment has an empty text unless that is asked for.
async fn lock(work: &mut Work, ticket: TicketId, id: CommentId, texts: bool) -> Result<(Ticket, Comment)> {
    let visibility = work.permit()?.visibility();
    // In one round trip, in this order: the comment is read once the lock is held, so that it is the present one.
    work.read(async |connection: &Connection| {
        let (ticket, comment) =
            join!(ticket::lock(connection, visibility, ticket), store::get(connection, ticket, id, texts));
        Ok((ticket?, comment?))
    })
    .await
}

/// Queues what happened to a comment of a ticket, for its history and for those who watch it.
fn record(work: &mut Work, permit: Permit, ticket: &Ticket, kind: ActivityKind, comment: CommentId) {
    tickets::record(work, permit, vec![ticket.id], kind, comment.to_string());
    work.note(vec![tickets::change(ticket)]);
}

/// Edits a comment of the caller's own. A patch that changes nothing is no edit.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED` if another principal wrote it, and those of [`files::attach`].
pub async fn update(work: &mut Work, ticket: TicketId, id: CommentId, patch: Patch) -> Result<Comment> {
    let (permit, now) = (work.permit()?, work.now());
    let (ticket, comment) = lock(work, ticket, id, true).await?;
    if comment.author != Some(permit.caller().principal()) {
        return Err(Error::with_message(Reason::PermissionDenied, "Only the author may change this comment."));
    }
    let before = comment.clone();
    let body = patch.body.unwrap_or(comment.body);
    let attachments = patch.attachments.unwrap_or(comment.attachments);
    let comment = Comment { body, attachments, ..comment };
    if comment == before {
        return Ok(comment);
    }
    let comment = Comment { edited_at: Some(now), ..comment };
    let parent = Parent { id: comment.id.0, account: Some(ticket.account), is_public: false };
    let attached = (before.attachments.as_slice(), comment.attachments.as_slice());
    let (purpose, field) = (Purpose::Attachment, "comment.attachmentIds");
    files::replace(work.connection().await?, &permit, parent, attached, purpose, field, now).await?;
    let edited = comment.clone();
    work.queue(move |connection| Box::pin(async move { store::update(connection, &edited).await }));
    record(work, permit, &ticket, ActivityKind::CommentEdited, comment.id);
    Ok(comment)
}

/// Removes a comment of the caller's own, and what is attached to it; an admin can remove any.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED` if another principal wrote it.
pub async fn delete(work: &mut Work, ticket: TicketId, id: CommentId) -> Result<()> {
    let (permit, now) = (work.permit()?, work.now());
    let (ticket, comment) = lock(work, ticket, id, false).await?;
    let caller = permit.caller();
    if comment.author != Some(caller.principal()) && caller.role() != Role::Admin {
        return Err(Error::with_message(Reason::PermissionDenied, "Only the author may change this comment."));
    }
    work.queue(move |connection| Box::pin(async move { store::delete(connection, id).await }));
    record(work, permit, &ticket, ActivityKind::CommentDeleted, id);
    if comment.attachments.is_empty() {
        return Ok(());
    }
    files::detach(work.connection().await?, &[id.0], now).await
}

/// Returns a page of activities, like [`list`].
///
/// # Errors
/// `NOT_FOUND`.
pub async fn activities(
    connection: &mut Connection,
    permit: Permit,
    ticket: TicketId,
    start: Start,
    limit: i64,
) -> Result<(Vec<Activity>, Option<Total>)> {
    ticket::get(connection, permit.visibility(), ticket, false).await?;
    let total = start.total(store::total_activities(connection, ticket)).await?;
    Ok((store::activities(connection, ticket, start, limit + 1).await?, total))
}
