//! Tickets: every change commits together with the activity that records it.

mod bulk;
mod include;
mod merge;
mod unassign;
mod watch;

use crate::proto::support::v1::Reason as SupportReason;
use chrono::{DateTime, Utc};
use futures_util::join;
use uuid::Uuid;

use crate::files::file::{
    model::{Parent, Purpose},
    ops as files,
};
use crate::identity::account::ops as accounts;
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
    changes::Change,
    contract::policy::Role,
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    events::{Event, EventKind as _},
    fault,
    id::{AccountId, UserId},
    page::{Key, Listed, Page, Start},
    personal,
    unit_of_work::Work,
    version::ExpectedVersions,
};

pub use bulk::{begin as begin_bulk_change, preview, undo as undo_bulk_change};
pub use include::{IncludedResources, Includes, include};
pub use merge::merge;
pub(crate) use unassign::return_to_queue;
pub use watch::{TOPIC, load_changed};
// For other modules, which have no caller.
pub(crate) use store::{bulk::record_batch, erase, erase_activities, get as read, stats::stats};
pub(crate) use watch::{change, internal_change, record_imported};

/// Creates a ticket. A customer, or the account of a key, is locked first: their open tickets are limited.
///
/// # Errors
/// `OPEN_TICKET_LIMIT_REACHED`; `VALIDATION_FAILED` if there is no account, `NOT_FOUND` if it is unknown, and those of
/// [`files::attach`].
pub async fn create(work: &mut Work, draft: Draft, limit: i64) -> Result<Ticket> {
    let permit = work.permit()?;
    let requester = permit.user().map(|(user, ..)| user);
    let account = permit.account(draft.account)?;
    accounts::check_open(work, vec![account]).await?;
    let ticket = Ticket::new(account, requester, draft.content, work.now());
    // First, so that what its listeners read shares the round trip of the limit.
    work.publish(event(TicketCreated::NAME, &ticket));
    work.read(async |connection: &Connection| check_open_limit(connection, &permit, requester, limit).await).await?;
    let attached = &ticket.content.attachments;
    if !attached.is_empty() {
        let connection = work.connection().await?;
        files::attach(connection, &permit, parent(&ticket), attached, Purpose::Attachment, "attachmentIds").await?;
    }
    insert(work, permit, vec![ticket.clone()]);
    Ok(ticket)
}

/// Queues new tickets, with their activities. In this order: an activity refers to its ticket.
fn insert(work: &mut Work, permit: Permit, tickets: Vec<Ticket>) {
    let ids = tickets.iter().map(|ticket| ticket.id).collect();
    let changes = tickets.iter().map(watch::change).collect();
    work.queue(move |connection| Box::pin(async move { store::insert(connection, &tickets).await }));
    record(work, permit, ids, ActivityKind::Created, String::new());
    work.record_changes(changes);
}

/// Queues the activities of tickets; `None` stands for the system.
pub(crate) fn record(
    work: &mut Work,
    permit: impl Into<Option<Permit>>,
    tickets: Vec<TicketId>,
    kind: ActivityKind,
    detail: String,
) {
    let (permit, now): (Option<Permit>, _) = (permit.into(), work.now());
    work.queue(move |connection| {
        Box::pin(async move {
            let caller = permit.as_ref().map(Permit::caller);
            store::record(connection, caller, tickets, kind, &detail, now).await
        })
    });
}

fn parent(ticket: &Ticket) -> Parent {
    Parent { id: ticket.id.0, account: Some(ticket.account), is_public: false, is_internal: false }
}

fn event(kind: &'static str, ticket: &Ticket) -> Event {
    Event::of_kind(kind, ticket.account, ticket.id.0, ticket.version)
}

/// Creates tickets, all or none.
///
/// # Errors
/// `VALIDATION_FAILED` if there is no account, `NOT_FOUND` if it is unknown.
pub async fn create_batch(work: &mut Work, drafts: Vec<Draft>) -> Result<Vec<Ticket>> {
    let (permit, now) = (work.permit()?, work.now());
    let requester = permit.user().map(|(user, ..)| user);
    let mut tickets = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let missing = || Error::field(format!("tickets[{index}].accountId"), "is required");
        let account = permit.account(draft.account).map_err(|_| missing())?;
        tickets.push(Ticket::new(account, requester, draft.content, now));
    }
    accounts::check_open(work, tickets.iter().map(|ticket| ticket.account).collect()).await?;
    tickets.iter().for_each(|ticket| work.publish(event(TicketCreated::NAME, ticket)));
    insert(work, permit, tickets.clone());
    Ok(tickets)
}

