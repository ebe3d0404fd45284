//! The request of the operation that creates tickets from an uploaded file.

use serde::{Deserialize, Serialize};

use crate::support::import::model::ReadOptions;

/// Imports the tickets of an uploaded file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ImportTickets {
    /// The number of the role in which the import was requested.
    pub role: i16,
    /// The read options. The previous version of the server does not know them: it queues jobs without them, and
    /// ignores them in a job.
    #[serde(default)]
    pub options: ReadOptions,
}
