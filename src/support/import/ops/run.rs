//! The run of a worker over a stored file.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, future::BoxFuture};

use crate::{
    operations::{
        id::OperationId,
        model::{Failure, Operation, Progress},
        ops::{self as operation, End, OperationKind, Run},
    },
    support::{
        import::{
            job::ImportTickets,
            model::{Fault, MAX_ROWS},
            ops::batch::{self, Batch, Batches},
            store::{self, IncomingRow, Origin},
        },
        ticket::{job::BULK_LANE, model::ActivityKind, ops as ticket},
    },
};
use mainstay_kernel::{
    error::{Error, Reason, Result},
    queue::Lane,
    unit_of_work::Work,
};

impl OperationKind for ImportTickets {
    const NAME: &'static str = "import_tickets";
    const SCOPE: &'static str = "support.tickets.write";
    const READ_SCOPE: &'static str = "support.tickets.read";
    const NUMBER: Option<i16> = Some(1);
    const LANE: Lane = BULK_LANE;
    const GIVEN_UP: &'static str = "The import failed repeatedly and was given up; what was stored stays stored.";

    async fn run(&self, run: &mut Run<'_>) -> Result<End> {
        let (app, Operation { id, account, owner, .. }) = (run.app(), run.operation().clone());
        let format = app.database.autocommit(async move |connection| store::format(connection, id).await).await?;
        if run.operation().progress.total == 0 {
            match batch::count(app, id, (format, self.options)).await? {
                Ok(total) => {
                    run.step(move |_| Box::pin(async move { Ok(Progress { total, ..Progress::default() }) })).await?;
                }
                Err(unfit) => return refuse(unfit),
            }
        }
        let origin = Origin { account, actor: owner, role: self.role };
        let mut batches = Batches::new(app, id, (format, self.options), run.operation().progress.rows_done());
        // The steps overlap, but not the times of their rows, which are one microsecond apart.
        let mut now = DateTime::UNIX_EPOCH;
        let steps = batches.stream().map(|batch| {
            now = app.clock.now().max(now + TimeDelta::microseconds(count(batch.rows.len())));
            step(id, origin, Arc::new(batch), now)
        });
        if !run.overlap(steps).await? {
            return Ok(End::Stopped);
        }
        match batches.end().await? {
            Ok(()) => Ok(End::Succeeded),
            Err(unfit) => refuse(unfit),
        }
    }

    async fn ended(work: &mut Work, operation: &Operation) -> Result<()> {
        store::discard(work.connection().await?, operation.id).await?;
        Ok(())
    }
}

/// Returns the step that stores a batch.
fn step(
    operation: OperationId,
    origin: Origin,
    batch: Arc<Batch>,
    now: DateTime<Utc>,
) -> impl for<'c> Fn(&'c mut Work) -> BoxFuture<'c, Result<Progress>> {
    move |work| Box::pin(store_batch(work, operation, origin, batch.clone(), now))
}

/// Stores a batch, and returns the rows that it adds to the progress.
async fn store_batch(
    work: &mut Work,
    operation: OperationId,
    origin: Origin,
    batch: Arc<Batch>,
    now: DateTime<Utc>,
) -> Result<Progress> {
    let connection = work.connection().await?;
    let new = store::mark_imported(connection, origin.account, &batch.rows).await?;
    if !new.is_empty() {
        store::insert_tickets(connection, origin.account, &new, now).await?;
        store::insert_comments(connection, &new, now).await?;
        let imported = |row: &&IncomingRow| (row.id, ActivityKind::Imported, String::new());
        let activities: Vec<_> = new.iter().map(imported).collect();
        ticket::record_batch(connection, (origin.actor, origin.role), &activities, now).await?;
        ticket::record_imported(connection, origin.account, new.iter().map(|row| row.id)).await?;
    }
    if !batch.errors.is_empty() {
        operation::record_errors(connection, operation, &batch.errors).await?;
    }
    let (created, rows, failed) = (count(new.len()), count(batch.rows.len()), count(batch.errors.len()));
    Ok(Progress { total: 0, created, known: rows - created, failed })
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn refuse(unfit: Fault) -> Result<End> {
    Ok(End::Failed(match unfit {
        Fault::File(message) => Failure::new(Reason::ValidationFailed, message),
        Fault::TooManyRows => {
            let message = format!("The file has more than {MAX_ROWS} rows; split it.");
            Failure::new(Reason::PayloadTooLarge, message)
        }
        Fault::Read(error) => return Err(Error::internal(error)),
    }))
}
