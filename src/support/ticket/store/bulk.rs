//! Batches of tickets in SQL, with one statement per table, and the tickets of bulk changes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz, Uuid},
};
use diesel_async::RunQueryDsl;

use super::{Row, optional, total::matching_ids};
use crate::{
    operations::id::OperationId,
    schema::tickets,
    support::{
        id::{ActivityId, TicketId},
        ticket::model::{
            ActivityKind, Filter, Kind, Priority, Status, Ticket,
            bulk::{Outcome, Replaced},
        },
    },
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection,
        integrity::{corrupt, rows_touched},
        statement::Prepare as _,
    },
    error::Result,
    id::UserId,
};

/// Returns the ids of the matching tickets, in no particular order, up to one more than
/// [`count::BOUND`](mainstay_kernel::database::count::BOUND).
pub async fn matching(mut connection: &Connection, visibility: Visibility, filter: &Filter) -> Result<Vec<TicketId>> {
    Ok(matching_ids(visibility, filter).load(&mut connection).await?)
}

/// Returns the tickets with these ids, locked against changes until the transaction ends, with empty texts unless these are
/// asked for.
pub async fn lock_batch(
    mut connection: &Connection,
    ids: &[TicketId],
    texts: bool,
) -> Result<HashMap<TicketId, Ticket>> {
    // In the order of their ids, as other transactions lock several tickets.
    let query = tickets::table.filter(tickets::id.eq_any(ids.to_vec())).order(tickets::id);
    let query = query.select((Row::as_select(), optional(tickets::body, texts))).for_update();
    let rows: Vec<(Row, String)> = query.load(&mut connection).await?;
    rows.into_iter().map(|row| Ticket::try_from(row).map(|ticket| (ticket.id, ticket))).collect()
}

/// Stores the next versions of locked tickets, whose subjects, texts, languages and files are the same. Tags travel as JSON,
/// because unnest flattens nested arrays.
pub async fn update_batch(mut connection: &Connection, next: &[Ticket], now: DateTime<Utc>) -> Result<()> {
    const SQL: &str = "UPDATE tickets SET kind = new.kind, status = new.status, priority = new.priority, queue = new.queue, \
          tags = ARRAY(SELECT jsonb_array_elements_text(new.tags::jsonb)), assignee_id = new.assignee_id, \
          resolved_at = new.resolved_at, version = new.version, updated_at = $1 \
        FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) \
          AS new (id, kind, status, priority, queue, tags, assignee_id, resolved_at, version) \
        WHERE tickets.id = new.id AND tickets.version = new.version - 1";
    macro_rules! column {
        ($of:expr) => {
            next.iter().map($of).collect::<Vec<_>>()
        };
    }
    let count = diesel::sql_query(SQL)
        .bind::<Timestamptz, _>(now)
        .bind::<Array<Uuid>, _>(column!(|ticket| ticket.id))
        .bind::<Array<SmallInt>, _>(column!(|ticket| ticket.content.kind.number()))
        .bind::<Array<SmallInt>, _>(column!(|ticket| ticket.state.status().number()))
        .bind::<Array<SmallInt>, _>(column!(|ticket| ticket.content.priority.number()))
        .bind::<Array<Text>, _>(column!(|ticket| ticket.content.queue.as_str()))
        .bind::<Array<Text>, _>(column!(|ticket| serde_json::Value::from(ticket.content.tags.clone()).to_string()))
        .bind::<Array<Nullable<Uuid>>, _>(column!(|ticket| ticket.state.assignee()))
        .bind::<Array<Nullable<Timestamptz>>, _>(column!(|ticket| ticket.state.resolved_at()))
        .bind::<Array<BigInt>, _>(column!(|ticket| ticket.version))
        .execute(&mut connection)
        .await?;
    rows_touched(count, next.len(), "update tickets")
}

