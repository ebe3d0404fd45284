//! Rows that were imported before.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{activities, comments, imported_rows},
};
use crate::{
    domain::{
        comment::Comment,
        ticket::{ActivityKind, Ticket},
    },
    error::Result,
    id::{AccountId, ActivityId, TicketId},
};

/// Who a row is.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = imported_rows)]
pub struct Identity {
    /// The account it is imported into.
    pub account_id: AccountId,
    /// SHA-256 of its content.
    pub row_hash: Vec<u8>,
    /// The how-many-eth row with this content it is.
    pub occurrence: i32,
    /// The ticket it becomes.
    pub ticket_id: TicketId,
}

/// Notes rows as imported and returns the tickets of those that are new. A concurrent import of the same rows is waited
/// for.
pub async fn claim(connection: &mut Connection, rows: &[Identity]) -> Result<Vec<TicketId>> {
    let insert = diesel::insert_into(imported_rows::table).values(rows).on_conflict_do_nothing();
    Ok(insert.returning(imported_rows::ticket_id).get_results(connection).await?)
}

/// Stores the answers that came with the tickets, and that the tickets came with a file.
pub async fn insert_history(connection: &mut Connection, tickets: &[Ticket], comments: &[Comment]) -> Result<()> {
    use comments::dsl as c;
    let rows: Vec<_> = comments
        .iter()
        .map(|comment| {
            (
                c::id.eq(comment.id),
                c::ticket_id.eq(comment.ticket),
                c::author_role.eq(comment.author_role),
                c::body.eq(&comment.body),
                c::created_at.eq(comment.created_at),
            )
        })
        .collect();
    diesel::insert_into(comments::table).values(&rows).execute(connection).await?;
    use activities::dsl as a;
    let rows: Vec<_> = tickets
        .iter()
        .map(|ticket| {
            (
                a::id.eq(ActivityId::generate(ticket.created_at)),
                a::ticket_id.eq(ticket.id),
                a::actor_role.eq(0),
                a::kind.eq(ActivityKind::Imported.number()),
                a::created_at.eq(ticket.created_at),
            )
        })
        .collect();
    diesel::insert_into(activities::table).values(&rows).execute(connection).await?;
    Ok(())
}
