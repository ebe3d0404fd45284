//! Tickets: every change is one transaction with the activity that records it.

use chrono::{DateTime, Utc};

use super::{account_of, webhook};
use crate::{
    caller::Permit,
    contract::policy::Role,
    domain::{
        page::{Key, Start, Total},
        ticket::{ActivityKind, Content, Draft, Filter, Order, Patch, State, Ticket},
        version::Expected,
        webhook::{Event, EventKind},
    },
    error::{Error, Reason, Result},
    fault,
    id::{TicketId, UserId},
    store::{Connection, ticket as store},
};

/// Makes a ticket.
///
/// # Errors
/// `VALIDATION_FAILED` without an account, `NOT_FOUND` for an unknown one, `OPEN_TICKET_LIMIT_REACHED`.
pub async fn create(
    connection: &mut Connection,
    permit: Permit,
    draft: Draft,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Ticket> {
    let account = account_of(&permit, draft.account)?;
    let requester = permit.user().map(|(user, ..)| user);
    check_open_limit(connection, &permit, requester, limit).await?;
    let ticket = Ticket::new(account, requester, draft.content, now);
    store::insert(connection, std::slice::from_ref(&ticket)).await?;
    store::record(connection, permit.caller(), [ticket.id], ActivityKind::Created, "", now).await?;
    webhook::publish(connection, &[event(EventKind::TicketCreated, &ticket)], now).await?;
    Ok(ticket)
}

fn event(kind: EventKind, ticket: &Ticket) -> Event {
    Event { kind, account: ticket.account, resource: ticket.id.0, version: ticket.version }
}

/// What is told of a change.
fn told(kind: ActivityKind) -> Option<EventKind> {
    match kind {
        ActivityKind::Created => Some(EventKind::TicketCreated),
        ActivityKind::Updated => Some(EventKind::TicketUpdated),
        ActivityKind::Assigned | ActivityKind::Unassigned => Some(EventKind::TicketAssigned),
        ActivityKind::Resolved => Some(EventKind::TicketResolved),
        ActivityKind::Reopened => Some(EventKind::TicketReopened),
        ActivityKind::Deleted => Some(EventKind::TicketDeleted),
        _ => None,
    }
}

/// Makes many tickets, all or none.
///
/// # Errors
/// `VALIDATION_FAILED` without an account, `NOT_FOUND` for an unknown one.
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
        let account = account_of(&permit, draft.account).map_err(|_| missing())?;
        tickets.push(Ticket::new(account, requester, draft.content, now));
    }
    store::insert(connection, &tickets).await?;
    store::record(connection, permit.caller(), tickets.iter().map(|t| t.id), ActivityKind::Created, "", now).await?;
    let events: Vec<_> = tickets.iter().map(|ticket| event(EventKind::TicketCreated, ticket)).collect();
    webhook::publish(connection, &events, now).await?;
    Ok(tickets)
}

/// Only customers are limited, each alone, so one customer's creates never wait for another's.
async fn check_open_limit(
    connection: &mut Connection,
    permit: &Permit,
    requester: Option<UserId>,
    limit: i64,
) -> Result<()> {
    let (Role::Customer, Some(requester)) = (permit.caller().role(), requester) else { return Ok(()) };
    if store::lock_and_count_open(connection, requester).await? >= limit {
        let message = format!("You have {limit} open tickets, which is the most there can be.");
        return Err(Error::with_message(Reason::OpenTicketLimitReached, message));
    }
    Ok(())
}

/// One ticket.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, permit: Permit, id: TicketId) -> Result<Ticket> {
    store::get(connection, permit.visibility(), id).await
}

/// A page of tickets, one more than asked for if there are more, and how many there are if that was asked.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    order: Order,
    start: Start,
    limit: i64,
) -> Result<(Vec<Ticket>, Option<Total>)> {
    let total = match start {
        Start::Offset(_) => Some(store::total(connection, permit.visibility(), &filter).await?),
        Start::After(_) => None,
    };
    let tickets = store::list(connection, permit.visibility(), &filter, order, start, limit + 1).await?;
    Ok((tickets, total))
}

/// Tickets an export sends at a time.
pub const EXPORT_PAGE: i64 = 500;

/// The next tickets of an export, oldest first.
pub async fn export(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    after: Option<Key>,
) -> Result<Vec<Ticket>> {
    let start = after.map_or(Start::Offset(0), Start::After);
    store::list(connection, permit.visibility(), &filter, Order::CreateTimeAsc, start, EXPORT_PAGE).await
}

