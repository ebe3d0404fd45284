//! The cost of a page with its total, without it, and deep in the list.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use hdrhistogram::Histogram;
use mainstay::proto::support::v1::{self as pb, ticket_service_client::TicketServiceClient};
use mainstay::support::ticket::{
    model::{Filter, Order},
    store as ticket,
};
use mainstay_kernel::{
    caller::Visibility,
    page::{Key, Start},
};

use crate::{
    clients::{Client, authorize},
    options::Options,
    world::World,
};

/// Median latencies in microseconds of sequential requests: for the caller, and of the statements alone.
#[derive(Debug, Clone)]
pub(crate) struct PageLatencies {
    pub(crate) names: [&'static str; 3],
    pub(crate) served_us: [u64; 3],
    pub(crate) statements_us: [u64; 3],
    /// The number of the row after which the third page begins.
    pub(crate) deep: i64,
}

const NAMES: [&str; 3] = ["page 1, exact total", "page 2 by token, no total", "page by token, far down"];

pub(crate) async fn run(world: &World, options: &Options) -> anyhow::Result<PageLatencies> {
    let deep = i64::from(options.tickets()) * 9 / 10;
    let length = options.round() * options.rounds().min(2);
    let served_us = measure_server(world, deep, length).await?;
    let statements_us = measure_statements(world, deep, length).await?;
    Ok(PageLatencies { names: NAMES, served_us, statements_us, deep })
}

/// Measures through the server. The token of the deep page is obtained by paging, as a caller does.
async fn measure_server(world: &World, deep: i64, length: Duration) -> anyhow::Result<[u64; 3]> {
    let Client::Grpc { channel, token } = Client::grpc(world.server.port, &world.token).await? else {
        anyhow::bail!("asked for gRPC");
    };
    let mut calls = TicketServiceClient::new(channel);
    let mut next = async |page_size: i32, page_token: String| -> anyhow::Result<String> {
        let request = pb::ListTicketsRequest { page_size, page_token, ..pb::ListTicketsRequest::default() };
        let page = calls.list_tickets(authorize(request, &token)).await?.into_inner();
        page.meta.and_then(|meta| meta.next_page_token).context("the list ends")
    };
    let second = next(20, String::new()).await?;
    let mut far = second.clone();
    let mut behind = 20;
    while behind < deep {
        far = next(100, far).await?;
        behind += 100;
    }
    let tokens = [String::new(), second, far];
    let mut times = histograms()?;
    let start_time = Instant::now();
    while start_time.elapsed() < length {
        for (token, times) in tokens.iter().zip(&mut times) {
            let since = Instant::now();
            next(20, token.clone()).await?;
            times.record(since.elapsed().as_nanos() as u64)?;
        }
    }
    Ok(medians(&times))
}

/// Measures the store's statements on one connection.
async fn measure_statements(world: &World, deep: i64, length: Duration) -> anyhow::Result<[u64; 3]> {
    let connection = AsyncPgConnection::establish(world.postgres.url()).await?;
    let to_anyhow = |error: mainstay_kernel::error::Error| anyhow::anyhow!("{:?}", error.source());
    let mut starts = vec![Start::Offset(0)];
    for offset in [20, deep] {
        let sql = "SELECT extract(epoch FROM created_at)::float8, id FROM tickets ORDER BY created_at DESC, id DESC OFFSET $1 LIMIT 1";
        let row = world.sql.query_one(sql, &[&offset]).await?;
        let (epoch, id): (f64, uuid::Uuid) = (row.get(0), row.get(1));
        let time = chrono::DateTime::from_timestamp_micros((epoch * 1e6) as i64).context("a time")?;
        starts.push(Start::After(Key { rank: None, time, id }));
    }
    let (all, filter) = (Visibility::All, Filter::default());
    let mut times = histograms()?;
    let start_time = Instant::now();
    while start_time.elapsed() < length {
        for (start, times) in starts.iter().zip(&mut times) {
            let since = Instant::now();
            if matches!(start, Start::Offset(_)) {
                ticket::total(&connection, all, &filter).await.map_err(to_anyhow)?;
            }
            ticket::list(&connection, all, &filter, Order::CreateTimeDesc, start.page(21), true)
                .await
                .map_err(to_anyhow)?;
            times.record(since.elapsed().as_nanos() as u64)?;
        }
    }
    Ok(medians(&times))
}

fn histograms() -> anyhow::Result<[Histogram<u64>; 3]> {
    Ok([Histogram::new(3)?, Histogram::new(3)?, Histogram::new(3)?])
}

fn medians(times: &[Histogram<u64>; 3]) -> [u64; 3] {
    [0, 1, 2].map(|index| times[index].value_at_quantile(0.5) / 1000)
}
