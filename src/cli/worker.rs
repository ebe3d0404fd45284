//! `mainstay worker`.

use clap::Args;

use super::{House, serve::stop_signal};

/// Only work on jobs; serve elsewhere with JOBS_IN_SERVE=false.
#[derive(Debug, Args)]
pub(super) struct Worker {}

impl Worker {
    pub(super) async fn run(self, house: House) -> anyhow::Result<()> {
        let stop = stop_signal()?;
        tracing::info!("working on jobs");
        crate::worker::run(house.app.clone(), stop).await?;
        house.close().await;
        Ok(())
    }
}
