//! Tickets: every change commits together with the activity that records it.

mod include;
mod watch;

use crate::proto::support::v1::Reason as SupportReason;
use chrono::{DateTime, Utc};
use futures_util::join;

use crate::files::file::{
    model::{Parent, Purpose},
    ops as files,
};
use crate::support::id::TicketId;
use crate::support::{
    events::{TicketAssigned, TicketCreated, TicketDeleted, TicketReopened, TicketResolved, TicketUpdated},
    ticket::{
        model::{ActivityKind, Content, Draft, Filter, Order, Patch, State, Ticket, labels::Labels},
        store,
    },
};
use mainstay_kernel::{
    batch,
    caller::Permit,
    contract::policy::Role,
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    events::{self, Event, EventKind as _},
    fault,
    id::UserId,
    page::{Key, Start, Total},
    version::ExpectedVersions,
};

pub use include::{IncludedResources, Includes, include};
pub use watch::{TOPIC, load_changed};
// For other modules, which have no caller.
pub(crate) use store::{erase, erase_activities, get as read, stats::stats};
pub(crate) use watch::{note_imported, record_comment};

/// The proof that the caller may have another open ticket, until the transaction ends.
#[derive(Debug)]
pub struct Admitted(());

/// Begins to create a ticket: checks a customer's limit of open tickets, and locks the customer.
///
/// # Errors
/// `OPEN_TICKET_LIMIT_REACHED`.
pub async fn admit(connection: &Connection, permit: &Permit, limit: i64) -> Result<Admitted> {
    let requester = permit.user().map(|(user, ..)| user);
    check_open_limit(connection, permit, requester, limit).await?;
    Ok(Admitted(()))
}

/// Creates a ticket.
///
/// # Errors
/// `VALIDATION_FAILED` if there is no account, `NOT_FOUND` if it is unknown, and those of [`files::attach`].
pub async fn create(
    connection: &mut Connection,
    _: Admitted,
    permit: Permit,
    draft: Draft,
    now: DateTime<Utc>,
) -> Result<Ticket> {
    let account = permit.account(draft.account)?;
    let requester = permit.user().map(|(user, ..)| user);
    let ticket = Ticket::new(account, requester, draft.content, now);
    let attached = &ticket.content.attachments;
    files::attach(connection, &permit, parent(&ticket), attached, Purpose::Attachment, "attachmentIds").await?;
    let (shared, events): (&Connection, _) = (connection, [event(TicketCreated::NAME, &ticket)]);
    // In one round trip, in this order: the activity refers to the ticket.
    pipeline!(
        store::insert(shared, std::slice::from_ref(&ticket)),
        store::record(shared, permit.caller(), [ticket.id], ActivityKind::Created, "", now),
        watch::note(shared, [&ticket]),
        events::publish(shared, &events, now),
    )?;
    Ok(ticket)
}

fn parent(ticket: &Ticket) -> Parent {
    Parent { id: ticket.id.0, account: Some(ticket.account), is_public: false }
}

fn event(kind: &'static str, ticket: &Ticket) -> Event {
    Event::of_kind(kind, ticket.account, ticket.id.0, ticket.version)
}

/// Creates tickets, all or none.
///
/// # Errors
/// `VALIDATION_FAILED` if there is no account, `NOT_FOUND` if it is unknown.
pub async fn create_batch(
    connection: &mut Connection,
    permit: Permit,
    drafts: Vec<Draft>,
    now: DateTime<Utc>,
) -> Result<Vec<Ticket>> {
    let requester = permit.user().map(|(user, ..)| user);
    let mut tickets = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let missing = || Error::field(format!("tickets[{index}].accountId"), "is required");
        let account = permit.account(draft.account).map_err(|_| missing())?;
        tickets.push(Ticket::new(account, requester, draft.content, now));
    }
    let events: Vec<_> = tickets.iter().map(|ticket| event(TicketCreated::NAME, ticket)).collect();
    let shared: &Connection = connection;
    pipeline!(
        store::insert(shared, &tickets),
        store::record(shared, permit.caller(), tickets.iter().map(|t| t.id), ActivityKind::Created, "", now),
        watch::note(shared, &tickets),
        events::publish(shared, &events, now),
    )?;
    Ok(tickets)
}

/// Checks a customer's limit of open tickets. Each customer is counted separately, so that creates by different
/// customers do not wait for each other.
async fn check_open_limit(
    connection: &Connection,
    permit: &Permit,
    requester: Option<UserId>,
    limit: i64,
) -> Result<()> {
    let (Role::Customer, Some(requester)) = (permit.caller().role(), requester) else { return Ok(()) };
    if store::lock_and_count_open(connection, requester).await? >= limit {
        let message = format!("You have {limit} open tickets, which is the most there can be.");
        return Err(Error::with_message(SupportReason::OpenTicketLimitReached, message));
    }
    Ok(())
}

