//! Settings of the audit log.

use std::time::Duration;

use chrono::TimeDelta;
use mainstay_kernel::config::{Config, Reader, Section, Variable};

#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// The retention of entries; `None` keeps them forever.
    pub retention: Option<Duration>,
}

impl Section for AuditConfig {
    const VARIABLES: &'static [Variable] = &[Variable::plain(
        "AUDIT_LOG_KEPT",
        "400d",
        "How long the audit log is kept, then removed by the month; if empty, it is kept",
    )];

    fn read(read: &mut Reader) -> Self {
        Self { retention: read.optional_duration("AUDIT_LOG_KEPT") }
    }
}

/// Returns the retention of a configuration.
pub(super) fn retention(config: &Config) -> Option<TimeDelta> {
    config.section::<AuditConfig>().retention.and_then(|kept| TimeDelta::from_std(kept).ok())
}
