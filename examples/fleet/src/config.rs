//! The module's configuration section.

use chrono::TimeDelta;
use mainstay::webhooks::Keys;
use mainstay_kernel::config::{Reader, Section, Variable};

/// Settings of vehicles, leases and charging stations.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// The duration of a lease, unless it is ended earlier.
    pub lease_duration: TimeDelta,
    /// The keys of the webhooks of charging stations.
    pub charger_keys: Option<Keys>,
    /// The URL of the operator of the charging stations.
    pub charging_url: Option<String>,
}

impl Section for FleetConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain("LEASE_DAYS", "30", "Days until a lease of a vehicle ends by itself"),
        Variable::secret(
            "CHARGER_SECRETS",
            "Signing secrets of the webhooks of charging stations, separated by commas; if absent, they are not accepted",
        ),
        Variable::plain(
            "CHARGING_URL",
            "",
            "URL of the operator of the charging stations; without one, vehicles recharge at once",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        Self {
            lease_duration: TimeDelta::days(read.positive::<u16>("LEASE_DAYS").into()),
            charger_keys: Keys::read(read, "CHARGER_SECRETS"),
            charging_url: read.optional("CHARGING_URL"),
        }
    }
}
