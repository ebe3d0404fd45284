//! The export stream: reads page after page by key, no faster than the caller reads.

use std::{ops::RangeInclusive, pin::Pin};

use futures_util::{Stream, stream};
use tonic::Status;

use crate::proto::support::v1::{ExportTicketsResponse, export_tickets_response::Item};
use crate::support::ticket::{
    model::{Filter, Order, Ticket},
    ops,
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    context,
    error::{Error, Reason, Result},
    fault,
    page::Key,
};

/// The messages of an export.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<ExportTicketsResponse, Status>> + Send>>;

/// What a page holds, about: a reader that stops reading keeps it.
const PAGE_BYTES: usize = 256 << 10;
/// The tickets of the first page.
const FIRST_PAGE: usize = 50;
/// The tickets of a page, however long or short they are.
const PAGE: RangeInclusive<usize> = 10..=500;

/// Streams every matching ticket. Only one page is held; the next is read once the caller has taken this one.
///
/// # Errors
/// The errors of the first page; a later error is the stream's last message.
pub(crate) async fn export(app: App, permit: Permit, filter: Filter) -> Result<Messages> {
    let deadline = context::remaining().map(|left| tokio::time::Instant::now() + left);
    let first = page(&app, &permit, &filter, None, FIRST_PAGE).await?;
    let rest = stream::unfold(Some((first, FIRST_PAGE)), move |page_before| {
        let (app, permit, filter) = (app.clone(), permit.clone(), filter.clone());
        async move {
            let (tickets, limit) = page_before?;
            if let Err(error) = fault::point("export.page") {
                return Some((stream::iter(vec![message(Item::Error((&error).into()))]), None));
            }
            let last = tickets.last().map(|ticket| ticket.key(Order::CreateTimeAsc));
            let (more, limit) = (tickets.len() == limit, next_limit(&tickets));
            let mut messages: Vec<_> = tickets
                .into_iter()
                .map(|ticket| message(Item::Data(Box::new(crate::support::ticket::service::render::ticket(ticket)))))
                .collect();
            let next = match last.filter(|_| more) {
                None => None,
                Some(key) => match within(deadline, page(&app, &permit, &filter, Some(key), limit)).await {
                    Ok(tickets) => Some((tickets, limit)),
                    Err(error) => {
                        messages.push(message(Item::Error((&error).into())));
                        None
                    }
                },
            };
            Some((stream::iter(messages), next))
        }
    });
    Ok(Box::pin(futures_util::StreamExt::flatten(rest)))
}

fn message(item: Item) -> Result<ExportTicketsResponse, Status> {
    Ok(ExportTicketsResponse { item: Some(item) })
}

/// As many tickets as fill a page, if they are like those before.
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
    let (permit, filter) = (permit.clone(), filter.clone());
    app.database.autocommit(async move |connection| ops::export(connection, permit, filter, after, limit).await).await
}

async fn within<T>(deadline: Option<tokio::time::Instant>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(Reason::DeadlineExceeded.into())),
    }
}
