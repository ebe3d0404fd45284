//! The run of a worker over a stored file.

use crate::support::import::job::ImportTickets;
use tokio_util::sync::CancellationToken;

use crate::{
    operations::{
        model::{Failure, Operation, Progress},
        ops as operation,
    },
    support::{
        import::{
            model::{Fault, MAX_ROWS},
            ops::{
                batch::{self, Batch, Batches},
                unless_ended,
            },
            store::{self, Origin},
        },
        ticket::ops as ticket,
    },
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    error::{Error, Reason, Result},
    fault, queue as jobs,
    unit_of_work::Work,
};

/// The outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The operation has ended.
    Ended,
    /// The worker is stopping; a job for the rest is queued.
    HandedBack,
}

/// Imports a stored file from its checkpoint, until it is complete or `stop` is cancelled.
///
/// # Errors
/// Any error that prevented a batch; the next run resumes there. `CONFLICT` if another worker, which may have been
/// presumed dead, stored a batch meanwhile; the present batch is then not stored.
pub async fn run(app: &App, job: ImportTickets, stop: &CancellationToken) -> Result<Outcome> {
    match run_on(app, job, stop).await {
        Err(error) if error.reason() == Reason::Conflict => {
            unless_ended(app, job.operation, error).await.map(|()| Outcome::Ended)
        }
        ran => ran,
    }
}

async fn run_on(app: &App, job: ImportTickets, stop: &CancellationToken) -> Result<Outcome> {
    let id = job.operation;
    let result =
        app.database.autocommit(async move |connection| operation::read(connection, Visibility::All, id).await).await;
    let mut current = match result {
        // The operation was deleted with its account, or removed after an earlier run had ended it.
        Err(error) if error.reason() == Reason::NotFound => return Ok(Outcome::Ended),
        result => result?,
    };
    if current.state.finished_at().is_some() {
        return Ok(Outcome::Ended);
    }
    if current.progress.total == 0 {
        match batch::count(app, id, (current.format, job.options)).await? {
            Ok(total) => current = begin(app, current, total).await?,
            Err(unfit) => return refuse(app, current, unfit).await,
        }
    }
    let origin = Origin { account: current.account, actor: current.owner, role: job.role };
    let mut batches = Batches::new(app, id, (current.format, job.options), current.progress.rows_done());
    while let Some(batch) = batches.next().await {
        if stop.is_cancelled() {
            requeue(app, job).await?;
            return Ok(Outcome::HandedBack);
        }
        current = store_batch(app, current, origin, batch).await?;
        fault::point("import.batch")?;
    }
    match batches.end().await? {
        Ok(()) => finish(app, current).await,
        Err(unfit) => refuse(app, current, unfit).await,
    }
}

async fn begin(app: &App, current: Operation, total: i64) -> Result<Operation> {
    let next = current.run(Progress { total, ..Progress::default() }, app.clock.now())?;
    app.database
        .transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            operation::update(connection, &next).await?;
            Ok(next)
        })
        .await
}

/// Stores a batch and the resulting progress, atomically.
async fn store_batch(app: &App, current: Operation, origin: Origin, batch: Batch) -> Result<Operation> {
    let now = app.clock.now();
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let mut progress = current.progress;
        let rows = count(batch.rows.len());
        let new = store::mark_imported(connection, origin.account, batch.rows).await?;
        if !new.is_empty() {
            store::insert_tickets(connection, origin.account, &new, now).await?;
            store::insert_comments(connection, &new, now).await?;
            store::insert_activities(connection, origin, &new, now).await?;
            ticket::record_imported(connection, origin.account, new.iter().map(|row| row.id)).await?;
        }
        if !batch.errors.is_empty() {
            store::insert_errors(connection, current.id, &batch.errors).await?;
        }
        progress.created += count(new.len());
        progress.known += rows - count(new.len());
        progress.failed += count(batch.errors.len());
        // The operation is updated last, because another worker would wait for this row lock. The update fails if the
        // other worker was faster.
        let next = current.run(progress, now)?;
        operation::update(connection, &next).await?;
        Ok::<_, Error>(next)
    });
    transaction.await
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

async fn requeue(app: &App, job: ImportTickets) -> Result<()> {
    app.database.autocommit(async move |connection| jobs::enqueue(connection, &job).await).await
}

async fn finish(app: &App, current: Operation) -> Result<Outcome> {
    end(app, current.succeed(app.clock.now())?).await
}

async fn refuse(app: &App, current: Operation, unfit: Fault) -> Result<Outcome> {
    let failure = match unfit {
        Fault::File(message) => Failure::new(Reason::ValidationFailed, message),
        Fault::TooManyRows => {
            let message = format!("The file has more than {MAX_ROWS} rows; split it.");
            Failure::new(Reason::PayloadTooLarge, message)
        }
        Fault::Read(error) => return Err(Error::internal(error)),
    };
    end(app, current.fail(failure, app.clock.now())?).await
}

async fn end(app: &App, operation: Operation) -> Result<Outcome> {
    let transaction = app.database.transaction(async move |work: &mut Work| {
        crate::support::import::ops::end(work, &operation).await?;
        Ok(Outcome::Ended)
    });
    transaction.await
}
