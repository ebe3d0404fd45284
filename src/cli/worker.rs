//! `mainstay worker`.

use std::time::Duration;

use clap::Args;

use super::{House, serve::stop_signal};

/// What a worker has to write down what became of its jobs, after the time they had to end in.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);

/// Only work on jobs; serve elsewhere with JOBS_IN_SERVE=false.
#[derive(Debug, Args)]
pub(super) struct Worker {}

impl Worker {
    pub(super) async fn run(self, house: House) -> anyhow::Result<()> {
        let stop = stop_signal()?;
        tracing::info!("working on jobs");
        let drain = house.app.config.server.drain + LAST_WORDS;
        let running = crate::worker::run(house.app.clone(), stop.clone());
        tokio::select! {
            ended = running => ended?,
            () = async { stop.cancelled().await; tokio::time::sleep(drain).await } => {
                tracing::warn!("a job did not hand back in time");
            }
        }
        house.close().await;
        Ok(())
    }
}
