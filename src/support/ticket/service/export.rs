//! Exports, streamed page by page with keyset pagination and backpressure: no faster than the caller reads.

mod csv;

use std::{ops::RangeInclusive, pin::Pin};

use futures_util::{Stream, StreamExt as _, stream};
use tonic::Status;

use crate::proto::support::v1::{ExportTicketsCsvResponse, ExportTicketsResponse, export_tickets_response::Item};
use crate::support::ticket::{
    model::{Filter, Order, Ticket},
    ops,
    service::convert,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    context,
    database::Reach,
    error::{Error, Reason, Result},
    fault,
    page::Key,
};

pub(crate) type Messages = Responses<ExportTicketsResponse>;
/// The pieces of an export as a file.
pub(crate) type Pieces = Responses<ExportTicketsCsvResponse>;

type Responses<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// The approximate size of a page in bytes. A reader that stops reading keeps one in memory.
const PAGE_BYTES: usize = 256 << 10;
/// The tickets of the first page.
const FIRST_PAGE: usize = 50;
/// The bounds of the tickets per page, regardless of their size.
const PAGE: RangeInclusive<usize> = 10..=500;

/// Streams every matching ticket.
///
/// # Errors
/// The errors of the first page; a later error is the stream's last message.
pub(crate) async fn export(app: App, permit: Permit, filter: Filter) -> Result<Messages> {
    let messages = pages(app, permit, filter).await?.flat_map(|page| {
        let items = match page {
            Ok(tickets) => tickets.into_iter().map(|ticket| Item::Data(Box::new(convert::ticket(ticket)))).collect(),
            Err(error) => vec![Item::Error((&error).into())],
        };
        stream::iter(items.into_iter().map(|item| Ok(ExportTicketsResponse { item: Some(item) })))
    });
    Ok(Box::pin(messages))
}

/// Streams every matching ticket as a row of one file.
///
/// # Errors
/// The errors of the first page; a later error ends the stream.
pub(crate) async fn export_csv(app: App, permit: Permit, filter: Filter) -> Result<Pieces> {
    let mut file = csv::File::default();
    let pieces = pages(app, permit, filter).await?.flat_map(move |page| {
        let pieces = match page.and_then(|tickets| file.pieces(&tickets)) {
            Ok(pieces) => pieces.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error.into())],
        };
        stream::iter(pieces)
    });
    Ok(Box::pin(pieces))
}

/// The continuation of an export.
enum Next {
    Page(Vec<Ticket>, usize),
    After(Key, usize),
    End,
}

/// Streams the pages of an export; an error ends them. Only one page is in memory: the next one is read once the caller
/// has taken the present one.
///
/// # Errors
/// The errors of the first page.
async fn pages(app: App, permit: Permit, filter: Filter) -> Result<impl Stream<Item = Result<Vec<Ticket>>> + Send> {
    let deadline = context::remaining().map(|budget| tokio::time::Instant::now() + budget);
    let first = page(&app, &permit, &filter, None, FIRST_PAGE).await?;
    Ok(stream::unfold(Next::Page(first, FIRST_PAGE), move |next| {
        let (app, permit, filter) = (app.clone(), permit.clone(), filter.clone());
        async move {
            let (tickets, limit) = match next {
                Next::End => return None,
                Next::Page(tickets, limit) => (Ok(tickets), limit),
                Next::After(key, limit) => {
                    (within(deadline, page(&app, &permit, &filter, Some(key), limit)).await, limit)
                }
            };
            let tickets = fault::point("export.page").and(tickets);
            let last =
                tickets.as_ref().ok().filter(|tickets| tickets.len() == limit).and_then(|tickets| tickets.last());
            let next = match (last, &tickets) {
                (Some(last), Ok(tickets)) => Next::After(last.key(Order::CreateTimeAsc), next_limit(tickets)),
                _ => Next::End,
            };
            Some((tickets, next))
        }
    }))
}

/// Returns the number of tickets that fill a page, if they are as large as the given ones.
fn next_limit(tickets: &[Ticket]) -> usize {
    let bytes: usize = tickets
        .iter()
        .map(|ticket| size_of::<Ticket>() + ticket.content.subject.len() + ticket.content.body.len())
        .sum();
    let average = bytes.checked_div(tickets.len()).unwrap_or_default().max(1);
    (PAGE_BYTES / average).clamp(*PAGE.start(), *PAGE.end())
}

async fn page(app: &App, permit: &Permit, filter: &Filter, after: Option<Key>, limit: usize) -> Result<Vec<Ticket>> {
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    let (reach, permit, filter) = (Reach::of(permit), permit.clone(), filter.clone());
    app.database.query(reach, async move |connection| ops::export(connection, permit, filter, after, limit).await).await
}

async fn within<T>(deadline: Option<tokio::time::Instant>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(Reason::DeadlineExceeded.into())),
    }
}