/// Returns a ticket with what belongs to it, and with an empty text unless that is asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get_with(
    connection: &Connection,
    permit: &Permit,
    id: TicketId,
    includes: Includes,
    texts: bool,
) -> Result<(Ticket, IncludedResources)> {
    let ticket = store::get(connection, permit.visibility(), id, texts).await?;
    let included = include(connection, std::slice::from_ref(&ticket), includes).await?;
    Ok((ticket, included))
}

/// Returns the tickets with these ids, in their order, all or none; with empty texts unless these are asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get_batch(
    connection: &mut Connection,
    permit: Permit,
    ids: Vec<TicketId>,
    texts: bool,
) -> Result<Vec<Ticket>> {
    let tickets = store::get_batch(connection, permit.visibility(), &ids, texts).await?;
    batch::in_order("ticket", &ids, tickets, |ticket| ticket.id)
}

/// Returns a page of tickets plus one more if another page follows, and the total unless paging by key. The tickets
/// have empty texts unless these are asked for.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    order: Order,
    start: Start,
    limit: i64,
    texts: bool,
) -> Result<(Vec<Ticket>, Option<Total>)> {
    // Sent together, so that a page costs one round trip.
    let connection = &*connection;
    let total = start.total(store::total(connection, permit.visibility(), &filter));
    let tickets = store::list(connection, permit.visibility(), &filter, order, start, limit + 1, texts);
    let (total, tickets) = pipeline!(total, tickets)?;
    Ok((tickets, total))
}

/// Returns the queues and tags that tickets can be filtered by.
pub async fn labels(connection: &mut Connection, _: Permit) -> Result<Labels> {
    Ok(Labels { queues: store::queues(connection).await?, tags: store::tags(connection).await? })
}

/// Returns the next tickets of an export, oldest first.
pub async fn export(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    after: Option<Key>,
    limit: i64,
) -> Result<Vec<Ticket>> {
    let start = after.map_or(Start::Offset(0), Start::After);
    store::list(connection, permit.visibility(), &filter, Order::CreateTimeAsc, start, limit, true).await
}

/// The ticket to change, and the conditions of the change.
#[derive(Debug, Clone)]
pub struct Target {
    /// The proof that the caller is authorized.
    pub permit: Permit,
    pub id: TicketId,
    /// The versions that the caller accepts.
    pub expected: Option<ExpectedVersions>,
}

impl Target {
    /// Begins a change: locks the ticket until the transaction ends.
    ///
    /// # Errors
    /// `NOT_FOUND`, `ETAG_MISMATCH`.
    pub async fn lock(self, connection: &Connection) -> Result<LockedTicket> {
        let ticket = store::lock(connection, self.permit.visibility(), self.id).await?;
        ExpectedVersions::check(self.expected.as_ref(), ticket.version)?;
        Ok(LockedTicket { permit: self.permit, ticket })
    }

    /// Begins to reopen a ticket: also checks the limit of a customer who does, and locks its requester.
    ///
    /// # Errors
    /// `NOT_FOUND`, `ETAG_MISMATCH`, `OPEN_TICKET_LIMIT_REACHED`.
    pub async fn lock_to_reopen(self, connection: &Connection, limit: i64) -> Result<LockedTicket> {
        if self.permit.caller().role() != Role::Customer {
            return self.lock(connection).await;
        }
        let permit = self.permit.clone();
        let requester = store::get(connection, permit.visibility(), self.id, false).await?.requester;
        // In one round trip: the user's row before the ticket's, as a create locks them, to avoid a deadlock.
        let (checked, result) = join!(check_open_limit(connection, &permit, requester, limit), self.lock(connection));
        checked?;
        result
    }

    /// Begins to assign a ticket: also checks the assignee.
    ///
    /// # Errors
    /// `NOT_FOUND`, `ETAG_MISMATCH`, `VALIDATION_FAILED` if the user is not an agent or admin.
    pub async fn lock_to_assign(self, connection: &Connection, assignee: Option<UserId>) -> Result<LockedTicket> {
        let (checked, result) = join!(check_assignee(connection, assignee), self.lock(connection));
        checked?;
        result
    }
}

/// A ticket that is locked until the transaction ends.
#[derive(Debug)]
pub struct LockedTicket {
    permit: Permit,
    ticket: Ticket,
}

