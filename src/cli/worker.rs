//! `mainstay worker`.

use std::time::Duration;

use clap::Args;

use super::{Instance, serve::stop_signal};

/// The time a worker has to record the state of its jobs after they had to end.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);

/// Run background jobs only; the serving instances need JOBS_IN_SERVE=false.
#[derive(Debug, Args)]
pub(super) struct Worker {}

impl Worker {
    pub(super) async fn run(self, house: Instance) -> anyhow::Result<()> {
        let stop = stop_signal()?;
        tracing::info!("running background jobs");
        let drain = house.app.config.server.drain + LAST_WORDS;
        let running = crate::worker::run(house.app.clone(), stop.clone());
        tokio::select! {
            ended = running => ended?,
            () = async { stop.cancelled().await; tokio::time::sleep(drain).await } => {
                tracing::warn!("a job did not stop in time");
            }
        }
        house.close().await;
        Ok(())
    }
}
