//! Sends the audit log to its receiver, in the order of the chain, at least once.
//!
//! The cursor moves after the receiver has taken a batch, so that a worker that dies in between causes a repetition and no
//! gap. A run is limited in time: a receiver that stalls holds one scheduled task of one worker, no connection to Postgres and no
//! other task.

use std::time::Duration;

use mainstay_kernel::{
    app::App,
    database::Connection,
    error::{Error, Result},
};
use tokio::time::Instant;

use crate::audit::{
    chain::store as chain,
    entry::model::time_of,
    export::{model::Item, receiver::Receiver, store},
};

/// The time after which a run sends no further batch.
const MAX_RUN_TIME: Duration = Duration::from_secs(20);
/// The most links of a batch, which a receiver that refuses its size halves, and the most bytes after which a batch ends.
const BATCH: i64 = 200;
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Sends the entries that the receiver has not taken. Returns their number.
///
/// # Errors
/// `UPSTREAM_FAILED` and others if the receiver does not take a batch; any error of Postgres.
pub async fn run(app: &App) -> Result<usize> {
    let receiver = app.part::<Receiver>();
    if !receiver.is_configured() {
        return Ok(0);
    }
    let (began, mut total, mut limit) = (Instant::now(), 0, BATCH);
    while began.elapsed() < MAX_RUN_TIME {
        match send_batch(app, receiver, limit).await? {
            Sent::Links(0) => break,
            Sent::Links(count) => total += count,
            Sent::TooLarge(count) => limit = (count / 2).max(1),
        }
    }
    Ok(total)
}

/// The outcome of a batch.
enum Sent {
    /// The number of links that the cursor has passed.
    Links(usize),
    /// The number of links of a batch that the receiver refuses because of its size.
    TooLarge(i64),
}

/// Sends the next links, at most `limit`.
async fn send_batch(app: &App, receiver: &Receiver, limit: i64) -> Result<Sent> {
    let read = async move |connection: &mut Connection| {
        let last = store::last(connection).await?;
        Ok::<_, Error>((last, chain::links(connection, last, limit).await?))
    };
    let (last, links) = app.database.autocommit(read).await?;
    let (mut items, mut bytes, mut count, mut end) = (Vec::new(), 0, 0, None);
    for (link, entry) in links {
        // Retention may have removed the entry of a link.
        let item = entry.and_then(|entry| Item::new(&link, entry));
        bytes += item.as_ref().map_or(0, |item| item.json().to_string().len());
        items.extend(item);
        (count, end) = (count + 1, Some((link.id, link.number)));
        if bytes > MAX_BATCH_BYTES {
            break;
        }
    }
    let Some(end) = end else { return Ok(Sent::Links(0)) };
    if !items.is_empty() && !receiver.send(&items, app.clock.now()).await? {
        return Ok(Sent::TooLarge(i64::try_from(count).unwrap_or(BATCH)));
    }
    let now = app.clock.now();
    let advance = app.database.autocommit(async move |connection| store::advance(connection, last, end, now).await);
    // Another worker, whose run began a minute later, has sent these, too.
    Ok(Sent::Links(if advance.await? { count } else { 0 }))
}

/// Sets the gauge of the oldest link that the receiver has not taken.
///
/// # Errors
/// Any error of Postgres.
pub async fn measure(app: App) -> Result<()> {
    let mut age = Duration::ZERO;
    if app.part::<Receiver>().is_configured() {
        let next = app.database.autocommit(async |connection| store::next(connection).await).await?;
        age = next.and_then(|link| (app.clock.now() - time_of(link)).to_std().ok()).unwrap_or_default();
    }
    metrics::gauge!("mainstay_audit_export_behind_seconds").set(age.as_secs_f64());
    Ok(())
}
