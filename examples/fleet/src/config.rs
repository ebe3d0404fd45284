//! The module's configuration section.

use chrono::TimeDelta;
use mainstay_kernel::config::{Reader, Section, Variable};

/// Settings of vehicles and leases.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// The duration of a lease, unless it is ended earlier.
    pub lease_duration: TimeDelta,
    /// The URL of the operator of the charging stations.
    pub charging_url: Option<String>,
}

impl Section for FleetConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain("LEASE_DAYS", "30", "Days until a lease of a vehicle ends by itself"),
        Variable::plain(
            "CHARGING_URL",
            "",
            "URL of the operator of the charging stations; without one, vehicles recharge at once",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        Self {
            lease_duration: TimeDelta::days(read.positive::<u16>("LEASE_DAYS").into()),
            charging_url: read.optional("CHARGING_URL"),
        }
    }
}
