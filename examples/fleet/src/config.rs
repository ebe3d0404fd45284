//! The module's configuration section.

use chrono::TimeDelta;
use mainstay::webhooks::{Keys, VerifyTokens};
use mainstay_kernel::config::{Reader, Section, Variable, is_https_or_loopback};
use url::Url;

/// Settings of vehicles, leases and charging stations.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// The duration of a lease, unless it is ended earlier.
    pub lease_duration: TimeDelta,
    /// The keys of the webhooks of charging stations.
    pub charger_keys: Option<Keys>,
    /// The tokens by which charging stations verify the URL of their webhooks.
    pub charger_tokens: Option<VerifyTokens>,
    /// The URL of the operator of the charging stations, without a slash at its end.
    pub charging_url: Option<String>,
}

impl Section for FleetConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain("LEASE_DAYS", "30", "Days until a lease of a vehicle ends by itself"),
        Variable::secret(
            "CHARGER_SECRETS",
            "Signing secrets of the webhooks of charging stations, separated by commas; if absent, they are not accepted",
        ),
        Variable::secret(
            "CHARGER_VERIFY_TOKENS",
            "Tokens by which charging stations verify the URL of their webhooks, separated by commas; if absent, they can't",
        ),
        Variable::plain(
            "CHARGING_URL",
            "",
            "URL of the operator of the charging stations; without one, vehicles recharge at once",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let charging_url: Option<Url> = read.optional("CHARGING_URL");
        if charging_url.as_ref().is_some_and(|url| !is_https_or_loopback(url)) {
            read.fault("CHARGING_URL", "must be an https URL, or an http one of this machine");
        }
        Self {
            lease_duration: TimeDelta::days(read.positive::<u16>("LEASE_DAYS").into()),
            charger_keys: Keys::read(read, "CHARGER_SECRETS"),
            charger_tokens: VerifyTokens::read(read, "CHARGER_VERIFY_TOKENS"),
            charging_url: charging_url.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        }
    }
}