/// What a change of one ticket needs besides the change.
#[derive(Debug, Clone)]
pub struct Target {
    /// The proof that the caller may.
    pub permit: Permit,
    /// The ticket.
    pub id: TicketId,
    /// The versions the caller allows.
    pub expected: Option<Expected>,
}

impl Target {
    /// The ticket, held until the transaction ends.
    async fn lock(&self, connection: &mut Connection) -> Result<Ticket> {
        let ticket = store::lock(connection, self.permit.visibility(), self.id).await?;
        Expected::check(self.expected.as_ref(), ticket.version)?;
        Ok(ticket)
    }

    async fn commit(
        &self,
        connection: &mut Connection,
        ticket: Ticket,
        kind: ActivityKind,
        detail: &str,
    ) -> Result<Ticket> {
        store::update(connection, &ticket).await?;
        fault::point("ticket.between_writes")?;
        store::record(connection, self.permit.caller(), [ticket.id], kind, detail, ticket.updated_at).await?;
        if let Some(kind) = told(kind) {
            webhook::publish(connection, &[event(kind, &ticket)], ticket.updated_at).await?;
        }
        Ok(ticket)
    }
}

/// Changes what a ticket says. A patch that changes nothing leaves the version alone.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn update(connection: &mut Connection, target: Target, patch: Patch, now: DateTime<Utc>) -> Result<Ticket> {
    let ticket = target.lock(connection).await?;
    let (content, changed): (Content, _) = patch.apply(ticket.content.clone());
    if changed.is_empty() {
        return Ok(ticket);
    }
    let ticket = Ticket { content, ..ticket }.changed(now);
    target.commit(connection, ticket, ActivityKind::Updated, &changed.join(", ")).await
}

async fn transition(
    connection: &mut Connection,
    target: Target,
    kind: ActivityKind,
    now: DateTime<Utc>,
    step: impl FnOnce(State) -> Result<State> + Send,
) -> Result<Ticket> {
    let ticket = target.lock(connection).await?;
    let state = step(ticket.state)?;
    let detail = state.assignee().map(|assignee| assignee.to_string()).unwrap_or_default();
    let ticket = Ticket { state, ..ticket }.changed(now);
    target.commit(connection, ticket, kind, &detail).await
}

/// Marks a ticket as done.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `BUSINESS_RULE_VIOLATION` when it is.
pub async fn resolve(connection: &mut Connection, target: Target, now: DateTime<Utc>) -> Result<Ticket> {
    transition(connection, target, ActivityKind::Resolved, now, |state| state.resolve(now)).await
}

/// Takes a resolved ticket up again; it counts against its requester's limit again when the requester does it.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `BUSINESS_RULE_VIOLATION` when it is not resolved, `OPEN_TICKET_LIMIT_REACHED`.
pub async fn reopen(connection: &mut Connection, target: Target, limit: i64, now: DateTime<Utc>) -> Result<Ticket> {
    let requester = store::get(connection, target.permit.visibility(), target.id).await?.requester;
    // The user's row before the ticket's, as in a create, so that the two can't wait for each other.
    check_open_limit(connection, &target.permit, requester, limit).await?;
    transition(connection, target, ActivityKind::Reopened, now, State::reopen).await
}

/// Gives a ticket to an agent, or to nobody.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `VALIDATION_FAILED` when the user is no agent, `BUSINESS_RULE_VIOLATION` when the ticket
/// is resolved.
pub async fn assign(
    connection: &mut Connection,
    target: Target,
    assignee: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<Ticket> {
    if let Some(assignee) = assignee {
        let role = store::role_of(connection, assignee).await?;
        if !role.is_some_and(|role| [Role::Agent as i16, Role::Admin as i16].contains(&role)) {
            return Err(Error::field("assigneeId", "must be an agent or an admin"));
        }
    }
    let kind = if assignee.is_some() { ActivityKind::Assigned } else { ActivityKind::Unassigned };
    transition(connection, target, kind, now, |state| state.assign(assignee)).await
}

/// Removes a ticket and its comments; its activities stay.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn delete(connection: &mut Connection, target: Target, now: DateTime<Utc>) -> Result<()> {
    let ticket = target.lock(connection).await?;
    store::delete(connection, ticket.id).await?;
    store::record(connection, target.permit.caller(), [ticket.id], ActivityKind::Deleted, "", now).await?;
    webhook::publish(connection, &[event(EventKind::TicketDeleted, &ticket)], now).await
}
