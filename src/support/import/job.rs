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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ImportTickets;
    use crate::{operations::ops::RunOperation, support::import::model::ReadOptions};

    #[test]
    fn the_version_before_and_this_one_read_the_jobs_of_each_other() {
        let before = json!({ "operation": "0197b612-45de-7a99-9e01-a1b2c3d4e5f6", "role": 2 });
        let job: RunOperation<ImportTickets> = serde_json::from_value(before.clone()).expect("a job");
        assert_eq!((job.request.role, job.request.options), (2, ReadOptions::default()));
        let now = serde_json::to_value(job).expect("JSON");
        assert_eq!((&now["operation"], &now["role"]), (&before["operation"], &before["role"]));
    }
}
