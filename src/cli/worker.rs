//! `mainstay worker`.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::{
    Instance,
    migrate::{NewerDatabase, SchemaCheck},
    notify::Notify,
    private_listener::{self, PrivateListener},
    serve::stop_signal,
};
use mainstay_kernel::{
    app::App,
    http::health::Readiness,
    module::{Modules, Purpose},
    queue::worker,
};

/// Run background jobs only; JOBS_IN_SERVE=false leaves them all to workers.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    newer_database: NewerDatabase,
}

impl Worker {
    pub(crate) async fn run(self, instance: Instance) -> anyhow::Result<()> {
        let stop = stop_signal(&instance.app.config.server)?;
        let notify = Arc::new(Notify::open());
        let schema = SchemaCheck::begin(&instance.app, self.newer_database).await?;
        let process = Modules::of(&instance.app).start(&instance.app, Purpose::Worker).await?;
        let worked = work_until(stop, schema, &notify, &process.app).await;
        process.close().await;
        instance.close().await;
        worked
    }
}

/// Works until `stop` is canceled or the schema check fails, and drains.
async fn work_until(
    stop: CancellationToken,
    mut schema: SchemaCheck,
    notify: &Arc<Notify>,
    app: &App,
) -> anyhow::Result<()> {
    tracing::info!("running background jobs");
    let readiness = Readiness::default();
    let private = private_listener::bind(app.config.server.metrics_listen).await?;
    let private_listener = PrivateListener::open(private, app, &readiness)?;
    readiness.set(true).await;
    notify.ready();
    let (draining, notify) = (stop.clone(), notify.clone());
    tokio::spawn(async move {
        draining.cancelled().await;
        readiness.set(false).await;
        notify.stopping();
    });
    let jobs_stop = stop.child_token();
    let mut running = std::pin::pin!(worker::run(Modules::of(app).work(), app.clone(), jobs_stop.clone()));
    let fault = tokio::select! {
        () = &mut running => None,
        fault = schema.wait_for_fault() => Some(fault),
    };
    if fault.is_some() {
        jobs_stop.cancel();
        running.await;
    }
    private_listener.close().await;
    fault.map_or(Ok(()), Err)
}
