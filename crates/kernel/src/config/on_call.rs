//! Settings of the on-call service, which pages an operator.

use std::str::FromStr;

use secrecy::SecretString;

use super::source::{Reader, Variable};

/// The on-call service, which pages an operator.
#[derive(Debug, Clone)]
pub struct OnCall {
    /// The format of its alert API.
    pub format: OnCallFormat,
    /// The URL of its alert API.
    pub url: String,
    /// The key of the integration; `None` disables paging.
    pub routing_key: Option<SecretString>,
}

impl OnCall {
    pub(super) const VARIABLES: &'static [Variable] = &[
        Variable::plain(
            "ON_CALL_FORMAT",
            "pagerduty",
            "Form in which the on-call service takes alerts: pagerduty or opsgenie",
        ),
        Variable::secret(
            "ON_CALL_ROUTING_KEY",
            "Key of the on-call service that gets the alerts; if absent, they are counted and logged only",
        ),
        Variable::plain(
            "ON_CALL_URL",
            "",
            "Where the on-call service takes alerts; if absent, PagerDuty's or Opsgenie's own address; plain http only for loopback",
        ),
    ];

    pub(super) fn read(read: &mut Reader) -> Self {
        let format: OnCallFormat = read.parse("ON_CALL_FORMAT");
        let url = read.text_or("ON_CALL_URL", format.url());
        Self { format, url, routing_key: read.secret("ON_CALL_ROUTING_KEY") }
    }
}

/// The format of an on-call service's alert API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCallFormat {
    /// PagerDuty's Events API v2, which other services accept too.
    PagerDuty,
    /// Opsgenie's Alert API, which Jira Service Management also has.
    Opsgenie,
}

impl OnCallFormat {
    fn url(self) -> &'static str {
        match self {
            Self::PagerDuty => "https://events.pagerduty.com/v2/enqueue",
            Self::Opsgenie => "https://api.opsgenie.com/v2/alerts",
        }
    }
}

impl FromStr for OnCallFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pagerduty" => Ok(Self::PagerDuty),
            "opsgenie" => Ok(Self::Opsgenie),
            _ => Err("must be pagerduty or opsgenie"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    #[test]
    fn each_service_has_an_address_of_its_own() {
        let url = |values: &[(&'static str, &'static str)]| {
            let mut read = Reader::new(Source::of(values.iter().copied()), OnCall::VARIABLES.to_vec());
            OnCall::read(&mut read).url
        };
        assert_eq!(url(&[]), "https://events.pagerduty.com/v2/enqueue");
        assert_eq!(url(&[("ON_CALL_FORMAT", "opsgenie")]), "https://api.opsgenie.com/v2/alerts");
        let europe = "https://api.eu.opsgenie.com/v2/alerts";
        assert_eq!(url(&[("ON_CALL_FORMAT", "opsgenie"), ("ON_CALL_URL", europe)]), europe);
    }
}
