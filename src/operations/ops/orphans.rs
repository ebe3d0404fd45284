//! The end of operations whose module was removed from the program.

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Reason, Result},
    events::Event,
    queue,
    schedule::BATCH,
    unit_of_work::Work,
};

use super::{Kinds, update};
use crate::operations::{events::OperationFinished, id::OperationId, model::Failure, store};

/// Fails the operations that have not changed since `before` and whose kind no module of this program declares, each in a
/// separate transaction, and returns their number. Operations beyond a batch are left to the next run.
pub(crate) async fn fail_orphans(app: &App, before: DateTime<Utc>) -> Result<usize> {
    let kinds = app.part::<Kinds>().names();
    let read = async move |connection: &mut Connection| store::orphans(connection, kinds, before, BATCH).await;
    let orphans = app.database.autocommit(read).await?;
    for id in orphans.iter().copied() {
        match app.database.transaction(async move |work: &mut Work| fail(work, id).await).await {
            // It was erased with its account, or a server with its module ended it.
            Err(error) if error.reason() == Reason::NotFound || error.reason() == Reason::Conflict => {}
            Err(error) if error.is_unavailable() => return Err(error),
            // The others do not wait for it.
            Err(error) => {
                tracing::error!(operation = %id, error = error.detail(), "an orphaned operation can't be failed")
            }
            Ok(()) => {}
        }
    }
    Ok(orphans.len())
}

async fn fail(work: &mut Work, id: OperationId) -> Result<()> {
    let now = work.now();
    let connection = work.connection().await?;
    let operation = store::lock(connection, Visibility::All, &[], id).await?;
    let message = "The server no longer carries out operations of this kind; what was done stays done.";
    let failed = operation.fail(Failure::new(Reason::Unavailable, message), now)?;
    update(connection, &failed).await?;
    queue::forget_undeclared(connection, &failed.kind, id.0).await?;
    work.publish(Event::of::<OperationFinished>(failed.account, id.0, failed.version));
    Ok(())
}
