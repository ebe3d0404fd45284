//! `mainstay worker`.

use clap::Args;

use crate::cli::{Instance, probes::Probes, serve::stop_signal};
use mainstay_kernel::{http::health::Readiness, queue::worker};

/// Run background jobs only; the serving instances need JOBS_IN_SERVE=false.
#[derive(Debug, Args)]
pub(crate) struct Worker {}

impl Worker {
    pub(crate) async fn run(self, instance: Instance) -> anyhow::Result<()> {
        let stop = stop_signal()?;
        crate::cli::migrate::check(&instance.app).await?;
        tracing::info!("running background jobs");
        let readiness = Readiness::default();
        let probes = Probes::open(&instance.app, &readiness).await?;
        readiness.set(true).await;
        let draining = stop.clone();
        tokio::spawn(async move {
            draining.cancelled().await;
            readiness.set(false).await;
        });
        worker::run(instance.app.clone(), stop).await;
        probes.close().await;
        instance.close().await;
        Ok(())
    }
}