/// Stores the next version of a locked ticket, with its activity and its event.
async fn save(
    connection: &Connection,
    permit: &Permit,
    ticket: Ticket,
    (kind, event_kind): (ActivityKind, &'static str),
    detail: &str,
) -> Result<Ticket> {
    let (now, published) = (ticket.updated_at, [event(event_kind, &ticket)]);
    let update = async {
        store::update(connection, &ticket).await?;
        fault::point("ticket.between_writes")
    };
    // In one round trip, in this order: the lock on the ticket comes before those on the endpoints to notify.
    pipeline!(
        update,
        store::record(connection, permit.caller(), [ticket.id], kind, detail, now),
        watch::note(connection, [&ticket]),
        events::publish(connection, &published, now),
    )?;
    Ok(ticket)
}

/// Updates a ticket's content. A patch that changes nothing keeps the version.
///
/// # Errors
/// Those of [`files::attach`].
pub async fn update(
    connection: &mut Connection,
    lock: LockedTicket,
    patch: Patch,
    now: DateTime<Utc>,
) -> Result<Ticket> {
    let LockedTicket { permit, ticket } = lock;
    let (content, fields): (Content, _) = patch.apply(ticket.content.clone());
    if fields.is_empty() {
        return Ok(ticket);
    }
    let attached = (ticket.content.attachments.as_slice(), content.attachments.as_slice());
    let (parent, field) = (parent(&ticket), "ticket.attachmentIds");
    files::replace(connection, &permit, parent, attached, Purpose::Attachment, field, now).await?;
    let ticket = Ticket { content, ..ticket }.next_version(now);
    save(connection, &permit, ticket, (ActivityKind::Updated, TicketUpdated::NAME), &fields.join(", ")).await
}

async fn transition(
    connection: &Connection,
    lock: LockedTicket,
    kinds: (ActivityKind, &'static str),
    now: DateTime<Utc>,
    step: impl FnOnce(State) -> Result<State> + Send,
) -> Result<Ticket> {
    let LockedTicket { permit, ticket } = lock;
    let state = step(ticket.state)?;
    let detail = state.assignee().map(|assignee| assignee.to_string()).unwrap_or_default();
    let ticket = Ticket { state, ..ticket }.next_version(now);
    save(connection, &permit, ticket, kinds, &detail).await
}

/// Resolves a ticket.
///
/// # Errors
/// `TICKET_RESOLVED`.
pub async fn resolve(connection: &mut Connection, lock: LockedTicket, now: DateTime<Utc>) -> Result<Ticket> {
    let kinds = (ActivityKind::Resolved, TicketResolved::NAME);
    transition(connection, lock, kinds, now, |state| state.resolve(now)).await
}

/// Reopens a resolved ticket. It counts against the requester's limit if the requester reopens it.
///
/// # Errors
/// `TICKET_NOT_RESOLVED`.
pub async fn reopen(connection: &mut Connection, lock: LockedTicket, now: DateTime<Utc>) -> Result<Ticket> {
    transition(connection, lock, (ActivityKind::Reopened, TicketReopened::NAME), now, State::reopen).await
}

/// Assigns a ticket to an agent, or unassigns it.
///
/// # Errors
/// `TICKET_RESOLVED`.
pub async fn assign(
    connection: &mut Connection,
    lock: LockedTicket,
    assignee: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<Ticket> {
    let kind = if assignee.is_some() { ActivityKind::Assigned } else { ActivityKind::Unassigned };
    transition(connection, lock, (kind, TicketAssigned::NAME), now, |state| state.assign(assignee)).await
}

/// Checks that a user may be assigned tickets.
async fn check_assignee(connection: &Connection, assignee: Option<UserId>) -> Result<()> {
    let Some(assignee) = assignee else { return Ok(()) };
    let role = store::role_of(connection, assignee).await?;
    if role.is_some_and(|role| [Role::Agent as i16, Role::Admin as i16].contains(&role)) {
        return Ok(());
    }
    Err(Error::field("assigneeId", "must be an agent or an admin"))
}

/// Deletes a ticket, its comments and what is attached to them; its activities are kept.
///
/// # Errors
/// Any database error.
pub async fn delete(connection: &mut Connection, lock: LockedTicket, now: DateTime<Utc>) -> Result<()> {
    let LockedTicket { permit, ticket } = lock;
    let mut parents = store::delete(connection, ticket.id).await?;
    if !ticket.content.attachments.is_empty() {
        parents.push(ticket.id.0);
    }
    files::detach(connection, &parents, now).await?;
    let (shared, deleted): (&Connection, _) = (connection, [event(TicketDeleted::NAME, &ticket)]);
    pipeline!(
        store::record(shared, permit.caller(), [ticket.id], ActivityKind::Deleted, "", now),
        watch::note_deleted(shared, &ticket),
        events::publish(shared, &deleted, now),
    )?;
    Ok(())
}
