//! Everything a request needs, built once and passed down: pools, clock, clients.

use std::sync::Arc;

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
}
