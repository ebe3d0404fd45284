//! The job that writes the archive of an export.

use mainstay_kernel::queue::{Job, Lane};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::data_export::id::DataExportId;

/// Writes the archive of an export.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ExportData {
    pub export: DataExportId,
}

impl Job for ExportData {
    const NAME: &'static str = "export_data";
    const MAX_ATTEMPTS: i32 = 3;
    // One at a time, because its duration depends on the amount of data.
    const LANE: Lane = Lane::new("data_exports", |_| 1);

    fn subject(&self) -> Uuid {
        self.export.0
    }
}
