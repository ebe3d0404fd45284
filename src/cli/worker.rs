//! `mainstay worker`.

use std::sync::Arc;

use clap::Args;

use crate::cli::{
    Instance,
    migrate::{NewerDatabase, SchemaCheck},
    notify::Notify,
    private_listener::PrivateListener,
    serve::stop_signal,
};
use mainstay_kernel::{http::health::Readiness, module::Modules, queue::worker};

/// Run background jobs only; JOBS_IN_SERVE=false leaves them all to workers.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    newer_database: NewerDatabase,
}

impl Worker {
    pub(crate) async fn run(self, instance: Instance) -> anyhow::Result<()> {
        let stop = stop_signal()?;
        let notify = Arc::new(Notify::open());
        let mut schema = SchemaCheck::begin(&instance.app, self.newer_database).await?;
        let logs = crate::dashboard::LogWriter::start(&instance.app);
        tracing::info!("running background jobs");
        let readiness = Readiness::default();
        let private_listener = PrivateListener::open(&instance.app, &readiness).await?;
        readiness.set(true).await;
        notify.ready();
        let (draining, notify) = (stop.clone(), notify.clone());
        tokio::spawn(async move {
            draining.cancelled().await;
            readiness.set(false).await;
            notify.stopping();
        });
        let jobs_stop = stop.child_token();
        let mut running =
            std::pin::pin!(worker::run(Modules::installed().work(), instance.app.clone(), jobs_stop.clone()));
        let fault = tokio::select! {
            () = &mut running => None,
            fault = schema.wait_for_fault() => Some(fault),
        };
        if fault.is_some() {
            jobs_stop.cancel();
            running.await;
        }
        private_listener.close().await;
        logs.close().await;
        instance.close().await;
        fault.map_or(Ok(()), Err)
    }
}