/// Checks the limit of open tickets: of a customer in the account of the session, or of the keys of an account together. Each
/// customer is counted separately, so that creates by different customers do not wait for each other.
async fn check_open_limit(
    connection: &Connection,
    permit: &Permit,
    requester: Option<UserId>,
    limit: i64,
) -> Result<()> {
    if permit.caller().role() != Role::Customer {
        return Ok(());
    }
    let account = permit.account(None)?;
    let (who, open) = match requester {
        Some(user) => ("You have", store::lock_and_count_open(connection, user, account).await?),
        None if permit.caller().is_service() => {
            ("The keys of the account have", store::lock_and_count_open_of_keys(connection, account, limit).await?)
        }
        // A customer reopens a ticket that no customer has created.
        None => return Ok(()),
    };
    if open >= limit {
        let message = format!("{who} reached the limit of {limit} open tickets.");
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
    let included = include(connection, permit, std::slice::from_ref(&ticket), includes).await?;
    Ok((ticket, included))
}

/// Returns the tickets with these ids, in their order, all or none; with empty texts unless these are asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get_batch(
    connection: &Connection,
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
    connection: &Connection,
    permit: Permit,
    filter: Filter,
    order: Order,
    page: Page,
    texts: bool,
) -> Result<Listed<Ticket>> {
    // Sent together, so that a page costs one round trip.
    let total = page.total(store::total(connection, permit.visibility(), &filter));
    let tickets = store::list(connection, permit.visibility(), &filter, order, page.and_next(), texts);
    let (total, tickets) = pipeline!(total, tickets)?;
    Ok((tickets, total))
}

/// Returns the queues and tags that tickets can be filtered by.
pub async fn labels(connection: &Connection, _: Permit) -> Result<Labels> {
    Ok(Labels { queues: store::queues(connection).await?, tags: store::tags(connection).await? })
}

/// Returns the next tickets of an export, oldest first.
pub async fn export(
    connection: &Connection,
    permit: Permit,
    filter: Filter,
    after: Option<Key>,
    limit: i64,
) -> Result<Vec<Ticket>> {
    let page = after.map_or(Start::Offset(0), Start::After).page(limit);
    store::list(connection, permit.visibility(), &filter, Order::CreateTimeAsc, page, true).await
}

/// The ticket to change, and the conditions of the change.
#[derive(Debug, Clone)]
pub struct Target {
    pub id: TicketId,
    /// The versions that the caller accepts.
    pub expected: Option<ExpectedVersions>,
}

impl Target {
    /// Locks the ticket until the transaction ends.
    async fn lock(&self, connection: &Connection, permit: &Permit) -> Result<Ticket> {
        let ticket = store::lock(connection, permit.visibility(), self.id).await?;
        ExpectedVersions::check(self.expected.as_ref(), ticket.version)?;
        Ok(ticket)
    }

    /// As [`lock`](Self::lock); also locks the requester, and checks the limit of a customer who reopens the ticket.
    async fn lock_to_reopen(&self, connection: &Connection, permit: &Permit, limit: i64) -> Result<Ticket> {
        if permit.caller().role() != Role::Customer {
            return self.lock(connection, permit).await;
        }
        let requester = store::get(connection, permit.visibility(), self.id, false).await?.requester;
        // In one round trip: the user's row before the ticket's, as a create locks them, to avoid a deadlock.
        let (checked, ticket) =
            join!(check_open_limit(connection, permit, requester, limit), self.lock(connection, permit));
        checked?;
        ticket
    }
}

