//! The retention of the servers' logs in the dashboard.

use mainstay_kernel::config::{Reader, Retention, Section, Variable};

/// The lines of the log.
pub const SYSTEM_LOGS: Retention = Retention::of(
    &["system_logs"],
    "SYSTEM_LOG_AGE",
    "7d",
    ["1h", "400d"],
    "Maximum age of the lines of the log that are stored",
);

#[derive(Debug, Clone)]
pub struct DashboardConfig {
    /// The maximum number of lines.
    pub max_lines: usize,
}

impl Section for DashboardConfig {
    const VARIABLES: &'static [Variable] =
        &[Variable::plain("SYSTEM_LOG_LINES", "1000000", "Maximum number of lines of the log that are stored")];

    fn read(read: &mut Reader) -> Self {
        Self { max_lines: read.positive("SYSTEM_LOG_LINES") }
    }
}
