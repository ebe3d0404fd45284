//! The job that creates tickets from an uploaded file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    operations::id::OperationId,
    support::{config::SupportConfig, import::model::ReadOptions},
};
use mainstay_kernel::queue::{Job, Lane};

/// The lane of imports, which are separate because their duration depends on the size of the file.
const IMPORTS: Lane = Lane::new("imports", |config| config.section::<SupportConfig>().imports);

/// Imports the tickets of an uploaded file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ImportTickets {
    /// The operation that holds the file.
    pub operation: OperationId,
    /// The number of the role in which the import was requested.
    pub role: i16,
    /// The read options. The previous version of the server does not know them: it queues jobs without them, and
    /// ignores them in a job.
    #[serde(default)]
    pub options: ReadOptions,
}

impl Job for ImportTickets {
    const NAME: &'static str = "import_tickets";
    const MAX_ATTEMPTS: i32 = 5;
    const LANE: Lane = IMPORTS;

    fn subject(&self) -> Uuid {
        self.operation.0
    }
}