/// Records activities of tickets, each with its detail, of a principal in a role.
pub async fn record_batch(
    mut connection: &Connection,
    (actor, role): (uuid::Uuid, i16),
    activities: &[(TicketId, ActivityKind, String)],
    now: DateTime<Utc>,
) -> Result<()> {
    const SQL: &str = "INSERT INTO activities (id, ticket_id, actor_id, actor_role, kind, detail, created_at) \
                       SELECT id, ticket_id, $1, $2, kind, detail, $3 \
                       FROM unnest($4, $5, $6, $7) AS new (id, ticket_id, kind, detail)";
    let count = diesel::sql_query(SQL)
        .bind::<Uuid, _>(actor)
        .bind::<SmallInt, _>(role)
        .bind::<Timestamptz, _>(now)
        .bind::<Array<Uuid>, _>(activities.iter().map(|_| ActivityId::generate(now)).collect::<Vec<_>>())
        .bind::<Array<Uuid>, _>(activities.iter().map(|(ticket, ..)| *ticket).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(activities.iter().map(|(_, kind, _)| kind.number()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(activities.iter().map(|(.., detail)| detail.as_str()).collect::<Vec<_>>())
        .execute(&mut connection)
        .await?;
    rows_touched(count, activities.len(), "insert activities")
}

/// Stores the tickets of a bulk change.
pub async fn insert_selected(mut connection: &Connection, operation: OperationId, ids: &[TicketId]) -> Result<()> {
    const SQL: &str = "INSERT INTO changed_tickets (operation_id, ticket_id) SELECT $1, id FROM unnest($2) AS new (id)";
    let insert = diesel::sql_query(SQL).bind::<Uuid, _>(operation).bind::<Array<Uuid>, _>(ids);
    rows_touched(insert.execute(&mut connection).await?, ids.len(), "insert changed_tickets")
}

/// Reserves the changed tickets of a bulk change for the operation that undoes it, and returns their number. Tickets that an ended
/// undo has left are among them.
pub async fn reserve(mut connection: &Connection, change: OperationId, undo: OperationId) -> Result<usize> {
    // A concurrent undo is not visible, so that its tickets are not taken from it.
    const SQL: &str = "UPDATE changed_tickets SET undo_id = $2 WHERE operation_id = $1 AND outcome = $3 \
                       AND (undo_id IS NULL OR EXISTS ( \
                         SELECT FROM operations AS undo WHERE undo.id = undo_id AND undo.finished_at IS NOT NULL))";
    let update = diesel::sql_query(SQL).bind::<Uuid, _>(change).bind::<Uuid, _>(undo);
    Ok(update.bind::<SmallInt, _>(Outcome::Changed.number()).execute(&mut connection).await?)
}

/// The tickets of an operation that are still to be changed, or with `undo`, to be restored.
#[derive(Debug, Clone, Copy)]
pub struct Remaining {
    pub change: OperationId,
    pub undo: Option<OperationId>,
}

impl Remaining {
    fn outcome(self) -> i16 {
        if self.undo.is_some() { Outcome::Changed.number() } else { Outcome::Pending.number() }
    }

    /// Returns the number of tickets.
    pub async fn count(self, mut connection: &Connection) -> Result<i64> {
        const SQL: &str = "SELECT count(*) FROM changed_tickets \
                           WHERE operation_id = $1 AND undo_id IS NOT DISTINCT FROM $2 AND outcome = $3";
        let query = diesel::sql_query(SQL).bind::<Uuid, _>(self.change).bind::<Nullable<Uuid>, _>(self.undo);
        let query = query.bind::<SmallInt, _>(self.outcome()).columns::<BigInt>();
        Ok(query.get_result(&mut connection).await?)
    }

    /// Returns at most `limit` of the tickets, locked, with what an earlier change replaced.
    pub async fn next(self, mut connection: &Connection, limit: i64) -> Result<Vec<(TicketId, Option<Replaced>)>> {
        const SQL: &str = "SELECT ticket_id, version, status, kind, priority, queue, tags, assignee_id FROM changed_tickets \
                           WHERE operation_id = $1 AND undo_id IS NOT DISTINCT FROM $2 AND outcome = $3 \
                           ORDER BY ticket_id LIMIT $4 FOR UPDATE";
        type Columns = (
            Uuid,
            Nullable<BigInt>,
            Nullable<SmallInt>,
            Nullable<SmallInt>,
            Nullable<SmallInt>,
            Nullable<Text>,
            Nullable<Array<Text>>,
            Nullable<Uuid>,
        );
        type Values = (
            TicketId,
            Option<i64>,
            Option<i16>,
            Option<i16>,
            Option<i16>,
            Option<String>,
            Option<Vec<String>>,
            Option<UserId>,
        );
        let query = diesel::sql_query(SQL).bind::<Uuid, _>(self.change).bind::<Nullable<Uuid>, _>(self.undo);
        let query = query.bind::<SmallInt, _>(self.outcome()).bind::<BigInt, _>(limit).columns::<Columns>();
        let rows: Vec<Values> = query.load(&mut connection).await?;
        let read = |(id, version, status, kind, priority, queue, tags, assignee): Values| {
            let Some(version) = version else { return Ok((id, None)) };
            let replaced = || {
                Some(Replaced {
                    version,
                    status: Status::from_number(status?.into())?,
                    kind: Kind::from_number(kind?.into())?,
                    priority: Priority::from_number(priority?.into())?,
                    queue: queue?,
                    tags: tags?,
                    assignee,
                })
            };
            Ok((id, Some(replaced().ok_or_else(|| corrupt("changed_tickets", id, "status"))?)))
        };
        rows.into_iter().map(read).collect()
    }
}

/// Keeps what a bulk change is about to replace in these tickets.
pub async fn keep_replaced(mut connection: &Connection, change: OperationId, ids: &[TicketId]) -> Result<()> {
    const SQL: &str = "UPDATE changed_tickets SET version = tickets.version + 1, status = tickets.status, \
          kind = tickets.kind, priority = tickets.priority, queue = tickets.queue, tags = tickets.tags, \
          assignee_id = tickets.assignee_id \
        FROM tickets WHERE operation_id = $1 AND ticket_id = ANY($2) AND tickets.id = ticket_id";
    let update = diesel::sql_query(SQL).bind::<Uuid, _>(change).bind::<Array<Uuid>, _>(ids);
    rows_touched(update.execute(&mut connection).await?, ids.len(), "update changed_tickets")
}

/// Stores the outcomes of tickets of a bulk change.
pub async fn settle(mut connection: &Connection, change: OperationId, outcomes: &[(TicketId, Outcome)]) -> Result<()> {
    const SQL: &str = "UPDATE changed_tickets SET outcome = new.outcome FROM unnest($2, $3) AS new (id, outcome) \
                       WHERE operation_id = $1 AND ticket_id = new.id";
    let count = diesel::sql_query(SQL)
        .bind::<Uuid, _>(change)
        .bind::<Array<Uuid>, _>(outcomes.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(outcomes.iter().map(|(_, outcome)| outcome.number()).collect::<Vec<_>>())
        .execute(&mut connection)
        .await?;
    rows_touched(count, outcomes.len(), "settle changed_tickets")
}

/// Removes at most `limit` tickets of bulk changes that ended before `before`, except those of a running undo; returns their
/// number.
pub async fn delete_expired(mut connection: &Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM changed_tickets WHERE ctid = ANY (ARRAY( \
          SELECT changed_tickets.ctid FROM changed_tickets JOIN operations ON operations.id = operation_id \
          WHERE operations.finished_at < $1 AND (outcome <> $2 OR undo_id IS NULL OR EXISTS ( \
            SELECT FROM operations AS undo WHERE undo.id = undo_id AND undo.finished_at IS NOT NULL)) LIMIT $3))";
    let delete = diesel::sql_query(SQL).bind::<Timestamptz, _>(before);
    let delete = delete.bind::<SmallInt, _>(Outcome::Changed.number()).bind::<BigInt, _>(limit);
    Ok(delete.execute(&mut connection).await?)
}
