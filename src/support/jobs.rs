//! Scheduled tasks.

use mainstay_kernel::{
    app::App,
    error::Result,
    schedule::{BATCH, in_batches},
};

use crate::support::{
    import::store as uploads,
    ticket::{
        model::bulk::UNDO_WINDOW,
        ops as ticket,
        store::{self as tickets, bulk},
    },
};

pub(super) async fn fold_ticket_counts(app: App) -> Result<usize> {
    app.database.autocommit(async |connection| tickets::fold_counts(connection).await).await
}

pub(super) async fn return_tickets(app: App) -> Result<usize> {
    ticket::return_to_queue(&app).await
}

pub(super) async fn forget_changed_tickets(app: App) -> Result<usize> {
    let before = app.clock.now() - UNDO_WINDOW;
    in_batches(&app, |connection| Box::pin(bulk::delete_expired(connection, before, BATCH))).await
}

pub(super) async fn forget_uploads(app: App) -> Result<usize> {
    in_batches(&app, |connection| Box::pin(uploads::delete_finished(connection, BATCH))).await
}
