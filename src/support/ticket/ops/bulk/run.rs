//! The run of a worker over the tickets of a bulk change. Each batch is a step of the operation.

use std::collections::HashMap;

use crate::{
    operations::{
        id::OperationId,
        model::{Progress, RowError},
        ops::{self as operation, End, OperationKind, Run},
    },
    support::{
        events::{TicketAssigned, TicketDeleted, TicketReopened, TicketResolved, TicketUpdated},
        id::TicketId,
        ticket::{
            job::{BULK_LANE, ChangeTickets, DeleteTickets, Requester, UndoBulkChange},
            model::{
                ActivityKind, Ticket,
                bulk::{BulkChange, Effect, Outcome, Replaced},
            },
            ops::{event, files, watch},
            store::{
                self as tickets,
                bulk::{self as store, Remaining},
            },
        },
    },
};
use chrono::{DateTime, Utc};
use mainstay_kernel::{
    audit::Record,
    changes::Change,
    context::{self, ActorKind, Context, Origin},
    contract::policy::Role,
    database::Connection,
    error::{Error, Result},
    events::EventKind as _,
    fault,
    queue::Lane,
    unit_of_work::Work,
};

use super::BATCH;

impl OperationKind for ChangeTickets {
    const NAME: &'static str = "change_tickets";
    const SCOPE: &'static str = "support.tickets.write";
    const READ_SCOPE: &'static str = "support.tickets.read";
    const LANE: Lane = BULK_LANE;
    const GIVEN_UP: &'static str = "The change failed repeatedly and was given up; the changed tickets stay changed.";

    async fn run(&self, run: &mut Run<'_>) -> Result<End> {
        let remaining = Remaining { change: run.operation().id, undo: None };
        run_batches(run, remaining, Some(&self.change), self.requester).await
    }
}

impl OperationKind for DeleteTickets {
    const NAME: &'static str = "delete_tickets";
    const SCOPE: &'static str = "support.tickets.delete";
    const READ_SCOPE: &'static str = "support.tickets.read";
    const LANE: Lane = BULK_LANE;
    const GIVEN_UP: &'static str = "The deletion failed repeatedly and was given up; the deleted tickets stay deleted.";

    async fn run(&self, run: &mut Run<'_>) -> Result<End> {
        let remaining = Remaining { change: run.operation().id, undo: None };
        run_batches(run, remaining, Some(&BulkChange::Delete), self.requester).await
    }
}

impl OperationKind for UndoBulkChange {
    const NAME: &'static str = "undo_bulk_change";
    const SCOPE: &'static str = "support.tickets.write";
    const READ_SCOPE: &'static str = "support.tickets.read";
    const LANE: Lane = BULK_LANE;
    const GIVEN_UP: &'static str = "The undo failed repeatedly and was given up; the restored tickets stay restored.";

    async fn run(&self, run: &mut Run<'_>) -> Result<End> {
        let remaining = Remaining { change: self.change, undo: Some(run.operation().id) };
        run_batches(run, remaining, None, self.requester).await
    }
}

/// Changes the remaining tickets; without `change`, restores them.
async fn run_batches(
    run: &mut Run<'_>,
    remaining: Remaining,
    change: Option<&BulkChange>,
    requester: Requester,
) -> Result<End> {
    let (app, actor) = (run.app(), run.operation().owner);
    if run.operation().progress.total == 0 {
        let total = app.database.autocommit(async move |connection| remaining.count(connection).await).await?;
        run.step(move |_| Box::pin(async move { Ok(Progress { total, ..Progress::default() }) })).await?;
    }
    loop {
        let Progress { total, .. } = run.operation().progress;
        let done = run.operation().progress.rows_done();
        // After the last batch, the end takes no time.
        if done < total && run.is_stopping() {
            return Ok(End::Stopped);
        }
        let (operation, change) = (run.operation().id, change.cloned());
        let batch = Batch { operation, remaining, change, done, actor, role: requester.role };
        // The entries of the audit log name the requester.
        let step = run.step(move |work| Box::pin(batch.change(work)));
        context(actor, requester).scope(step).await?;
        if run.operation().progress.rows_done() == done {
            return Ok(End::Succeeded);
        }
        fault::point("bulk.batch")?;
    }
}

/// Returns the context of the job, with the requester as the actor.
fn context(actor: uuid::Uuid, requester: Requester) -> Context {
    let kind = if requester.role == Role::Service as i16 { ActorKind::Service } else { ActorKind::Staff };
    let origin = context::origin();
    let origin = Origin { actor: kind, actor_id: Some(actor), application: requester.application, ..origin };
    Context::current().unwrap_or_else(|| Context::new(String::new())).with_origin(origin)
}

/// The next tickets of an operation.
struct Batch {
    operation: OperationId,
    remaining: Remaining,
    change: Option<BulkChange>,
    /// The number of tickets in the batches before.
    done: i64,
    /// The principal that began the operation.
    actor: uuid::Uuid,
    /// The number of its role.
    role: i16,
}

/// What a batch does to its tickets.
#[derive(Default)]
struct Effects {
    before: Vec<Ticket>,
    after: Vec<Ticket>,
    deleted: Vec<Ticket>,
    activities: Vec<(TicketId, ActivityKind, String)>,
    outcomes: Vec<(TicketId, Outcome)>,
    errors: Vec<RowError>,
}

