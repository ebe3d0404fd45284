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
        model::{Activity, Audience, Comment, Patch},
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
    page::{Listed, Page},
    unit_of_work::Work,
};

pub use create::create;

/// Returns a comment for mail to the customer, which has no caller.
///
/// # Errors
/// `NOT_FOUND`, also for an internal note.
pub(crate) async fn read_for_customer(connection: &Connection, ticket: TicketId, id: CommentId) -> Result<Comment> {
    store::get(connection, Audience::Customer, ticket, id, true).await
}

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
    store::get(connection, Audience::of(permit.visibility()), ticket, id, texts).await
}

/// Returns a page of comments plus one more if another page follows, and the total unless paging by key. The comments
/// have empty texts unless these are asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn list(
    connection: &Connection,
    permit: Permit,
    ticket: TicketId,
    page: Page,
    texts: bool,
) -> Result<Listed<Comment>> {
    ticket::get(connection, permit.visibility(), ticket, false).await?;
    let audience = Audience::of(permit.visibility());
    let total = page.total(store::total(connection, audience, ticket)).await?;
    Ok((store::list(connection, audience, ticket, page.and_next(), texts).await?, total))
}

/// Locks the ticket of a comment until the transaction ends. The comment has an empty text unless that is asked for.
async fn lock(work: &mut Work, ticket: TicketId, id: CommentId, texts: bool) -> Result<(Ticket, Comment)> {
    let visibility = work.permit()?.visibility();
    let audience = Audience::of(visibility);
    // In one round trip, in this order: the comment is read once the lock is held, so that it is the present one.
    let lock = async |connection: &Connection| {
        let (ticket, comment) =
            join!(ticket::lock(connection, visibility, ticket), store::get(connection, audience, ticket, id, texts));
        Ok((ticket?, comment?))
    };
    let (ticket, comment) = work.read(lock).await?;
    work.before(&comment);
    Ok((ticket, comment))
}

/// Queues what happened to a comment of a ticket, for its history and for those who watch it. Of an internal note, only
/// staff reads it in the history, and only staff is notified.
fn record(work: &mut Work, permit: Permit, ticket: &Ticket, comment: &Comment, kinds: Kinds) {
    let (kind, change) = match comment.is_internal {
        true => (kinds.of_note, tickets::internal_change(ticket)),
        false => (kinds.of_comment, tickets::change(ticket)),
    };
    tickets::record(work, permit, vec![ticket.id], kind, comment.id.to_string());
    work.record_changes(vec![change]);
}

/// The kinds of activity of one action on a comment.
struct Kinds {
    of_comment: ActivityKind,
    of_note: ActivityKind,
}

const ADDED: Kinds = Kinds { of_comment: ActivityKind::Commented, of_note: ActivityKind::NoteAdded };
const EDITED: Kinds = Kinds { of_comment: ActivityKind::CommentEdited, of_note: ActivityKind::NoteEdited };
const DELETED: Kinds = Kinds { of_comment: ActivityKind::CommentDeleted, of_note: ActivityKind::NoteDeleted };

/// Returns what files are attached to.
fn parent(ticket: &Ticket, comment: &Comment) -> Parent {
    let account = (!comment.is_internal).then_some(ticket.account);
    Parent { id: comment.id.0, account, is_public: false, is_internal: comment.is_internal }
}

/// Edits a comment of the caller's own. A patch that changes nothing is no edit.
///
/// # Errors
/// `NOT_FOUND`, `PERMISSION_DENIED` if another principal wrote it, `TICKET_MERGED`, and those of [`files::attach`].
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
    ticket.check_unmerged()?;
    let comment = Comment { edited_at: Some(now), ..comment };
    let parent = parent(&ticket, &comment);
    let attached = (before.attachments.as_slice(), comment.attachments.as_slice());
    let (purpose, field) = (Purpose::Attachment, "comment.attachmentIds");
    files::replace(work.connection().await?, &permit, parent, attached, purpose, field, now).await?;
    let edited = comment.clone();
    work.queue(move |connection| Box::pin(async move { store::update(connection, &edited).await }));
    record(work, permit, &ticket, &comment, EDITED);
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
    record(work, permit, &ticket, &comment, DELETED);
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
    connection: &Connection,
    permit: Permit,
    ticket: TicketId,
    page: Page,
) -> Result<Listed<Activity>> {
    ticket::get(connection, permit.visibility(), ticket, false).await?;
    let audience = Audience::of(permit.visibility());
    let total = page.total(store::total_activities(connection, audience, ticket)).await?;
    Ok((store::activities(connection, audience, ticket, page.and_next()).await?, total))
}
