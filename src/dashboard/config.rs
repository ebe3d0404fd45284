//! The retention of the servers' logs in the dashboard.

use std::time::Duration;

use mainstay_kernel::config::{Reader, Section, Variable};

#[derive(Debug, Clone)]
pub struct DashboardConfig {
    /// The maximum number of lines.
    pub max_lines: usize,
    /// The maximum age of a line.
    pub max_age: Duration,
}

impl Section for DashboardConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain("SYSTEM_LOG_LINES", "1000000", "Maximum number of lines of the log that are stored"),
        Variable::plain("SYSTEM_LOG_AGE", "7d", "Maximum age of the lines of the log that are stored"),
    ];

    fn read(read: &mut Reader) -> Self {
        Self { max_lines: read.positive("SYSTEM_LOG_LINES"), max_age: read.positive_duration("SYSTEM_LOG_AGE") }
    }
}
