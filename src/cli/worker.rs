//! `mainstay worker`.

use clap::Args;

use super::{Instance, serve::stop_signal};
use crate::{health::Readiness, worker};

/// Run background jobs only; the serving instances need JOBS_IN_SERVE=false.
#[derive(Debug, Args)]
pub(super) struct Worker {}

impl Worker {
    pub(super) async fn run(self, instance: Instance) -> anyhow::Result<()> {
        let stop = stop_signal()?;
        tracing::info!("working on jobs");
        let readiness = Readiness::default();
        let probes = super::probes::listen(&instance.app, &readiness, stop.clone()).await?;
        readiness.set(true).await;
        worker::run(instance.app.clone(), stop).await?;
        probes.await;
        instance.close().await;
        Ok(())
    }
}
