//! Lengthens and verifies the chain.

use mainstay_kernel::{
    app::App, config::Config, database::Connection, error::Result, secret::SecretKey, unit_of_work::Work,
};
use uuid::Uuid;

use crate::audit::{
    chain::{
        model::{Fault, Rules, Seals, Verifier},
        store,
    },
    config::AUDIT_LOG,
};

/// The most links per transaction, and the most transactions per run.
const BATCH: i64 = 500;
const MAX_BATCHES: usize = 100;
/// The links or entries that a verification reads at once.
const PAGE: i64 = 1000;

/// Adds links for the entries that were committed. Returns their number.
///
/// # Errors
/// Any error of Postgres.
pub async fn lengthen(app: &App) -> Result<usize> {
    let (seals, mut total) = (Seals::new([&app.secret]), 0);
    for _ in 0..MAX_BATCHES {
        let (seals, now) = (&seals, app.clock.now());
        let batch = app.database.transaction(async move |work: &mut Work| {
            let mut head = work.read(async |connection: &Connection| store::lock_head(connection).await).await?;
            let connection = &*work.connection().await?;
            let is_restored = store::is_restored(connection, &head).await?;
            let mut entries = match is_restored {
                true => store::next_restored(connection, BATCH).await?,
                false => store::next(connection, &head, BATCH).await?,
            };
            let count = entries.len();
            if is_restored {
                // Until no entry is left: then the transactions of this server of Postgres count, from the first on.
                let writer = if count < BATCH as usize { 0 } else { head.writer };
                entries.iter_mut().for_each(|entry| entry.writer = writer);
                head.writer = writer;
            }
            let links = head.lengthen(&entries, seals, now);
            match (links.is_empty(), is_restored) {
                (false, _) => store::add(connection, &links, &head).await?,
                (true, true) => store::set_head(connection, &head).await?,
                (true, false) => {}
            }
            Ok(count)
        });
        let count = batch.await?;
        total += count;
        if count < BATCH as usize {
            break;
        }
    }
    Ok(total)
}

/// The result of a verification.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The numbers of the first and the last link.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// The hash of the last link, in hexadecimal digits.
    pub hash: Option<String>,
    /// The links whose entries were removed by retention.
    pub removed: usize,
    /// The first fault.
    pub fault: Option<String>,
}

/// Verifies all links, and that all entries have one, except for the latest. `earlier` are the secrets of earlier
/// checkpoints, and `expected` a link that an earlier verification has printed.
///
/// # Errors
/// Any error of Postgres.
pub async fn verify(app: &App, earlier: &[SecretKey], expected: Option<(i64, Vec<u8>)>) -> Result<Report> {
    let removed_before = removed_before(&app.config, app.clock.now());
    let seals = Seals::new(std::iter::once(&app.secret).chain(earlier));
    let mut verifier = Verifier::new(seals, Rules { removed_before, expected });
    let fault = check(app, &mut verifier).await?;
    Ok(Report {
        first: verifier.first,
        last: verifier.last().map(|(number, _)| number),
        hash: verifier.last().map(|(_, hash)| hash.iter().map(|byte| format!("{byte:02x}")).collect()),
        removed: verifier.removed,
        fault: fault.map(|fault| fault.to_string()),
    })
}

/// Returns the time before which retention may have removed entries.
fn removed_before(config: &Config, now: chrono::DateTime<chrono::Utc>) -> Option<chrono::DateTime<chrono::Utc>> {
    AUDIT_LOG.kept(config).and_then(|kept| now.checked_sub_signed(kept))
}

async fn check(app: &App, verifier: &mut Verifier) -> Result<Option<Fault>> {
    // Entries that are committed meanwhile have no link yet.
    let (began, mut after) = (app.clock.now(), Uuid::nil());
    loop {
        let page = app.database.autocommit(async move |connection| store::links(connection, after, PAGE).await).await?;
        for (link, entry) in &page {
            if let Err(fault) = verifier.check(link, entry.as_ref()) {
                return Ok(Some(fault));
            }
        }
        match page.last() {
            Some((link, _)) => after = link.id,
            None => break,
        }
    }
    after = Uuid::nil();
    loop {
        let read = async move |connection: &mut Connection| store::entries(connection, after, began, PAGE).await;
        let page = app.database.autocommit(read).await?;
        for (entry, is_chained, is_passed) in &page {
            if !is_chained && let Err(fault) = verifier.check_unchained(*entry, *is_passed) {
                return Ok(Some(fault));
            }
        }
        match page.last() {
            Some((entry, ..)) => after = *entry,
            None => break,
        }
    }
    Ok(verifier.finish().err())
}
