//! Job handlers and scheduled tasks.

use mainstay_kernel::{
    app::App,
    error::Result,
    queue::Handler,
    schedule::{BATCH, in_batches},
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    import::{job::ImportTickets, ops as import, store as uploads},
    ticket::store as tickets,
};

impl Handler for ImportTickets {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        let operation = self.operation;
        match import::run(app, self, stop).await? {
            import::Outcome::Ended => tracing::info!(%operation, "an import ended"),
            import::Outcome::HandedBack => {
                tracing::info!(%operation, "an import stops here; a job for its rest is queued")
            }
        }
        Ok(())
    }

    async fn give_up(self, app: &App) -> Result<()> {
        import::abandon(app, self.operation).await
    }
}

pub(super) async fn fold_ticket_counts(app: App) -> Result<usize> {
    app.database.autocommit(async |connection| tickets::fold_counts(connection).await).await
}

pub(super) async fn forget_uploads(app: App) -> Result<usize> {
    in_batches(&app, |connection| Box::pin(uploads::delete_finished(connection, BATCH))).await
}