/// Queues the next version of a locked ticket, with its activity and its event. In this order: the lock on the ticket comes
/// before those on the endpoints to notify.
fn save(
    work: &mut Work,
    permit: impl Into<Option<Permit>>,
    ticket: &Ticket,
    (kind, event_kind): (ActivityKind, &'static str),
    detail: String,
) {
    let next = ticket.clone();
    work.queue(move |connection| Box::pin(async move { store::update(connection, &next).await }));
    work.queue(|_| Box::pin(async { fault::point("ticket.between_writes") }));
    record(work, permit, vec![ticket.id], kind, detail);
    work.record_changes(vec![watch::change(ticket)]);
    work.publish(event(event_kind, ticket));
}

/// Updates a ticket's content. A patch that changes nothing keeps the version.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `TICKET_MERGED`, and those of [`files::attach`].
pub async fn update(work: &mut Work, target: Target, patch: Patch) -> Result<Ticket> {
    let (permit, now) = (work.permit()?, work.now());
    let ticket = work.read(async |connection: &Connection| target.lock(connection, &permit).await).await?;
    work.before(&ticket);
    let (content, fields): (Content, _) = patch.apply(ticket.content.clone());
    if fields.is_empty() {
        return Ok(ticket);
    }
    ticket.check_unmerged()?;
    let attached = (ticket.content.attachments.as_slice(), content.attachments.as_slice());
    let (connection, parent, field) = (work.connection().await?, parent(&ticket), "ticket.attachmentIds");
    files::replace(connection, &permit, parent, attached, Purpose::Attachment, field, now).await?;
    let ticket = Ticket { content, ..ticket }.next_version(now);
    save(work, permit, &ticket, (ActivityKind::Updated, TicketUpdated::NAME), fields.join(", "));
    Ok(ticket)
}

fn transition(
    work: &mut Work,
    permit: impl Into<Option<Permit>>,
    ticket: Ticket,
    kinds: (ActivityKind, &'static str),
    step: impl FnOnce(State) -> Result<State>,
) -> Result<Ticket> {
    let state = step(ticket.state)?;
    let detail = state.assignee().map(|assignee| assignee.to_string()).unwrap_or_default();
    let ticket = Ticket { state, ..ticket }.next_version(work.now());
    save(work, permit, &ticket, kinds, detail);
    Ok(ticket)
}

/// Resolves a ticket.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `TICKET_RESOLVED`.
pub async fn resolve(work: &mut Work, target: Target) -> Result<Ticket> {
    let (permit, now) = (work.permit()?, work.now());
    let ticket = work.read(async |connection: &Connection| target.lock(connection, &permit).await).await?;
    work.before(&ticket);
    let kinds = (ActivityKind::Resolved, TicketResolved::NAME);
    transition(work, permit, ticket, kinds, |state| state.resolve(now))
}

/// Reopens a resolved ticket. It counts against the requester's limit if the requester reopens it.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `OPEN_TICKET_LIMIT_REACHED`, `TICKET_NOT_RESOLVED`, `TICKET_MERGED`.
pub async fn reopen(work: &mut Work, target: Target, limit: i64) -> Result<Ticket> {
    let permit = work.permit()?;
    let lock = async |connection: &Connection| target.lock_to_reopen(connection, &permit, limit).await;
    let ticket = work.read(lock).await?;
    work.before(&ticket);
    ticket.check_unmerged()?;
    transition(work, permit, ticket, (ActivityKind::Reopened, TicketReopened::NAME), State::reopen)
}

/// Assigns a ticket to an agent, or unassigns it.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `TICKET_RESOLVED`, `VALIDATION_FAILED` if the user is not an active agent or admin.
pub async fn assign(work: &mut Work, target: Target, assignee: Option<UserId>) -> Result<Ticket> {
    let permit = work.permit()?;
    let lock = async |connection: &Connection| {
        let (checked, ticket) = join!(check_assignee(connection, assignee), target.lock(connection, &permit));
        checked?;
        ticket
    };
    let ticket = work.read(lock).await?;
    work.before(&ticket);
    let kind = if assignee.is_some() { ActivityKind::Assigned } else { ActivityKind::Unassigned };
    transition(work, permit, ticket, (kind, TicketAssigned::NAME), |state| state.assign(assignee))
}

/// Checks that a user may be assigned tickets.
async fn check_assignee(connection: &Connection, assignee: Option<UserId>) -> Result<()> {
    let Some(assignee) = assignee else { return Ok(()) };
    if store::is_assignable(connection, assignee).await? {
        return Ok(());
    }
    Err(Error::field("assigneeId", "must be an active agent or admin"))
}

/// Deletes a ticket, its comments and what is attached to them; its activities are kept.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn delete(work: &mut Work, target: Target) -> Result<()> {
    let (permit, now) = (work.permit()?, work.now());
    let ticket = work.read(async |connection: &Connection| target.lock(connection, &permit).await).await?;
    work.before(&ticket);
    let connection = work.connection().await?;
    let mut parents = store::delete(connection, &[ticket.id]).await?;
    if !ticket.content.attachments.is_empty() {
        parents.push(ticket.id.0);
    }
    files::detach(connection, &parents, now).await?;
    record(work, permit, vec![ticket.id], ActivityKind::Deleted, String::new());
    work.record_changes(vec![Change { is_deleted: true, ..watch::change(&ticket) }]);
    work.publish(event(TicketDeleted::NAME, &ticket));
    Ok(())
}

/// Removes at most [`personal::BATCH`] tickets of an account with their comments, and the references to their files; returns
/// how many rows.
pub(crate) async fn erase_some(connection: &mut Connection, account: Uuid, now: DateTime<Utc>) -> Result<usize> {
    let ids = store::erase_some(connection, AccountId(account), personal::BATCH).await?;
    files::detach(connection, &ids, now).await?;
    Ok(ids.len())
}
