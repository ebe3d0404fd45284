//! The import rate of rows from a CSV file, compared to a COPY of the same rows into the table of tickets.
//!
//! The import is measured from the first byte of the upload until every row is stored. In contrast to COPY, it also
//! recognizes rows that are already stored, and writes the history of each ticket.

use std::{
    fmt::Write as _,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::SinkExt as _;
use mainstay::proto::support::v1::{ImportTicketsRequest, ticket_service_client::TicketServiceClient};
use mainstay_kernel::contract::proto::google::api::HttpBody;
use uuid::Uuid;

use crate::{
    calls::{BODY, SUBJECT},
    children::Server,
    clients::{Client, authorize},
    comparison::{Comparison, Rate},
    options::Options,
    world::World,
};

/// The size of a piece of the upload, as `mainstay import` sends it.
const PIECE: usize = 256 << 10;
/// The number of rows of the first import, which is not measured because the worker has to start.
const WARM_UP: usize = 100;
const TIMEOUT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(10);
/// Operations in this state and the higher ones have ended.
const SUCCEEDED: i16 = 3;

pub(crate) async fn run(world: &World, options: &Options) -> anyhow::Result<Comparison> {
    world.sql.execute("DELETE FROM jobs", &[]).await?;
    let worker = world.worker(options.pool as usize)?;
    import(world, &worker, WARM_UP, "warm-up").await?;
    let (mut served, mut alone) = (Vec::new(), Vec::new());
    for round in 0..options.rounds() {
        let round = format!("round {round}");
        served.push(import(world, &worker, options.imported_rows(), &round).await?);
        alone.push(copy(world, options.imported_rows(), &round).await?);
    }
    worker.stop().await;
    let limit = "COPY of the same rows into tickets alone".to_owned();
    Ok(Comparison { name: "row of an imported CSV file".to_owned(), limit, served, alone })
}

async fn import(world: &World, worker: &Server, rows: usize, label: &str) -> anyhow::Result<Rate> {
    let Client::Grpc { channel, token } = Client::grpc(world.server.port, &world.token).await? else {
        anyhow::bail!("asked for gRPC");
    };
    let mut file = "subject,body,type,queue,priority,language,tag_1,tag_2\n".to_owned();
    for row in 0..rows {
        writeln!(file, "{SUBJECT},\"{BODY} {label}, case {row}.\",incident,Support,medium,en,Bug,Outage")?;
    }
    let account = world.target.account.to_string();
    let file = Bytes::from(file);
    let pieces: Vec<_> = (0..file.len()).step_by(PIECE).map(|at| file.slice(at..file.len().min(at + PIECE))).collect();
    let pieces = pieces.into_iter().map(move |data| ImportTicketsRequest {
        account_id: account.clone(),
        file: Some(HttpBody { content_type: "text/csv".to_owned(), data, extensions: Vec::new() }),
        ..ImportTicketsRequest::default()
    });
    let cpu = || Some(world.server.cpu()? + worker.cpu()?);
    let (began, before) = (Instant::now(), cpu());
    let request = authorize(tokio_stream::iter(pieces), &token);
    let operation = TicketServiceClient::new(channel).import_tickets(request).await?.into_inner().data;
    let id: Uuid = operation.context("no operation")?.id.parse()?;
    let (state, count) = loop {
        anyhow::ensure!(began.elapsed() < TIMEOUT, "the import does not end");
        tokio::time::sleep(POLL).await;
        let row = world.sql.query_one("SELECT state, rows_created FROM operations WHERE id = $1", &[&id]).await?;
        let (state, count): (i16, i64) = (row.get(0), row.get(1));
        if state >= SUCCEEDED {
            break (state, count);
        }
    };
    let (wall, after) = (began.elapsed(), cpu());
    anyhow::ensure!(state == SUCCEEDED && count == rows as i64, "{count} of {rows} rows were imported");
    Ok(Rate { count: rows as f64, wall, cpu: after.zip(before).map(|(after, before)| after - before) })
}

async fn copy(world: &World, rows: usize, label: &str) -> anyhow::Result<Rate> {
    let (account, now) = (world.target.account, mainstay_kernel::clock::Clock::default().now());
    let mut file = String::new();
    for row in 0..rows {
        let id = mainstay_kernel::id::new(now);
        let at = now.to_rfc3339();
        writeln!(
            file,
            "{id},{account},{SUBJECT},\"{BODY} {label}, case {row}.\",1,1,2,Support,en,\"{{Bug,Outage}}\",{at},{at}"
        )?;
    }
    let sql = "COPY tickets (id, account_id, subject, body, kind, status, priority, queue, language, tags, created_at, \
                 updated_at) FROM STDIN (FORMAT csv)";
    let file = Bytes::from(file);
    let began = Instant::now();
    let mut copy = pin!(world.sql.copy_in(sql).await?);
    for at in (0..file.len()).step_by(PIECE) {
        copy.send(file.slice(at..file.len().min(at + PIECE))).await?;
    }
    let copied = copy.finish().await?;
    anyhow::ensure!(copied == rows as u64, "{copied} of {rows} rows were copied");
    Ok(Rate { count: rows as f64, wall: began.elapsed(), cpu: None })
}