impl Batch {
    /// Changes each ticket as a change of this ticket alone does, and returns the rows that the batch adds to the progress.
    async fn change(self, work: &mut Work) -> Result<Progress> {
        let (now, limit) = (work.now(), i64::try_from(BATCH).unwrap_or(i64::MAX));
        let (remaining, texts) = (self.remaining, matches!(self.change, Some(BulkChange::Delete)));
        let rows = work.read(async |connection: &Connection| remaining.next(connection, limit).await).await?;
        if rows.is_empty() {
            return Ok(Progress::default());
        }
        let ids: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
        let lock = async |connection: &Connection| store::lock_batch(connection, &ids, texts).await;
        let effects = self.decide(rows, work.read(lock).await?, now);
        let is_unchanged = |(_, outcome): &&(TicketId, Outcome)| *outcome == Outcome::Unchanged;
        let added = Progress {
            total: 0,
            created: count(effects.after.len() + effects.deleted.len()),
            known: count(effects.outcomes.iter().filter(is_unchanged).count()),
            failed: count(effects.errors.len()),
        };
        self.store(work, effects).await?;
        Ok(added)
    }

    fn decide(
        &self,
        rows: Vec<(TicketId, Option<Replaced>)>,
        mut tickets: HashMap<TicketId, Ticket>,
        now: DateTime<Utc>,
    ) -> Effects {
        let mut effects = Effects::default();
        for (position, (id, replaced)) in (self.done + 1..).zip(rows) {
            let ticket = tickets.remove(&id);
            let effect = match (&ticket, &self.change, replaced) {
                (None, ..) => Err(Error::not_found("ticket")),
                (Some(ticket), Some(change), _) => change.apply(ticket, now),
                (Some(ticket), None, Some(replaced)) => replaced.restore(ticket, now),
                (Some(_), None, None) => Ok(Effect::Unchanged),
            };
            let is_undo = self.change.is_none();
            let outcome = match effect {
                Ok(Effect::Unchanged) => Outcome::Unchanged,
                Ok(Effect::Changed(next, kind, detail)) => {
                    effects.before.extend(ticket);
                    effects.after.push(*next);
                    effects.activities.push((id, kind, detail));
                    if is_undo { Outcome::Restored } else { Outcome::Changed }
                }
                Ok(Effect::Deleted) => {
                    effects.deleted.extend(ticket);
                    effects.activities.push((id, ActivityKind::Deleted, String::new()));
                    Outcome::Deleted
                }
                Err(error) => {
                    let (code, message) = (error.reason().facts().code.to_owned(), error.message());
                    effects.errors.push(RowError { line: position, code, message: format!("Ticket {id}: {message}") });
                    if is_undo { Outcome::Kept } else { Outcome::Skipped }
                }
            };
            effects.outcomes.push((id, outcome));
        }
        effects
    }

    async fn store(&self, work: &mut Work, effects: Effects) -> Result<()> {
        let Effects { before, after, deleted, activities, outcomes, errors } = effects;
        let (now, change) = (work.now(), self.remaining.change);
        let connection = work.connection().await?;
        if !after.is_empty() {
            if self.change.is_some() {
                let ids: Vec<_> = after.iter().map(|ticket| ticket.id).collect();
                store::keep_replaced(connection, change, &ids).await?;
            }
            store::update_batch(connection, &after, now).await?;
        }
        if !deleted.is_empty() {
            let ids: Vec<_> = deleted.iter().map(|ticket| ticket.id).collect();
            let mut parents = tickets::delete(connection, &ids).await?;
            let attached = deleted.iter().filter(|ticket| !ticket.content.attachments.is_empty());
            parents.extend(attached.map(|ticket| ticket.id.0));
            files::detach(connection, &parents, now).await?;
        }
        if !activities.is_empty() {
            store::record_batch(connection, (self.actor, self.role), &activities, now).await?;
        }
        store::settle(connection, change, &outcomes).await?;
        if !errors.is_empty() {
            operation::record_errors(connection, self.operation, &errors).await?;
        }
        announce(work, &activities, &after, &deleted);
        for (before, after) in before.iter().zip(&after) {
            work.audit(Record::updated(before, after));
        }
        deleted.iter().for_each(|ticket| work.audit(Record::deleted(ticket)));
        Ok(())
    }
}

/// Queues the changes and the events of tickets.
fn announce(work: &mut Work, activities: &[(TicketId, ActivityKind, String)], after: &[Ticket], deleted: &[Ticket]) {
    let removed = deleted.iter().map(|ticket| Change { is_deleted: true, ..watch::change(ticket) });
    let changes: Vec<_> = after.iter().map(watch::change).chain(removed).collect();
    if !changes.is_empty() {
        work.record_changes(changes);
    }
    let kinds: HashMap<_, _> = activities.iter().map(|(id, kind, _)| (*id, *kind)).collect();
    for ticket in after.iter().chain(deleted) {
        let kind = match kinds.get(&ticket.id) {
            Some(ActivityKind::Resolved) => TicketResolved::NAME,
            Some(ActivityKind::Reopened) => TicketReopened::NAME,
            Some(ActivityKind::Assigned | ActivityKind::Unassigned) => TicketAssigned::NAME,
            Some(ActivityKind::Deleted) => TicketDeleted::NAME,
            _ => TicketUpdated::NAME,
        };
        work.publish(event(kind, ticket));
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
