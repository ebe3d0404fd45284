//! The tickets in progress whose assignees have left the staff.

use std::collections::HashMap;

use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, SmallInt, Uuid},
};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
    id::UserId,
};

use super::{ASSIGNABLE, Row};
use crate::{
    schema::tickets,
    support::{
        id::TicketId,
        ticket::model::{Status, Ticket},
    },
};

/// Returns at most `limit` tickets in progress whose assignees are deactivated or have no role of the staff, locked against
/// changes until the transaction ends. The counters name the assignees, so that a run without such tickets reads few rows.
pub async fn lock_abandoned(connection: &Connection, limit: i64) -> Result<Vec<Ticket>> {
    // Tickets are read for each of these people, so not at all without any.
    const SQL: &str = "SELECT abandoned.id, abandoned.assignee_id FROM ( \
        SELECT counts.assignee_id FROM ticket_counts AS counts JOIN users ON users.id = counts.assignee_id \
        WHERE counts.account_id = '00000000-0000-0000-0000-000000000000' AND counts.status = $1 \
        AND (users.deactivated_at IS NOT NULL OR users.role <> ALL ($2)) \
        GROUP BY counts.assignee_id HAVING sum(counts.tickets) > 0 \
        ) AS leavers CROSS JOIN LATERAL ( \
        SELECT tickets.id, tickets.assignee_id FROM tickets \
        WHERE tickets.assignee_id = leavers.assignee_id AND tickets.status = $1 LIMIT $3 \
        ) AS abandoned LIMIT $3";
    let status = Status::InProgress.number();
    let query = diesel::sql_query(SQL)
        .bind::<SmallInt, _>(status)
        .bind::<Array<SmallInt>, _>(ASSIGNABLE.to_vec())
        .bind::<BigInt, _>(limit)
        .columns::<(Uuid, Uuid)>();
    let found: Vec<(TicketId, UserId)> = query.load(&mut &*connection).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let assignees: HashMap<_, _> = found.into_iter().collect();
    // In the order of their ids, as other transactions lock several tickets.
    let query = tickets::table.filter(tickets::id.eq_any(assignees.keys().copied().collect::<Vec<_>>()));
    let query = query.filter(tickets::status.eq(status)).order(tickets::id);
    let rows: Vec<(Row, String)> =
        query.select((Row::as_select(), tickets::body)).for_update().load(&mut &*connection).await?;
    // Another transaction may have reassigned some of them meanwhile.
    let is_abandoned = |(row, _): &(Row, String)| row.assignee_id == assignees.get(&row.id).copied();
    rows.into_iter().filter(is_abandoned).map(Ticket::try_from).collect()
}
