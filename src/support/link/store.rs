//! Links between tickets, in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::support::id::{TicketId, TicketLinkId};
use crate::{
    schema::ticket_links as links,
    support::link::model::{Link, LinkKind},
};
use mainstay_kernel::{
    database::{Connection, already_exists, integrity::corrupt, seek::seek},
    error::{Error, Result},
    page::{Page, Total},
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = links)]
struct Row {
    id: TicketLinkId,
    source_id: TicketId,
    target_id: TicketId,
    kind: i16,
    author_id: Uuid,
    created_at: DateTime<Utc>,
}

impl Row {
    /// Returns the link as seen from one of its tickets.
    fn seen_from(self, ticket: TicketId) -> Result<Link> {
        let kind = LinkKind::from_number(self.kind.into()).ok_or_else(|| corrupt("ticket_links", self.id, "kind"))?;
        let link = Link {
            id: self.id,
            ticket: self.source_id,
            other: self.target_id,
            kind,
            author: self.author_id,
            created_at: self.created_at,
        };
        Ok(if link.ticket == ticket { link } else { link.reversed() })
    }
}

/// Stores a link. The caller holds both tickets locked.
///
/// # Errors
/// `ALREADY_EXISTS` if the tickets are linked.
pub async fn insert(connection: &Connection, link: Link) -> Result<()> {
    let Link { id, ticket, other, kind, author, created_at } = link.stored();
    let kind = kind.number();
    let row = Row { id, source_id: ticket, target_id: other, kind, author_id: author, created_at };
    let inserted = diesel::insert_into(links::table).values(&row).execute(&mut &*connection).await;
    inserted.map(drop).map_err(already_exists("ticket_links_pair_key", "The tickets are linked."))
}

/// Selects the links of a ticket, in both directions.
fn of_ticket<'q>(ticket: TicketId) -> links::BoxedQuery<'q, diesel::pg::Pg> {
    links::table.filter(links::source_id.eq(ticket).or(links::target_id.eq(ticket))).into_boxed()
}

/// Returns a link as seen from one of its tickets.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, ticket: TicketId, id: TicketLinkId) -> Result<Link> {
    let query = of_ticket(ticket).filter(links::id.eq(id)).select(Row::as_select());
    let row: Option<Row> = query.first(&mut &*connection).await.optional()?;
    row.ok_or_else(|| Error::not_found("link"))?.seen_from(ticket)
}

/// Returns a page of links of a ticket, oldest first.
pub async fn list(mut connection: &Connection, ticket: TicketId, page: Page) -> Result<Vec<Link>> {
    let query = of_ticket(ticket).order((links::created_at, links::id)).select(Row::as_select());
    let query = seek(query, page, "(ticket_links.created_at, ticket_links.id)", false);
    let rows: Vec<Row> = query.load(&mut connection).await?;
    rows.into_iter().map(|row| row.seen_from(ticket)).collect()
}

/// Counts the links of a ticket.
pub async fn total(mut connection: &Connection, ticket: TicketId) -> Result<Total> {
    Ok(Total::exact(of_ticket(ticket).count().get_result(&mut connection).await?))
}

/// Removes a link. The caller holds its tickets locked.
///
/// # Errors
/// `NOT_FOUND` if it was removed meanwhile.
pub async fn delete(connection: &Connection, id: TicketLinkId) -> Result<()> {
    match diesel::delete(links::table.find(id)).execute(&mut &*connection).await? {
        0 => Err(Error::not_found("link")),
        _ => Ok(()),
    }
}
