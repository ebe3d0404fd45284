//! Everything a request needs, built once and passed down: pools, clock, clients.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{clock::Clock, config::Config, store::Database};

/// What every part of the house works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// Postgres.
    pub database: Database,
    /// The time.
    pub clock: Clock,
    /// Places for files that are being uploaded; each may hold as much as a file may be large.
    pub uploads: Arc<Semaphore>,
}
