//! The job that creates tickets from an uploaded file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    operations::id::OperationId,
    support::{config::SupportConfig, import::model::ReadOptions},
};
use mainstay_kernel::queue::{Job, Lane};

/// The slots of imports, whose duration depends on the size of the file.
const IMPORTS: Lane = Lane::new("imports", |config| config.section::<SupportConfig>().imports);

/// Imports the tickets of an uploaded file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ImportTickets {
    /// The operation that holds the file.
    pub operation: OperationId,
    /// The number of the role in which the import was requested.
    pub role: i16,
    /// How the file is to be read. A server of the version before leaves them out, and reads the file without them.
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
